"""bm25s's side of benches/search/run.

    peer.py CORPUS QUERIES K1 B DEPTH INDEX --tokens DOCS QUERIES --run FILE    scores with the given tokens
    peer.py CORPUS QUERIES K1 B DEPTH INDEX --time BACKEND                      seconds of its own whole path

--tokens takes one JSON array of terms per line, as Plackett's analyser makes them, so that only the scoring differs.
--time uses bm25s as its users do: its tokenizer with the Porter stemmer and English stop words, index saved to INDEX.
"""

import json
import sys
import time

import bm25s
import Stemmer


def rows(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def joined(row):
    return (row.get("title", "") + " " + row["text"]).strip()


def scored(argv, corpus, queries, k1, b, depth):
    at = argv.index("--tokens")
    documents, asked = rows(argv[at + 1]), rows(argv[at + 2])
    # A document without a term keeps its place: bm25s drops nothing by itself.
    model = bm25s.BM25(method="lucene", k1=k1, b=b)
    model.index(documents, show_progress=False)
    with open(argv[argv.index("--run") + 1], "w", encoding="utf-8") as out:
        for query, terms in zip(queries, asked):
            known = [term for term in terms if term in model.vocab_dict]
            if not known:
                continue
            found, scores = model.retrieve([known], k=min(depth, len(corpus)), show_progress=False)
            for place, (number, score) in enumerate(zip(found[0], scores[0])):
                if score > 0:
                    out.write(f"{query['_id']} Q0 {corpus[number]['_id']} {place + 1} {score:.9g} bm25s\n")


def timed(argv, corpus, queries, k1, b, depth, folder):
    backend = argv[argv.index("--time") + 1]
    texts, asked = [joined(row) for row in corpus], [row["text"] for row in queries]
    stemmer = Stemmer.Stemmer("porter")

    def tokens(texts, return_ids):
        return bm25s.tokenize(
            texts, stopwords="en", stemmer=stemmer, show_progress=False, return_ids=return_ids, leave=False
        )

    start = time.perf_counter()
    model = bm25s.BM25(method="lucene", k1=k1, b=b, backend=backend)
    model.index(tokens(texts, True), show_progress=False)
    model.save(folder)
    index_seconds = time.perf_counter() - start
    depth = min(depth, len(texts))
    # The first calls compile (numba) or fill caches; neither is counted.
    for query in asked[:3]:
        model.retrieve(tokens([query], False), k=depth, show_progress=False, n_threads=0)
    seconds = []
    for query in asked:
        start = time.perf_counter()
        model.retrieve(tokens([query], False), k=depth, show_progress=False, n_threads=0)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"index_seconds": index_seconds, "query_seconds": seconds}))


def main():
    corpus, queries = rows(sys.argv[1]), rows(sys.argv[2])
    k1, b, depth = float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
    if "--tokens" in sys.argv:
        scored(sys.argv, corpus, queries, k1, b, depth)
    else:
        timed(sys.argv, corpus, queries, k1, b, depth, sys.argv[6])


main()
