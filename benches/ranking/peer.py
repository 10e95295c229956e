"""The peers of benches/ranking/run: transformers, and llm-rankers on top of it, with the weights of the same GGUF file.

llm-rankers opens directories only, so the weights are written once as transformers has unpacked them, in f32. Of its methods,
setwise heapsort works with a decoder as it is; its pairwise and listwise rankers give prompts of unequal length or answers of
20 tokens to `generate`, which ends in an error.
"""

import contextlib
import os
import time


class Transformers:
    def __init__(self, gguf, folder, threads):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        source, name = os.path.split(gguf)
        if not os.path.exists(os.path.join(folder, "config.json")):
            model = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, dtype=torch.float32)
            # The weights are unpacked; later versions of transformers still count such a model as one that cannot be saved.
            model.hf_quantizer = None
            model.is_quantized = False
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(folder)
        self.torch = torch
        self.ranker = self.open(folder)
        self.model, self.tokenizer = self.ranker.llm, self.ranker.tokenizer

    @staticmethod
    def open(folder):
        from llmrankers.setwise import SetwiseLlmRanker

        return SetwiseLlmRanker(folder, folder, "cpu", num_child=3, k=10, scoring="generation", method="heapsort")

    def read(self, prompts):
        """The last logits of each prompt, which stand as the model is to read them."""
        start = time.perf_counter()
        for text in prompts:
            ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
            self.model(ids, logits_to_keep=1).logits.argmax()
        return {"seconds": time.perf_counter() - start}

    def setwise(self, query, texts):
        """A ranking and the number of its comparisons."""
        from llmrankers.rankers import SearchResult

        found = [SearchResult(docid=str(n), score=0.0, text=text) for n, text in enumerate(texts)]
        start = time.perf_counter()
        # What it thinks of answers that are no label goes to its own standard output.
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
            self.ranker.rerank(query, found)
        return {"seconds": time.perf_counter() - start, "passes": max(self.ranker.total_compare, 1)}
