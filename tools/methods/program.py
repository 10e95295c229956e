"""The command `plackett`, as the measurements call it, and files that appear whole."""

import gzip
import hashlib
import json
import os
import subprocess

MEASURE = "nDCG@10"


def lines(path):
    """Lines of a file, or of the same one packed with gzip."""
    is_packed = not os.path.exists(path) and os.path.exists(path + ".gz")
    with gzip.open(path + ".gz", "rt", encoding="utf-8") if is_packed else open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.rstrip("\n")


def write(path, text):
    """Writes a file that is there as a whole or as it was."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(path + ".part", path)


def write_lines(path, rows):
    write(path, "".join(row + "\n" for row in rows))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Program:
    """A binary of Plackett, and a folder for what it is given to read."""

    def __init__(self, path, work):
        self.path, self.work = path, work
        os.makedirs(work, exist_ok=True)

    def run(self, *arguments):
        command = [self.path, "--offline", "--quiet", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json"))

    def version(self):
        return self.run("--version").split()[-1]

    def fingerprint(self, model):
        """SHA-256 of the file of a model's weights."""
        folder = self.json("model", "path", model)["path"]
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        weights = [name for name in names if name.endswith((".safetensors", ".gguf"))]
        if names and len(weights) != 1:
            raise RuntimeError(f"{model}: one file of weights is expected in {folder}, there are {len(weights)}")
        return sha256(os.path.join(folder, weights[0]) if names else folder)

    def rerank(self, requests, method, model=None):
        """Answers to requests, in their order; without a model the bundled one answers."""
        path = os.path.join(self.work, "requests.jsonl")
        write_lines(path, map(json.dumps, requests))
        named = ["--model", model] if model else []
        found = self.run("rerank", "--method", method, "--format", "jsonl", path, *named).splitlines()
        return [json.loads(line) for line in found]

    def search(self, corpus, index, queries, depth):
        """What BM25 finds for queries (id and text), in an index that is made once."""
        if not os.path.exists(index):
            self.run("index", corpus, "-o", index, "--no-vectors")
        path = os.path.join(self.work, "queries.jsonl")
        write_lines(path, (json.dumps({"_id": name, "text": text}) for name, text in queries))
        found = {name: [] for name, _ in queries}
        asked = ["search", index, "--queries", path, "-p", "bm25", "-k", str(depth), "--format", "trec"]
        for line in self.run(*asked).splitlines():
            query, _, document, *_ = line.split()
            found[query].append(document)
        return found

    def written(self, qrels, runs):
        """Judgments (query, document, grade) and runs (rankings by query) as files; their paths, judgments first."""
        paths = [os.path.join(self.work, "qrels.txt")]
        write_lines(paths[0], (f"{query} 0 {document} {grade}" for query, document, grade in qrels))
        for number, run in enumerate(runs):
            paths.append(os.path.join(self.work, f"run-{number}.trec"))
            rows = [
                f"{query} Q0 {document} {place + 1} {len(ranked) - place} run-{number}"
                for query, ranked in run.items()
                for place, document in enumerate(ranked)
            ]
            write_lines(paths[-1], rows)
        return paths

    def by_query(self, qrels, run):
        """nDCG@10 of each query."""
        found = self.json("eval", *self.written(qrels, [run]), "-m", MEASURE, "--per-query")
        return {query: values[MEASURE] for query, values in found["runs"][0]["queries"].items()}

    def compared(self, qrels, runs):
        """Mean and interval of each run, and mean and interval of its difference from the first (None for that one)."""
        if len(runs) == 1:
            found, differences = self.json("eval", *self.written(qrels, runs), "-m", MEASURE), []
        else:
            found = self.json("compare", *self.written(qrels, runs), "-m", MEASURE)
            differences = [
                (row["difference"], row["intervals"]["bootstrap"]) for row in found["comparison"]["compared"]
            ]
        means = [run["measures"][MEASURE] for run in found["runs"]]
        means = [(measured["mean"], measured.get("ci95")) for measured in means]
        return list(zip(means, [None, *differences]))
