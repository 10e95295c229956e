"""The peers' side of benches/decoder/run, with the requests of the example measure_decoder.

    peer.py llama MODEL.gguf THREADS IDS
    peer.py torch MODEL.gguf THREADS IDS

Both load the same GGUF file: llama.cpp as it is, transformers unpacked to f32.
"""

import json
import os
import sys
import time


class Llama:
    def __init__(self, path, threads, longest):
        import llama_cpp

        self.model = llama_cpp.Llama(
            model_path=path, n_ctx=longest, n_batch=512, n_ubatch=512, n_threads=threads, n_threads_batch=threads,
            verbose=False,
        )

    def prefill(self, ids):
        self.model.reset()
        self.model.eval(ids)

    def generate(self, ids, steps):
        self.prefill(ids)
        start = time.perf_counter()
        for _ in range(steps):
            self.model.eval([self.largest()])
        return time.perf_counter() - start

    def largest(self):
        import numpy as np

        return int(np.argmax(np.ctypeslib.as_array(self.model._ctx.get_logits(), (self.model.n_vocab(),))))


class Torch:
    def __init__(self, path, threads, longest):
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        folder, name = os.path.split(path)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()

    def forward(self, ids, cache=None):
        answer = self.model(self.torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return int(answer.logits[0, -1].argmax()), answer.past_key_values

    def prefill(self, ids):
        self.forward(ids)

    def generate(self, ids, steps):
        token, cache = self.forward(ids)
        start = time.perf_counter()
        for _ in range(steps):
            token, cache = self.forward([token], cache)
        return time.perf_counter() - start


def resident_mb():
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def main():
    kind, path, threads, file = sys.argv[1:]
    with open(file, encoding="utf-8") as content:
        ids = [int(word) for word in content.read().split()]
    # What the interpreter and the peer's libraries take without a model is not the peer's memory.
    __import__({"llama": "llama_cpp", "torch": "transformers"}[kind])
    empty = resident_mb()
    peer = {"llama": Llama, "torch": Torch}[kind](path, int(threads), len(ids))
    print(json.dumps({"resident_before_mb": empty}), flush=True)
    for line in sys.stdin:
        words = line.split()
        what, tokens, count = words[0], int(words[1]), int(words[2])
        if what == "prefill":
            start = time.perf_counter()
            for _ in range(count):
                peer.prefill(ids[:tokens])
            seconds = time.perf_counter() - start
        else:
            seconds = peer.generate(ids[:tokens], count)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
