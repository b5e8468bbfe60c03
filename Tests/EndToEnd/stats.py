"""Numbers out of /stats.json.

stats.py sum PATH…                        adds up what the paths match, in the document on standard input
stats.py growth BEFORE AFTER PATH…        fails and says so where AFTER's number is above BEFORE's

A path is keys joined by dots; `*` matches every key or element. A path that matches nothing is an error.
"""

import json
import sys


def matches(document, path):
    """Yields (full path, number) for everything below `path` that is a number."""
    found = [("", document)]
    for key in path.split("."):
        deeper = []
        for name, node in found:
            if isinstance(node, dict):
                children = node.items()
            elif isinstance(node, list):
                children = ((str(index), child) for index, child in enumerate(node))
            else:
                children = ()
            deeper += [(f"{name}.{child_key}".lstrip("."), child) for child_key, child in children if key in ("*", child_key)]
        found = deeper
    numbers = [(name, node) for name, node in found if isinstance(node, (int, float)) and not isinstance(node, bool)]
    if not numbers:
        sys.exit(f"no number at {path}")
    return numbers


def main(arguments):
    if arguments[0] == "sum":
        document = json.load(sys.stdin)
        print(sum(number for path in arguments[1:] for _, number in matches(document, path)))
        return
    with open(arguments[1]) as before_file, open(arguments[2]) as after_file:
        before, after = json.load(before_file), json.load(after_file)
    grown = 0
    for path in arguments[3:]:
        earlier = dict(matches(before, path))
        for name, number in matches(after, path):
            if number > earlier.get(name, 0):
                grown += 1
                print(f"{name} grew from {earlier.get(name, 0)} to {number}")
    print(f"{grown} numbers grew")
    sys.exit(1 if grown else 0)


main(sys.argv[1:])
