//! Measures that no reference file covers, written out in plain arithmetic on lists of a few documents.

use plackett_core::{Qrels, Run};
use plackett_eval::{Policy, evaluate};

/// The value of a measure for one query: judged grades by document, and the order of the list.
fn value(measure: &str, judged: &[(&str, i32)], list: &[&str]) -> f64 {
    let mut qrels = Qrels::new();
    for (document, grade) in judged {
        qrels.query_mut("q").push("0", document, *grade).unwrap();
    }
    of(measure, &qrels, list)
}

fn of(measure: &str, qrels: &Qrels, list: &[&str]) -> f64 {
    let mut run = Run::new("r");
    for (place, document) in list.iter().enumerate() {
        run.query_mut("q").push(document, -(place as f64)).unwrap();
    }
    evaluate(qrels, &run, &[measure.parse().unwrap()], &Policy::default()).unwrap().measures[0].mean
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "found {found}, by hand {expected}");
}

const JUDGED: &[(&str, i32)] = &[("a", 3), ("b", 0), ("c", 1), ("d", 2)];
const LIST: &[&str] = &["b", "a", "x", "c"];

#[test]
fn ndcg_with_its_gains() {
    let log = |k: f64| (k + 1.0).log2();
    // a (3) at rank 2, c (1) at rank 4; ideal 3, 2, 1.
    let linear = (3.0 / log(2.0) + 1.0 / log(4.0)) / (3.0 / log(1.0) + 2.0 / log(2.0) + 1.0 / log(3.0));
    near(value("nDCG", JUDGED, LIST), linear);
    let exponential = (7.0 / log(2.0) + 1.0 / log(4.0)) / (7.0 + 3.0 / log(2.0) + 1.0 / log(3.0));
    near(value("nDCG(gains='exp')", JUDGED, LIST), exponential);
    near(value("nDCG(dcg='exp-log2')@10", JUDGED, LIST), exponential);
    // Grade 0 gains 0.5 here, which changes both the list (b at rank 1) and the ideal.
    let table =
        (0.5 + 3.0 / log(2.0) + 1.0 / log(4.0)) / (3.0 + 2.0 / log(2.0) + 1.0 / log(3.0) + 0.5 / log(4.0));
    near(value("nDCG(gains={0:0.5})", JUDGED, LIST), table);
    near(value("nDCG@2", JUDGED, LIST), (3.0 / log(2.0)) / (3.0 + 2.0 / log(2.0)));
}

#[test]
fn err_as_a_cascade() {
    // Chances of being satisfied: b 0, a 7/16, x 0, c 1/16.
    near(value("ERR", JUDGED, LIST), 7.0 / 16.0 / 2.0 + (9.0 / 16.0) * (1.0 / 16.0) / 4.0);
    near(value("ERR@3", JUDGED, LIST), 7.0 / 32.0);
    near(value("ERR(max_rel=3)", JUDGED, LIST), 7.0 / 8.0 / 2.0 + (1.0 / 8.0) * (1.0 / 8.0) / 4.0);
}

#[test]
fn rbp_binary_and_graded() {
    near(value("RBP(p=0.5,rel=1)", JUDGED, LIST), 0.5 * (0.5 + 0.125));
    near(value("RBP(p=0.5)", JUDGED, LIST), 0.5 * (0.5 + 0.125 / 3.0));
    near(value("RBP(p=0.5,max_rel=4)", JUDGED, LIST), 0.5 * (0.5 * 0.75 + 0.125 * 0.25));
    near(value("RBP(p=0.5,rel=1)@2", JUDGED, LIST), 0.25);
}

#[test]
fn sets_and_counts() {
    // Two of four returned are relevant, of three relevant.
    near(value("SetP", JUDGED, LIST), 0.5);
    near(value("SetR", JUDGED, LIST), 2.0 / 3.0);
    near(value("SetF", JUDGED, LIST), 2.0 * 0.5 * (2.0 / 3.0) / (0.5 + 2.0 / 3.0));
    near(value("SetF(beta=2)", JUDGED, LIST), 5.0 * 0.5 * (2.0 / 3.0) / (4.0 * 0.5 + 2.0 / 3.0));
    near(value("F1@2", JUDGED, LIST), 2.0 * 0.5 * (1.0 / 3.0) / (0.5 + 1.0 / 3.0));
    near(value("RCap@2", JUDGED, LIST), 0.5);
    near(value("NumRet(rel=2)", JUDGED, LIST), 1.0);
    near(value("Judged@3", JUDGED, LIST), 2.0 / 3.0);
    near(value("Rprec", JUDGED, LIST), 1.0 / 3.0);
}

#[test]
fn accuracy_over_pairs() {
    // Relevant a and c, others b and x: a is above x, c above none. One of four pairs is right.
    near(value("Accuracy", JUDGED, LIST), 0.25);
}

#[test]
fn positive_by_negative_pairs() {
    // Grades by rank 0 3 0 1 (x has none). Right: a over x, a over c; wrong: b under a, b under c, x under c.
    near(value("PNR", JUDGED, LIST), 2.0 / 3.0);
    // Without x: a over c; b under a, b under c.
    near(value("PNR(judged_only=True)", JUDGED, LIST), 0.5);
    near(value("PNR", JUDGED, &["a", "d", "c", "b"]), 99.0);
    near(value("PNR(cap=5)", JUDGED, &["a", "d", "c", "b"]), 5.0);
    near(value("PNR", JUDGED, &["b", "c", "d", "a"]), 0.0);
    // No pair tells anything.
    near(value("PNR", JUDGED, &["b", "x"]), 1.0);
}

#[test]
fn compatibility_against_the_ideal_order() {
    // Ideal a d c. Overlaps of {b a x c} with it at depths 1…4: 0, 1, 1, 2; of the ideal with itself 1, 2, 3, 3.
    let p: f64 = 0.95;
    let list = p / 2.0 + p.powi(2) / 3.0 + p.powi(3) * 2.0 / 4.0;
    let ideal = 1.0 + p + p.powi(2) + p.powi(3) * 3.0 / 4.0;
    near(value("Compat", JUDGED, LIST), list / ideal);
}

#[test]
fn diversity_over_subtopics() {
    let mut qrels = Qrels::new();
    for (subtopic, document) in [("1", "a"), ("2", "a"), ("1", "b"), ("3", "c")] {
        qrels.query_mut("q").push(subtopic, document, 1).unwrap();
    }
    let list = ["b", "x", "a"];
    near(of("StRecall@1", &qrels, &list), 1.0 / 3.0);
    near(of("StRecall@3", &qrels, &list), 2.0 / 3.0);
    // Three hits (b: 1; a: 1 and 2) over three places and three subtopics.
    near(of("P_IA@3", &qrels, &list), 3.0 / 9.0);
    // b gains 1; a gains 0.5 for the subtopic seen and 1 for the new one. Ideal: a (2), c (1), b (0.5).
    let log = |k: f64| (k + 1.0).log2();
    let alpha_ndcg = (1.0 + 1.5 / log(3.0)) / (2.0 + 1.0 / log(2.0) + 0.5 / log(3.0));
    near(of("alpha_nDCG@3", &qrels, &list), alpha_ndcg);
    // The same gains over ranks, by the most that three documents could give three subtopics.
    near(of("ERR_IA@3", &qrels, &list), (1.0 + 1.5 / 3.0) / (3.0 * (1.0 + 0.5 / 2.0 + 0.25 / 3.0)));
}

#[test]
fn evidence_sets_in_the_second_column() {
    // {A, B} or {C} answers the query; D was judged and answers nothing.
    let mut qrels = Qrels::new();
    for (set, document, grade) in [("s1", "A", 1), ("s1", "B", 1), ("s2", "C", 1), ("s2", "D", 0)] {
        qrels.query_mut("q").push(set, document, grade).unwrap();
    }
    let list = ["A", "X", "B", "C"];
    // Slots: X, {A, B} whole, {C} whole.
    near(of("EvidenceP@1", &qrels, &list), 0.0);
    near(of("EvidenceR@2", &qrels, &list), 0.5);
    near(of("EvidenceP@2", &qrels, &list), 0.5);
    near(of("KILT_R@3", &qrels, &list), 1.0);
    near(of("EvidenceSuccess@1", &qrels, &list), 0.0);
    near(of("EvidenceSuccess@2", &qrels, &list), 1.0);
    near(of("EvidenceRprec", &qrels, &list), 0.5);
    near(of("KILT_Rprec", &qrels, &["C", "D"]), 1.0);
    near(of("EvidenceRprec(rel=2)", &qrels, &list), 0.0);
    // With one set of one page all are what the plain measures are.
    near(value("EvidenceRprec", &[("a", 1)], &["b", "a"]), 0.0);
    near(value("EvidenceR@2", &[("a", 1)], &["b", "a"]), 1.0);
}

#[test]
fn interpolated_precision() {
    // Precisions 1/2 at recall 1/3, 2/4 at recall 2/3; recall 1 is never reached.
    near(value("IPrec@0", JUDGED, LIST), 0.5);
    near(value("IPrec@0.6", JUDGED, LIST), 0.5);
    near(value("IPrec@1", JUDGED, LIST), 0.0);
    // Levels 0 … 0.7 need at most 2 documents (0.7 · 3 + 0.9 is a little less than 3 in binary, as in trec_eval).
    near(value("IPrec11", JUDGED, LIST), 8.0 * 0.5 / 11.0);
}
