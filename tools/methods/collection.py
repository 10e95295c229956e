"""A collection as it is measured: its first queries with their candidates and grades, which are kept, and texts, which are not."""

import json
import os
import random

from plan import DEPTH
from program import lines, write

# Ranks that nDCG looks at.
CUTOFF = 10


def normal(text):
    """A query without what can differ in writing it."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


class Collection:
    """Queries in the order of the collection. `kept[query]` has `candidates`, grades by id in the order of the first stage, and
    `others`, the grades of the best judged documents that are no candidates, which nDCG@10 is divided by."""

    def __init__(self, described, results):
        self.described = described
        self.path = os.path.join(results, described.name, "given.json")
        self.kept = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.kept = json.load(file)["queries"]
        self.queries, self.texts = {}, {}

    def open(self, data, program, count):
        """Reads the texts of the first queries and of their candidates; finds candidates that are not kept yet."""
        source = os.path.join(data, self.described.name)
        judged = read_judged(os.path.join(source, "qrels", "test.tsv"))
        rows = [json.loads(line) for line in lines(os.path.join(source, "queries.jsonl"))]
        texts = [(str(row["_id"]), row["text"]) for row in rows]
        texts = [(query, text) for query, text in texts if any(judged.get(query, {}).values())]
        self.queries = dict(texts[:count])
        missing = [(query, text) for query, text in self.queries.items() if query not in self.kept]
        if missing:
            self.keep(self.found(source, program, missing), judged)
        wanted = {document for query in self.queries for document in self.kept[query]["candidates"]}
        self.texts = read_texts(source, wanted, self.described.words)

    def found(self, source, program, queries):
        if self.described.listed is None:
            index = os.path.join(program.work, self.described.name + ".index")
            return program.search(os.path.join(source, "corpus.jsonl"), index, queries, DEPTH)
        found = {query: [] for query, _ in queries}
        for line in lines(os.path.join(source, "runs", self.described.listed + ".trec")):
            query, _, document, rank, *_ = line.split()
            if query in found:
                found[query].append((int(rank), document))
        return {query: [document for _, document in sorted(of)[:DEPTH]] for query, of in found.items()}

    def keep(self, found, judged):
        for query, documents in found.items():
            grades = judged[query]
            others = sorted((grade for document, grade in grades.items() if document not in documents), reverse=True)
            self.kept[query] = {
                "candidates": {document: grades.get(document, 0) for document in documents},
                "others": [grade for grade in others[:CUTOFF] if grade > 0],
            }
        rows = ",\n".join(f"  {json.dumps(query)}: {json.dumps(of)}" for query, of in self.kept.items())
        head = {"order": self.described.given, "depth": DEPTH}
        head = "".join(f' {json.dumps(key)}: {json.dumps(value)},\n' for key, value in head.items())
        write(self.path, "{\n" + head + ' "queries": {\n' + rows + "\n }\n}\n")

    def request(self, query, depth, order):
        """A query with its candidates in the given order or a shuffled one, the same whatever other queries there are."""
        found = list(self.kept[query]["candidates"])[:depth]
        if order != "given":
            random.Random(f"{order} {self.described.name} {query}").shuffle(found)
        scored = [
            {"document": {"id": document, "text": self.texts[document]}, "score": float(len(found) - place)}
            for place, document in enumerate(found)
        ]
        return {"query": {"id": query, "text": self.queries[query]}, "candidates": scored}

    def qrels(self, queries):
        """Judgments from which nDCG@10 is what all judgments give."""
        for query in queries:
            of = self.kept[query]
            yield from ((query, document, grade) for document, grade in of["candidates"].items())
            yield from ((query, f"other-{place}", grade) for place, grade in enumerate(of["others"]))

    def run(self, rankings):
        """Rankings by query with candidates that a method did not get behind, as they were."""
        rest = {query: [of for of in self.kept[query]["candidates"] if of not in set(ranked)] for query, ranked in rankings.items()}
        return {query: ranked + rest[query] for query, ranked in rankings.items()}


def read_judged(path):
    """Grades by query and document."""
    judged = {}
    for number, line in enumerate(lines(path)):
        query, document, grade = line.split("\t")
        if number > 0:
            judged.setdefault(query, {})[document] = int(grade)
    return judged


def read_texts(source, wanted, words):
    """Titles and texts of some documents, in so many words."""
    texts = {}
    for line in lines(os.path.join(source, "corpus.jsonl")):
        row = json.loads(line)
        if str(row["_id"]) in wanted:
            whole = (row.get("title", "") + " " + row["text"]).split()
            texts[str(row["_id"])] = " ".join(whole[:words])
    return texts
