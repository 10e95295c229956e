"""RecBole on the events of benches/rec/run: answers lines of JSON, as ours does.

    peer.py FOLDER THREADS

FOLDER holds a data set `bench` in RecBole's files, split beforehand: all but the last event of each user to learn from, the last one to
ask for. Each line on standard input is `eval MODEL EPOCHS SEED` or `train MODEL BATCH`. An evaluation answers with RecBole's own numbers, and with
the place of what is asked for in its list of each user (0 where it is not among the first ten), so that ours can measure the same lists.
"""

import json
import logging
import os
import sys
import time

import torch

# Written for an older numpy and torch, whose names it still uses.
import numpy

for name, kind in (("float_", "float64"), ("complex_", "complex128"), ("unicode_", "str_"), ("bool8", "bool_")):
    if not hasattr(numpy, name):
        setattr(numpy, name, getattr(numpy, kind))
torch_load = torch.load
torch.load = lambda *arguments, **more: torch_load(*arguments, **{"weights_only": False, **more})

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

FOLDER, THREADS = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(THREADS)


def settings(model, epochs, seed):
    common = {
        "data_path": FOLDER, "benchmark_filename": ["train", "valid", "test"], "use_gpu": False, "show_progress": False,
        "metrics": ["Hit", "NDCG", "MRR"], "topk": [10], "valid_metric": "NDCG@10", "seed": seed, "reproducibility": True,
        "eval_args": {"group_by": "user", "order": "TO", "mode": "full"}, "train_neg_sample_args": None,
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]}, "checkpoint_dir": os.path.join(FOLDER, "saved"),
        "epochs": epochs, "log_wandb": False, "eval_batch_size": 4096 * 1000, "metric_decimal_place": 10,
    }
    if model == "SASRec":
        common |= {"load_col": {"inter": ["user_id", "item_id", "item_id_list", "item_length"]}, "MAX_ITEM_LIST_LENGTH": 100}
        common |= {"n_layers": 2, "n_heads": 1, "hidden_size": 50, "inner_size": 50, "loss_type": "CE"}
    if model == "Pop":
        # It adds 1 for an item once a batch; with batches of one event it counts events.
        common |= {"train_batch_size": 1}
    if model == "BPR":
        common |= {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 1, "dynamic": False, "alpha": 1.0, "candidate_num": 0}}
    return common


def opened(model, epochs, seed, **more):
    argv, sys.argv = sys.argv, sys.argv[:1]
    config = Config(model=model, dataset="sequences" if model == "SASRec" else "bench", config_dict=settings(model, epochs, seed) | more)
    sys.argv = argv
    init_seed(seed, True)
    logging.disable(logging.CRITICAL)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    made = get_model(model)(config, train.dataset)
    return get_trainer(config["MODEL_TYPE"], config["model"])(config, made), train, test


def kept(evaluator):
    """Keeps what an evaluator measures, and measures it as before."""
    own, found = evaluator.evaluate, []

    def measured(struct):
        found.append(struct.get("rec.topk").clone())
        return own(struct)

    evaluator.evaluate = measured
    return found


def places(topk):
    """The place of what is asked for in the list of each user, from 1; 0 where it is not in it."""
    hits = topk[:, :-1]
    return [int(row.nonzero()[0]) + 1 if row.any() else 0 for row in hits]


def evaluate(model, epochs, seed):
    trainer, train, test = opened(model, epochs, seed)
    begun = time.perf_counter()
    trainer.fit(train, None, saved=False, verbose=False)
    fitted = time.perf_counter()
    lists = kept(trainer.evaluator)
    found = trainer.evaluate(test, load_best_model=False)
    ended = time.perf_counter()
    return {
        "hit": float(found["hit@10"]), "ndcg": float(found["ndcg@10"]), "mrr": float(found["mrr@10"]),
        "fit_seconds": fitted - begun, "seconds": ended - fitted, "places": places(lists[0]),
    }


def train(model, batch):
    trainer, data, _ = opened(model, 1, 1, train_batch_size=batch)
    begun = time.perf_counter()
    trainer.fit(data, None, saved=False, verbose=False)
    return {"seconds": time.perf_counter() - begun, "predicted": len(data.dataset)}


def main():
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        what, model, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        print(json.dumps({"eval": evaluate, "train": train}[what](model, *numbers)), flush=True)


main()
