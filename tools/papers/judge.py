#!/usr/bin/env python3
"""Keep the judgments of data/papers/qrels/test.tsv.

A grades file has one line "query-id passage-id grade" (spaces or tabs, grade
0 to 3, # starts a comment). A pool file has one line "query-id passage-id".
The judgments are sorted by query, then passage, so that equal judgments are
equal bytes. Standard library only.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

EXAMPLE = """examples:
  tools/papers/pool.py pool.tsv
  tools/papers/judge.py unjudged pool.tsv --texts > todo.txt   # read, and write grades.tsv
  tools/papers/judge.py merge grades.tsv                       # into data/papers/qrels/test.tsv
  tools/papers/judge.py check --pool pool.tsv                  # exit 1 if something is unjudged
  tools/papers/judge.py sample 100 --seed 7 > again.txt        # without grades, to judge again
  tools/papers/judge.py agreement again.tsv                    # against the judgments kept
"""

HEADER = "query-id\tcorpus-id\tscore"
GRADES = (0, 1, 2, 3)


class BadInput(Exception):
    """A file that cannot be used, with its place."""


def lines_of(path):
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"{path}: cannot be read as UTF-8 text: {e}") from e


class Collection:
    """Texts of queries and passages, by id."""

    def __init__(self, folder):
        self.folder = folder
        self.passages = self.read(folder / "corpus.jsonl")
        self.queries = self.read(folder / "queries.jsonl")
        self.qrels = folder / "qrels" / "test.tsv"

    @staticmethod
    def read(path):
        rows = {}
        for n, line in enumerate(lines_of(path), 1):
            try:
                row = json.loads(line)
                key, _ = row["_id"], row["text"]
            except (ValueError, KeyError, TypeError) as e:
                raise BadInput(f"{path}:{n}: needs _id and text: {e}") from e
            if key in rows:
                raise BadInput(f"{path}:{n}: {key} stands twice")
            rows[key] = row
        return rows

    def pair(self, path, n, query, passage):
        if query not in self.queries:
            raise BadInput(f"{path}:{n}: no query {query!r} in queries.jsonl")
        if passage not in self.passages:
            raise BadInput(f"{path}:{n}: no passage {passage!r} in corpus.jsonl")
        return query, passage

    def read_pool(self, path):
        pairs = {}
        for n, line in enumerate(lines_of(path), 1):
            parts = line.split("#")[0].split()
            if not parts:
                continue
            if len(parts) != 2:
                raise BadInput(f"{path}:{n}: a pool line is 'query-id passage-id', found {len(parts)} columns")
            pairs[self.pair(path, n, *parts)] = None
        return list(pairs)

    def read_grades(self, path, header=False):
        grades, body = {}, lines_of(path)
        if header:
            if not body or body[0] != HEADER:
                raise BadInput(f"{path}:1: expected the header {HEADER!r}")
            body[0] = ""
        for n, line in enumerate(body, 1):
            parts = line.split("#")[0].split()
            if not parts:
                continue
            if len(parts) != 3:
                raise BadInput(f"{path}:{n}: a grade line is 'query-id passage-id grade', found {len(parts)} columns")
            pair = self.pair(path, n, parts[0], parts[1])
            if parts[2] not in {str(g) for g in GRADES}:
                raise BadInput(f"{path}:{n}: grade {parts[2]!r} is not 0, 1, 2 or 3")
            if pair in grades and grades[pair] != int(parts[2]):
                raise BadInput(f"{path}:{n}: {pair[0]} {pair[1]} has two grades, {grades[pair]} and {parts[2]}")
            grades[pair] = int(parts[2])
        return grades

    def kept(self):
        return self.read_grades(self.qrels, header=True) if self.qrels.exists() else {}

    def keep(self, grades):
        rows = [f"{q}\t{d}\t{g}" for (q, d), g in sorted(grades.items())]
        write_atomically(self.qrels, "\n".join([HEADER, *rows]) + "\n")

    def show(self, pairs, texts):
        last = None
        for query, passage in pairs:
            if not texts:
                print(f"{query} {passage}")
                continue
            if query != last:
                q = self.queries[query]
                print(f"\n=== {query}: {q['text']}  [{q.get('metadata', {}).get('need', '')}]")
                last = query
            d = self.passages[passage]
            print(f"\n{query} {passage} ?   {d.get('title', '')}\n{d['text']}")


def write_atomically(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(fd, "w", encoding="utf-8", newline="\n") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def unjudged(c, args):
    grades = c.kept()
    todo = [p for p in c.read_pool(args.pool) if p not in grades]
    c.show(todo, args.texts)
    print(f"{len(todo)} pairs without a grade", file=sys.stderr)
    return 0


def merge(c, args):
    old, new = c.kept(), c.read_grades(args.grades)
    changed = [p for p in new if p in old and old[p] != new[p]]
    if changed and not args.replace:
        q, d = changed[0]
        raise BadInput(
            f"{args.grades}: {len(changed)} pairs are graded otherwise already, first {q} {d} "
            f"({old[q, d]}, now {new[q, d]}); --replace to overwrite"
        )
    c.keep({**old, **new})
    print(f"{c.qrels}: {len(new) - len([p for p in new if p in old])} added, {len(changed)} changed")
    return 0


def check(c, args):
    grades = c.kept()
    rows = lines_of(c.qrels)[1:]
    faults = []
    if rows != [f"{q}\t{d}\t{g}" for (q, d), g in sorted(grades.items())]:
        faults.append("lines are not sorted, or a pair stands twice; 'merge' writes them sorted")
    judged = Counter(q for q, _ in grades)
    found = Counter(q for (q, _), g in grades.items() if g)
    faults += [f"{q}: no judgment" for q in c.queries if not judged[q]]
    faults += [f"{q}: no relevant passage" for q in c.queries if judged[q] and not found[q]]
    if args.pool:
        todo = [p for p in c.read_pool(args.pool) if p not in grades]
        faults += [f"{q} {d}: pooled, not judged" for q, d in todo]
    for fault in faults:
        print(fault)
    count = Counter(grades.values())
    styles = Counter(q.get("metadata", {}).get("style", "?") for q in c.queries.values())
    print(f"{len(c.passages)} passages, {len(c.queries)} queries ({', '.join(f'{n} {s}' for s, n in sorted(styles.items()))})")
    print(f"{len(grades)} judgments: " + ", ".join(f"{count[g]} of grade {g}" for g in GRADES))
    return 1 if faults else 0


def sample(c, args):
    rng, grades = random.Random(args.seed), c.kept()
    pairs = sorted(p for p, g in grades.items() if g >= args.at_least)
    if args.number > len(pairs):
        raise BadInput(f"only {len(pairs)} judgments to sample from, {args.number} asked for")
    chosen = rng.sample(pairs, args.number)
    for pair in chosen:
        c.show([pair], texts=True)
    return 0


def kappa(pairs, weight):
    """Cohen's weighted kappa; None where chance alone would agree fully."""
    n = len(pairs)
    a, b = Counter(x for x, _ in pairs), Counter(y for _, y in pairs)
    seen = sum(weight(x, y) for x, y in pairs) / n
    chance = sum(a[x] * b[y] * weight(x, y) for x in GRADES for y in GRADES) / (n * n)
    return None if chance == 0 else 1 - seen / chance


def agreement(c, args):
    first = c.kept() if args.first is None else c.read_grades(args.first)
    second = c.read_grades(args.second)
    both = [(first[p], g) for p, g in second.items() if p in first]
    if not both:
        raise BadInput(f"{args.second}: no pair in common with the first judgments")
    n = len(both)
    print(f"{n} pairs judged twice")
    print(f"exactly equal     {sum(x == y for x, y in both) / n:.3f}")
    print(f"within one grade  {sum(abs(x - y) <= 1 for x, y in both) / n:.3f}")
    print(f"relevant or not   {sum((x > 0) == (y > 0) for x, y in both) / n:.3f}")
    for name, weight in (("linear", lambda x, y: abs(x - y)), ("quadratic", lambda x, y: (x - y) ** 2)):
        k = kappa(both, weight)
        print(f"Cohen's kappa, {name} weights  {'undefined' if k is None else f'{k:.3f}'}")
    table = Counter(both)
    print("first\\second" + "".join(f"{y:>6}" for y in GRADES))
    for x in GRADES:
        print(f"{x:>12}" + "".join(f"{table[x, y]:>6}" for y in GRADES))
    return 0


def main():
    data = Path(__file__).resolve().parents[2] / "data" / "papers"
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, default=data, help="collection folder (default: data/papers)")
    sub = p.add_subparsers(dest="command", required=True)
    s = sub.add_parser("unjudged", help="list pooled pairs that have no grade")
    s.add_argument("pool", type=Path)
    s.add_argument("--texts", action="store_true", help="with query and passage texts, to read and grade")
    s.set_defaults(run=unjudged)
    s = sub.add_parser("merge", help="validate a grades file and merge it into the judgments")
    s.add_argument("grades", type=Path)
    s.add_argument("--replace", action="store_true", help="let new grades overwrite different old ones")
    s.set_defaults(run=merge)
    s = sub.add_parser("check", help="validate the judgments and count them")
    s.add_argument("--pool", type=Path, help="also report pooled pairs without a grade")
    s.set_defaults(run=check)
    s = sub.add_parser("sample", help="print judged pairs without their grades, to judge again")
    s.add_argument("number", type=int)
    s.add_argument("--seed", type=int, default=1)
    s.add_argument("--at-least", type=int, default=0, choices=GRADES, help="only pairs of this grade or more")
    s.set_defaults(run=sample)
    s = sub.add_parser("agreement", help="compare a second judging with the first")
    s.add_argument("second", type=Path)
    s.add_argument("--first", type=Path, help="grades file to compare with (default: the judgments kept)")
    s.set_defaults(run=agreement)
    args = p.parse_args()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `judge.py ... | head` is no error
    try:
        return args.run(Collection(args.data), args)
    except (BadInput, OSError) as e:
        print(f"judge.py: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
