"""What trec_eval.sh runs: the commands of trec_eval's Makefile, with plackett in trec_eval's place.

    python3 trec_eval.py PLACKETT FOLDER
"""

import itertools
import pathlib
import re
import shlex
import subprocess
import sys

SHOWN = 10


def commands(folder):
    """(arguments, expected file) of each line of the target `quicktest`."""
    makefile = (folder / "Makefile").read_text()
    target = re.search(r"^quicktest:.*\n((?:\t.*\n)+)", makefile, re.M)
    if not target:
        sys.exit(f"{folder}/Makefile has no target quicktest")
    for line in target.group(1).splitlines():
        words = shlex.split(line)
        if words and words[0] == "./trec_eval":
            pipe = words.index("|")
            yield words[1:pipe], words[-1]


def run(plackett, folder, arguments):
    command = [plackett, "eval", "--compat", "trec_eval-10", "--trec", "--quiet", "--ci", "none", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def names(folder):
    """The names of all measures that trec_eval prints."""
    listed = set(re.findall(r"&te_meas_(\w+),", (folder / "measures.c").read_text()))
    found = {}
    for file in folder.glob("m_*.c"):
        for variable, name in re.findall(r'TREC_MEAS te_meas_(\w+) = \{\s*"(\w+)"', file.read_text()):
            found[variable] = name
    return {found[variable] for variable in listed if variable in found}


def main(plackett, folder):
    folder = pathlib.Path(folder)
    values = differ = runs = 0
    seen, left_out = set(), []
    for arguments, expected_file in commands(folder):
        runs += 1
        expected = (folder / expected_file).read_text().splitlines()
        seen |= {line.split()[0] for line in expected}
        values += len(expected)
        done = run(plackett, folder, arguments)
        if done.returncode != 0:
            left_out.append((shlex.join(arguments), done.stderr.strip().splitlines()[-1]))
            differ += len(expected)
            continue
        pairs = list(itertools.zip_longest(expected, done.stdout.splitlines(), fillvalue="(no line)"))
        wrong = [(theirs, ours) for theirs, ours in pairs if theirs != ours]
        differ += len(wrong)
        print(f"{len(pairs) - len(wrong):5} of {len(pairs):5} lines agree: {shlex.join(arguments)}")
        for theirs, ours in wrong[:SHOWN]:
            print(f"      trec_eval: {theirs!r}\n      plackett:  {ours!r}")
        if len(wrong) > SHOWN:
            print(f"      … and {len(wrong) - SHOWN} more")
    for command, why in left_out:
        print(f"left out: {command}: {why}")
    # Names without an expected value: they are at least understood.
    untested = sorted(name for name in names(folder) if not any(re.match(rf"Z?{name}(_|$)", word) for word in seen))
    for name in untested:
        done = run(plackett, folder, ["-q", "-m", name, "test/qrels.test", "test/results.test"])
        verdict = "measured" if done.returncode == 0 else f"left out: {done.stderr.strip().splitlines()[-1]}"
        print(f"no expected value in the suite: {name} ({verdict})")
    print(f"trec_eval's suite: {runs} commands, {values} values, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
