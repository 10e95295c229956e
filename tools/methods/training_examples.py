"""Lists to learn from: training queries of WikiQA and NFCorpus, none of which is tested, and the models that are made of them."""

import json
import os
import random
import shutil
import sys
import time

from collection import normal, read_judged, read_texts
from program import lines, sha256, write, write_lines

HERE = os.path.dirname(os.path.abspath(__file__))
CANDIDATES, MOST_RIGHT = 8, 3
# Lists of each source: for decoders, whose steps are dear, and for cross-encoders; the first are among the second.
FEW, MANY, HELD = 40, 240, 6
FOUND = 20


def texts_of_queries(source):
    rows = (json.loads(line) for line in lines(os.path.join(source, "queries.jsonl")))
    return {str(row["_id"]): row["text"] for row in rows}


def drawn(source, split, tested):
    """Judged queries in a drawn order, without those whose text is tested: id, text, grades by document."""
    texts = texts_of_queries(source)
    judged = read_judged(os.path.join(source, "qrels", split + ".tsv"))
    queries = sorted(query for query in judged if normal(texts[query]) not in tested)
    random.Random(f"{split} {os.path.basename(source)}").shuffle(queries)
    return [(query, texts[query], judged[query]) for query in queries]


def chosen(right, wrong):
    """So many ids, some of them right; None where there are not enough."""
    right = right[:MOST_RIGHT]
    wrong = wrong[: CANDIDATES - len(right)]
    return right + wrong if right and len(right) + len(wrong) == CANDIDATES else None


def of_answers(source, split, tested, count):
    """Sentences of an article, of which some answer the query: query, text, right ids, all ids."""
    for query, text, grades in drawn(source, split, tested):
        random.Random(query).shuffle(order := list(grades))
        right = [document for document in order if grades[document] > 0]
        documents = chosen(right, [document for document in order if grades[document] == 0])
        if documents and count > 0:
            count -= 1
            yield query, text, set(right), documents


def of_search(source, split, tested, count, program):
    """What BM25 finds, some of which is judged to be right; what is not judged counts as wrong."""
    # Half of the queries or more give a list.
    queries = drawn(source, split, tested)[: 4 * count]
    index = os.path.join(program.work, os.path.basename(source) + ".index")
    corpus = os.path.join(program.work, os.path.basename(source) + ".jsonl")
    if not os.path.exists(corpus):
        write_lines(corpus, lines(os.path.join(source, "corpus.jsonl")))
    found = program.search(corpus, index, [(query, text) for query, text, _ in queries], FOUND)
    for query, text, grades in queries:
        right = [document for document in found[query] if grades.get(document, 0) > 0]
        documents = chosen(right, [document for document in found[query] if document not in grades])
        if documents and count > 0:
            count -= 1
            yield query, text, set(right), documents


def examples(source, words, lists, program):
    """Records of a file of examples, candidates in the order of the bundled encoder."""
    texts = read_texts(source, {document for *_, documents in lists for document in documents}, words)
    requests = [
        {
            "query": {"id": query, "text": text},
            "candidates": [{"document": {"id": document, "text": texts[document]}, "score": 0.0} for document in documents],
        }
        for query, text, _, documents in lists
    ]
    for (_, text, right, _), answer in zip(lists, program.rerank(requests, "bi-encoder")):
        order = [entry["id"] for entry in answer["ranking"]]
        candidates = [{"text": texts[document], "label": int(document in right)} for document in order]
        yield json.dumps({"query": text, "candidates": candidates})


def write_lessons(data, folder, results, tested, program):
    """The files of examples, and which queries are in them."""
    listed = {}
    for split, count, ending in [("train", MANY, ""), ("dev", HELD, "-held")]:
        wiki, food = (os.path.join(data, name) for name in ["wikiqa", "nfcorpus"])
        both = [
            (wiki, 40, list(of_answers(wiki, split, tested, count))),
            (food, 60, list(of_search(food, split, tested, count, program))),
        ]
        records = [list(examples(source, words, lists, program)) for source, words, lists in both]
        mixed = [record for pair in zip(*records) for record in pair]
        write_lines(os.path.join(folder, f"pairs{ending}.jsonl"), mixed)
        write_lines(os.path.join(folder, f"lists{ending}.jsonl"), mixed[: 2 * FEW])
        listed[split] = {os.path.basename(source): [query for query, *_ in lists] for source, _, lists in both}
    rows = [f" {json.dumps(split)}: {json.dumps(of)}" for split, of in listed.items()]
    write(os.path.join(results, "trained", "queries.json"), "{\n" + ",\n".join(rows) + "\n}\n")


def train(names, arguments, tested, program):
    """Makes the models that are missing, and says of each what came out."""
    folder = os.path.join(arguments.work, "training_examples")
    os.makedirs(folder, exist_ok=True)
    write_lessons(arguments.data, folder, arguments.results, tested, program)
    for name in names:
        file, target = os.path.join(folder, name + ".toml"), model_folder(arguments.work, name)
        if os.path.exists(os.path.join(target, "model.safetensors")):
            print(f"{name}: is trained already, in {target}", file=sys.stderr, flush=True)
            continue
        shutil.copyfile(os.path.join(HERE, "train", name + ".toml"), file)
        start = time.monotonic()
        found = program.json("train", file, "-o", target)
        record = {
            "base": next(line.split('"')[1] for line in lines(file) if line.startswith("base")),
            "lists": found.get("lists") or found.get("queries"),
            "steps": found["steps"],
            # Of the last sitting, where an earlier one was ended.
            "seconds": round(time.monotonic() - start),
            "resumed_after": found["resumed"],
            "loss": found["loss"],
            "validation": found["validation"],
            "ndcg": found.get("ndcg"),
            "toml_sha256": sha256(file),
            "model_sha256": program.fingerprint(target),
            "plackett": program.version(),
        }
        write(os.path.join(arguments.results, "trained", name + ".json"), json.dumps(record, indent=1) + "\n")
        print(f"{name}: {json.dumps(record)}", file=sys.stderr, flush=True)


def model_folder(work, name):
    """Where a trained model lies; a path, not the name of a model."""
    return os.path.join(os.path.abspath(work), "trained", name)
