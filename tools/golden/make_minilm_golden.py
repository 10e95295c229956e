#!/usr/bin/env python3
"""Writes what sentence-transformers computes with all-MiniLM-L6-v2 for 64 texts of the bundled collection.

    python make_minilm_golden.py MODEL_DIRECTORY OUTPUT_DIRECTORY

32 queries and 32 passages of data/papers: short and long, some beyond the model's 256 tokens. The texts are written
beside the numbers, so that the test does not move when the collection grows. Needs sentence-transformers.
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

PAPERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "papers")


def spread(name, count):
    with open(os.path.join(PAPERS, name), encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    step = len(texts) / count
    return [texts[int(i * step)] for i in range(count)]


def main():
    model, output = sys.argv[1:]
    texts = spread("queries.jsonl", 32) + spread("corpus.jsonl", 32)
    encoder = SentenceTransformer(model, device="cpu")
    # One by one: no padding, so nothing but the text itself has a part in the numbers.
    rows = [torch.tensor(encoder.encode([text])[0], dtype=torch.float32) for text in texts]
    os.makedirs(output, exist_ok=True)
    save_file({"embeddings": torch.stack(rows).contiguous()}, os.path.join(output, "expected.safetensors"))
    with open(os.path.join(output, "expected.json"), "w", encoding="utf-8") as out:
        json.dump({"texts": texts}, out, indent=1, ensure_ascii=False)
        out.write("\n")


if __name__ == "__main__":
    main()
