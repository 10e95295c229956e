#!/usr/bin/env python3
"""Makes tiny random encoder models and what transformers and sentence-transformers compute with them.

    python make_encoder_golden.py OUTPUT [--only NAME]

Each folder of OUTPUT is a complete model directory beside `expected.json` (the texts) and `expected.safetensors` (the
numbers): `ids.N` for text N, `hidden.N` for some of them, `embeddings` from SentenceTransformer.encode, `logits` and `scores` from
CrossEncoder.predict. The weights are drawn far wider than at the start of training, so that attention is far from
uniform and an error in any part shows. Needs torch, transformers, sentence-transformers and tokenizers.
"""

import argparse
import json
import os
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = """A ranker reads a question and some passages and puts the passages in order.
The best passage comes first, the worst comes last, and nothing is lost on the way.
An encoder turns a text into numbers. Two texts that mean the same get numbers that point the same way.
A cross-encoder reads both texts together; that is slower and usually better.
Late interaction keeps one vector for every token and compares each of them with all the others.
Short queries are common: what is recall, how are ties broken, where does the score come from?
Long passages need windows, because attention to everything costs the square of the length.
Größe, naïve café, piñata and 東京 are words too; so are e-mail addresses and 3.14159 and C++.
""".strip().split("\n")

TEXTS = [
    "ranker",
    "What is the best passage?",
    "Größe of a naïve café in 東京, 3.14159!",
    "",
    "Two texts that mean the same get numbers that point the same way.",
    " ".join(CORPUS[:5]),
    " ".join(CORPUS),
]
PAIRS = [
    ("what is recall", "Short queries are common."),
    ("how are ties broken", ""),
    ("best passage", " ".join(CORPUS[:3])),
    ("where does the score come from?", " ".join(CORPUS)),
    (" ".join(CORPUS[2:6]), "the worst comes last"),
]


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def wordpiece():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    train(t, trainers.WordPieceTrainer(vocab_size=220, special_tokens=special, show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return t, names, ["input_ids", "token_type_ids", "attention_mask"]


def byte_bpe(bert_like):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] if bert_like else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    train(t, trainers.BpeTrainer(vocab_size=275, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    if bert_like:
        t.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    else:
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), True, False)
        names = roberta_names()
    return t, names, ["input_ids", "attention_mask"]


def roberta_names():
    return dict(
        bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token="<mask>",
    )


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC()])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    train(t, trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return t, roberta_names(), ["input_ids", "attention_mask"]


def t5_unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC()])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    train(t, trainers.UnigramTrainer(vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    names = dict(eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    return t, names, ["input_ids", "attention_mask"]


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
            elif "embed" in name:
                p.copy_(0.7 * noise)
            else:
                p.copy_(noise * 1.4 / p.shape[1] ** 0.5)
    return model.eval()


SMALL = dict(hidden_size=32, num_attention_heads=4, intermediate_size=48, num_hidden_layers=2)


def bert_config(t, **more):
    return transformers.BertConfig(vocab_size=t.get_vocab_size(), max_position_embeddings=160, **SMALL, **more)


def roberta_config(kind, t, **more):
    return kind(
        vocab_size=t.get_vocab_size(), max_position_embeddings=400, type_vocab_size=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, layer_norm_eps=1e-5, **SMALL, **more,
    )


def modern_config(t, **more):
    return transformers.ModernBertConfig(
        vocab_size=t.get_vocab_size(), hidden_size=32, num_attention_heads=2, intermediate_size=40,
        num_hidden_layers=4, max_position_embeddings=512, local_attention=16, global_attn_every_n_layers=3,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, **more,
    )


def save(folder, model, made, limit, dtype=torch.float32):
    """Writes the model; with a shorter `dtype` the weights stay rounded to it, but the arithmetic is f32."""
    tokenizer, names, inputs = made
    model.to(dtype).save_pretrained(folder)
    model.float()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=limit, model_input_names=inputs, **names
    )
    fast.save_pretrained(folder)
    return fast


def write_modules(folder, width, pooling, normalize, limit, include_prompt=True, dense=None, prompts=None):
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    os.makedirs(f"{folder}/1_Pooling", exist_ok=True)
    flags = {f"pooling_mode_{m}": m == pooling for m in ["cls_token", "mean_tokens", "max_tokens", "lasttoken"]}
    dump(f"{folder}/1_Pooling/config.json", {"word_embedding_dimension": width, **flags, "include_prompt": include_prompt})
    if dense:
        inputs, outputs, act = dense
        modules.append(("2_Dense", "Dense"))
        os.makedirs(f"{folder}/2_Dense", exist_ok=True)
        g = torch.Generator().manual_seed(9)
        save_file(
            {"linear.weight": torch.randn(outputs, inputs, generator=g) * 0.3, "linear.bias": torch.randn(outputs, generator=g)},
            f"{folder}/2_Dense/model.safetensors",
        )
        config = {"in_features": inputs, "out_features": outputs, "bias": True, "activation_function": act}
        dump(f"{folder}/2_Dense/config.json", config)
    if normalize:
        name = f"{len(modules)}_Normalize"
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        modules.append((name, "Normalize"))
    dump(
        f"{folder}/modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    dump(f"{folder}/sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    if prompts:
        dump(f"{folder}/config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})


def dump(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, indent=1, ensure_ascii=False)
        out.write("\n")


def hidden_states(model, fast, limit):
    tensors = {}
    for n, text in enumerate(TEXTS):
        batch = fast(text, return_tensors="pt", truncation=True, max_length=limit)
        if n in (1, 2, len(TEXTS) - 1):
            with torch.no_grad():
                tensors[f"hidden.{n}"] = model(**batch).last_hidden_state[0].contiguous()
        tensors[f"ids.{n}"] = batch["input_ids"][0].to(torch.int32).contiguous()
    return tensors


def encoder(folder, model, made, limit, pooling, normalize, **modules):
    from sentence_transformers import SentenceTransformer

    fast = save(folder, model, made, limit)
    tensors = hidden_states(model, fast, limit)
    write_modules(folder, model.config.hidden_size, pooling, normalize, limit, **modules)
    st = SentenceTransformer(folder, device="cpu")
    encode = lambda **k: torch.stack([torch.tensor(st.encode([t], **k)[0]) for t in TEXTS]).contiguous()
    tensors["embeddings"] = encode()
    for name in modules.get("prompts") or {}:
        tensors[f"embeddings.{name}"] = encode(prompt_name=name)
    finish(folder, tensors, {"texts": TEXTS})


def cross_encoder(folder, model, made, limit, dtype=torch.float32):
    from sentence_transformers import CrossEncoder

    save(folder, model, made, limit, dtype)
    scorer = CrossEncoder(folder, device="cpu", max_length=limit, model_kwargs={"dtype": torch.float32})
    one = lambda pair, act: torch.tensor(scorer.predict([pair], activation_fn=act)).reshape(-1)
    tensors = {
        "logits": torch.stack([one(p, torch.nn.Identity()) for p in PAIRS]),
        "scores": torch.stack([one(p, None) for p in PAIRS]),
    }
    for n, (a, b) in enumerate(PAIRS):
        # As lists: an empty second text given alone would not count as one.
        ids = scorer.tokenizer([a], [b], truncation="longest_first", max_length=limit)["input_ids"][0]
        tensors[f"ids.{n}"] = torch.tensor(ids, dtype=torch.int32)
    finish(folder, tensors, {"pairs": PAIRS})


def late_interaction(folder, model, made, limit):
    """The layout that PyLate writes; its arithmetic is followed here step by step, for lack of the package."""
    fast = save(folder, model, made, limit)
    os.makedirs(f"{folder}/1_Dense", exist_ok=True)
    weight = torch.randn(24, 32, generator=torch.Generator().manual_seed(5)) * 0.3
    save_file({"linear.weight": weight}, f"{folder}/1_Dense/model.safetensors")
    identity = "torch.nn.modules.linear.Identity"
    dump(
        f"{folder}/1_Dense/config.json",
        {"in_features": 32, "out_features": 24, "bias": False, "activation_function": identity},
    )
    dump(
        f"{folder}/modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
        ],
    )
    dump(f"{folder}/sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    config = dict(
        query_prefix="[unused0]", document_prefix="[unused1]", query_length=16, document_length=40,
        attend_to_expansion_tokens=False, skiplist_words=[".", ",", "?", "!", ";", ":"],
    )
    dump(f"{folder}/config_sentence_transformers.json", config)
    tensors = {}
    skip = {fast.convert_tokens_to_ids(w) for w in config["skiplist_words"]} - {fast.unk_token_id}
    for n, text in enumerate(TEXTS):
        for kind, length in [("query", 16), ("document", 40)]:
            ids = fast(text, truncation=True, max_length=length - 1)["input_ids"]
            ids = [ids[0], fast.convert_tokens_to_ids(config[f"{kind}_prefix"])] + ids[1:]
            visible = len(ids)
            if kind == "query":
                ids += [fast.mask_token_id] * (length - visible)
            mask = torch.tensor([[1] * visible + [0] * (len(ids) - visible)])
            batch = torch.tensor([ids])
            with torch.no_grad():
                h = model(input_ids=batch, attention_mask=mask, token_type_ids=torch.zeros_like(batch)).last_hidden_state[0]
            h = torch.nn.functional.normalize(h @ weight.T, dim=-1)
            if kind == "document":
                h = h[[i for i, t in enumerate(ids) if t not in skip]]
            tensors[f"{kind}.{n}"] = h.contiguous()
    finish(folder, tensors, {"texts": TEXTS})


def finish(folder, tensors, texts):
    save_file(tensors, f"{folder}/expected.safetensors")
    dump(f"{folder}/expected.json", texts)
    for name in os.listdir(folder):
        if name in {"README.md", "training_args.bin"}:
            os.remove(f"{folder}/{name}")


def make(name, folder):
    t = transformers
    torch.manual_seed(0)
    eager = dict(attn_implementation="eager")
    if name == "bert":
        made = wordpiece()
        model = shake(t.BertModel(bert_config(made[0], **eager), add_pooling_layer=False), 1)
        encoder(folder, model, made, 128, "mean_tokens", True)
    elif name == "bert-dense":
        made = wordpiece()
        model = shake(t.BertModel(bert_config(made[0], hidden_act="gelu_new", **eager), add_pooling_layer=False), 2)
        prompts = {"query": "What is ", "passage": "passage: "}
        tanh = "torch.nn.modules.activation.Tanh"
        encoder(
            folder, model, made, 128, "mean_tokens", False, include_prompt=False, dense=(32, 20, tanh), prompts=prompts
        )
    elif name == "bert-cross":
        made = wordpiece()
        model = shake(t.BertForSequenceClassification(bert_config(made[0], num_labels=1, **eager)), 3)
        cross_encoder(folder, model, made, 128)
    elif name == "bert-late":
        made = wordpiece()
        made[0].add_special_tokens(["[unused0]", "[unused1]"])
        model = shake(t.BertModel(bert_config(made[0], **eager), add_pooling_layer=False), 4)
        late_interaction(folder, model, made, 128)
    elif name == "roberta":
        made = byte_bpe(False)
        model = shake(t.RobertaModel(roberta_config(t.RobertaConfig, made[0], **eager), add_pooling_layer=False), 5)
        encoder(folder, model, made, 300, "cls_token", True)
    elif name == "roberta-cross":
        made = byte_bpe(False)
        model = t.RobertaForSequenceClassification(roberta_config(t.RobertaConfig, made[0], num_labels=1, **eager))
        cross_encoder(folder, shake(model, 6), made, 300, torch.bfloat16)
    elif name == "xlm-roberta":
        made = unigram()
        model = t.XLMRobertaModel(roberta_config(t.XLMRobertaConfig, made[0], **eager), add_pooling_layer=False)
        encoder(folder, shake(model, 7), made, 200, "max_tokens", False)
    elif name == "xlm-roberta-cross":
        made = unigram()
        config = roberta_config(t.XLMRobertaConfig, made[0], num_labels=1, **eager)
        cross_encoder(folder, shake(t.XLMRobertaForSequenceClassification(config), 8), made, 200, torch.bfloat16)
    elif name == "modernbert":
        made = byte_bpe(True)
        encoder(folder, shake(t.ModernBertModel(modern_config(made[0], **eager)), 9), made, 400, "lasttoken", True)
    elif name in ("modernbert-cross-mean", "modernbert-cross-cls"):
        made = byte_bpe(True)
        config = modern_config(made[0], num_labels=1, classifier_pooling=name.rsplit("-", 1)[1], **eager)
        model = shake(t.ModernBertForSequenceClassification(config), 10)
        cross_encoder(folder, model, made, 400, torch.float16)


    elif name in ("t5", "t5-gated"):
        # Heads that are not the hidden size together, as in Flan-T5-small.
        made = t5_unigram()
        gated = name == "t5-gated"
        config = t.T5Config(
            vocab_size=made[0].get_vocab_size(), d_model=32, d_kv=12 if gated else 8, d_ff=40, num_layers=3, num_heads=4,
            feed_forward_proj="gated-gelu" if gated else "relu", pad_token_id=0, eos_token_id=1, use_cache=False, **eager,
        )
        identity = "torch.nn.modules.linear.Identity"
        encoder(
            folder, shake(t.T5EncoderModel(config), 11), made, 400, "mean_tokens", True, dense=(32, 20, identity)
        )


NAMES = [
    "bert", "bert-dense", "bert-cross", "bert-late", "roberta", "roberta-cross", "xlm-roberta", "xlm-roberta-cross",
    "modernbert", "modernbert-cross-mean", "modernbert-cross-cls",
    "t5", "t5-gated",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--only", choices=NAMES)
    options = parser.parse_args()
    for name in [options.only] if options.only else NAMES:
        folder = os.path.join(options.output, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make(name, folder)
        size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(folder) for f in files)
        print(f"{name}: {size // 1024} KB", file=sys.stderr)


if __name__ == "__main__":
    main()
