"""What Benchmarks/compare and Benchmarks/networks share: programs, packages, numbers."""
import os, shutil, socket, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
CPUS = sorted(os.sched_getaffinity(0))
GIGA = 1e9


def note(text):
    print("compare: " + text, file=sys.stderr, flush=True)


def run(*words, **options):
    return subprocess.run(words, check=True, stdout=subprocess.DEVNULL, **options)


def compiled(folder, name, *libraries):
    target = os.path.join(folder, os.path.basename(name)[:-2])
    words = ["cc", "-O2", "-o", target, os.path.join(HERE, name), *libraries]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        note(f"{name} does not compile: {done.stderr.strip()[:300]}")
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


def shown(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def print_table(lines):
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for number, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
