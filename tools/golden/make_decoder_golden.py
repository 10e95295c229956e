#!/usr/bin/env python3
"""Makes tiny random decoders of each family and what transformers computes with them.

    python make_decoder_golden.py OUTPUT

Each folder of OUTPUT is a complete model directory, with weights in bfloat16, beside `expected.safetensors`, computed in
f32 with these weights:

- `ids.N`, `hidden.N` (after the last norm), `logits.N` at the tokens `places.N`; `attention.N`, the weights of layer 1 from
  the last two tokens, `heads × 2 × tokens`;
- `both.hidden`: sequence 0 with every token seeing every token;
- for models without windows, block attention by an explicit mask: `block.instruction`, `block.document.N`, `block.query`
  (ids), `block.logits` after the last token, `block.attention` of layer 1 from it. Documents begin where the instruction
  ends, each of them; the query begins at position 100.

Needs torch, transformers and tokenizers. Runs give the same files bit for bit.
"""

import copy
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

from make_encoder_golden import byte_bpe, roberta_names

QUERY_START = 100


def shake(model, seed):
    """Weights wide enough that attention is far from uniform, norms away from 1 (or 0) and biases away from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.add_(0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            else:
                p.copy_(noise * (0.7 if "embed" in name else 1.2 / p.shape[1] ** 0.5))
            p.copy_(p.to(torch.bfloat16).float())
    return model.eval()


def configurations():
    common = dict(
        vocab_size=275, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_hidden_layers=3,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=2, pad_token_id=1, attn_implementation="eager",
    )
    llama3 = dict(
        rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=16,
    )
    yarn = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32)
    plain = dict(rope_type="default", rope_theta=5000.0)
    yield "llama", transformers.LlamaConfig(
        **common, num_key_value_heads=2, attention_bias=True, mlp_bias=True, tie_word_embeddings=False, rope_parameters=llama3
    )
    yield "mistral", transformers.MistralConfig(
        **common, num_key_value_heads=1, head_dim=12, sliding_window=7, tie_word_embeddings=False, rope_parameters=plain
    )
    yield "qwen2", transformers.Qwen2Config(
        **common, num_key_value_heads=2, use_sliding_window=True, sliding_window=9, max_window_layers=2,
        tie_word_embeddings=True, rope_parameters=plain,
    )
    yield "qwen3", transformers.Qwen3Config(
        **common, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, rope_parameters=yarn
    )
    both = dict(full_attention=plain, sliding_attention=dict(rope_type="default", rope_theta=100.0))
    yield "gemma3", transformers.Gemma3TextConfig(
        **common, num_key_value_heads=2, head_dim=16, sliding_window=6, query_pre_attn_scalar=20, rope_parameters=both,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )


def ids(count, seed):
    return torch.randint(3, 275, (count,), generator=torch.Generator().manual_seed(seed))


def run(model, tokens, allowed=None, positions=None):
    more = {}
    if allowed is not None:
        more["attention_mask"] = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[None, None]
    if positions is not None:
        more["position_ids"] = positions[None]
    with torch.no_grad():
        out = model(tokens[None], use_cache=False, output_hidden_states=True, output_attentions=True, **more)
    return out.logits[0], out.hidden_states[-1][0], out.attentions[1][0]


def blocks(model):
    """Instruction, five documents and a query as one sequence with a mask."""
    parts = [ids(9, 20)] + [ids(n, 30 + n) for n in (12, 3, 40, 1, 7)] + [ids(6, 21)]
    which = torch.cat([torch.full((len(p),), i) for i, p in enumerate(parts)])
    count, last = len(which), len(parts) - 1
    causal = torch.ones(count, count, dtype=torch.bool).tril()
    seen = (which[:, None] == which[None]) | (which[None] == 0) | (which[:, None] == last)
    starts = [0] + [len(parts[0])] * (last - 1) + [QUERY_START]
    positions = torch.cat([start + torch.arange(len(p)) for start, p in zip(starts, parts)])
    logits, _, attention = run(model, torch.cat(parts), causal & seen, positions)
    found = {"block.instruction": parts[0], "block.query": parts[-1]}
    found |= {f"block.document.{n}": p for n, p in enumerate(parts[1:-1])}
    found = {name: p.to(torch.int32) for name, p in found.items()}
    return found | {"block.logits": logits[-1].clone(), "block.attention": attention[:, -1].clone()}


def main():
    for seed, (name, config) in enumerate(configurations()):
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        model = shake(transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager"), 100 + seed)
        # A copy, since the rotary angles of the model itself must not be rounded.
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
        tokenizer, _, inputs = byte_bpe(False)
        fast = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, model_input_names=inputs, **roberta_names()
        )
        fast.save_pretrained(folder)
        tensors = {}
        for n, count in enumerate((45, 7)):
            tokens = ids(count, n)
            places = torch.tensor(sorted({0, 3, count // 2, count - 2, count - 1}))
            logits, hidden, attention = run(model, tokens)
            tensors |= {
                f"ids.{n}": tokens.to(torch.int32), f"places.{n}": places.to(torch.int32), f"hidden.{n}": hidden.clone(),
                f"logits.{n}": logits[places].clone(), f"attention.{n}": attention[:, -2:].clone(),
            }
        if name in ("llama", "qwen3"):
            everything = torch.ones(45, 45, dtype=torch.bool)
            tensors["both.hidden"] = run(model, ids(45, 0), everything)[1].clone()
            tensors |= blocks(model)
        save_file({k: v.contiguous() for k, v in tensors.items()}, f"{folder}/expected.safetensors")


if __name__ == "__main__":
    main()
