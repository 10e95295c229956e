#!/usr/bin/env python3
"""Makes docs/default-pipeline.md: pipelines compared with BM25 on the development collections.

    cargo build --release
    python3 tools/search/default_pipeline.py --data FOLDER --work FOLDER [--plackett target/release/plackett]

--data holds the collections in BEIR form (cranfield, cacm, npl-vaswani, nfcorpus, xquad, cosqa-dev); the bundled one is
data/papers. Those that are not there are named as missing in the table. --work keeps indexes and runs; what is there
already is not made again. Needs nothing but the command and Python.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))

# The baseline comes first. Every run has 100 documents a query.
PIPELINES = [
    "bm25",
    "dense",
    "rrf(bm25,dense)",
    "combsum(bm25,dense)",
    "combsum(bm25,dense,norm=z-score)",
    "rrf(bm25,dense):100 >> late-interaction",
    "combsum(bm25,dense):100 >> late-interaction",
]
LENGTH = 100
MEASURE = "nDCG@10"
SECOND = "R@100"
# Folder, corpus, queries, judgments, analyser: those that decide.
DECIDING = [
    ("cranfield", "corpus.jsonl", "queries.jsonl", "test", "english"),
    ("cacm", "corpus.jsonl", "queries.jsonl", "test", "english"),
    ("npl-vaswani", "corpus.jsonl", "queries.jsonl", "test", "english"),
    ("nfcorpus", "corpus.jsonl.gz", "queries.jsonl", "test", "english"),
    ("xquad", "corpus.en.jsonl.gz", "queries.en.jsonl", "test", "english"),
    ("cosqa-dev", "corpus.jsonl", "queries.jsonl", "test", "english"),
    ("papers", "corpus.jsonl", "queries.jsonl", "test", "english"),
]
# The same questions in languages that the bundled model was not made for: what the choice costs there.
OTHER_LANGUAGES = [
    ("xquad", "corpus.de.jsonl.gz", "queries.de.jsonl", "test", "german"),
    ("xquad", "corpus.es.jsonl.gz", "queries.es.jsonl", "test", "spanish"),
    ("xquad", "corpus.ru.jsonl.gz", "queries.ru.jsonl", "test", "russian"),
]


INTRODUCTION = """# The default pipeline of `search`

What `plackett search` does without `--pipeline` is chosen by measuring: of the pipelines below, the one that is best on
average on the development collections and nowhere significantly below BM25. In an index with words of another language
than English and vectors of the bundled model, which knows English only, it is BM25 alone, as the last table shows.

This page is made by `python3 tools/search/default_pipeline.py --data FOLDER --work FOLDER --output
docs/default-pipeline.md`. Every run has 100 documents a query; the number of queries stands behind each collection's
name. ▲ and ▼ mark differences from `bm25` with p < 0.05 in a paired t-test after Holm's correction over pipelines and both
measures, △ and ▽ those only before it. Choosing on these collections makes their figures optimistic by a little:
what is read off them is the choice, not what to expect elsewhere."""


def name_of(collection):
    folder, corpus = collection[0], collection[1]
    return folder if folder != "xquad" else "xquad-" + corpus.split(".")[1]


def lines(path):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8")
    with opened as file:
        yield from file


def judged(source, split, work):
    """Judgments of the queries that have a relevant document, and those queries."""
    kept, rows = set(), []
    for number, line in enumerate(lines(os.path.join(source, "qrels", split + ".tsv"))):
        if number == 0 or not line.strip():
            continue
        query, document, grade = line.rstrip("\n").split("\t")
        rows.append((query, document, grade))
        if int(grade) > 0:
            kept.add(query)
    qrels = os.path.join(work, "qrels.txt")
    with open(qrels, "w", encoding="utf-8") as out:
        out.writelines(f"{q} 0 {d} {g}\n" for q, d, g in rows if q in kept)
    return qrels, kept


def run(command, quiet=True):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=None if not quiet else subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


class Collection:
    """A collection with its index and runs, or without anything where its files are not there."""

    def __init__(self, described, arguments):
        folder, corpus, query_file, split, self.analyser = described
        self.name, self.plackett = name_of(described), [arguments.plackett, "--offline", "--quiet"]
        source = os.path.join(ROOT, "data", "papers") if folder == "papers" else os.path.join(arguments.data, folder)
        self.corpus = os.path.join(source, corpus)
        self.is_there = os.path.exists(self.corpus)
        if not self.is_there:
            return
        self.work = os.path.join(arguments.work, self.name)
        os.makedirs(self.work, exist_ok=True)
        self.qrels, kept = judged(source, split, self.work)
        self.count, self.queries = len(kept), os.path.join(self.work, "queries.jsonl")
        with open(self.queries, "w", encoding="utf-8") as out:
            for line in lines(os.path.join(source, query_file)):
                if line.strip() and str(json.loads(line)["_id"]) in kept:
                    out.write(line)

    def run_of(self, number):
        return os.path.join(self.work, f"{number}.trec")

    def make_run(self, number):
        """Searches with one pipeline, unless that was done before."""
        path, index = self.run_of(number), os.path.join(self.work, "index")
        if not self.is_there or os.path.exists(path):
            return
        if not os.path.exists(index):
            print(f"{self.name}: index", file=sys.stderr, flush=True)
            run(self.plackett + ["index", self.corpus, "-o", index, "--analyzer", self.analyser])
        print(f"{self.name}: {PIPELINES[number]}", file=sys.stderr, flush=True)
        search = ["search", index, "--queries", self.queries, "-p", PIPELINES[number], "-k", str(LENGTH)]
        found = run(self.plackett + search + ["--format", "trec", "--tag", f"p{number}"])
        with open(path + ".part", "w", encoding="utf-8") as out:
            out.write(found)
        os.replace(path + ".part", path)

    def measure(self):
        """Means and tests by pipeline."""
        runs = [self.run_of(number) for number in range(len(PIPELINES))]
        found = run(self.plackett + ["--json", "compare", self.qrels] + runs + ["-m", MEASURE, "-m", SECOND])
        table = json.loads(found)
        of = {0: {m: {"mean": table["runs"][0]["measures"][m]["mean"]} for m in (MEASURE, SECOND)}}
        places = {entry["name"]: number for number, entry in enumerate(table["runs"])}
        for compared in table["comparison"]["compared"]:
            test = compared["t"] or {"p": 1.0, "corrected_p": 1.0}
            entry = {"mean": compared["mean"], "p": test["p"], "corrected": test["corrected_p"]}
            of.setdefault(places[compared["run"]], {})[str(compared["measure"])] = entry
        return {"queries": self.count, "found": of}


def cell(entry, baseline):
    """A mean with what the test says: ▲ and ▼ where p < 0.05 after correction, △ and ▽ where only before it."""
    sign, higher = "", entry["mean"] > baseline["mean"]
    if entry.get("corrected", 1) < 0.05:
        sign = " ▲" if higher else " ▼"
    elif entry.get("p", 1) < 0.05:
        sign = " △" if higher else " ▽"
    return f"{entry['mean']:.3f}{sign}"


def table(results, what):
    there = [(name, result) for name, result in results if result]
    head = "| pipeline | " + " | ".join(f"{name} ({result['queries']})" for name, result in there) + " | mean |"
    rows = [head, "|---|" + "---:|" * (len(there) + 1)]
    for number, pipeline in enumerate(PIPELINES):
        cells = [cell(result["found"][number][what], result["found"][0][what]) for _, result in there]
        mean = sum(result["found"][number][what]["mean"] for _, result in there) / len(there)
        rows.append(f"| `{pipeline}` | " + " | ".join(cells) + f" | {mean:.4f} |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--plackett", default=os.path.join(ROOT, "target", "release", "plackett"))
    parser.add_argument("--output", default="-", help="file for the tables; standard output when left out")
    arguments = parser.parse_args()
    collections = [Collection(described, arguments) for described in DECIDING + OTHER_LANGUAGES]
    # The slow pipelines come last.
    for number in range(len(PIPELINES)):
        for collection in collections:
            collection.make_run(number)
    results = [(c.name, c.measure() if c.is_there else None) for c in collections]
    deciding, others = results[:len(DECIDING)], results[len(DECIDING):]
    there = [result for _, result in deciding if result]
    if not there:
        sys.exit(f"{arguments.data}: none of the collections is there")
    means = {n: sum(r["found"][n][MEASURE]["mean"] for r in there) / len(there) for n in range(len(PIPELINES))}
    below = {n for n in means for r in there
             if r["found"][n][MEASURE].get("p", 1) < 0.05
             and r["found"][n][MEASURE]["mean"] < r["found"][0][MEASURE]["mean"]}
    best = max((n for n in means if n not in below), key=lambda n: means[n])
    missing = [name for name, result in deciding + others if not result]
    parts = [
        INTRODUCTION,
        f"## {MEASURE}, the measure that decides\n\n{table(deciding, MEASURE)}",
        f"Best on average of those that are nowhere significantly below BM25: `{PIPELINES[best]}` ({means[best]:.4f}).",
        f"## {SECOND}\n\n{table(deciding, SECOND)}",
    ]
    if any(result for _, result in others):
        parts.append(f"## {MEASURE} in languages that the bundled model does not know\n\n{table(others, MEASURE)}")
    if missing:
        parts.append("Not there when this was made: " + ", ".join(missing) + ".")
    text = "\n\n".join(parts) + "\n"
    if arguments.output == "-":
        print(text, end="")
    else:
        with open(arguments.output, "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main()
