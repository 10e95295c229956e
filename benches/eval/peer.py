"""What a user of pytrec_eval runs: reads both files with its parsers, evaluates, and prints values as JSON.

    python peer.py QRELS RUN [--values]
"""

import json
import sys

import pytrec_eval

MEASURES = {"ndcg_cut_10", "map", "recip_rank", "P_10", "recall_1000"}
# Everything that both sides compute, for the comparison of values.
ALL = {
    "map", "gm_map", "Rprec", "bpref", "recip_rank", "iprec_at_recall", "P", "recall", "success", "ndcg", "ndcg_cut",
    "map_cut", "infAP", "11pt_avg", "set_P", "set_recall", "set_F", "set_map", "set_relative_P", "num_rel", "num_ret",
    "num_rel_ret",
}

if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        qrels = pytrec_eval.parse_qrel(file)
    with open(sys.argv[2]) as file:
        run = pytrec_eval.parse_run(file)
    values = "--values" in sys.argv
    found = pytrec_eval.RelevanceEvaluator(qrels, ALL if values else MEASURES).evaluate(run)
    if values:
        json.dump(found, sys.stdout)
    else:
        for name in sorted(next(iter(found.values()))):
            mean = pytrec_eval.compute_aggregated_measure(name, [query[name] for query in found.values()])
            print(f"{name}\t{mean:.4f}")
