#!/usr/bin/env python3
"""Makes crates/plackett-eval/tests/golden/*.json: values of measures, correlations and tests from reference tools.

    pip install pytrec-eval-terrier ir_measures pyndeval cwl-eval scipy
    python tools/golden_eval.py

Random but seeded input: ties, unjudged documents, negative grades, queries without a relevant document, queries missing
on either side. Reference values: trec_eval 9 (through pytrec_eval), ndeval (pyndeval), cwl_eval, ir_measures, scipy.
"""

import json
import math
import os
import random

import ir_measures
import numpy as np
import pytrec_eval
import scipy.stats as st
from ir_measures import (
    AP_IA, NRBP, P_IA, RBP, Accuracy, Compat, ERR_IA, Judged, StRecall, alpha_DCG, alpha_nDCG, nERR_IA, nNRBP,
)

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "crates", "plackett-eval", "tests", "golden")


def finite(value):
    """pytrec_eval gives NaN for some measures of a query without relevant documents: null here."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write(name, value):
    value = finite(value)
    with open(os.path.join(OUT, name), "w") as out:
        json.dump(value, out, indent=None, separators=(",", ":"))
        out.write("\n")


def collection(rng, queries=14, documents=60, grades=(0, 0, 0, 1, 1, 2, 3)):
    qrels, run = {}, {}
    for q in range(queries):
        qid = f"q{q}"
        names = [f"d{rng.randrange(1000)}" for _ in range(documents)]
        names = list(dict.fromkeys(names))
        judged = rng.sample(names, rng.randrange(5, 25))
        qrels[qid] = {d: rng.choice(grades) for d in judged}
        if q == 3:
            qrels[qid] = {d: 0 for d in judged}
        if q == 4:  # marks for "not in the pool" and "in the pool, not judged"
            for d in judged[::3]:
                qrels[qid][d] = -2
            qrels[qid][judged[1]] = -1
        if q == 5:  # judged documents that the run does not return
            for extra in range(6):
                qrels[qid][f"x{extra}"] = extra % 4
        returned = rng.sample(names, rng.randrange(1, len(names)))
        # A coarse scale, so that many scores tie.
        run[qid] = {d: rng.randrange(12) / 4 for d in returned}
    run["q6"] = {d: 1.0 for d in run["q6"]}  # all tied
    del run["q7"]
    qrels_only = dict(qrels)
    run["q99"] = {"d1": 1.0}
    return qrels_only, run


MEASURES = {
    "map", "gm_map", "Rprec", "bpref", "recip_rank", "iprec_at_recall", "P", "recall", "success", "ndcg", "ndcg_cut",
    "map_cut", "infAP", "11pt_avg", "set_P", "set_recall", "set_F", "set_map", "set_relative_P", "num_q", "num_rel",
    "num_ret", "num_rel_ret",
}


def trec():
    rng = random.Random(20)
    qrels, run = collection(rng)
    cases = []
    for level in (1, 2):
        for judged_only in (False, True):
            evaluator = pytrec_eval.RelevanceEvaluator(
                qrels, MEASURES, relevance_level=level, judged_docs_only_flag=judged_only
            )
            cases.append({"level": level, "judged_only": judged_only, "values": evaluator.evaluate(run)})
    write("trec_eval.json", {"qrels": qrels, "run": run, "cases": cases})


def others():
    rng = random.Random(21)
    qrels, run = collection(rng)
    # The reference tools break ties by document id ascending or leave them open: no ties here.
    for query in run.values():
        for place, document in enumerate(query):
            query[document] = place * 0.37 % 5 + place * 1e-4
    for query in qrels.values():
        for document in query:
            query[document] = max(query[document], 0)
    flat = [ir_measures.Qrel(q, d, g) for q, ds in qrels.items() for d, g in ds.items()]
    names = [
        Judged @ 5, Judged @ 20, Compat, Compat(p=0.8), Compat(normalize=False), Accuracy, Accuracy(rel=2) @ 10,
        RBP(rel=1), RBP(rel=2, p=0.5),
    ]
    values = {}
    for metric in ir_measures.iter_calc(names, flat, run):
        values.setdefault(metric.query_id, {})[str(metric.measure)] = metric.value
    subtopic_qrels = []
    for q in sorted(qrels):
        for d in qrels[q]:
            for s in range(1, 5):
                if rng.random() < 0.4:
                    subtopic_qrels.append([q, str(s), d, rng.choice((0, 1, 1))])
    diversity = [ir_measures.Qrel(q, d, g, s) for q, s, d, g in subtopic_qrels]
    names = [
        alpha_nDCG @ 5, alpha_nDCG @ 10, alpha_nDCG @ 20, alpha_nDCG(alpha=0.2) @ 10, ERR_IA @ 5, ERR_IA @ 10,
        ERR_IA @ 20, StRecall @ 5, StRecall @ 10, P_IA @ 5, P_IA @ 10, alpha_DCG @ 5, alpha_DCG @ 10, nERR_IA @ 5,
        nERR_IA @ 10, NRBP, NRBP(alpha=0.2, beta=0.8), nNRBP, AP_IA,
    ]
    diverse = {}
    # One measure at a time: with two values of alpha in one call pyndeval 0.0.8 gives 0 for one of them.
    for name in names:
        for metric in ir_measures.iter_calc([name], diversity, run):
            diverse.setdefault(metric.query_id, {})[str(metric.measure)] = metric.value
    write(
        "others.json",
        {"qrels": qrels, "run": run, "values": values, "subtopic_qrels": subtopic_qrels, "diversity": diverse},
    )


def correlations():
    rng = np.random.default_rng(22)
    cases = []
    for n, ties in ((2, 0), (5, 0), (5, 2), (30, 0), (30, 5), (200, 0), (200, 9)):
        x = rng.normal(size=n)
        y = x + rng.normal(size=n)
        if ties:
            x, y = np.round(x * ties / 3), np.round(y * ties / 3)
        cases.append({
            "x": x.tolist(), "y": y.tolist(),
            "tau_b": st.kendalltau(x, y).statistic, "spearman": st.spearmanr(x, y).statistic,
        })
    return cases


def paired():
    rng = np.random.default_rng(23)
    cases = []
    for n, digits in ((2, 6), (6, 6), (12, 6), (12, 1), (20, 6), (49, 6), (60, 6), (60, 1), (200, 2)):
        a = rng.uniform(size=n).round(digits)
        b = (a + rng.normal(0.05, 0.2, size=n)).clip(0, 1).round(digits)
        d = b - a
        case = {"a": a.tolist(), "b": b.tolist(), "t": st.ttest_rel(b, a).statistic, "t_p": st.ttest_rel(b, a).pvalue}
        rounded = np.round(d, 9)
        moved = rounded[rounded != 0]
        if len(moved) >= 1:
            tied = len(np.unique(np.abs(moved))) < len(moved)
            if not tied and len(moved) <= 50:
                w = st.wilcoxon(moved, method="exact")
                case["wilcoxon_exact_p"] = w.pvalue
            if len(moved) > 1:
                w = st.wilcoxon(moved, correction=True, method="approx")
                case["wilcoxon_normal_p"] = w.pvalue
            case["wilcoxon_w"] = w.statistic
        if n <= 12:
            # Whole numbers, so that sums that are equal stay equal.
            test = st.permutation_test(
                (np.rint(b * 1e6), np.rint(a * 1e6)), lambda x, y: np.sum(x - y), permutation_type="samples", n_resamples=np.inf,
                alternative="two-sided",
            )
            case["randomisation_p"] = test.pvalue
        cases.append(case)
    return cases


def power():
    cases = []
    for n, effect in ((10, 0.5), (30, 0.3), (50, 0.5), (200, 0.1), (43, 0.0)):
        df, nc = n - 1, effect * math.sqrt(n)
        crit = st.t.ppf(0.975, df)
        value = st.nct.sf(crit, df, nc) + st.nct.cdf(-crit, df, nc)
        cases.append({"n": n, "effect": effect, "power": float(value)})
    return cases


def students():
    return [
        {"df": df, "p": p, "t": st.t.ppf(p, df)}
        for df in (1, 2, 5, 11, 49, 224, 999)
        for p in (0.6, 0.9, 0.975, 0.995, 0.9999)
    ]


def corrections():
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251, 0.269, 0.275, 0.34]
    bh = st.false_discovery_control(p).tolist()
    return {"p": p, "bh": bh}


def bootstrap():
    rng = np.random.default_rng(24)
    values = rng.beta(0.6, 1.2, size=60)
    out = {"values": values.tolist()}
    for method in ("percentile", "BCa"):
        r = st.bootstrap((values,), np.mean, n_resamples=200000, method=method, random_state=rng)
        out[method] = [r.confidence_interval.low, r.confidence_interval.high]
    return out


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    trec()
    others()
    write("statistics.json", {
        "correlations": correlations(), "paired": paired(), "power": power(), "student": students(),
        "corrections": corrections(), "bootstrap": bootstrap(),
    })
