"""The part "## Measured" of the page, made from kept files alone."""

import json
import os

import plan
from collection import Collection
from kept import COSTS, Kept
from program import write

HEADING = "\n## Measured\n"
COLUMNS = [
    "method", "queries", "nDCG@10", "95 % interval", "difference from the first stage", "passes", "tokens read", "tokens written",
    "seconds", "τ", "remarks",
]  # fmt: skip


def mean(values):
    return sum(values) / len(values)


def interval(ci):
    return "no interval" if ci is None else f"{ci[0]:.3f} – {ci[1]:.3f}"


def minus(text):
    """A number with the sign of mathematics."""
    return text.replace("-", "−")


def signed(number):
    return minus(f"{number:+.3f}")


def difference(found):
    """A mean difference with its paired interval."""
    value, ci = found
    return signed(value) + (f" ({signed(ci[0])} to {signed(ci[1])})" if ci else "")


def line(cells):
    return "| " + " | ".join(cells) + " |"


class Table:
    """The rows of a collection."""

    def __init__(self, described, rows, arguments, program):
        self.collection, self.program = Collection(described, arguments.results), program
        order = list(self.collection.kept)
        self.rows, self.missing = [], []
        for row in rows:
            kept = Kept(arguments.results, described.name, row)
            of = kept.is_of(row, described.words)
            queries = kept.measured(order) if of else []
            wanted = arguments.queries or row.queries(described)
            if len(queries) >= wanted:
                self.rows.append((row, kept, queries))
            else:
                self.missing.append(row.shown + (f" ({len(queries)} of {wanted} queries)" if queries else ""))

    def compared(self, queries, runs):
        """Means, intervals and differences of rankings by query; the first run is what the others are compared with."""
        return self.program.compared(self.collection.qrels(queries), [self.collection.run(run) for run in runs])

    def lines(self):
        if self.rows:
            yield from self.table()
            yield ""
        if self.missing:
            yield "Not measured yet: " + ", ".join(self.missing) + "."

    def table(self):
        yield line(COLUMNS)
        yield line(["---"] * len(COLUMNS))
        measured = {}
        for count in sorted({len(queries) for _, _, queries in self.rows}, reverse=True):
            of = [(row, kept, queries) for row, kept, queries in self.rows if len(queries) == count]
            queries = of[0][2]
            given = {query: [] for query in queries}
            rankings = [{query: kept.queries[query]["ranking"] for query in queries} for _, kept, _ in of]
            (first, _), *others = self.compared(queries, [given, *rankings])
            yield self.given(count, first)
            measured.update({row: found for (row, _, _), found in zip(of, others)})
        for row, kept, queries in self.rows:
            yield self.measured(row, kept, queries, measured[row])

    def given(self, count, found):
        quality, ci = found
        cells = [f"{self.collection.described.given}", str(count), f"{quality:.3f}", interval(ci), "–", "0", "0", "0", "–", "–", ""]
        return line(cells)

    def measured(self, row, kept, queries, found):
        (quality, ci), from_given = found
        answers = [kept.queries[query] for query in queries]
        passes, read, written, seconds = (mean([answer[key] for answer in answers]) for key in COSTS)
        taus = [answer["tau"] for answer in answers if answer["tau"] is not None]
        odd = sum(answer["status"] != "ranked" for answer in answers)
        remarks = [row.remark] if row.remark else []
        remarks += [f"{odd} of {len(answers)} repaired"] if odd else []
        remarks += self.against_untrained(row, kept)
        costs = [f"{passes:.0f}", f"{read:.0f}", f"{written:.0f}", f"{seconds:.2f}"]
        numbers = [str(len(queries)), f"{quality:.3f}", interval(ci), difference(from_given), *costs, minus(f"{mean(taus):.2f}")]
        return line([row.shown, *numbers, "; ".join(remarks)])

    def against_untrained(self, row, kept):
        """What the training changed, where both are measured."""
        if not row.is_trained:
            return []
        for untrained, before, queries in self.rows:
            if untrained.method == row.method and not untrained.is_trained:
                both = [query for query in queries if query in kept.queries]
                rankings = [{query: of.queries[query]["ranking"] for query in both} for of in (before, kept)]
                _, (_, found) = self.compared(both, rankings)
                return [f"{difference(found)} from untrained"]
        return []


def introduction():
    words = ", ".join(f"{of.words} on {of.name}" for of in plan.COLLECTIONS)
    return (
        f"Written by `tools/methods/measure.py` from the files in `tools/methods/results`, which have every query. {plan.DEPTH} "
        f"candidates a query, cut to so many words: {words}. Decoder methods run on {plan.DECODER}, `bi-encoder`, "
        "`late-interaction` and `e2rank` on the bundled model. Cheap methods get all 21 queries of noveleval and the first 20 of each "
        f"other collection, dear ones the first {plan.DEAR.queries} of each, the dearest {plan.DEAREST.queries}; the first stage stands "
        "in the table for each number of queries, and the difference from it is over the same queries, with its paired 95 % interval. "
        "Passes, tokens and seconds are means for a query, on two cores; τ is Kendall's between the rankings of two shuffles of the "
        f"input, over the first {plan.CHEAP.shuffled} queries, {plan.DEAREST.shuffled} of the dearest methods (1: its order means "
        "nothing). Weak numbers are what an untrained model of 135 million weights gives. Candidates that "
        "a method does not get stand behind, as they were."
    )


def trainings(arguments):
    """How the trained models were made, where one was."""
    folder = os.path.join(arguments.results, "trained")
    found = []
    for row in plan.PLAN:
        path = os.path.join(folder, row.method + ".json")
        if row.is_trained and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                found.append((row.method, json.load(file)))
    if not found:
        return []
    columns = ["trained", "base", "lists", "steps", "minutes", "held-out loss", "held-out nDCG@10"]
    text = [
        "",
        "### Trained models",
        "",
        "Made by `measure.py --train` from the files in `tools/methods/train` and the training queries of WikiQA (sentences of one "
        "article) and NFCorpus (what BM25 finds, where what is not judged counts as wrong), in equal parts, eight candidates a list: "
        "what is right first, then by the cosines of the bundled encoder. No query is one of those above. Trained decoders have "
        "weights in f32, the untrained one in Q4_1, so that their seconds cannot be compared.",
        "",
        line(columns),
        line(["---"] * len(columns)),
    ]
    for method, of in found:
        pairs = ["–" if pair is None else f"{pair[0]:.3f} → {pair[1]:.3f}" for pair in (of["validation"], of["ndcg"])]
        text.append(line([f"`{method}`", of["base"], str(of["lists"]), str(of["steps"]), f"{of['seconds'] / 60:.0f}", *pairs]))
    return text


def page(rows, arguments, program):
    text = ["## Measured", "", introduction()]
    for described in plan.COLLECTIONS:
        text += ["", f"### {described.name}", "", *Table(described, rows, arguments, program).lines()]
    text += ["", "Without a row: " + "; ".join(f"`{name}` {why}" for name, why in plan.WITHOUT.items()) + "."]
    text += trainings(arguments)
    with open(arguments.page, encoding="utf-8") as file:
        declared = file.read().split(HEADING)[0].rstrip("\n")
    write(arguments.page, declared + "\n\n" + "\n".join(text) + "\n")
