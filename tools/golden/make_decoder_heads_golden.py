#!/usr/bin/env python3
"""Makes tiny random decoders as embedder and as reranker, and what the published code computes with them.

    python make_decoder_heads_golden.py OUTPUT

- `embedder`: the layout of Qwen3-Embedding (tensors without the prefix `model.`, last-token pooling, an end token from the
  tokenizer's post-processor, prompts); `embeddings` and `embeddings.query` from SentenceTransformer.encode for the texts of
  expected.json.
- `embedder-mean`: the same with mean pooling that leaves the prompt out, and a dense layer.
- `reranker`: the layout of Qwen3-Reranker; `scores` and `logits` (of "no" and "yes") by the code of its model card, for the
  pairs of expected.json.

Needs torch, transformers, sentence-transformers and tokenizers. Runs give the same files bit for bit.
"""

import copy
import os
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from make_decoder_golden import shake
from make_encoder_golden import CORPUS, PAIRS, TEXTS, dump, finish, write_modules

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
QUERY = "Instruct: Given a question, find the passage\nQuery:"


def tokenizer(close):
    """Byte-level BPE like Qwen's; with `close` the end token is put behind every text."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    special = [END, START, STOP]
    corpus = CORPUS + ["yes", "no"] * 100
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=298, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    t.add_tokens(["<think>", "</think>"])
    if close:
        t.post_processor = processors.TemplateProcessing(
            single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, 0)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=t, eos_token=STOP, pad_token=END, padding_side="left", model_max_length=512
    )


def config():
    return transformers.Qwen3Config(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        num_hidden_layers=3, max_position_embeddings=512, bos_token_id=0, eos_token_id=2, pad_token_id=0,
        tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=5000.0), attn_implementation="eager",
    )


def save(folder, model, close):
    os.makedirs(folder, exist_ok=True)
    # A copy, since the rotary angles of the model itself must not be rounded.
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    fast = tokenizer(close)
    fast.save_pretrained(folder)
    return fast


def embedder(folder, seed, pooling, **more):
    from sentence_transformers import SentenceTransformer

    model = shake(transformers.Qwen3Model(config()), seed)
    save(folder, model, True)
    names = set(load_file(f"{folder}/model.safetensors"))
    assert "embed_tokens.weight" in names, sorted(names)[:3]
    write_modules(folder, 32, pooling, True, 512, prompts={"query": QUERY, "document": ""}, **more)
    st = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.float32})
    encode = lambda **k: torch.stack([torch.tensor(st.encode([t], **k)[0]) for t in TEXTS]).contiguous()
    finish(folder, {"embeddings": encode(), "embeddings.query": encode(prompt_name="query")}, {"texts": TEXTS})


def reranker(folder):
    """The arithmetic of https://huggingface.co/Qwen/Qwen3-Reranker-0.6B, a pair at a time."""
    model = shake(transformers.Qwen3ForCausalLM(config()), 202)
    fast = save(folder, model, False)
    task = "Given a web search query, retrieve relevant passages that answer the query"
    prefix = (
        f'{START}system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. '
        f'Note that the answer can only be "yes" or "no".{STOP}\n{START}user\n'
    )
    suffix = f"{STOP}\n{START}assistant\n<think>\n\n</think>\n\n"
    before = fast.encode(prefix, add_special_tokens=False)
    after = fast.encode(suffix, add_special_tokens=False)
    no, yes = fast.convert_tokens_to_ids("no"), fast.convert_tokens_to_ids("yes")
    assert None not in (no, yes), "yes and no must be tokens"
    logits = []
    for query, document in PAIRS:
        text = f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {document}"
        own = fast(text, truncation="longest_first", max_length=512 - len(before) - len(after))["input_ids"]
        with torch.no_grad():
            last = model(torch.tensor([before + own + after])).logits[0, -1]
        logits.append(torch.stack([last[no], last[yes]]))
    logits = torch.stack(logits)
    scores = torch.nn.functional.log_softmax(logits, dim=1)[:, 1].exp()
    finish(folder, {"logits": logits.contiguous(), "scores": scores.contiguous()}, {"pairs": PAIRS})


def main():
    out = sys.argv[1]
    embedder(f"{out}/embedder", 200, "lasttoken")
    tanh = "torch.nn.modules.activation.Tanh"
    embedder(f"{out}/embedder-mean", 201, "mean_tokens", include_prompt=False, dense=(32, 20, tanh))
    reranker(f"{out}/reranker")


main()
