"""What is measured: collections, methods with the options and numbers of queries that their cost allows, and what has no row."""

from typing import NamedTuple

DECODER = "SmolLM2-135M-Instruct"
BUNDLED = "all-MiniLM-L6-v2-int8"
# Candidates of a query; queries that go through the program together.
DEPTH, TOGETHER = 20, 4


class Sample(NamedTuple):
    """How many of a collection's first queries a method gets (None: as many as cheap ones), and how many of them in two shuffled
    orders too."""

    queries: int | None
    shuffled: int


CHEAP, DEAR, DEAREST = Sample(None, 5), Sample(10, 5), Sample(5, 2)


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
    sample: Sample = CHEAP
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
        return min(self.sample.queries or described.queries, described.queries)


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
    Row("erank", "reasoning=false", remark="without reasoning", sample=DEAR),
    Row("full-rank", sample=DEAR),
    trained("full-rank", sample=DEAR),
    Row("listwise", sample=DEAR),
    trained("listwise", sample=DEAR),
    Row("group-rank", sample=DEAREST),
    Row("setwise", sample=DEAREST),
    Row("dear", "max-tokens=128", sample=DEAREST, remark="at most 128 tokens of reasoning"),
    Row("reason-rank", "max-tokens=128", sample=DEAREST, remark="at most 128 tokens of reasoning"),
    Row("prp-sliding", "passes=3", depth=10, sample=DEAREST, remark="ten candidates, three passes"),
    Row("prp-heapsort", depth=10, sample=DEAREST, remark="ten candidates"),
    Row("prp-allpair", depth=10, sample=DEAREST, remark="ten candidates"),
    Row("tsprank", depth=10, sample=DEAREST, remark="ten candidates"),
    Row(
        "rank-r1",
        "max-tokens=64, failure=choose",
        depth=10,
        sample=DEAREST,
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
    return PLAN + [Row(name, sample=DEAREST) for name in declared if name not in known]
