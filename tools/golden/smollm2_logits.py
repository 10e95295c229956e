#!/usr/bin/env python3
"""The twenty most probable next tokens of short prompts, and greedy continuations, by llama.cpp.

    python smollm2_logits.py MODEL.gguf UNPACKED.gguf OUTPUT.json

OUTPUT holds a list of {text, ids, top, gap, exact}: ids of the prompt, ids of the 20 largest logits, largest first, the
distance of the first two logits, and the same 20 by llama.cpp without any rounding: on UNPACKED, which gguf_unpack.py
makes of MODEL, and with keys and values in f32. For a few prompts also `greedy`, the ids that follow by UNPACKED. Needs the
package llama-cpp-python; one thread, so that runs agree.
"""

import json
import sys

import llama_cpp
import numpy

PROMPTS = """The capital of France is
The opposite of hot is
A ranker reads a question and some passages and
Water boils at a temperature of
The best passage comes first, and the worst comes
To make bread you need flour, water, salt and
Once upon a time there was a
My favourite colour is blue because
The largest planet of the solar system is
In the morning I drink a cup of
She opened the door and saw
The train to Berlin leaves at
Two plus two equals
A library is a place where people
The doctor told him to
When it rains, the streets become
An index of a book helps readers to
The cat sat on the
Photosynthesis is the process by which plants
If you want to learn a language, you should
The price of oil rose because
Birds can fly, but penguins
A triangle has three
The film was so long that
Please send me the report before
The recipe calls for two eggs and a
He was late for work because
The river flows from the mountains to the
Scientists discovered a new species of
The meeting was moved to
In winter the lake is covered with
The first step of the method is to
A good abstract tells the reader
The moon goes around the
They built the bridge in order to
Searching a large collection of documents quickly requires
The teacher asked the class to
Honey is made by
After the war, the country
The phone rang, but nobody
Fresh fruit and vegetables are
The novel tells the story of
Gravity pulls objects towards the
You can reset your password by
The museum is open every day except
Music helps many people to
The farmer planted the seeds in
Questions about recall and precision are common in
The ship sailed across the
Thank you for your letter of""".split("\n")
CHAT = "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n"


def evaluate(model, ids):
    model.reset()
    model.eval(ids)
    logits = numpy.array(model.scores[len(ids) - 1])
    return logits, [int(i) for i in numpy.argsort(-logits, kind="stable")[:20]]


def main():
    options = dict(n_ctx=512, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False)
    packed = llama_cpp.Llama(sys.argv[1], **options)
    exact = llama_cpp.Llama(sys.argv[2], type_k=0, type_v=0, **options)
    out = []
    assert len(PROMPTS) == 50
    for index, text in enumerate(PROMPTS + [CHAT]):
        ids = packed.tokenize(text.encode(), add_bos=False, special=True)
        logits, top = evaluate(packed, ids)
        gap = round(float(logits[top[0]] - logits[top[1]]), 3)
        case = {"text": text, "ids": ids, "top": top, "gap": gap, "exact": evaluate(exact, ids)[1]}
        if index < 4 or text == CHAT:
            case["greedy"] = []
            for _ in range(12):
                case["greedy"].append(int(numpy.argmax(exact.scores[exact.n_tokens - 1])))
                exact.eval(case["greedy"][-1:])
        out.append(case)
    with open(sys.argv[3], "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")


main()
