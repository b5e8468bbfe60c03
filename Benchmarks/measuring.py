"""What Benchmarks/compare, Benchmarks/networks and Benchmarks/pairs share: programs, packages, numbers, tables."""
import argparse, json, os, shutil, socket, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
CPUS = sorted(os.sched_getaffinity(0))
GIGA = 1e9


def note(text):
    print("compare: " + text, file=sys.stderr, flush=True)


def run(*words, **options):
    return subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **options)


def compiled(folder, name, *libraries, target=None):
    target = os.path.join(folder, target or os.path.basename(name)[:-2])
    words = ["cc", "-O2", "-o", target, os.path.join(HERE, name), *libraries]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        note(f"{name} does not compile: {done.stderr.strip()[:300]}")
        return None
    return target


def go_program(folder, name):
    """A program of gVisor's stack, which Debian has as a Go package; built without the network."""
    if not shutil.which("go"):
        note("NOT TO BE HAD: gVisor netstack: there is no Go compiler (golang-go)")
        return None
    if not os.path.isdir("/usr/share/gocode/src/gvisor.dev/gvisor/pkg/tcpip"):
        note("NOT TO BE HAD: gVisor netstack: no golang-gvisor-gvisor-dev")
        return None
    target = os.path.join(folder, os.path.basename(name)[:-3])
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode", GOFLAGS="",
                       GOCACHE=os.path.join(folder, "go-cache"))
    done = subprocess.run(["go", "build", "-o", target, os.path.join(HERE, name)],
                          env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        note(f"NOT TO BE HAD: gVisor netstack does not build: {done.stderr.strip()[:300]}")
        return None
    return target


def install(packages):
    missing = [name for name in packages if subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", name], capture_output=True, text=True
    ).stdout.find("install ok installed") < 0]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        note("installing " + " ".join(missing))
        for name in missing:
            done = subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", name],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                note(f"NOT TO BE HAD: {name}: {done.stderr.strip().splitlines()[-1:]}")


def chosen_control():
    """Uploads depend on the kernel's congestion control: the same for all, CUBIC where it may be had."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
            return "cubic"
        except OSError:
            note("CUBIC may not be had here: the kernel's default congestion control is used")
            return None


def shown(value, is_exact=False):
    if value < 1000:
        return f"{value:.3g}" if value >= 0.001 else "0"
    return f"{value if is_exact else float(f'{value:.3g}'):,.0f}"


def arguments(description, stacks):
    """The options that all have; `stacks` is what the option is called that names what is measured."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three short rounds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="the table as Documentation/Benchmarks.md has it")
    parser.add_argument("--only", type=lambda text: text.split(","), help="rows, by name")
    parser.add_argument(f"--{stacks}", type=lambda text: text.split(","), help=f"{stacks}, by name")
    parser.add_argument("--sluice", default=os.path.join(HERE, "..", ".build", "release", "sluice"))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--no-install", action="store_true")
    return parser


def taken(parser, rows, quick_seconds, seconds):
    """The options that were given, and the rows that they choose."""
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (quick_seconds if options.quick else seconds)
    options.sluice = os.path.abspath(options.sluice)
    chosen = [row for row in rows if not options.only or row[0] in options.only]
    if not chosen:
        sys.exit(f"{parser.prog}: no such row; there are " + ", ".join(row[0] for row in rows))
    return options, chosen


def print_json(rows, results):
    entries = [
        {"name": f"{stack}/{row[0]}", "unit": row[2], "median": statistics.median(numbers), "min": min(numbers),
         "max": max(numbers)}
        for stack in results for row in rows for numbers in [results[stack].get(row[0])] if numbers]
    print(json.dumps({"results": entries}, indent=1))


def print_results(rows, results, is_markdown, ours=("sluice",), is_peer=lambda ours, stack: True):
    """A line for each row, which begins with its name, what it is and its unit, and ends with whether less is better;
    then how often `ours` is as good as the best of its peers."""
    names = list(results)
    lines = [["" if is_markdown else "row", *([] if is_markdown else ["unit"]), *names, "to the best peer"]]
    for row in rows:
        name, what, unit, less = row[0], row[1], row[2], row[-1]
        shown_unit = unit.replace("us", "µs")
        cells, medians = ([f"{what}, {shown_unit}"] if is_markdown else [f"{name}: {what}", shown_unit]), {}
        for stack in names:
            numbers = results[stack].get(name)
            if not numbers:
                cells.append("-")
                continue
            medians[stack] = statistics.median(numbers)
            least, greatest = shown(min(numbers)), shown(max(numbers))
            is_one = len(numbers) == 1
            cells.append(shown(medians[stack], is_one) + ("" if is_one else f" ({least} to {greatest})"))
        ratios = []
        for own in ours:
            theirs = [value for stack, value in medians.items() if value and stack not in ours and is_peer(own, stack)]
            if medians.get(own) and theirs:
                ratios.append(f"{(min(theirs) / medians[own] if less else medians[own] / max(theirs)):.2f}")
        lines.append([*cells, ", ".join(ratios)])
    print_table(lines, is_markdown)


def print_table(lines, is_markdown=False):
    if is_markdown:
        lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
        print("\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |"))
        return
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
