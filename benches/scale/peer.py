"""bm25s's side of benches/scale/run: `peer.py CORPUS QUERIES INDEX DEPTH…`.

Indexes with its own tokenizer, Porter's stemmer and English stop words, as its users do, and then asks each query alone and all
of them in two threads, at each depth. One JSON line with seconds and the peak of resident memory.
"""

import json
import resource
import sys
import time

import bm25s
import Stemmer


def main():
    corpus, queries, folder, *depths = sys.argv[1:]
    with open(corpus, encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    with open(queries, encoding="utf-8") as lines:
        asked = [line.rstrip("\n") for line in lines]
    stemmer = Stemmer.Stemmer("porter")

    def tokens(texts, return_ids):
        return bm25s.tokenize(
            texts, stopwords="en", stemmer=stemmer, show_progress=False, return_ids=return_ids, leave=False
        )

    start = time.perf_counter()
    model = bm25s.BM25(method="lucene", k1=0.9, b=0.4, backend="numba")
    model.index(tokens(texts, True), show_progress=False)
    model.save(folder)
    facts = {"index_seconds": time.perf_counter() - start, "depths": {}}
    for depth in map(int, depths):
        seconds = []
        for round_ in range(2):
            for query in asked:
                start = time.perf_counter()
                model.retrieve(tokens([query], False), k=depth, show_progress=False, n_threads=0)
                if round_ == 1:
                    seconds.append(time.perf_counter() - start)
        # What several threads run is compiled on its first use, which no user pays twice.
        model.retrieve(tokens(asked[:2], False), k=depth, show_progress=False, n_threads=2)
        start = time.perf_counter()
        model.retrieve(tokens(asked, False), k=depth, show_progress=False, n_threads=2)
        facts["depths"][depth] = {"query_seconds": seconds, "together": time.perf_counter() - start}
    facts["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(facts))


main()
