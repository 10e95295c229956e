"""Answers of a method on a collection, kept in a small file: what a sitting does not reach is left to the next one."""

import datetime
import json
import os
import sys

from plan import TOGETHER
from program import write

ORDERS = ["given", "shuffled-1", "shuffled-2"]
# What answers of one file have in common.
SETTINGS = ["method", "depth", "words", "model", "model_sha256"]
COSTS = ["passes", "prompt_tokens", "generated_tokens", "seconds"]


class Kept:
    """`queries[query]` has nDCG@10, costs and status of the given order, the ranking, and τ between the rankings of two shuffled
    orders, null where they were not asked. `head` has the settings that all answers share; date and version are those of the
    last sitting."""

    def __init__(self, results, collection, row):
        self.path = os.path.join(results, collection, row.name + ".json")
        self.shuffled = row.sample.shuffled
        self.head, self.queries = {}, {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.head = json.load(file)
            self.queries = self.head.pop("queries")

    def is_of(self, row, words):
        """Whether it was measured as the row says."""
        wanted = [row.expression, row.depth, words]
        return [self.head.get(key) for key in SETTINGS[:3]] == wanted

    def begin(self, head):
        """Takes what is common to all answers; those of other settings are left behind, which is said."""
        changed = [key for key in SETTINGS if self.head.get(key) != head[key]]
        if self.queries and changed:
            print(f"{self.path}: begins anew, since it has another {' and '.join(changed)}", file=sys.stderr, flush=True)
            self.queries = {}
        self.head = head

    def measured(self, order):
        """The first queries of an order that have everything."""
        queries = []
        for place, query in enumerate(order):
            if query not in self.queries or (place < self.shuffled and self.queries[query]["tau"] is None):
                break
            queries.append(query)
        return queries

    def save(self):
        head = {**self.head, "date": datetime.date.today().isoformat()}
        rows = ",\n".join(f"  {json.dumps(query)}: {json.dumps(of)}" for query, of in self.queries.items())
        head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
        write(self.path, "{\n" + head + ' "queries": {\n' + rows + "\n }\n}\n")


def ids(answer):
    return [entry["id"] for entry in answer["ranking"]]


def tau(first, second):
    """Kendall's tau of two orders of the same documents, of which there are two or more."""
    place = {document: number for number, document in enumerate(second)}
    order = [place[document] for document in first]
    pairs = len(order) * (len(order) - 1) // 2
    turned = sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
    return 1 - 2 * turned / pairs


def groups(queries):
    return [queries[at : at + TOGETHER] for at in range(0, len(queries), TOGETHER)]


def ask(program, collection, row, head, model, kept, count):
    """Asks what is missing of the first queries, and keeps the answers of each group."""
    kept.begin(head)
    asked = list(collection.queries)[:count]

    def rerank(group, order):
        requests = [collection.request(query, row.depth, order) for query in group]
        return {answer["query_id"]: answer for answer in program.rerank(requests, row.expression, model)}

    def said(what, group):
        name = collection.described.name
        print(f"{name}: {row.name}: {what} of {len(group)} more queries", file=sys.stderr, flush=True)

    for group in groups([query for query in asked if query not in kept.queries]):
        answers = rerank(group, "given")
        rankings = {query: ids(answers[query]) for query in group}
        quality = program.by_query(collection.qrels(group), collection.run(rankings))
        for query in group:
            trace = answers[query]["trace"]
            costs = {key: trace[key] for key in COSTS}
            costs["seconds"] = round(costs["seconds"], 3)
            of = {"ndcg": round(quality[query], 6), **costs, "status": trace["status"], "tau": None}
            kept.queries[query] = {**of, "ranking": rankings[query]}
        kept.save()
        said("answers", group)
    for group in groups([query for query in asked[: kept.shuffled] if kept.queries[query]["tau"] is None]):
        first, second = (rerank(group, order) for order in ORDERS[1:])
        for query in group:
            kept.queries[query]["tau"] = round(tau(ids(first[query]), ids(second[query])), 6)
        kept.save()
        said("shuffled orders", group)
