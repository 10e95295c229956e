#!/usr/bin/env python3
"""Makes LoRA adapters of the tiny random decoders and what PEFT and transformers compute with them.

    python make_lora_golden.py DECODERS OUTPUT

DECODERS is what make_decoder_golden.py made. Each folder of OUTPUT is an adapter directory as PEFT saves it, named
MODEL-KIND, beside `expected.safetensors`, computed in f32: `ids.N`, `logits.N` after the last five tokens and `hidden.N`
after the last norm. B is drawn as well as A, so that the adapter changes a lot.

Needs torch, transformers and peft. Runs give the same files bit for bit.
"""

import os
import sys

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL = ATTENTION + ["gate_proj", "up_proj", "down_proj"]


def configurations():
    yield "llama", "all", LoraConfig(r=4, lora_alpha=8, target_modules=ALL)
    yield "llama", "some", LoraConfig(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], use_rslora=True, layers_to_transform=[0, 2]
    )
    yield "mistral", "all", LoraConfig(r=2, lora_alpha=3, target_modules=ALL)
    yield "qwen3", "attention", LoraConfig(r=5, lora_alpha=10, target_modules=ATTENTION, use_rslora=True)
    yield "gemma3", "all", LoraConfig(r=4, lora_alpha=4, target_modules=ALL)


def shake(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.5 / p.shape[1] ** 0.5)


def main():
    decoders, output = sys.argv[1:]
    for seed, (name, kind, config) in enumerate(configurations()):
        folder = os.path.join(output, f"{name}-{kind}")
        config.task_type = "CAUSAL_LM"
        config.target_modules = sorted(config.target_modules)
        base = transformers.AutoModelForCausalLM.from_pretrained(
            os.path.join(decoders, name), dtype=torch.float32, attn_implementation="eager"
        )
        model = get_peft_model(base, config).eval()
        shake(model, 300 + seed)
        model.peft_config["default"].base_model_name_or_path = name
        # PEFT keeps a set, whose order changes from run to run.
        model.peft_config["default"].target_modules = sorted(config.target_modules)
        model.save_pretrained(folder)
        os.remove(os.path.join(folder, "README.md"))
        tensors = {}
        for n, count in enumerate((45, 7)):
            ids = torch.randint(3, 275, (count,), generator=torch.Generator().manual_seed(n))
            with torch.no_grad():
                out = model(input_ids=ids[None], use_cache=False, output_hidden_states=True)
                with model.disable_adapter():
                    plain = model(input_ids=ids[None], use_cache=False).logits
            assert (out.logits - plain).abs().max() > 0.5, "the adapter changes too little to be seen"
            tensors |= {
                f"ids.{n}": ids.to(torch.int32), f"logits.{n}": out.logits[0, -5:], f"hidden.{n}": out.hidden_states[-1][0],
            }
        save_file({k: v.contiguous() for k, v in tensors.items()}, f"{folder}/expected.safetensors")


main()
