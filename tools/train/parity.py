#!/usr/bin/env python3
"""What Plackett saves against what transformers and PEFT make of it, and the reverse, on tiny random models.

    python parity.py PLACKETT [--work FOLDER] [--only PART]

PLACKETT is the program. It trains a BERT as a cross-encoder, a Llama as a decoder and a Llama with a score head for a few steps,
whole and with each kind of adapter. Of each model that is left, `plackett model verify --record` writes down what Plackett computes: the scores of pairs,
or the twenty largest logits after a text. transformers opens the same directory, and PEFT the base with the directory of the
adapter; the greatest difference is what the table shows. The reverse: models that transformers saves and adapters that PEFT
saves, which Plackett reads (`generate --adapter`, `model merge`).

A row fails where a number differs by more than the limit, a weight is missing or too many, an adapter changes so little that
nothing is shown, or something is refused that is not known to be. Exit code 1: a row has failed. All is computed in f32 on the
CPU. --only runs the rows whose names hold a text; --work keeps all files in a folder, which must be new or empty.

Needs torch, transformers and peft.
"""

import argparse
import copy
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import peft
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "crates/plackett-lm/tests"
TOKENIZERS = {
    "llama": TESTS / "golden/decoder/llama", "scored": TESTS / "golden/decoder/llama",
    "bert": TESTS / "parity/bert", "encoder": TESTS / "parity/bert",
}
LIMIT = 1e-4
# An adapter has to change some number by this much, so that leaving it out would be seen.
SEEN = 1e-2
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TEXTS = ["the cat purrs at night", "dogs bark", "a fish swims in the sea", "birds sing in the morning", "who swims?"]
QUERIES = ["what purrs", "what barks", "who swims", "who sings"]

# What is trained: a base, the adapter as a training file writes it, its targets, and why PEFT does not get it, where it does not.
OWN_BASES = "PEFT pairs its bases in an order of its own, which changes with the shape of a layer"
TRAINED = [
    ("llama", "full", "all", "is no adapter"),
    ("llama", "lora(rank=4, alpha=8)", "all", None),
    ("llama", "lora(rank=3, alpha=5, scaling=rslora)", "q_proj,v_proj", None),
    ("llama", "dora(rank=4, alpha=8)", "all", None),
    ("llama", "sora(rank=4, alpha=8, xi=0.04)", "q_proj,down_proj", None),
    ("llama", "vera(rank=8, start=1)", "all", None),
    ("llama", "rand-lora(rank=4)", "all", OWN_BASES),
    ("llama", "nola(k=32, rank=2)", "all", "PEFT has no NOLA"),
    ("llama", "lt-sft(share=0.1)", "all", "PEFT has no sparse difference"),
    ("scored", "full", "all", "is no adapter"),
    ("scored", "head", "all", "is no adapter"),
    ("scored", "lora(rank=4, alpha=8)", "all", None),
    ("scored", "dora(rank=4, alpha=8)", "q_proj,v_proj", None),
    ("bert", "full", "all", "is no adapter"),
    ("bert", "head", "all", "is no adapter"),
    ("bert", "lora(rank=4, alpha=8)", "query,value", None),
    ("bert", "lora(rank=3, alpha=5, scaling=rslora)", "all", None),
    ("bert", "lora(rank=2)", "output.dense,!attention.output.dense", None),
    ("bert", "dora(rank=4, alpha=8)", "all", None),
    ("bert", "vera(rank=8, start=1)", "query,intermediate.dense,output.dense", None),
    ("bert", "rand-lora(rank=4)", "all", OWN_BASES),
    ("encoder", "lora(rank=4, alpha=8)", "query,value", None),
    ("encoder", "dora(rank=4, alpha=8)", "all", None),
]


class Refused(Exception):
    """What Plackett says when it does not do something."""


@dataclasses.dataclass
class Row:
    """What was compared; a difference, or the reason why there is none."""

    what: str
    difference: float | None = None
    reason: str = ""
    held: bool = True

    def shown(self):
        if self.difference is None:
            return f"| {self.what} | - | - | {'' if self.held else 'FAILED: '}{self.reason} |"
        verdict = "held" if self.held else f"FAILED{': ' + self.reason if self.reason else ''}"
        return f"| {self.what} | {self.difference:.1e} | {LIMIT:.0e} | {verdict} |"


def compared(what, ours, theirs, problem=""):
    """A row of two lists of numbers."""
    difference = (torch.tensor(ours, dtype=torch.float64) - torch.tensor(theirs, dtype=torch.float64)).abs().max().item()
    # A number that is none is no difference below the limit.
    return Row(what, difference, problem, not problem and difference <= LIMIT)


class Plackett:
    """The program."""

    def __init__(self, program):
        self.program = str(pathlib.Path(program).resolve())

    def run(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments), "--json"], capture_output=True, text=True)
        try:
            document = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip() or done.stdout.strip()}") from None
        if done.returncode != 0:
            raise Refused("; ".join(document.get("errors", [])) or done.stderr.strip())
        return document

    def train(self, folder, base, adapter, targets, save_adapter):
        """Trains into `folder`."""
        decoder = base.name == "llama"
        data = folder.with_suffix(".jsonl")
        data.write_text("".join(json.dumps(line) + "\n" for line in (texts() if decoder else lists())))
        whole = adapter in ("full", "head")
        lines = [f"base = {json.dumps(str(base))}", f"examples = {json.dumps(data.name)}"]
        scored = base.name == "scored"
        lines += ['method = "cross-encoder"'] * scored + [f"tokens = {64 if scored else 32}", "[trained]"]
        lines += [f"adapter = {json.dumps(adapter)}"] + [f"targets = {json.dumps(targets)}"] * (not whole)
        lines += ["save_adapter = true"] * save_adapter
        lines += ["[settings]", "steps = 20", "batch = 2", f"rate = {3e-3 if whole else 3e-2}", "checkpoint = 0"]
        file = folder.with_suffix(".toml")
        file.write_text("\n".join(lines) + "\n")
        self.run("train", file, "-o", folder)

    def computes(self, model):
        """The cases of `model verify --record`."""
        golden, lines = model.with_suffix(".golden.json"), model.with_suffix(".txt")
        lines.write_text("\n".join(TEXTS) + "\n")
        self.run("model", "verify", model, "--record", "--golden", golden, "--texts", lines)
        return json.loads(golden.read_text())["cases"]


def texts():
    for text in TEXTS:
        prompt, target = text.split(" ", 1)
        yield {"prompt": prompt, "target": " " + target}


def lists():
    for best, query in enumerate(QUERIES):
        candidates = [{"text": text, "label": int(at == best)} for at, text in enumerate(TEXTS[:4])]
        yield {"query": query, "candidates": candidates}


def make_bases(work):
    """The tiny random models that everything begins with, with tokenizers of the inference engine's tests."""
    llama = transformers.LlamaConfig(
        vocab_size=275, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False, eos_token_id=2,
    )
    bert = transformers.BertConfig(
        vocab_size=220, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, num_labels=1,
    )
    scored = copy.deepcopy(llama)
    scored.num_labels = 1
    models = {
        "llama": transformers.LlamaForCausalLM(llama),
        "scored": transformers.LlamaForSequenceClassification(scored),
        "bert": transformers.BertForSequenceClassification(bert),
        "encoder": transformers.BertModel(bert, add_pooling_layer=False),
    }
    for seed, (name, model) in enumerate(models.items()):
        shake(model, seed, lambda name: True)
        model.save_pretrained(work / name)
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            shutil.copy(TOKENIZERS[name] / file, work / name / file)


def shake(model, seed, chosen):
    """Draws numbers on which outputs depend, unlike those that a model or adapter begins with."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not chosen(name):
                continue
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:
                p.add_(0.1 * noise)
            else:
                p.copy_(noise * (0.7 if "embed" in name else 1.0 / p.shape[1] ** 0.5))


def opened(folder, base=None):
    """A model of transformers in f32, and what is wrong with its weights; with `base` the new heads of that are none."""
    config = json.loads((folder / "config.json").read_text())
    causal = "ForCausalLM" in config["architectures"][0]
    kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSequenceClassification
    more = {} if causal else {"num_labels": 1}
    model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **more)
    problems = {key: sorted(map(str, value)) for key, value in info.items() if value}
    return model.eval(), "" if base or not problems else f"weights: {problems}"


def adapted(base, adapter):
    """A base of transformers' with an adapter of PEFT's, and what is wrong with its tensors."""
    model, _ = opened(base, base=True)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(model, adapter)
        result = model.load_adapter(adapter, "default")
    said = [str(one.message) for one in said if "missing" in str(one.message) or "unexpected" in str(one.message)]
    problems = said + [f"unexpected {result.unexpected_keys}"] * bool(result.unexpected_keys)
    return model.eval(), "; ".join(problems)


@torch.no_grad()
def computed(model, folder, cases):
    """What transformers gives for the cases that Plackett has written down: numbers of both, and problems."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ours, theirs, problem = [], [], ""
    for case in cases:
        if "score" in case:
            if model.config.model_type == "llama":
                # This tokenizer puts the beginning and the end around a text.
                text = f"query: {case['text']} document: {case['document']}"
                inputs = {"input_ids": tokenizer(text, return_tensors="pt")["input_ids"]}
            else:
                inputs = tokenizer(case["text"], case["document"], return_tensors="pt")
            ours.append(case["score"])
            theirs.append(model(**inputs).logits[0, 0].item())
            continue
        ids = torch.tensor([case["ids"]])
        found = tokenizer(case["text"])["input_ids"]
        if found != case["ids"]:
            problem = f"`{case['text']}` is {case['ids']} here and {found} there"
        ours += case["logits"]
        theirs += model(input_ids=ids, use_cache=False).logits[0, -1, case["next"]].tolist()
    return ours, theirs, problem


def change(model, folder, base, cases):
    """How much an adapted model differs from its base."""
    _, with_adapter, _ = computed(model, folder, cases)
    _, without, _ = computed(base, folder, cases)
    return (torch.tensor(with_adapter) - torch.tensor(without)).abs().max().item()


def trained_rows(plackett, work, what, name, adapter, targets, reason):
    """Trains, and opens what is left in Python."""
    base = work / name
    folder = work / f"out{len(list(work.glob('out*.toml')))}"
    is_adapter, refusal = adapter not in ("full", "head"), None
    try:
        plackett.train(folder, base, adapter, targets, save_adapter=is_adapter)
    except Refused as error:
        refusal = str(error)
        shutil.rmtree(folder, ignore_errors=True)
        plackett.train(folder, base, adapter, targets, save_adapter=False)
    cases = plackett.computes(folder)
    model, problem = opened(folder)
    ours, theirs, tokens = computed(model, folder, cases)
    yield compared(f"{what}: model in transformers", ours, theirs, problem or tokens)
    if not is_adapter:
        return
    if refusal or reason:
        own = (folder / "adapter" / "adapter.safetensors").is_file()
        said = f"{reason or 'unexpected'}; Plackett: {refusal or ('in a form of its own' if own else 'saved all the same')}"
        yield Row(f"{what}: adapter in peft", reason=said, held=bool(reason) and own)
        return
    model, problem = adapted(base, folder / "adapter")
    plain, _ = opened(base, base=True)
    small = "" if change(model, folder, plain, cases) > SEEN else "the adapter changes too little to be seen"
    ours, theirs, _ = computed(model, folder, cases)
    yield compared(f"{what}: adapter in peft", ours, theirs, problem or small)
    if name == "llama":
        yield from read_rows(plackett, work, what, base, folder / "adapter", adapter.startswith(("dora", "vera")))


def prompt_of(tokenizer, written):
    """The tokens of a prompt; that which ends every text is left out, since a prompt goes on."""
    ids = tokenizer(written["prompt"])["input_ids"]
    while ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    assert len(ids) == written["prompt_tokens"], f"{len(ids)} tokens here, {written['prompt_tokens']} there"
    return ids


@torch.no_grad()
def log_probability(model, prompt, tokens):
    """The sum of log-probabilities of tokens after a prompt."""
    logits = model(input_ids=torch.tensor([prompt + tokens]), use_cache=False).logits[0].double()
    chosen = torch.log_softmax(logits[len(prompt) - 1:-1], dim=-1)
    return chosen.gather(1, torch.tensor(tokens)[:, None]).sum().item()


def read_rows(plackett, work, what, base, adapter, may_refuse):
    """Lets Plackett read a decoder's adapter, beside its base and merged into it, and asks PEFT for the same numbers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    beside, merged = f"{what}: generate --adapter", f"{what}: model merge"
    try:
        flags = ["--model", base, "--adapter", adapter, "--max-tokens", 6, "--cache", "f32"]
        found = plackett.run("generate", *flags, *TEXTS)["results"]
        target = work / f"merged{len(list(work.glob('merged*.txt')))}"
        plackett.run("model", "merge", base, adapter, target)
    except Refused as error:
        yield Row(f"{what}: read by Plackett", reason=f"refused: {error}", held=may_refuse)
        return
    model, problem = adapted(base, adapter)
    ours, theirs = [], []
    for one in found:
        best = one["hypotheses"][0]
        ours.append(best["log_prob"])
        theirs.append(log_probability(model, prompt_of(tokenizer, one), best["tokens"]))
    yield compared(beside, ours, theirs, problem or ("should be refused" if may_refuse else ""))
    ours, theirs, tokens = computed(model, base, plackett.computes(target))
    yield compared(merged, ours, theirs, problem or tokens)


def adapters_of_peft():
    """Adapters that PEFT makes of the Llama: a name, a configuration, and whether Plackett is known to refuse it."""
    lora = {"r": 4, "lora_alpha": 8, "target_modules": ALL}
    yield "LoRA", peft.LoraConfig(**lora), False
    yield "LoRA with rslora on some layers", peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], use_rslora=True, layers_to_transform=[1]
    ), False
    yield "LoRA with ranks of their own", peft.LoraConfig(**lora, rank_pattern={"q_proj": 2}), True
    yield "LoRA with biases", peft.LoraConfig(**lora, bias="lora_only"), True
    yield "LoRA with a trained head", peft.LoraConfig(**lora, modules_to_save=["lm_head"]), True
    yield "DoRA", peft.LoraConfig(**lora, use_dora=True), True
    yield "VeRA", peft.VeraConfig(r=8, target_modules=["q_proj"]), True
    yield "RandLoRA", peft.RandLoraConfig(r=4, target_modules=["q_proj"]), True


def reverse_adapter_rows(plackett, work):
    """Adapters that PEFT saves."""
    for seed, (name, config, refused) in enumerate(adapters_of_peft()):
        config.task_type = "CAUSAL_LM"
        model = peft.get_peft_model(opened(work / "llama")[0], config)
        shake(model, 100 + seed, lambda name: any(part in name for part in ("lora_", "vera_lambda", "randlora_")))
        folder = work / f"peft{seed}"
        model.save_pretrained(folder)
        yield from read_rows(plackett, work, f"{name} of peft", work / "llama", folder, refused)


def reverse_model_rows(plackett, work):
    """Whole models that transformers saves, as they are and with an adapter of PEFT's merged."""
    for name in ("llama", "scored", "bert"):
        model, problem = opened(work / name)
        ours, theirs, tokens = computed(model, work / name, plackett.computes(work / name))
        yield compared(f"{name} of transformers: model in Plackett", ours, theirs, problem or tokens)
    for name, targets in (("llama", ALL), ("bert", ["query", "value"])):
        kind = "CAUSAL_LM" if name == "llama" else "SEQ_CLS"
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, use_dora=True, task_type=kind)
        model = peft.get_peft_model(opened(work / name)[0], config)
        shake(model, 200, lambda name: "lora_" in name)
        folder = work / f"unloaded-{name}"
        model = model.merge_and_unload()
        model.save_pretrained(folder)
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            shutil.copy(work / name / file, folder / file)
        ours, theirs, tokens = computed(model.eval(), folder, plackett.computes(folder))
        yield compared(f"{name} with DoRA merged by peft: model in Plackett", ours, theirs, tokens)


def kept_on(what, made):
    """Rows as they are made; where that ends with an error, a row that says so."""
    try:
        yield from made
    except Exception as error:
        yield Row(what, reason=f"{type(error).__name__}: {error}", held=False)


def rows(plackett, work, only):
    make_bases(work)
    for name, adapter, targets, reason in TRAINED:
        what = f"{name}, {adapter}" + (f", {targets}" if targets != "all" else "")
        if only in what:
            yield from kept_on(what, trained_rows(plackett, work, what, name, adapter, targets, reason))
    if only in "reverse":
        yield from kept_on("adapters of peft", reverse_adapter_rows(plackett, work))
        yield from kept_on("models of transformers", reverse_model_rows(plackett, work))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plackett", metavar="PLACKETT")
    parser.add_argument("--work", metavar="FOLDER")
    parser.add_argument("--only", metavar="PART", default="", help="a part of a training's name, or `reverse`")
    options = parser.parse_args()
    if options.work and os.path.isdir(options.work) and os.listdir(options.work):
        parser.error(f"--work {options.work}: there is something in this folder; give another one")
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    plackett, failed = Plackett(options.plackett), 0
    print(f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}\n")
    print("| what | greatest difference | limit | |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(options.work or folder).resolve()
        work.mkdir(parents=True, exist_ok=True)
        for row in rows(plackett, work, options.only):
            failed += not row.held
            print(row.shown(), flush=True)
    print(f"\n{failed} failed" if failed else "\nall held")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
