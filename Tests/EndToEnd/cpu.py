"""cpu.py SLUICE LINK: how much CPU ten idle seconds of `sluice run` cost, over what starting it costs."""

import resource
import subprocess
import sys


def cost(seconds):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.argv[1], "run", "--link", sys.argv[2], "--", "sleep", str(seconds)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


start = min(cost(0) for _ in range(3))
idle = cost(10) - start
print(f"start and end {start * 1000:.0f} ms, ten idle seconds {idle * 1000:.0f} ms of CPU")
sys.exit(0 if idle < 0.1 else 1)
