#!/usr/bin/env python3
"""Golden outputs of a model by transformers or sentence-transformers, for `plackett model verify`.

    python record.py MODEL [OUTPUT.json] [--texts FILE [--ids]] [--kind KIND]

MODEL is a directory or a Hugging Face id; OUTPUT is MODEL/golden.json when it is not given. Texts are the lines of FILE, by
default those that `plackett model verify --record` takes; with --ids they are token ids, for models without a tokenizer. The kind follows from the architecture: a model with modules.json
gives embeddings, one with a classification head scores of pairs (each text with the one after it), others next tokens.
docs/golden.md describes the output. All is computed in f32 on the CPU.

Needs torch, transformers and, for embeddings, sentence-transformers.
"""

import argparse
import json
import pathlib

import torch
import transformers

NEXT = 20
TEXTS = pathlib.Path(__file__).parent / "../../crates/plackett-lm/tests/parity/all-minilm-l6-v2/expected.json"


def kind_of(model):
    config = transformers.AutoConfig.from_pretrained(model)
    names = " ".join(config.architectures or [])
    if (pathlib.Path(model) / "modules.json").exists():
        return "embeddings"
    return "pair-scores" if "SequenceClassification" in names else "next-tokens"


def embeddings(model, texts):
    import sentence_transformers

    encoder = sentence_transformers.SentenceTransformer(model, device="cpu", model_kwargs={"dtype": torch.float32})
    for text in texts:
        yield {"text": text, "vector": encoder.encode(text, prompt="").tolist()}


def pair_scores(model, texts):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    scorer = transformers.AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32).eval()
    for text, document in zip(texts, texts[1:] + texts[:1]):
        inputs = tokenizer(text, document, truncation="longest_first", return_tensors="pt")
        yield {"text": text, "document": document, "score": scorer(**inputs).logits[0, 0].item()}


def next_tokens(model, texts, as_ids):
    tokenizer = None if as_ids else transformers.AutoTokenizer.from_pretrained(model)
    both = transformers.AutoConfig.from_pretrained(model).is_encoder_decoder
    kind = transformers.AutoModelForSeq2SeqLM if both else transformers.AutoModelForCausalLM
    writer = kind.from_pretrained(model, dtype=torch.float32).eval()
    for text in texts:
        inputs = tokenizer(text, return_tensors="pt") if tokenizer else {"input_ids": torch.tensor([[*map(int, text.split())]])}
        ids = inputs["input_ids"]
        if both:
            inputs["decoder_input_ids"] = torch.tensor([[writer.config.decoder_start_token_id]])
        largest = writer(**inputs).logits[0, -1].topk(NEXT)
        yield {"text": text, "ids": ids[0].tolist(), "next": largest.indices.tolist(), "logits": largest.values.tolist()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("output", nargs="?")
    parser.add_argument("--texts")
    parser.add_argument("--ids", action="store_true")
    parser.add_argument("--kind", choices=["embeddings", "pair-scores", "next-tokens"])
    arguments = parser.parse_args()
    if arguments.texts:
        texts = pathlib.Path(arguments.texts).read_text().splitlines()
    else:
        texts = json.loads(TEXTS.read_text())["texts"]
    kind = arguments.kind or kind_of(arguments.model)
    with torch.inference_mode():
        if kind == "next-tokens":
            cases = next_tokens(arguments.model, texts, arguments.ids)
        else:
            cases = (embeddings if kind == "embeddings" else pair_scores)(arguments.model, texts)
        cases = [json.dumps(case) for case in cases]
    head = {"plackett_golden": 1, "made_by": f"transformers {transformers.__version__}, f32", "kind": kind}
    output = pathlib.Path(arguments.output or pathlib.Path(arguments.model) / "golden.json")
    output.write_text(json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(cases) + "\n]}\n")


main()
