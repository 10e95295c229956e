#!/usr/bin/env python3
"""Tests of cut.py and judge.py: python3 tools/papers/test_papers.py"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import cut
import judge

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "data" / "papers"

SENTENCE = "Word number one stands here, e.g. beside 0.5 of another, and it ends. "


def description(name, sections):
    body = "".join(f"\n**{s}.** {text}\n" for s, text in sections)
    return f"# {name} (2024)\nSeed: A paper. Authors' code: none.\n{body}"


class Cut(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.folder = Path(self.tmp.name)
        self.addCleanup(self.tmp.cleanup)

    def write(self, file, text):
        (self.folder / file).write_text(text, encoding="utf-8")

    def test_sentences_end_only_at_ends(self):
        self.assertEqual(
            cut.sentences("See e.g. Fig. 3 of it. The rate is .05 or 0.5. Done (yes). 2 more."),
            ["See e.g. Fig. 3 of it.", "The rate is .05 or 0.5.", "Done (yes).", "2 more."],
        )

    def test_formulas_keep_their_stars(self):
        self.assertEqual(cut.plain("*Cost* of L^2*d*(1 + 2N) at l* is **low**"), "Cost of L^2*d*(1 + 2N) at l* is low")

    def test_another_file_changes_no_passage(self):
        self.write("m.md", description("Mid", [("Job", SENTENCE * 9), ("Pitfalls", SENTENCE * 30)]))
        before = cut.cut(self.folder)
        self.write("a.md", description("Early", [("Job", SENTENCE * 20)]))
        self.write("z.md", description("Late", [("Job", SENTENCE * 20)]))
        after = {r["_id"]: r for r in cut.cut(self.folder)}
        self.assertGreater(len(after), len(before))
        for r in before:
            self.assertEqual(after[r["_id"]], r)

    def test_every_word_once_and_no_cut_inside_a_sentence(self):
        text = " ".join(f"Sentence {n} has some words that fill it up to its end." for n in range(60))
        self.write("a.md", description("A", [("Job", SENTENCE * 6), ("Method, exactly", text)]))
        got = [r["text"] for r in cut.cut(self.folder) if "-method-" in r["_id"]]
        self.assertGreater(len(got), 3)
        self.assertTrue(all(t.startswith("Sentence") and t.endswith("end.") for t in got))
        self.assertEqual(" ".join(got), text)

    def test_a_cut_table_repeats_its_header(self):
        rows = "\n".join(f"| system {n} | " + " ".join(f"{n}.{k}" for k in range(20)) + " |" for n in range(12))
        self.write("a.md", description("A", [("Job", SENTENCE * 5), ("Headline results", f"Table:\n\n| name | value |\n|---|---|\n{rows}")]))
        parts = [r["text"] for r in cut.cut(self.folder) if "-results-" in r["_id"]]
        self.assertGreater(len(parts), 1)
        for t in parts:
            self.assertEqual(t.count("name | value"), 1)
            self.assertNotIn("---", t)
        seen = Counter(re.findall(r"system \d+", " ".join(parts)))
        self.assertEqual(seen, Counter({f"system {n}": 1 for n in range(12)}))

    def test_the_bracket_of_a_heading_may_name_the_code_before_the_year(self):
        body = description("A", [("Job", SENTENCE * 9)]).split("\n", 1)[1]
        for heading, system, year in (
            ("# A / B rerankers (TheirCode, 2022)", "A / B rerankers", 2022),
            ("# A (P5 / Open) (2023)", "A (P5 / Open)", 2023),
            ("# A - In Full (2025; a journal)", "A - In Full", 2025),
        ):
            self.write("a.md", f"{heading}\n{body}")
            self.assertEqual({r["title"].split(": ")[0] for r in cut.cut(self.folder)}, {f"{system} ({year})"})
        self.write("a.md", f"# A (about 2022)\n{body}")
        with self.assertRaisesRegex(cut.BadInput, ":1:"):
            cut.cut(self.folder)

    def test_a_section_is_known_by_its_name_before_a_bracket(self):
        self.write("a.md", description("A", [("Headline results (their README, nDCG@10)", SENTENCE * 9)]))
        ids = [r["_id"] for r in cut.cut(self.folder)]
        self.assertTrue(all(i.startswith(("a-results-", "a-overview-")) for i in ids), ids)

    def test_bad_descriptions_are_named(self):
        for text, what in (("", "empty"), ("no heading", ":1:"), ("# A (2024)\nnothing", "Section")):
            self.write("a.md", text)
            with self.assertRaisesRegex(cut.BadInput, re.escape(what)):
                cut.cut(self.folder)

    def test_check_sees_a_changed_corpus(self):
        self.write("a.md", description("A", [("Job", SENTENCE * 20)]))
        out = self.folder / "c.jsonl"
        run = lambda *more: subprocess.run(
            [sys.executable, HERE / "cut.py", self.folder, "-o", out, *more], capture_output=True, text=True
        )
        self.assertEqual(run().returncode, 0)
        self.assertEqual(run("--check").returncode, 0)
        out.write_text(out.read_text().replace("stands", "stood", 1))
        changed = run("--check")
        self.assertEqual(changed.returncode, 1)
        self.assertIn("text differs", changed.stdout)


class Judge(unittest.TestCase):
    def test_kappa_by_hand(self):
        # Cohen 1968 with two grades is the plain kappa: seen 0.7, chance 0.5.
        pairs = [(0, 0)] * 7 + [(0, 1)] * 3 + [(1, 0)] * 3 + [(1, 1)] * 7
        self.assertAlmostEqual(judge.kappa(pairs, lambda x, y: abs(x - y)), 0.4)
        self.assertIsNone(judge.kappa([(1, 1)], lambda x, y: abs(x - y)))

    def test_grades_are_validated_and_merged_sorted(self):
        with tempfile.TemporaryDirectory() as tmp:
            folder = Path(tmp)
            for name, ids in (("corpus", ("d1", "d2")), ("queries", ("q1", "q2"))):
                lines = "".join(json.dumps({"_id": i, "text": "t"}) + "\n" for i in ids)
                (folder / f"{name}.jsonl").write_text(lines)
            grades = folder / "g.tsv"
            run = lambda *a: subprocess.run(
                [sys.executable, HERE / "judge.py", "--data", folder, *a], capture_output=True, text=True
            )
            for bad in ("q1 d1 4", "q1 d9 1", "q9 d1 1", "q1 d1", "q1 d1 1\nq1 d1 2"):
                grades.write_text(bad + "\n")
                result = run("merge", grades)
                self.assertEqual(result.returncode, 2, bad)
                self.assertIn("g.tsv:", result.stderr)
            grades.write_text("q2 d1 3\nq1 d2 0  # a comment\nq1 d1 1\n")
            self.assertEqual(run("merge", grades).returncode, 0)
            kept = (folder / "qrels" / "test.tsv").read_text()
            self.assertEqual(kept, "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t3\n")
            grades.write_text("q1 d1 2\n")
            self.assertEqual(run("merge", grades).returncode, 2)
            self.assertEqual(run("merge", grades, "--replace").returncode, 0)
            (folder / "pool.tsv").write_text("q2\td2\nq1\td1\n")
            todo = run("unjudged", folder / "pool.tsv")
            self.assertEqual(todo.stdout, "q2 d2\n")
            self.assertEqual(run("check", "--pool", folder / "pool.tsv").returncode, 1)

    def test_the_collection_is_whole(self):
        result = subprocess.run([sys.executable, HERE / "judge.py", "check"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        styles = Counter(json.loads(x)["metadata"]["style"] for x in judge.lines_of(DATA / "queries.jsonl"))
        self.assertGreaterEqual(min(styles[s] for s in ("keyword", "question", "vague", "typo")), 18)


if __name__ == "__main__":
    unittest.main()
