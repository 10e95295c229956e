"""The most probable next tokens of some prompts, from llama.cpp itself and not through its server.

Reads {"model": path, "prompts": [text, …], "top": count} from standard input and writes one list per prompt:
[[token's bytes in hexadecimal, log-probability in float64], …], most probable first.
"""

import json
import sys

import numpy as np
from llama_cpp import Llama

asked = json.load(sys.stdin)
model = Llama(asked["model"], n_ctx=512, logits_all=True, verbose=False)
answers = []
for prompt in asked["prompts"]:
    ids = model.tokenize(prompt.encode(), add_bos=False, special=True)
    model.reset()
    model.eval(ids)
    logits = np.array(model.scores[len(ids) - 1], dtype=np.float64)
    logits -= logits.max()
    logits -= np.log(np.exp(logits).sum())
    best = np.argsort(-logits, kind="stable")[: asked["top"]]
    answers.append([[model.detokenize([int(i)]).hex(), logits[i]] for i in best])
json.dump(answers, sys.stdout)
