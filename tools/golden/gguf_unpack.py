#!/usr/bin/env python3
"""Writes a GGUF file of the architecture llama again with all its weights as f32.

    python gguf_unpack.py MODEL.gguf UNPACKED.gguf

llama.cpp rounds activations when weights are in blocks; on f32 weights it computes without rounding. Needs the packages gguf and numpy.
"""

import sys

import gguf
import numpy


def main():
    reader, writer = gguf.GGUFReader(sys.argv[1]), gguf.GGUFWriter(sys.argv[2], "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = 0 if field.name == "general.file_type" else field.contents()
        kind = field.types[0]
        sub = (field.types[1],) if kind == gguf.GGUFValueType.ARRAY else ()
        writer.add_key_value(field.name, value, kind, *sub)
    for tensor in reader.tensors:
        unpacked = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, unpacked.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
