#!/usr/bin/env python3
"""Random blocks of every GGUF block format and the numbers that the package `gguf` makes of them.

    python gguf_blocks.py OUTPUT.safetensors

`FORMAT.blocks` are the bytes (u8), `FORMAT.values` the numbers (f32). All payload bits are random; only the scales are
drawn as finite f16. Needs gguf, numpy and safetensors.
"""

import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Kind
from gguf.quants import dequantize
from safetensors.numpy import save_file

# Byte positions of the f16 scales in a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}


def main():
    random = np.random.default_rng(4)
    tensors = {}
    for name in ["F32", "F16", "BF16", *SCALES]:
        kind = Kind[name]
        length, size = GGML_QUANT_SIZES[kind]
        count = max(8, 256 // length)
        if name == "F32":
            blocks = random.normal(size=(1, count)).astype(np.float32).view(np.uint8)
        elif name == "F16":
            blocks = random.normal(size=(1, count)).astype(np.float16).view(np.uint8)
        elif name == "BF16":
            high = random.normal(size=(1, count)).astype(np.float32).view(np.uint16)[:, 1::2]
            blocks = np.ascontiguousarray(high).view(np.uint8)
        else:
            blocks = random.integers(0, 256, size=(count, size), dtype=np.uint8)
            for at in SCALES[name]:
                scale = random.normal(scale=0.1, size=(count, 1)).astype(np.float16)
                blocks[:, at : at + 2] = scale.view(np.uint8)
            blocks = blocks.reshape(1, -1)
        tensors[f"{name}.blocks"] = np.ascontiguousarray(blocks.reshape(-1))
        typed = blocks.view({"F32": np.float32, "F16": np.float16}.get(name, np.uint8))
        tensors[f"{name}.values"] = np.ascontiguousarray(dequantize(typed, kind).astype(np.float32).reshape(-1))
    save_file(tensors, sys.argv[1])


if __name__ == "__main__":
    main()
