#!/usr/bin/env python3
"""Makes tiny random rerankers in the layouts of published ones, and what their published code computes with them.

    python make_reranker_golden.py OUTPUT

- `modular`: sentence-transformers' CrossEncoder of modules (Transformer, Pooling, Dense, LayerNorm, Dense), the layout of the
  Ettin rerankers, written by its own `save_pretrained`; `logits` and `scores` from CrossEncoder.predict.
- `mxbai`: the layout of mxbai-rerank-v2 with sentence-transformers' module LogitScore beside it; `logits` (of "0" and "1") by
  the arithmetic of the package mxbai-rerank.
- `bge`: the layout of bge-reranker-v2-gemma on a small Gemma; `logits` (of "Yes") by the arithmetic of FlagEmbedding.
- `list`: the layout of jina-reranker-v3; `scores` of all documents in one prompt, and `scores.blocks` in blocks of three, by the
  arithmetic of its modeling file.

Pairs and texts are in expected.json. Needs torch, transformers, sentence-transformers >= 5.4 and tokenizers. Runs give the same
files bit for bit.
"""

import os
import sys

import numpy
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import make_encoder_golden as encoders
from make_encoder_golden import CORPUS, PAIRS, TEXTS, dump, finish

END, START, STOP, BEGIN = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>"
DOCUMENT, QUERY = "<|embed_token|>", "<|rerank_token|>"


def shaken(model, seed):
    from make_decoder_golden import shake

    return shake(model, seed)


def modular(folder):
    from sentence_transformers import CrossEncoder
    from sentence_transformers.sentence_transformer import modules

    made = encoders.byte_bpe(True)
    model = encoders.shake(transformers.ModernBertModel(encoders.modern_config(made[0], attn_implementation="eager")), 301)
    base = f"{folder}/base"
    os.makedirs(base, exist_ok=True)
    encoders.save(base, model, made, 128)
    torch.manual_seed(302)
    first = modules.Transformer(base, max_seq_length=128)
    pooling = modules.Pooling(32, pooling_mode="cls")
    dense = modules.Dense(32, 32, bias=False, activation_function=torch.nn.GELU())
    norm = modules.LayerNorm(32)
    last = modules.Dense(32, 1, bias=True, activation_function=torch.nn.Identity(), module_output_name="scores")
    with torch.no_grad():
        norm.norm.weight.copy_(1 + 0.2 * torch.randn(32))
        norm.norm.bias.copy_(0.2 * torch.randn(32))
    scorer = CrossEncoder(modules=[first, pooling, dense, norm, last], device="cpu")
    scorer.save_pretrained(folder)
    opened = CrossEncoder(folder, device="cpu")
    one = lambda pair, act: torch.tensor(opened.predict([pair], activation_fn=act)).reshape(-1)
    tensors = {
        "logits": torch.stack([one(p, torch.nn.Identity()) for p in PAIRS]),
        "scores": torch.stack([one(p, None) for p in PAIRS]),
    }
    for n, (a, b) in enumerate(PAIRS):
        ids = opened.tokenizer([a], [b], truncation="longest_first", max_length=128)["input_ids"][0]
        tensors[f"ids.{n}"] = torch.tensor(ids, dtype=torch.int32)
    finish(folder, tensors, {"pairs": PAIRS})
    for name in os.listdir(base):
        os.remove(f"{base}/{name}")
    os.rmdir(base)


def tokenizer(special, words, begins=False):
    """Byte-level BPE like Qwen's; `begins` puts the token that begins texts before each."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    t.train_from_iterator(CORPUS + words * 100, trainer)
    if begins:
        t.post_processor = processors.TemplateProcessing(
            single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, special.index(BEGIN))]
        )
    names = dict(bos_token=BEGIN) if begins else dict(eos_token=STOP)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=t, pad_token=special[0], padding_side="left", model_max_length=512, **names
    )


def decoder(kind, fast, positions=512):
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(fast), hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        num_hidden_layers=3, max_position_embeddings=positions, bos_token_id=0, eos_token_id=0, pad_token_id=0,
        tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=5000.0), attn_implementation="eager",
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def last_logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1]


def mxbai(folder):
    fast = tokenizer([END, START, STOP], ["0", "1"])
    model = shaken(decoder("Qwen2", fast), 310)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    encode = lambda text: fast.encode(text, add_special_tokens=False)
    before = encode(f"{START}system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.{STOP}\n{START}user\n")
    after = encode(f"{STOP}\n{START}assistant\n")
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, "
        "carefully analyze the semantic relationship between them, then provide your binary relevance judgment (0 for not "
        "relevant, 1 for relevant).\nRelevance:"
    )
    zero, one = fast.convert_tokens_to_ids("0"), fast.convert_tokens_to_ids("1")
    pairs = [pair for pair in PAIRS if len(encode(pair[0] + pair[1])) < 200]
    logits = []
    for query, document in pairs:
        own = encode(f"query: {query}") + encode("\n") + encode(f"document: {document}") + encode("\n") + encode(task)
        last = last_logits(model, before + own + after)
        logits.append(torch.stack([last[zero], last[one]]))
    os.makedirs(f"{folder}/1_LogitScore", exist_ok=True)
    kinds = [("", "base.modules.transformer.Transformer"), ("1_LogitScore", "cross_encoder.modules.logit_score.LogitScore")]
    dump(
        f"{folder}/modules.json",
        [{"idx": n, "name": str(n), "path": p, "type": f"sentence_transformers.{k}"} for n, (p, k) in enumerate(kinds)],
    )
    score = {"true_token_id": one, "false_token_id": zero, "module_input_name": "causal_logits"}
    dump(f"{folder}/1_LogitScore/config.json", score)
    finish(folder, {"logits": torch.stack(logits).contiguous()}, {"pairs": pairs})


def bge(folder):
    fast = tokenizer(["<pad>", BEGIN], ["Yes"], begins=True)
    model = shaken(decoder("Gemma", fast), 320)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    encode = lambda text: fast.encode(text, add_special_tokens=False)
    task = (
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a prediction "
        "of either 'Yes' or 'No'."
    )
    yes = encode("Yes")
    assert len(yes) == 1, "Yes must be a token"
    pairs = [pair for pair in PAIRS if len(encode(pair[0] + pair[1])) < 250]
    logits = []
    for query, document in pairs:
        own = encode(f"A: {query}") + encode("\n") + encode(f"B: {document}") + encode("\n") + encode(task)
        logits.append(last_logits(model, [fast.bos_token_id] + own)[yes[0]])
    finish(folder, {"logits": torch.stack(logits).contiguous()}, {"pairs": pairs})


def listed(folder):
    fast = tokenizer([END, START, STOP, DOCUMENT, QUERY], [])
    fast.model_max_length = 4096
    model = shaken(decoder("Qwen3", fast, 4096), 330)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    torch.manual_seed(331)
    projector = torch.nn.Sequential(
        torch.nn.Linear(32, 16, bias=False), torch.nn.ReLU(), torch.nn.Linear(16, 12, bias=False)
    )
    weights = load_file(f"{folder}/model.safetensors")
    weights |= {f"projector.{n}.weight": projector[n].weight.detach().contiguous() for n in (0, 2)}
    save_file(weights, f"{folder}/model.safetensors")
    query, documents = "How long is the coast?", [text for text in TEXTS if text.strip()][:8]
    ids = [fast.convert_tokens_to_ids(token) for token in (DOCUMENT, QUERY)]

    def block(chosen):
        prompt = (
            f"{START}system\nYou are a search relevance expert who can determine a ranking of the passages based on how relevant "
            "they are to the query. If the query is a question, how relevant a passage is depends on how well it answers the "
            "question. If not, try to analyze the intent of the query and assess how well each passage satisfies the intent. If "
            f"an instruction is provided, you should follow the instruction when determining the ranking.{STOP}\n{START}user\n"
            f"I will provide you with {len(chosen)} passages, each indicated by a numerical identifier. Rank the passages based "
            f"on their relevance to query: {query}\n"
        )
        passages = [f'<passage id="{n}">\n{text}{DOCUMENT}\n</passage>' for n, text in enumerate(chosen)]
        prompt += "\n".join(passages) + "\n" + f"<query>\n{query}{QUERY}\n</query>"
        prompt += f"{STOP}\n{START}assistant\n<think>\n\n</think>\n\n"
        tokens = torch.tensor([fast.encode(prompt, add_special_tokens=False)])
        with torch.no_grad():
            states = model.model(tokens).last_hidden_state[0]
            vectors = [projector(states[tokens[0] == token]).double().numpy() for token in ids]
        assert len(vectors[0]) == len(chosen) and len(vectors[1]) == 1
        return vectors[0], vectors[1][0]

    def scores(size):
        found = [block(documents[start : start + size]) for start in range(0, len(documents), size)]
        unit = lambda rows: rows / numpy.linalg.norm(rows, axis=-1, keepdims=True)
        weights = [((1 + unit(rows) @ unit(own)) / 2).max() for rows, own in found]
        mean = numpy.average(numpy.stack([own for _, own in found]), axis=0, weights=weights)
        return torch.tensor(numpy.concatenate([unit(rows) @ unit(mean) for rows, _ in found])).float()

    finish(folder, {"scores": scores(125), "scores.blocks": scores(3)}, {"query": query, "documents": documents})


def main():
    out = sys.argv[1]
    for name, make in [("modular", modular), ("mxbai", mxbai), ("bge", bge), ("list", listed)]:
        make(f"{out}/{name}")


main()
