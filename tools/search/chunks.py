#!/usr/bin/env python3
"""Measures what `index --chunk` is worth and prints the tables of docs/chunks.md.

    cargo build --release
    python3 tools/search/chunks.py --data FOLDER --work FOLDER [--plackett target/release/plackett]

Long texts are made of what is in FOLDER: the paragraphs of SQuAD's articles (squad-pairs) are joined in their order, to
chapters of eight paragraphs, of which every sixth question is asked, and a question's judged paragraph stands for the text it is in. For
the needles, answers to other questions (wikiqa) are put into 200 texts of five such paragraphs, one into each, at twenty
places from the beginning to the end. --work keeps indexes and runs. Needs nothing but the command and Python.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
CHUNKS = [None, "200/50", "100/25", "sentences:5/1", "sentences:2/1"]
PIPELINES = ["bm25", "dense", "combsum(bm25,dense,norm=z-score)"]
SCORES = ["max", "max+mean"]
EVERY = 6


def jsonl(path, records):
    with open(path, "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def squad(data, work, name, paragraphs):
    """Texts of so many paragraphs of an article, every sixth question, and the text that has its paragraph."""
    articles, questions = {}, {}
    for pair in read(os.path.join(data, "squad-pairs", "pairs.jsonl.gz")):
        if pair["set"].startswith("squad2") and pair["label"] != 0:
            own = articles.setdefault(pair["title"], [])
            if pair["passage"] not in own:
                own.append(pair["passage"])
            questions.setdefault(pair["query"], (pair["title"], pair["passage"]))
    folder = os.path.join(work, name)
    os.makedirs(os.path.join(folder, "qrels"), exist_ok=True)
    texts, place = [], {}
    for title, own in articles.items():
        for first in range(0, len(own), paragraphs):
            part = own[first : first + paragraphs]
            identifier = f"{title} {first // paragraphs + 1}".replace(" ", "_")
            texts.append({"_id": identifier, "title": title, "text": "\n\n".join(part)})
            place.update({(title, paragraph): identifier for paragraph in part})
    asked = list(questions.items())[::EVERY]
    jsonl(os.path.join(folder, "corpus.jsonl"), texts)
    jsonl(os.path.join(folder, "queries.jsonl"), [{"_id": f"q{n}", "text": q} for n, (q, _) in enumerate(asked)])
    with open(os.path.join(folder, "qrels", "test.tsv"), "w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"q{n}\t{place[own]}\t1\n" for n, (_, own) in enumerate(asked))
    return folder


def needles(data, work):
    folder = os.path.join(work, "needles")
    os.makedirs(folder, exist_ok=True)
    pairs = read(os.path.join(data, "squad-pairs", "pairs.jsonl.gz"))
    paragraphs = list(dict.fromkeys(pair["passage"] for pair in pairs if pair["set"].startswith("squad2")))
    sentences = {record["_id"]: record["text"] for record in read(os.path.join(data, "wikiqa", "corpus.jsonl"))}
    found = {}
    with open(os.path.join(data, "wikiqa", "qrels", "test.tsv"), encoding="utf-8") as lines:
        for line in list(lines)[1:]:
            query, sentence, score = line.split("\t")
            if score.strip() == "1":
                found.setdefault(query, sentences[sentence])
    texts, queries = [], []
    for number, needle in enumerate(list(found.values())[:200]):
        parts = " ".join(paragraphs[number * 5 : number * 5 + 5]).split(". ")
        parts.insert(len(parts) * (number % 20) // 19, needle)
        texts.append({"_id": str(number), "text": ". ".join(parts)})
        queries.append(f"{number}\t{needle}\n")
    jsonl(os.path.join(folder, "corpus.jsonl"), texts)
    with open(os.path.join(folder, "queries.tsv"), "w", encoding="utf-8") as file:
        file.writelines(queries)
    return folder


class Program:
    def __init__(self, path):
        self.path = path

    def __call__(self, *arguments):
        done = subprocess.run([self.path, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def indexed(self, folder, chunk):
        """The index of a collection, made once, and how many passages it has."""
        index = os.path.join(folder, "index." + (chunk or "whole").replace("/", "-").replace(":", "-"))
        told = index + ".json"
        if not os.path.exists(told):
            shutil.rmtree(index, ignore_errors=True)
            flags = ["--chunk", chunk] if chunk else []
            made = self("index", os.path.join(folder, "corpus.jsonl"), "-o", index, "--json", *flags)
            with open(told, "w", encoding="utf-8") as file:
                file.write(made)
        with open(told, encoding="utf-8") as file:
            made = json.load(file)
        return index, made["passages"] or made["documents"]


def ndcg(program, folder, index, pipeline, score):
    run = os.path.join(folder, "run.trec")
    group = [] if score is None else ["--group", f"document(score={score})"]
    queries = os.path.join(folder, "queries.jsonl")
    with open(run, "w", encoding="utf-8") as file:
        file.write(program("search", index, "--queries", queries, "-p", pipeline, "-k", "100", "--format", "trec", *group))
    told = json.loads(program("eval", os.path.join(folder, "qrels", "test.tsv"), run, "-m", "nDCG@10", "--json"))
    return told["runs"][0]["measures"]["nDCG@10"]["mean"]


def share(program, folder, index):
    """Needles whose text is first, and among the first three."""
    run = program("search", index, "--queries", os.path.join(folder, "queries.tsv"), "-p", "dense", "-k", "3", "--format", "trec")
    ranks = [int(line.split()[3]) for line in run.splitlines() if line.split()[0] == line.split()[2]]
    return [sum(rank <= first for rank in ranks) / 200 for first in (1, 3)]


def table(program, folder):
    head = ["`--chunk`", "`--group`", "passages", *[f"`{pipeline}`" for pipeline in PIPELINES]]
    lines = [f"| {' | '.join(head)} |", "| --- | --- |" + " ---: |" * (len(head) - 2)]
    for chunk in CHUNKS:
        index, passages = program.indexed(folder, chunk)
        for score in SCORES if chunk else [None]:
            values = [f"{ndcg(program, folder, index, pipeline, score):.3f}" for pipeline in PIPELINES]
            group = f"`document(score={score})`" if score else ""
            cells = [f"`{chunk}`" if chunk else "whole texts", group, str(passages), *values]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--plackett", default=os.path.join(ROOT, "target", "release", "plackett"))
    arguments = parser.parse_args()
    program = Program(arguments.plackett)
    lines = []
    folder = squad(arguments.data, arguments.work, "chapters", 8)
    texts, queries = (sum(1 for _ in open(os.path.join(folder, name), encoding="utf-8")) for name in ("corpus.jsonl", "queries.jsonl"))
    lines += [f"nDCG@10 of {queries} questions over {texts} texts, eight paragraphs of SQuAD's articles each:", ""]
    lines += table(program, folder)
    folder = needles(arguments.data, arguments.work)
    lines += ["", "The answer to another question in each of 200 texts of five paragraphs, asked for word by word with `dense`:", ""]
    lines += ["| `--chunk` | passages | first | among the first three |", "| --- | ---: | ---: | ---: |"]
    for chunk in CHUNKS:
        index, passages = program.indexed(folder, chunk)
        first, three = share(program, folder, index)
        lines.append(f"| {f'`{chunk}`' if chunk else 'whole texts'} | {passages} | {first:.3f} | {three:.3f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
