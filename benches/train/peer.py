"""The peer's side of benches/train/run, with the requests of the example train_steps.

    peer.py MODEL_DIR THREADS FILE

PyTorch and transformers: BertForSequenceClassification without dropout, padded batches with a mask, AdamW with weight decay
on matrices alone. `step B BUCKETS` sorts the batch into so many parts by length, each padded to its own longest sequence,
whose gradients add up to one step. `reset KIND` begins again with AdamW of this kind: `fused` or `foreach`.
"""

import json
import sys
import time

import torch
import transformers

RATE, DECAY = 2e-5, 0.01


def batches(path):
    with open(path, encoding="utf-8") as file:
        parts = [part for part in file.read().split("\n\n") if part.strip()]
    read = []
    for part in parts:
        lines = [line.split() for line in part.splitlines() if line.strip()]
        read.append([(float(label), [int(token) for token in tokens]) for label, *tokens in lines])
    return read


class Peer:
    def __init__(self, folder, path):
        self.model = transformers.BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        self.begun = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.batches = batches(path)
        self.reset("fused")

    def reset(self, kind):
        self.model.load_state_dict(self.begun)
        self.model.zero_grad(set_to_none=True)
        matrices = [p for p in self.model.parameters() if p.dim() >= 2]
        vectors = [p for p in self.model.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=RATE, **{kind: True})
        return {}

    def part(self, sequences, whole):
        """Adds the gradients of some sequences of a batch of `whole`; gives their part of the loss."""
        longest = max(len(tokens) for _, tokens in sequences)
        ids = torch.zeros((len(sequences), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (_, tokens) in enumerate(sequences):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        # A mask without zeros would cost the peer time for nothing.
        mask = None if bool(mask.all()) else mask
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


def main():
    folder, threads, path = sys.argv[1:]
    torch.set_num_threads(int(threads))
    peer = Peer(folder, path)
    print(json.dumps({"ready": True, "torch": torch.__version__, "transformers": transformers.__version__}), flush=True)
    for line in sys.stdin:
        what, *more = line.split()
        answer = peer.reset(*more) if what == "reset" else peer.step(*map(int, more))
        print(json.dumps(answer), flush=True)


main()
