#!/usr/bin/env python3
"""Writes "## Measured" into docs/methods.md: every reranking method on three collections, with its cost and position bias.

    cargo build --release
    target/release/plackett model pull SmolLM2-135M-Instruct && target/release/plackett model pull all-MiniLM-L6-v2
    python3 tools/methods/measure.py --data FOLDER --work FOLDER --train [--methods first]
    python3 tools/methods/measure.py --data FOLDER --work FOLDER [--plackett target/release/plackett]
        [--methods icr,first,first-trained] [--collections noveleval] [--queries 30] [--results FOLDER] [--page docs/methods.md]
    python3 tools/methods/measure.py --table

It takes several sittings. Answers are kept in tools/methods/results, a small file for each row of each collection, after every few
queries: what is there is not asked again, so that a run that was ended goes on where it was, unless settings or the model are others
than then. --table makes the page from these files alone. `plan.py` says which methods are asked with what, and on how many queries;
cheap ones come first. --data holds noveleval, cranfield and trec-dl21 in BEIR form, and for --train, which makes the models of rows
`…-trained` in the folder --work, wikiqa and nfcorpus. Every query is asked with its candidates as the first stage gave them, the
first ones in two shuffled orders too. Needs nothing but the command and Python.
"""

import argparse
import os
import sys
import tempfile

import kept
import training_examples
import page
import plan
from collection import Collection, normal
from program import Program, lines

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the collections")
    parser.add_argument("--work", help="folder for indexes and trained models")
    parser.add_argument("--plackett", default=os.path.join(ROOT, "target", "release", "plackett"))
    parser.add_argument("--methods", help="only these, with commas between; trained ones end with -trained")
    parser.add_argument("--collections", help="only these, with commas between")
    parser.add_argument("--queries", type=int, help="the first so many of each collection, in the place of what the plan says")
    parser.add_argument("--results", default=os.path.join(HERE, "results"))
    parser.add_argument("--page", default=os.path.join(ROOT, "docs", "methods.md"))
    parser.add_argument("--table", action="store_true", help="ask nothing, only make the page")
    parser.add_argument("--train", action="store_true", help="make the models of trained rows, and measure nothing")
    arguments = parser.parse_args()
    if not arguments.table and not (arguments.data and arguments.work):
        parser.error("--data and --work are needed; only --table does without")
    return arguments


def among(given, known, what):
    """Names that were given with commas between, or all."""
    names = given.split(",") if given else list(known)
    if unknown := set(names) - set(known):
        sys.exit(f"{what}: there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return names


class Models:
    """Names for `--model` and hashes of weights, each read once."""

    def __init__(self, program, work):
        self.program, self.work, self.hashes = program, work, {}

    def of(self, row):
        """What --model is given (None for the bundled one) and the hash; None where a model is not trained yet."""
        name = training_examples.model_folder(self.work, row.model) if row.is_trained else row.model
        if row.is_trained and not os.path.exists(os.path.join(name, "model.safetensors")):
            return None
        if name not in self.hashes:
            self.hashes[name] = self.program.fingerprint(name)
        return (None if name == plan.BUNDLED else name), self.hashes[name]


def measure(rows, collections, arguments, program):
    """Asks what is missing; the names of rows that failed."""
    models, version, failed, opened = Models(program, arguments.work), program.version(), set(), {}
    for row in rows:
        try:
            found = models.of(row)
        except RuntimeError as error:
            print(f"{row.name} failed: {error}", file=sys.stderr, flush=True)
            failed.add(row.name)
            continue
        if found is None:
            print(f"{row.name}: its model is not there; --train makes it", file=sys.stderr, flush=True)
            continue
        name, digest = found
        for described in collections:
            if described.name not in opened:
                opened[described.name] = Collection(described, arguments.results)
                opened[described.name].open(arguments.data, program, arguments.queries or described.queries)
            head = {"method": row.expression, "depth": row.depth, "words": described.words}
            # A folder is of this machine, and its name says nothing; the hash does.
            head |= {"model": f"train/{row.model}.toml" if row.is_trained else row.model, "model_sha256": digest, "plackett": version}
            of = kept.Kept(arguments.results, described.name, row)
            try:
                kept.ask(program, opened[described.name], row, head, name, of, arguments.queries or row.queries(described))
            except RuntimeError as error:
                # One method that fails must not keep the others from being measured.
                print(f"{described.name}: {row.name} failed: {error}", file=sys.stderr, flush=True)
                failed.add(row.name)
    return failed


def tested(data):
    """The texts of all queries of the collections that are measured on."""
    sources = [os.path.join(data, described.name) for described in plan.COLLECTIONS]
    return {normal(text) for source in sources for text in training_examples.texts_of_queries(source).values()}


def run(arguments, program):
    declared = [method["name"] for method in program.json("method", "list")["methods"]]
    rows = plan.plan(declared)
    names = [row.model for row in rows if row.is_trained]
    if arguments.train:
        return training_examples.train(among(arguments.methods, names, "--methods"), arguments, tested(arguments.data), program)
    chosen = among(arguments.methods, [row.name for row in rows], "--methods")
    wanted = among(arguments.collections, [described.name for described in plan.COLLECTIONS], "--collections")
    failed = set()
    if not arguments.table:
        collections = [described for described in plan.COLLECTIONS if described.name in wanted]
        failed = measure([row for row in rows if row.name in chosen], collections, arguments, program)
    page.page(rows, arguments, program)
    if failed:
        sys.exit(f"failed: {', '.join(sorted(failed))}")


def main():
    arguments = parsed()
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, Program(arguments.plackett, arguments.work or folder))


if __name__ == "__main__":
    main()
