"""What is measured: collections, methods with the options and numbers of queries that their cost allows, and what has no row."""

from typing import NamedTuple

DECODER = "SmolLM2-135M-Instruct"
BUNDLED = "all-MiniLM-L6-v2-int8"
# Candidates of a query; queries that go through the program together; queries that are asked in two shuffled orders too.
DEPTH, TOGETHER, SHUFFLED = 20, 4, 5
# Queries of a dear method on each collection.
DEAR = 10


class Described(NamedTuple):
    """A collection: its first queries that cheap methods get, words of a passage, and where candidates come from."""

    name: str
    queries: int
    words: int
    # A run of the collection's folder, or None for BM25 over an index of our own.
    listed: str | None
    # What the order of the candidates is called.
    given: str


COLLECTIONS = [
    Described("noveleval", 21, 120, "google", "Google's order"),
    Described("cranfield", 20, 60, None, "BM25's order"),
    Described("trec-dl21", 20, 60, "bm25", "BM25's order"),
]


class Row(NamedTuple):
    """A method as it is measured."""

    method: str
    options: str = ""
    # A model's name, or that of a training file in `train`, of which the model is made by --train.
    model: str = DECODER
    is_trained: bool = False
    depth: int = DEPTH
    is_dear: bool = False
    remark: str = ""

    @property
    def name(self):
        return self.method + ("-trained" if self.is_trained else "")

    @property
    def shown(self):
        return f"`{self.expression}`" + (" trained" if self.is_trained else "")

    @property
    def expression(self):
        return f"{self.method}({self.options})" if self.options else self.method

    def queries(self, described):
        return min(DEAR, described.queries) if self.is_dear else described.queries


def trained(method, **how):
    return Row(method, model=method, is_trained=True, **how)


# From the cheapest to the dearest; what is trained stands behind the same untrained.
PLAN = [
    Row("bi-encoder", model=BUNDLED),
    Row("late-interaction", model=BUNDLED),
    Row("e2rank", "documents=5", model=BUNDLED, remark="five candidates in the enriched query, in the encoder's 256 tokens"),
    trained("cross-encoder"),
    Row("block-rank"),
    Row("query-likelihood"),
    Row("yes-no"),
    Row("icr"),
    Row("first"),
    trained("first"),
    Row("erank", "reasoning=false", remark="without reasoning", is_dear=True),
    Row("full-rank", is_dear=True),
    trained("full-rank", is_dear=True),
    Row("listwise", is_dear=True),
    trained("listwise", is_dear=True),
    Row("group-rank", is_dear=True),
    Row("setwise", is_dear=True),
    Row("dear", "max-tokens=128", is_dear=True, remark="at most 128 tokens of reasoning"),
    Row("reason-rank", "max-tokens=128", is_dear=True, remark="at most 128 tokens of reasoning"),
    Row("prp-sliding", "passes=3", depth=10, is_dear=True, remark="ten candidates, three passes"),
    Row("prp-heapsort", depth=10, is_dear=True, remark="ten candidates"),
    Row("prp-allpair", depth=10, is_dear=True, remark="ten candidates"),
    Row("tsprank", depth=10, is_dear=True, remark="ten candidates"),
    Row(
        "rank-r1",
        "max-tokens=64, failure=choose",
        depth=10,
        is_dear=True,
        remark="ten candidates, at most 64 tokens of reasoning, then one of the labels",
    ),
]

# Methods that are not measured, and why.
WITHOUT = {
    "mono-t5": "needs a T5 model that was trained to rank, and none can be pulled without the Hugging Face hub",
    "rank-t5": "needs a T5 model that was trained to rank, and none can be pulled without the Hugging Face hub",
    "last-but-not-late": "needs jina-reranker-v3, four times as large as the decoder here, which comes from the Hugging Face hub alone",
    "mvp": "needs an encoder whose view tokens and decoder of anchors were trained, which none that can be pulled has "
    "(`recipes/mvp.toml` makes one)",
}


def plan(declared):
    """The rows, and behind them methods of the registry that are new here, as they are."""
    known = {row.method for row in PLAN} | set(WITHOUT)
    return PLAN + [Row(name, is_dear=True) for name in declared if name not in known]
