"""What all benchmarks share: built programs, a Python with the peers, turns, the machine, the last line.

PLACKETT_BENCH_PYTHON  a Python that has all peers (default: a cached environment made with pip)
PLACKETT_BENCH_CACHE   where peers and files are kept (default: ~/.cache/plackett-bench)
PLACKETT_BENCH_MODEL   a folder with the GGUF file (default: pulled into Plackett's own cache)
PLACKETT_BENCH_TARGET  a folder with programs that are built already (default: a release build is made)
PLACKETT_BENCH_ROUNDS  rounds (each benchmark has its own default)
PLACKETT_DATA          folder of the collections (default: ../shared/data beside the repository)
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.environ.get("PLACKETT_BENCH_CACHE") or os.path.expanduser("~/.cache/plackett-bench")
DATA = os.environ.get("PLACKETT_DATA") or os.path.join(os.path.dirname(ROOT), "shared", "data")


def rounds(default):
    return int(os.environ.get("PLACKETT_BENCH_ROUNDS", default))


def cache(name):
    """A folder of one benchmark."""
    folder = os.path.join(CACHE, name)
    os.makedirs(folder, exist_ok=True)
    return folder


def built(name, package=None, features=None):
    """A release build: an example of a package, or the command `plackett` itself; cargo features by commas."""
    if given := os.environ.get("PLACKETT_BENCH_TARGET"):
        return os.path.join(given, *(["examples"] if package else []), name)
    target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
    what = ["-p", package, "--example", name] if package else ["--bin", name]
    what += ["--features", features] if features else []
    subprocess.run(["cargo", "build", "--release", *what], cwd=ROOT, check=True)
    return os.path.join(target, "release", *(["examples"] if package else []), name)


def pulled(name):
    """The folder of a model, from Plackett's own cache; pulled once."""
    # Peers must not fetch anything (see `enter`); this may, once.
    own = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    command = [built("plackett"), "model", "pull", name, "--json"]
    return json.loads(subprocess.check_output(command, env=own))["path"]


def gguf(name):
    """The one GGUF file of such a model."""
    folder = os.environ.get("PLACKETT_BENCH_MODEL") or pulled(name)
    return next(os.path.join(folder, file) for file in sorted(os.listdir(folder)) if file.endswith(".gguf"))


def peer_python(name, packages, modules):
    """A Python in which `modules` can be imported; `packages` are installed where they cannot."""
    given = os.environ.get("PLACKETT_BENCH_PYTHON")
    python = given or os.path.join(CACHE, name, "venv", "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", os.path.dirname(os.path.dirname(python))], check=True)
    probe = [python, "-c", "import " + ", ".join(modules)]
    if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode != 0:
        print(f"installing {', '.join(packages)} (once)", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def enter(python, threads):
    """Starts this script again under a Python with the peers, all of which get so many threads."""
    if os.environ.get("PLACKETT_BENCH_INSIDE"):
        return
    os.environ.update(
        PLACKETT_BENCH_INSIDE="1", HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(threads), TRANSFORMERS_VERBOSITY="error",
        TOKENIZERS_PARALLELISM="true", RAYON_NUM_THREADS=str(threads), TQDM_DISABLE="1", PYTHONWARNINGS="ignore",
    )
    os.execv(python, [python, *sys.argv])


class Asked:
    """A process that says what it is in one JSON line, and then answers each line with one."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended with status {self.process.wait()}")
        return json.loads(line)

    def __call__(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def resident_mb(self):
        """Peak resident memory so far."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def timed(work):
    """A function as a side of `in_turn`."""

    def repeat(repetitions):
        start = time.perf_counter()
        for _ in range(repetitions):
            work()
        return (time.perf_counter() - start) / repetitions

    return repeat


def in_turn(sides, count, repetitions=1):
    """Median seconds of each side; every side runs once before. The threads of some peers keep spinning for a while
    after their work, which would take a core from whoever comes next: so there is a pause before each turn."""
    for side in sides:
        side(1)
    times = [[] for _ in sides]
    for _ in range(count):
        for own, side in zip(times, sides):
            time.sleep(0.3)
            own.append(side(repetitions))
    return [statistics.median(own) for own in times]


def machine():
    facts = {"cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            facts["processor"] = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return facts


_missed = []


def verdict(what, value, limit, least):
    """Whether a value keeps a limit, which is the least or the most that it may be. `finish` tells of one that does not."""
    kept = value >= limit if least else value <= limit
    if not kept:
        _missed.append(what)
    return "reached" if kept else "MISSED"


def close(bench, ratios, **more):
    """The last line of every benchmark. A ratio above 1 means that Plackett is better."""
    print(json.dumps({"bench": bench, "ratios": ratios, **more, "machine": machine()}))


def finish():
    """Ends with status 1 where a limit was missed."""
    if _missed:
        print(f"missed: {', '.join(_missed)}", file=sys.stderr)
    sys.exit(1 if _missed else 0)
