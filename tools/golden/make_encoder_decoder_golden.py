#!/usr/bin/env python3
"""Makes tiny random encoder-decoder models and what transformers computes with them.

    python make_encoder_decoder_golden.py OUTPUT [--only NAME]

Each folder of OUTPUT is a model directory (config.json and weights; no tokenizer, the cases are token ids) beside
`expected.safetensors`: for case N the ids `source.N` and `target.N` (with the start token), the encoder's states `encoded.N`
and the logits of every target position `logits.N`; `greedy.N` are the tokens that generate() chooses. Needs torch,
transformers and safetensors.
"""

import argparse
import os
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file

VOCABULARY = 90
# Lengths of source and target. The longest are beyond the reach of T5's biases by distance.
CASES = [(1, 1), (6, 3), (17, 12), (40, 140), (150, 5)]


def shake(model, seed):
    """Weights wide enough that attention is far from uniform, norms and biases away from 1 and 0."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            elif "embed" in name or "shared" in name:
                p.copy_(0.7 * noise)
            elif ".q." in name or "q_proj" in name:
                p.copy_(noise * 0.6 / p.shape[1] ** 0.5)
            else:
                p.copy_(noise * 1.2 / p.shape[1] ** 0.5)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(0.3 * torch.randn(model.final_logits_bias.shape, generator=g))
    return model.eval()


def t5(gated):
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=12 if gated else 8, d_ff=40, num_layers=3, num_decoder_layers=2,
        num_heads=4, feed_forward_proj="gated-gelu" if gated else "relu", pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, tie_word_embeddings=not gated, attn_implementation="eager",
    )
    model = transformers.T5ForConditionalGeneration(config)
    if gated:
        # An output matrix of its own, as in Flan-T5.
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    return shake(model, 21 + gated), 0


def bart():
    config = transformers.BartConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=3, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=2, encoder_ffn_dim=40, decoder_ffn_dim=48, max_position_embeddings=200,
        scale_embedding=True, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
        forced_eos_token_id=None, attn_implementation="eager",
    )
    return shake(transformers.BartForConditionalGeneration(config), 23), 2


MODELS = {"t5": lambda: t5(False), "t5-gated": lambda: t5(True), "bart": bart}


def make(name, folder):
    torch.manual_seed(0)
    model, start = MODELS[name]()
    model.save_pretrained(folder)
    g = torch.Generator().manual_seed(5)
    tensors = {}
    for n, (source, target) in enumerate(CASES):
        source = torch.randint(3, VOCABULARY, (1, source), generator=g)
        target = torch.cat([torch.tensor([[start]]), torch.randint(3, VOCABULARY, (1, target - 1), generator=g)], 1)
        with torch.no_grad():
            out = model(input_ids=source, decoder_input_ids=target, use_cache=False)
            greedy = model.generate(source, max_new_tokens=15, num_beams=1, do_sample=False)
        tensors[f"source.{n}"] = source[0].to(torch.int32)
        tensors[f"target.{n}"] = target[0].to(torch.int32)
        tensors[f"encoded.{n}"] = out.encoder_last_hidden_state[0].contiguous()
        tensors[f"logits.{n}"] = out.logits[0].contiguous()
        tensors[f"greedy.{n}"] = greedy[0].to(torch.int32).contiguous()
    save_file(tensors, f"{folder}/expected.safetensors")
    for extra in ["generation_config.json"]:
        if os.path.exists(f"{folder}/{extra}"):
            os.remove(f"{folder}/{extra}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--only", choices=list(MODELS))
    options = parser.parse_args()
    for name in [options.only] if options.only else MODELS:
        folder = os.path.join(options.output, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make(name, folder)
        size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
        print(f"{name}: {size // 1024} KB", file=sys.stderr)


if __name__ == "__main__":
    main()
