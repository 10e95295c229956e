#!/usr/bin/env python3
"""Opens the tiny GGUF files of the tests with llama.cpp and compares its logits with those of transformers.

    mkdir DIR
    PLACKETT_KEEP_GGUF="$PWD/DIR" cargo test -p plackett-lm --test it decoder::gguf::logits
    python check_tiny_gguf.py DIR ../../crates/plackett-lm/tests/golden/decoder

It proves that names, row orders, norms and metadata keys of those files are what llama.cpp reads. llama.cpp knows no
window of llama and qwen2 files, so that only their first tokens are compared, and it rounds the GELU of gemma3 to f16.

Needs llama-cpp-python, numpy and safetensors.
"""

import os
import sys

import llama_cpp
import numpy as np
from safetensors.numpy import load_file

# Family, tokens that llama.cpp computes as transformers does, largest difference.
FAMILIES = [("llama", 45, 1e-4), ("mistral", 7, 1e-4), ("qwen2", 9, 1e-4), ("qwen3", 45, 1e-4), ("gemma3", 45, 1e-2)]


def main():
    files, golden = sys.argv[1:]
    failed = False
    for family, tokens, tolerance in FAMILIES:
        expected = load_file(os.path.join(golden, family, "expected.safetensors"))
        model = llama_cpp.Llama(
            os.path.join(files, f"{family}.gguf"), logits_all=True, n_ctx=256, n_threads=1, verbose=False,
            type_k=0, type_v=0, swa_full=True,
        )
        for n in range(2):
            places = expected[f"places.{n}"]
            model.reset()
            model.eval(expected[f"ids.{n}"].tolist())
            far = np.abs(np.array(model.scores)[places] - expected[f"logits.{n}"]).max(axis=1)
            far = far[places < tokens].max()
            failed |= not far < tolerance
            print(f"{family} {n}: {far:.1e}")
    sys.exit(failed)


main()
