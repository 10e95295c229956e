"""faiss's ResidualQuantizer on the vectors of benches/gr/run: answers lines of JSON, as ours does.

    peer.py VECTORS ROWS DIMENSION THREADS

Each line on standard input is `LEVELS BITS BEAM`; a BEAM of 0 leaves faiss's own (5).
"""

import json
import sys
import time

import faiss
import numpy

PATH, ROWS, DIMENSION, THREADS = sys.argv[1], *map(int, sys.argv[2:])


def main():
    faiss.omp_set_num_threads(THREADS)
    vectors = numpy.fromfile(PATH, dtype="<f4").reshape(ROWS, DIMENSION)
    print(json.dumps({"faiss": faiss.__version__, "rows": ROWS, "dimension": DIMENSION}), flush=True)
    for line in sys.stdin:
        levels, bits, beam = map(int, line.split())
        quantizer = faiss.ResidualQuantizer(DIMENSION, levels, bits)
        if beam:
            quantizer.max_beam_size = beam
        begun = time.perf_counter()
        quantizer.train(vectors)
        trained = time.perf_counter()
        codes = quantizer.compute_codes(vectors)
        encoded = time.perf_counter()
        apart = vectors - quantizer.decode(codes)
        error = float(numpy.einsum("ij,ij->i", apart, apart, dtype=numpy.float64).mean())
        answer = {"train_seconds": trained - begun, "encode_seconds": encoded - trained, "error": error, "beam": quantizer.max_beam_size}
        print(json.dumps(answer), flush=True)


main()
