#!/usr/bin/env python3
"""Tests of what measure.py keeps and counts: python3 tools/methods/test_measure.py"""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import kept
import training_examples
import page
import plan
from collection import Collection, normal
from kept import Kept, tau

FIRST = next(row for row in plan.PLAN if row.name == "first")
DEAR = next(row for row in plan.PLAN if row.sample == plan.DEAR)
DEAREST = next(row for row in plan.PLAN if row.sample == plan.DEAREST)
HEAD = {"method": "first", "depth": 20, "words": 60, "model": "m", "model_sha256": "0", "plackett": "0.1.0"}


class Program:
    """Answers each request by the ids in order; rankings of shuffled candidates are then all the same."""

    def __init__(self):
        self.asked = []

    def rerank(self, requests, method, model=None):
        self.asked += [request["query"]["id"] for request in requests]
        trace = {"passes": 1, "prompt_tokens": 9, "generated_tokens": 0, "seconds": 0.5, "status": "ranked"}
        order = lambda request: sorted(candidate["document"]["id"] for candidate in request["candidates"])
        return [
            {"query_id": request["query"]["id"], "ranking": [{"id": name} for name in order(request)], "trace": trace}
            for request in requests
        ]

    def by_query(self, qrels, run):
        return {query: 0.25 for query in run}


class Answers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = folder.name
        described = plan.COLLECTIONS[1]
        self.collection = Collection(described, self.results)
        judged = {f"q{n}": {"a": 2, "b": 0, "far": 1, "worst": 0} for n in range(7)}
        self.collection.keep({query: ["b", "a", "c"] for query in judged}, judged)
        self.collection.queries = {query: query for query in judged}
        self.collection.texts = {name: name for name in "abc"}

    def ask(self, count, head=HEAD):
        program, of = Program(), Kept(self.results, "cranfield", FIRST)
        with contextlib.redirect_stderr(io.StringIO()):
            kept.ask(program, self.collection, FIRST, head, None, of, count)
        return program.asked

    def test_a_second_sitting_asks_what_is_missing(self):
        # Six queries as given, the first five of them in two orders more.
        self.assertEqual(len(self.ask(6)), 16)
        self.assertEqual(self.ask(7), ["q6"])
        self.assertEqual(self.ask(7), [])
        of = Kept(self.results, "cranfield", FIRST)
        self.assertEqual(of.measured(list(self.collection.kept)), [f"q{n}" for n in range(7)])
        self.assertEqual(of.queries["q0"]["ranking"], ["a", "b", "c"])
        self.assertEqual([of.queries[query]["tau"] for query in ["q4", "q5"]], [1, None])
        self.assertTrue(of.is_of(FIRST, 60) and not of.is_of(FIRST, 120) and not of.is_of(DEAR, 60))

    def test_answers_of_another_model_are_left_behind(self):
        self.ask(2)
        self.assertEqual(len(self.ask(2, {**HEAD, "model_sha256": "1"})), 6)
        self.assertEqual(len(self.ask(2, {**HEAD, "model_sha256": "1", "plackett": "0.2.0"})), 0)

    def test_what_is_kept_of_judgments_is_what_the_measure_needs(self):
        again = Collection(plan.COLLECTIONS[1], self.results)
        self.assertEqual(again.kept, self.collection.kept)
        self.assertEqual(
            list(again.qrels(["q1"])), [("q1", "b", 0), ("q1", "a", 2), ("q1", "c", 0), ("q1", "other-0", 1)]
        )
        self.assertEqual(again.run({"q1": ["c"]}), {"q1": ["c", "b", "a"]})

    def test_files_have_a_line_for_a_query(self):
        self.ask(3)
        text = Path(self.results, "cranfield", "first.json").read_text(encoding="utf-8")
        self.assertEqual(sum(line.startswith('  "q') for line in text.splitlines()), 3)
        self.assertEqual(json.loads(text)["depth"], 20)


class Numbers(unittest.TestCase):
    def test_tau_counts_turned_pairs(self):
        self.assertEqual(tau("abc", "abc"), 1)
        self.assertEqual(tau("abc", "cba"), -1)
        self.assertAlmostEqual(tau("abc", "acb"), 1 / 3)

    def test_dear_methods_get_fewer_queries(self):
        noveleval = plan.COLLECTIONS[0]
        self.assertEqual([FIRST.queries(noveleval), DEAR.queries(noveleval), DEAREST.queries(noveleval)], [21, 10, 5])

    def test_rows_have_names_of_their_own(self):
        names = [row.name for row in plan.plan(["first", "new"])]
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(names[-1], "new")

    def test_trained_rows_have_a_file(self):
        for row in plan.PLAN:
            if row.is_trained:
                file = Path(training_examples.HERE, "train", row.model + ".toml").read_text(encoding="utf-8")
                self.assertTrue(row.method == "cross-encoder" or f'method = "{row.expression}"' in file)

    def test_lists_have_what_is_right_and_are_full(self):
        self.assertEqual(training_examples.chosen(list("abcd"), list("vwxyz")), list("abcvwxyz"))
        self.assertIsNone(training_examples.chosen([], list("stuvwxyz")))
        self.assertIsNone(training_examples.chosen(["a"], list("vwxyz")))

    def test_queries_are_the_same_however_written(self):
        self.assertEqual(normal("How are  caves formed ?"), normal("how are caves formed?"))

    def test_differences_have_a_sign(self):
        self.assertEqual(page.difference((-0.25, [-0.5, 0.125])), "−0.250 (−0.500 to +0.125)")


if __name__ == "__main__":
    unittest.main()
