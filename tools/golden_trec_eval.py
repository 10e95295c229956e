#!/usr/bin/env python3
"""Makes crates/plackett-eval/tests/golden/trec_eval_10.json: values of trec_eval 10 to twelve decimals.

    python tools/golden_trec_eval.py FOLDER

FOLDER is a checkout of github.com/usnistgov/trec_eval. It is compiled in a temporary folder, printing more decimals. The input
is random but seeded: ties, grades from -2 to 12, queries without relevant documents, short lists, missing queries, judgment
groups, and preferences in several lists.
"""

import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

OUT = pathlib.Path(__file__).resolve().parent.parent / "crates/plackett-eval/tests/golden/trec_eval_10.json"


def build(folder, place):
    """The program, with twelve decimals in place of four."""
    copy = place / "source"
    shutil.copytree(folder, copy)
    for file in copy.glob("meas_print_*.c"):
        file.write_text(file.read_text().replace("%6.4f", "%.12f"))
    # Lowest and highest gain start from whatever was in memory; the suite's expected values are those of a start from 0.
    rbp = copy / "m_rbp.c"
    rbp.write_text(rbp.read_text().replace("double sum, min, max;", "double sum, min = 0.0, max = 0.0;"))
    subprocess.run(["make", "trec_eval"], cwd=copy, check=True, capture_output=True)
    return copy / "trec_eval"


def run_of(rng, queries, documents):
    lines = []
    for query in queries:
        returned = rng.sample(documents, rng.choice((1, 3, 12, 40)))
        for rank, document in enumerate(returned):
            lines.append(f"{query} Q0 {document} {rank + 1} {rng.randrange(9) / 4} tag")
    return lines


def judgments(rng, query, documents, groups=("0",)):
    grades = (0,) if query == "q3" else (1,) if query == "q4" else (0, 0, 0, 1, 1, 2, 3, -1, -2, 12)
    lines = []
    for group in groups:
        judged = rng.sample(documents, rng.randrange(4, 24))
        if group == "g2" and query == "q2":
            continue
        lines += [f"{query} {group} {document} {rng.choice(grades)}" for document in judged]
        # Where every grade is negative trec_eval reads memory it never set.
        lines.append(f"{query} {group} never-returned 0")
    return lines


def preferences(rng, query, documents):
    lines = []
    for group in ("u1", "u2", "u3")[: rng.randrange(1, 4)]:
        worth = {document: max(rng.randrange(-3, 6), 0) for document in documents}
        for place in range(rng.choice((1, 1, 3))):
            shown = rng.sample(documents, rng.randrange(2, 16))
            # Levels of a list have their own scale; only 0 means the same everywhere.
            scale = rng.choice((0.5, 1, 3))
            lines += [f"{query} {group} s{place} {d} {worth[d] * scale}" for d in shown]
    return lines


def main(folder):
    rng = random.Random(30)
    queries = [f"q{number}" for number in range(9)]
    documents = [f"d{number}" for number in range(60)]
    files = {
        "run": run_of(rng, queries, documents),
        "short": run_of(rng, queries[:6], documents),
        "qrels": [line for q in queries for line in judgments(rng, q, documents)],
        "groups": [line for q in queries for line in judgments(rng, q, documents, ("g1", "g2", "g3"))],
        "prefs": [line for q in queries for line in preferences(rng, q, documents)],
    }
    files["qrels_prefs"] = [
        re.sub(r" -\d+$", " 0", line) for line in files["groups"]
    ]
    everything = ["-m", "all_trec", "-m", "dcg", "-m", "ideal_dcg", "-m", "yaap"]
    given = [
        "-mutility.2,-1,-0.5,0.01", "-m11pt_avg..25,.5,.75", "-mndcg.1=3,2=9,12=4.5", "-mndcg_rel.1=3,2=9", "-mRndcg.1=3,2=9",
        "-mG.1=3,2=9", "-mset_F.0.5", "-mrbp.p=0.5", "-mrbp_resid.p=0.5", "-mrelstring.20", "-mP.2,7",
        "-mRprec_mult.0.35,5.0", "-miprec_at_recall..05,.15,.35", "-munj.1,3",
    ]
    commands = [
        (everything, "qrels", "run"),
        (["-l2", *everything], "qrels", "run"),
        (["-J", *everything], "qrels", "run"),
        (["-M5", *everything], "qrels", "run"),
        (["-c", *everything], "qrels", "short"),
        (["-N1000", *given], "qrels", "run"),
        (["-R", "qrels_jg", "-m", "qrels_jg"], "groups", "run"),
        (["-R", "qrels_jg", "-m", "qrels_jg", "-J", "-l2"], "groups", "run"),
        (["-R", "prefs", "-m", "all_prefs"], "prefs", "run"),
        (["-R", "prefs", "-m", "all_prefs", "-M6"], "prefs", "run"),
        (["-R", "prefs", "-m", "all_prefs", "-c"], "prefs", "short"),
        (["-R", "qrels_prefs", "-m", "all_prefs"], "qrels_prefs", "run"),
    ]
    cases = []
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        program = build(folder, place)
        for name, lines in files.items():
            (place / name).write_text("".join(f"{line}\n" for line in lines))
        for arguments, judged, run in commands:
            done = subprocess.run([program, "-q", *arguments, judged, run], cwd=place, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{arguments}: {done.stderr}")
            lines = [line.split() for line in done.stdout.splitlines()]
            cases.append({"arguments": arguments, "judgments": judged, "run": run, "lines": lines})
    OUT.write_text(json.dumps({"files": files, "cases": cases}, separators=(",", ":")) + "\n")
    print(OUT.stat().st_size, "bytes,", sum(len(case["lines"]) for case in cases), "values")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
