"""The peer's side of benches/train/run, with the requests of the examples train_steps and lora_steps.

    peer.py encoder|lora MODEL_DIR THREADS FILE

PyTorch and transformers: BertForSequenceClassification without dropout, padded batches with a mask, AdamW with weight decay
on matrices alone. `step B BUCKETS` sorts the batch into so many parts by length, each padded to its own longest sequence,
whose gradients add up to one step. `reset KIND` begins again with AdamW of this kind: `fused` or `foreach`.
For `lora` the directory holds a base and an adapter of PEFT, and each token of a sequence but the first is predicted.
"""

import json
import sys
import time

import torch
import transformers

RATE, LORA_RATE, DECAY = 2e-5, 1e-4, 0.01


def batches(path, labelled):
    with open(path, encoding="utf-8") as file:
        parts = [part for part in file.read().split("\n\n") if part.strip()]
    read = []
    for part in parts:
        lines = [line.split() for line in part.splitlines() if line.strip()]
        lines = lines if labelled else [["0", *line] for line in lines]
        read.append([(float(label), [int(token) for token in tokens]) for label, *tokens in lines])
    return read


class Peer:
    rate, labelled = RATE, True

    def __init__(self, folder, path):
        self.model = self.open(folder)
        self.begun = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.batches = batches(path, self.labelled)
        self.reset("fused")

    def open(self, folder):
        return transformers.BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    def reset(self, kind):
        self.model.load_state_dict(self.begun)
        self.model.zero_grad(set_to_none=True)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        matrices, vectors = [p for p in trained if p.dim() >= 2], [p for p in trained if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=self.rate, **{kind: True})
        return {}

    def padded(self, sequences):
        """Tokens of sequences, and their mask, None where nothing is padded."""
        longest = max(len(tokens) for _, tokens in sequences)
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (_, tokens) in enumerate(sequences):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        # A mask without zeros would cost the peer time for nothing.
        return ids, None if bool(mask.all()) else mask

    def part(self, sequences, whole):
        """Adds the gradients of some sequences of a batch of `whole`; gives their part of the loss."""
        ids, mask = self.padded(sequences)
        logits = self.model(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids)).logits[:, 0]
        labels = torch.tensor([label for label, _ in sequences])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / whole
        loss.backward()
        return loss.item()

    def step(self, number, buckets=1):
        start = time.perf_counter()
        batch = self.batches[number]
        if buckets > 1:
            batch = sorted(batch, key=lambda sequence: len(sequence[1]))
        size = -(-len(batch) // buckets)
        loss = sum(self.part(batch[at : at + size], len(batch)) for at in range(0, len(batch), size))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss": loss, "seconds": time.perf_counter() - start}


class LoraPeer(Peer):
    rate, labelled = LORA_RATE, False

    def open(self, folder):
        from peft import PeftModel

        base = transformers.LlamaForCausalLM.from_pretrained(f"{folder}/base", dtype=torch.float32)
        return PeftModel.from_pretrained(base, f"{folder}/adapter", is_trainable=True).train()

    def part(self, sequences, whole):
        # A part of a batch would weigh its tokens by the sequences of the whole; this peer gets whole batches.
        assert len(sequences) == whole
        ids, mask = self.padded(sequences)
        labels = ids.clone() if mask is None else ids.masked_fill(mask == 0, -100)
        loss = self.model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        loss.backward()
        return loss.item()


def main():
    kind, folder, threads, path = sys.argv[1:]
    torch.set_num_threads(int(threads))
    peer = {"encoder": Peer, "lora": LoraPeer}[kind](folder, path)
    print(json.dumps({"ready": True, "torch": torch.__version__, "transformers": transformers.__version__}), flush=True)
    for line in sys.stdin:
        what, *more = line.split()
        answer = peer.reset(*more) if what == "reset" else peer.step(*map(int, more))
        print(json.dumps(answer), flush=True)


main()
