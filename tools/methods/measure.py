#!/usr/bin/env python3
"""Writes "## Measured" into docs/methods.md: every reranking method on three collections, with its cost and position bias.

    cargo build --release
    python3 tools/methods/measure.py --data FOLDER --work FOLDER [--plackett target/release/plackett]
        [--methods icr,first] [--collections noveleval] [--queries 3] [--page docs/methods.md] [--table]

--data holds noveleval, cranfield and trec-dl21 in BEIR form. --work keeps answers, query by query: what is there is not asked
again, so that a killed run goes on where it was. Methods come cheap ones first. --table only makes the page from what is there.
Decoder methods run on SmolLM2-135M-Instruct, encoder methods on the bundled model. Passages are cut to 120 words. Every query
is asked three times: with candidates as the first stage gave them, and in two shuffled orders; the position bias is the mean
Kendall tau between the two rankings of the shuffled ones (1: the order of the input means nothing). Needs nothing but the
command and Python.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
DECODER = "SmolLM2-135M-Instruct"
DEPTH, WORDS, TOGETHER = 20, 120, 4
ORDERS = ["given", "shuffled-1", "shuffled-2"]
# Folder, queries (all without a number), the list of candidates or None for BM25 over an index of our own.
COLLECTIONS = [("noveleval", None, "google"), ("cranfield", 50, None), ("trec-dl21", None, "bm25")]
ENCODERS = ["bi-encoder", "late-interaction"]
# Methods from the cheapest to the dearest, with options and the number of candidates that their cost allows, and why fewer.
PLAN = [
    ("bi-encoder", "", DEPTH, ""),
    ("late-interaction", "", DEPTH, ""),
    ("block-rank", "", DEPTH, ""),
    ("first", "", DEPTH, ""),
    ("icr", "", DEPTH, ""),
    ("query-likelihood", "", DEPTH, ""),
    ("yes-no", "", DEPTH, ""),
    ("erank", "reasoning=false", DEPTH, "without reasoning"),
    ("full-rank", "", DEPTH, ""),
    ("listwise", "", DEPTH, ""),
    ("group-rank", "max-tokens=256", DEPTH, "at most 256 tokens an answer"),
    ("reason-rank", "max-tokens=128", DEPTH, "at most 128 tokens of reasoning"),
    ("dear", "max-tokens=128", DEPTH, "at most 128 tokens of reasoning"),
    ("setwise", "", DEPTH, ""),
    ("rank-r1", "max-tokens=64", 10, "ten candidates, at most 64 tokens of reasoning"),
    ("prp-heapsort", "", 10, "ten candidates"),
    ("prp-sliding", "", 10, "ten candidates"),
    ("prp-allpair", "", 10, "ten candidates"),
    ("tsprank", "", 10, "ten candidates"),
]
# Methods that are not measured, and why.
WITHOUT = {
    "cross-encoder": "needs a model trained on pairs, none of which comes with the program",
    "mono-t5": "needs a T5 model",
    "rank-t5": "needs a T5 model",
    "mvp": "needs an encoder or T5 with view tokens",
}


def lines(path):
    """Lines of a file, or of the same one packed with gzip."""
    is_packed = not os.path.exists(path) and os.path.exists(path + ".gz")
    with gzip.open(path + ".gz", "rt", encoding="utf-8") if is_packed else open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\n")


def called(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def write(path, text):
    with open(path + ".part", "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(path + ".part", path)


class Collection:
    """Queries with judgments, and their candidates."""

    def __init__(self, described, arguments):
        self.name, count, listed = described
        self.plackett = [arguments.plackett, "--offline", "--quiet"]
        self.source = os.path.join(arguments.data, self.name)
        self.work = os.path.join(arguments.work, self.name)
        os.makedirs(self.work, exist_ok=True)
        judged = {}
        for number, line in enumerate(lines(os.path.join(self.source, "qrels", "test.tsv"))):
            query, document, grade = line.split("\t")
            if number > 0:
                judged.setdefault(query, []).append((document, int(grade)))
        texts = [json.loads(line) for line in lines(os.path.join(self.source, "queries.jsonl"))]
        texts = [(str(row["_id"]), row["text"]) for row in texts]
        texts = [(name, text) for name, text in texts if any(grade > 0 for _, grade in judged.get(name, []))]
        texts = texts[: min(count or len(texts), arguments.queries or len(texts))]
        self.queries, self.judged = texts, judged
        self.candidates = self.listed(listed) if listed else self.found()
        wanted = {document for found in self.candidates.values() for document in found}
        self.texts = {}
        for line in lines(os.path.join(self.source, "corpus.jsonl")):
            row = json.loads(line)
            if str(row["_id"]) in wanted:
                whole = (row.get("title", "") + " " + row["text"]).split()
                self.texts[str(row["_id"])] = " ".join(whole[:WORDS])

    def listed(self, name):
        found = {query: [] for query, _ in self.queries}
        for line in lines(os.path.join(self.source, "runs", name + ".trec")):
            query, _, document, rank, *_ = line.split()
            if query in found:
                found[query].append((int(rank), document))
        return {query: [document for _, document in sorted(of)[:DEPTH]] for query, of in found.items()}

    def found(self):
        """What BM25 finds, in an index that is made once."""
        index, queries = os.path.join(self.work, "index"), os.path.join(self.work, "queries.jsonl")
        if not os.path.exists(index):
            corpus = os.path.join(self.source, "corpus.jsonl")
            called(self.plackett + ["index", corpus, "-o", index, "--no-vectors"])
        rows = [json.dumps({"_id": name, "text": text}) for name, text in self.queries]
        write(queries, "\n".join(rows) + "\n")
        search = ["search", index, "--queries", queries, "-p", "bm25", "-k", str(DEPTH), "--format", "trec"]
        found = {name: [] for name, _ in self.queries}
        for line in called(self.plackett + search).splitlines():
            query, _, document, *_ = line.split()
            found[query].append(document)
        return found

    def request(self, name, text, order, depth):
        """A query with its candidates in one of the orders; the same shuffle whatever other queries there are."""
        found = self.candidates[name][:depth]
        if order != "given":
            random.Random(f"{order} {self.name} {name}").shuffle(found)
        scored = [
            {"document": {"id": document, "text": self.texts[document]}, "score": float(len(found) - place)}
            for place, document in enumerate(found)
        ]
        return {"query": {"id": name, "text": text}, "candidates": scored}

    def ask(self, method, options, depth, order):
        """Answers of a method to all queries, those that are known already not asked again."""
        path = os.path.join(self.work, f"{method}.{order}.jsonl")
        expression = f"{method}({options})" if options else method
        head = json.dumps({"method": expression, "depth": depth})
        known = list(lines(path)) if os.path.exists(path) else []
        if not known or known[0] != head:
            known = [head]
        answers = {json.loads(line)["query_id"]: line for line in known[1:]}
        missing = [query for query in self.queries if query[0] not in answers]
        while missing:
            group, missing = missing[:TOGETHER], missing[TOGETHER:]
            requests = os.path.join(self.work, "requests.jsonl")
            rows = [json.dumps(self.request(name, text, order, depth)) for name, text in group]
            write(requests, "\n".join(rows) + "\n")
            command = ["rerank", "--method", expression, "--format", "jsonl", requests]
            command += [] if method in ENCODERS else ["--model", DECODER]
            for line in called(self.plackett + command).splitlines():
                answers[json.loads(line)["query_id"]] = line
            write(path, "\n".join([head] + list(answers.values())) + "\n")
            print(f"{self.name}: {expression}, {order}: {len(answers)} queries", file=sys.stderr, flush=True)
        return [json.loads(answers[name]) for name, _ in self.queries]

    def kept(self, method, options, depth, order):
        """Answers that are there, or None where some query has none."""
        path = os.path.join(self.work, f"{method}.{order}.jsonl")
        if not os.path.exists(path):
            return None
        expression = f"{method}({options})" if options else method
        known = list(lines(path))
        if known[0] != json.dumps({"method": expression, "depth": depth}):
            return None
        answers = {row["query_id"]: row for row in map(json.loads, known[1:])}
        if any(name not in answers for name, _ in self.queries):
            return None
        return [answers[name] for name, _ in self.queries]

    def ndcg(self, rankings):
        """Mean nDCG@10 and its interval; candidates that a method did not get stand behind, as they were."""
        qrels, run = os.path.join(self.work, "qrels.txt"), os.path.join(self.work, "run.trec")
        rows = [f"{name} 0 {document} {grade}" for name, _ in self.queries for document, grade in self.judged[name]]
        write(qrels, "\n".join(rows) + "\n")
        rows = []
        for (name, _), ranked in zip(self.queries, rankings):
            whole = ranked + [document for document in self.candidates[name] if document not in ranked]
            rows += [f"{name} Q0 {document} {place + 1} {len(whole) - place} m" for place, document in enumerate(whole)]
        write(run, "\n".join(rows) + "\n")
        found = json.loads(called(self.plackett + ["eval", qrels, run, "-m", "nDCG@10", "--json"]))
        measured = found["runs"][0]["measures"]["nDCG@10"]
        return measured["mean"], measured.get("ci95")


def ids(answer):
    return [entry["id"] for entry in answer["ranking"]]


def tau(first, second):
    """Kendall's tau of two orders of the same documents; None of fewer than two."""
    place = {document: number for number, document in enumerate(second)}
    order = [place[document] for document in first]
    pairs = len(order) * (len(order) - 1) // 2
    if pairs == 0:
        return None
    turned = sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
    return 1 - 2 * turned / pairs


def mean(values):
    return sum(values) / len(values) if values else float("nan")


def interval(ci):
    return "no interval" if ci is None else f"{ci[0]:.3f} – {ci[1]:.3f}"


def table(collection, plan):
    """The rows of a collection: the baseline, a row for each method that is measured, and the names of the others."""
    given, ci = collection.ndcg([collection.candidates[name] for name, _ in collection.queries])
    yield "| method | nDCG@10 | 95 % interval | passes | tokens read | tokens written | seconds | τ of shuffles | remarks |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    first = "BM25" if collection.name != "noveleval" else "the given order"
    yield f"| {first} | {given:.3f} | {interval(ci)} | 0 | 0 | 0 | – | – | |"
    missing = []
    for method, options, depth, why in plan:
        answers = [collection.kept(method, options, depth, order) for order in ORDERS]
        if any(found is None for found in answers):
            missing.append(method)
            continue
        quality, ci = collection.ndcg([ids(answer) for answer in answers[0]])
        traces = [answer["trace"] for answer in answers[0]]
        of = {key: mean([trace[key] for trace in traces]) for key in ["passes", "prompt_tokens", "generated_tokens", "seconds"]}
        taus = [tau(ids(a), ids(b)) for a, b in zip(answers[1], answers[2])]
        bias = mean([value for value in taus if value is not None])
        odd = sum(trace["status"] != "ranked" for trace in traces)
        remarks = [why] if why else []
        remarks += [f"{odd} of {len(traces)} repaired"] if odd else []
        name = f"`{method}({options})`" if options else f"`{method}`"
        yield (
            f"| {name} | {quality:.3f} | {interval(ci)} | {of['passes']:.0f} | {of['prompt_tokens']:.0f} | "
            f"{of['generated_tokens']:.0f} | {of['seconds']:.2f} | {bias:.2f} | {', '.join(remarks)} |"
        )
    if missing:
        yield ""
        yield "Not measured yet: " + ", ".join(f"`{method}`" for method in missing) + "."


def page(collections, plan, arguments):
    text = [
        "## Measured",
        "",
        f"Written by `tools/methods/measure.py`. {DEPTH} candidates a query, cut to {WORDS} words; decoder methods on {DECODER}, "
        "`bi-encoder` and `late-interaction` on the bundled model. Passes, tokens and seconds are means for a query; τ is Kendall's "
        "between the rankings of two shuffles of the input (1: its order means nothing). Weak numbers are what an untrained model of "
        "135 million weights gives. Candidates that a method does not get stand behind, as they were.",
    ]
    for collection in collections:
        text += ["", f"### {collection.name}, {len(collection.queries)} queries", ""] + list(table(collection, plan))
    text += ["", "Without a row: " + "; ".join(f"`{name}` {why}" for name, why in WITHOUT.items()) + "."]
    with open(arguments.page, encoding="utf-8") as file:
        declared = file.read().split("\n## Measured\n")[0].rstrip("\n")
    write(arguments.page, declared + "\n\n" + "\n".join(text) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--plackett", default=os.path.join(ROOT, "target", "release", "plackett"))
    parser.add_argument("--methods", help="only these, with commas between")
    parser.add_argument("--collections", help="only these, with commas between")
    parser.add_argument("--queries", type=int, help="only the first so many of each collection")
    parser.add_argument("--page", default=os.path.join(ROOT, "docs", "methods.md"))
    parser.add_argument("--table", action="store_true", help="ask nothing, only make the page")
    arguments = parser.parse_args()
    declared = json.loads(called([arguments.plackett, "method", "list", "--json"]))["methods"]
    known = {row[0] for row in PLAN} | set(WITHOUT)
    # A method that is new here is measured as it is, after all others.
    plan = PLAN + [(row["name"], "", DEPTH, "") for row in declared if row["name"] not in known]
    chosen = arguments.methods.split(",") if arguments.methods else [row[0] for row in plan]
    unknown = set(chosen) - {row[0] for row in plan}
    if unknown:
        sys.exit(f"no such method, or one that cannot be measured here: {', '.join(sorted(unknown))}")
    names = arguments.collections.split(",") if arguments.collections else [row[0] for row in COLLECTIONS]
    collections = [Collection(described, arguments) for described in COLLECTIONS if described[0] in names]
    failed = []
    for method, options, depth, _ in plan if not arguments.table else []:
        for collection in collections if method in chosen else []:
            try:
                for order in ORDERS:
                    collection.ask(method, options, depth, order)
            except RuntimeError as error:
                # One method that fails must not keep the others from being measured.
                print(f"{collection.name}: {method} failed: {error}", file=sys.stderr, flush=True)
                failed.append(method)
    page(collections, plan, arguments)
    if failed:
        sys.exit(f"failed: {', '.join(sorted(set(failed)))}")


if __name__ == "__main__":
    main()
