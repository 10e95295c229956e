#!/usr/bin/env python3
"""Makes tiny random models and what PyTorch's training does with them, for the tests of plackett-train.

    python tools/train/golden.py OUTPUT [--only NAME]     (OUTPUT: crates/plackett-train/tests/golden)
    python tools/train/golden.py --check FOLDER           (FOLDER: a directory that the trainer wrote)

Each folder of OUTPUT is a model directory written by transformers (config.json, model.safetensors; no tokenizer, the batch is
token ids) beside `expected.safetensors`, all computed in float32 on one thread:

    tokens, lengths, …     the sequences one after another, without padding; the reference pads and masks them
    losses, norms          before each of three steps the loss and the norm of all gradients
    gradient.NAME          the gradient of each parameter before the first step, not clipped
    one.NAME, three.NAME   the weights after one and after three steps

Steps are AdamW's (RATE, DECAY on matrices alone, EPSILON), gradients clipped to a norm of 1, the rate falling in a straight
line to 0 after four steps. EPSILON is greater than usual: some gradients (of the biases of keys) are zero but for rounding,
and AdamW would divide rounding by rounding.

--check loads a directory with transformers, complains of weights that are missing or too many, and prints logits of the
tokens 3, 4, …, 12.

Needs torch, transformers and safetensors. Runs give the same files bit for bit.
"""

import argparse
import json
import os
import shutil

import torch
import transformers
from safetensors.torch import save_file

RATE, DECAY, EPSILON, STEPS, TOTAL = 1e-2, 0.1, 1e-5, 3, 4
IGNORED = -100


def shake(model, seed):
    """Weights wide enough that attention is far from uniform, norms and biases away from 1 and 0."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=g)
            if "norm" in name.lower() and name.endswith("weight"):
                p.copy_(1 + 0.2 * noise)
            elif p.dim() == 1:
                p.copy_(0.2 * noise)
            elif "embed" in name or "shared" in name or "relative" in name:
                p.copy_(0.7 * noise)
            else:
                p.copy_(noise * 1.2 / p.shape[1] ** 0.5)
    return model.eval()  # No dropout; gradients flow all the same.


def drawn(lengths, vocabulary, seed):
    g = torch.Generator().manual_seed(seed)
    return [torch.randint(3, vocabulary, (length,), generator=g) for length in lengths]


def padded(rows, value=0):
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)


def mask_of(rows):
    return padded([torch.ones_like(row) for row in rows])


def integers(values):
    return torch.tensor(values, dtype=torch.int32)


def bert():
    """A cross-encoder over pairs; the loss is the mean binary cross-entropy."""
    vocabulary = 60
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=32, num_labels=1, attn_implementation="eager",
    )
    model = shake(transformers.BertForSequenceClassification(config), 1)
    lengths, first = [9, 3, 24, 1, 14], [4, 2, 11, 1, 8]
    labels = torch.tensor([1.0, 0.0, 0.25, 1.0, 0.0])
    rows = drawn(lengths, vocabulary, 11)
    segments = padded([(torch.arange(n) >= f).long() for n, f in zip(lengths, first)])

    def loss():
        out = model(input_ids=padded(rows), attention_mask=mask_of(rows), token_type_ids=segments)
        return torch.nn.functional.binary_cross_entropy_with_logits(out.logits[:, 0], labels)

    batch = {"tokens": torch.cat(rows).int(), "lengths": integers(lengths), "first": integers(first), "labels": labels}
    return model, loss, batch


def llama(tied):
    """A decoder with grouped queries; the loss is the mean over the tokens after the given ones."""
    vocabulary = 60
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=24, max_position_embeddings=64, tie_word_embeddings=tied, attention_bias=not tied,
        mlp_bias=not tied, rms_norm_eps=1e-5, rope_theta=10000.0 if tied else 500.0, attn_implementation="eager",
    )
    model = shake(transformers.LlamaForCausalLM(config), 2 + tied)
    lengths, given = [9, 2, 24, 1, 13], [3, 1, 8, 1, 0]
    rows = drawn(lengths, vocabulary, 12)
    labels = [torch.where(torch.arange(n) < g, IGNORED, row) for n, g, row in zip(lengths, given, rows)]

    def loss():
        return model(
            input_ids=padded(rows), attention_mask=mask_of(rows), labels=padded(labels, IGNORED), use_cache=False
        ).loss

    batch = {"tokens": torch.cat(rows).int(), "lengths": integers(lengths), "given": integers(given)}
    return model, loss, batch


def t5(gated):
    """An encoder-decoder; the loss is the mean over the tokens of the targets. Texts reach beyond the last bucket."""
    vocabulary = 40
    config = transformers.T5Config(
        vocab_size=vocabulary, d_model=12, d_kv=5, d_ff=16, num_layers=2, num_decoder_layers=2, num_heads=2,
        relative_attention_num_buckets=8, relative_attention_max_distance=20, pad_token_id=0, eos_token_id=1,
        decoder_start_token_id=0, feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
        attn_implementation="eager",
    )
    model = transformers.T5ForConditionalGeneration(config)
    if gated:
        # An output matrix of its own, as in Flan-T5.
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    shake(model, 4 + gated)
    lengths, target_lengths = [9, 1, 40, 13], [5, 3, 27, 1]
    rows, targets = drawn(lengths, vocabulary, 13), drawn(target_lengths, vocabulary, 14)

    def loss():
        return model(
            input_ids=padded(rows), attention_mask=mask_of(rows), labels=padded(targets, IGNORED), use_cache=False
        ).loss

    batch = {"tokens": torch.cat(rows).int(), "lengths": integers(lengths)}
    batch |= {"targets": torch.cat(targets).int(), "target_lengths": integers(target_lengths)}
    return model, loss, batch


MODELS = {"bert": bert, "llama-tied": lambda: llama(True), "llama": lambda: llama(False), "t5": lambda: t5(False),
          "t5-gated": lambda: t5(True)}


def steps(model, loss_of):
    """Three steps; gives the tensors of `expected.safetensors` that come of them."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, eps=EPSILON)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, TOTAL)
    losses, norms, tensors = [], [], {}
    for step in range(1, STEPS + 1):
        loss = loss_of()
        loss.backward()
        if step == 1:
            tensors |= {f"gradient.{name}": p.grad.clone() for name, p in model.named_parameters()}
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step in (1, 3):
            after = "one" if step == 1 else "three"
            tensors |= {f"{after}.{name}": p.detach().clone() for name, p in model.named_parameters()}
    return tensors | {"losses": torch.tensor(losses), "norms": torch.tensor(norms)}


def make(name, folder):
    model, loss, batch = MODELS[name]()
    model.save_pretrained(folder)
    tensors = batch | steps(model, loss)
    save_file({key: value.contiguous() for key, value in tensors.items()}, f"{folder}/expected.safetensors")
    if os.path.exists(f"{folder}/generation_config.json"):
        os.remove(f"{folder}/generation_config.json")
    size = sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder))
    print(f"{name}: {size // 1024} KB, losses {tensors['losses'].tolist()}, norms {tensors['norms'].tolist()}")


def check(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        kind = getattr(transformers, json.load(file)["architectures"][0])
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    problems = {key: sorted(value) for key, value in info.items() if value}
    print(f"{kind.__name__}, transformers {transformers.__version__}; problems: {problems or 'none'}")
    ids = torch.arange(3, 13)[None]
    more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        logits = model.eval()(input_ids=ids, **more).logits
    print("logits", [round(x, 5) for x in logits.flatten()[-5:].tolist()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", nargs="?")
    parser.add_argument("--only", choices=list(MODELS))
    parser.add_argument("--check", metavar="FOLDER")
    options = parser.parse_args()
    if options.check:
        return check(options.check)
    if not options.output:
        parser.error("OUTPUT is missing")
    torch.set_num_threads(1)
    for name in [options.only] if options.only else MODELS:
        folder = os.path.join(options.output, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make(name, folder)


if __name__ == "__main__":
    main()
