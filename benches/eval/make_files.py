"""Writes qrels.txt and run.txt: queries × documents with ties, gaps and unjudged documents, the same for the same seed.

    python make_files.py FOLDER [QUERIES DOCUMENTS SEED]
"""

import os
import random
import sys


def main(folder, queries=1000, documents=1000, seed=17):
    rng = random.Random(seed)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "run.txt"), "w") as run, open(os.path.join(folder, "qrels.txt"), "w") as qrels:
        for q in range(queries):
            qid = str(100_000 + q * 7)
            pool = rng.sample(range(8_000_000), documents + 40)
            returned, beyond = pool[:documents], pool[documents:]
            judged = rng.sample(returned, min(80, documents)) + beyond[:20]
            # Every fiftieth query has no relevant document, and the last ten are not in the run.
            grades = (0,) if q % 50 == 49 else (0, 0, 0, 0, 0, 0, 1, 1, 2, 3)
            for document in judged:
                qrels.write(f"{qid} 0 msmarco_{document} {rng.choice(grades)}\n")
            if q >= queries - 10:
                continue
            # Fewer documents for some queries; a coarse scale for a quarter of them, so that many scores tie; scores
            # that only 64 bits tell apart for another.
            kept = documents if q % 10 else rng.randrange(1, documents)
            scores = sorted((score(rng, q) for _ in range(kept)), reverse=True)
            lines = list(zip(returned, scores))
            if q % 5 == 0:
                rng.shuffle(lines)
            for rank, (document, value) in enumerate(lines, 1):
                run.write(f"{qid} Q0 msmarco_{document} {rank} {value} bench\n")
        run.write("999999999 Q0 msmarco_1 1 1.0 bench\n")


def score(rng, q):
    if q % 4 == 0:
        return rng.randrange(40) / 2
    if q % 4 == 1:
        return 16_777_216 + rng.randrange(2000)
    return round(rng.gauss(14, 4), 6)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
