//! Measures against trec_eval 9, ndeval, cwl_eval and ir_measures (files made by `tools/golden_eval.py`).

use plackett_core::{Qrels, Run};
use plackett_eval::measure::parse_list;
use plackett_eval::{Compat, Evaluation, Measure, Policy, Unjudged, evaluate};
use serde_json::{Map, Value};

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn object<'v>(value: &'v Value, key: &str) -> &'v Map<String, Value> {
    value[key].as_object().unwrap()
}

fn qrels(value: &Value) -> Qrels {
    let mut qrels = Qrels::new();
    for (query, documents) in object(value, "qrels") {
        for (document, grade) in documents.as_object().unwrap() {
            qrels.query_mut(query).push("0", document, grade.as_i64().unwrap() as i32).unwrap();
        }
    }
    qrels
}

fn run(value: &Value) -> Run {
    let mut run = Run::new("golden");
    for (query, documents) in object(value, "run") {
        for (document, score) in documents.as_object().unwrap() {
            run.query_mut(query).push(document, score.as_f64().unwrap()).unwrap();
        }
    }
    run
}

/// Compares every value of the reference; returns how many there were.
fn compare(
    evaluation: &Evaluation,
    expected: &Map<String, Value>,
    name: impl Fn(&Measure) -> String,
) -> usize {
    let mut compared = 0;
    for (place, query) in evaluation.queries.iter().enumerate() {
        let Some(values) = expected.get(query) else { continue };
        for measured in &evaluation.measures {
            let name = name(&measured.measure);
            let Some(value) = values.get(&name) else { panic!("the reference lacks {name} for {query}") };
            // The reference divides 0 by 0 for a query without relevant documents; here that is 0.
            let value = value.as_f64().unwrap_or(0.0);
            // The reference keeps the logarithm of each query for its geometric mean.
            let value = if name == "gm_map" { value.exp() } else { value };
            let ours = measured.values[place];
            let ours = if name == "gm_map" { ours.max(0.00001) } else { ours };
            assert!((ours - value).abs() < 1e-9, "{query} {name}: ours {ours}, reference {value}");
            compared += 1;
        }
    }
    compared
}

/// What the reference was asked for.
fn measures_of_trec_eval_9() -> Vec<Measure> {
    let later = [
        "relstring",
        "gm_bpref",
        "Rprec_mult",
        "utility",
        "binG",
        "G",
        "ndcg_rel",
        "Rndcg",
        "relative_P",
        "num_nonrel_judged_ret",
        "rbp",
        "rbp_resid",
        "unj",
    ];
    let all = parse_list("all_trec").unwrap();
    let is_later = |measure: &Measure| {
        let name = measure.trec_name().unwrap();
        later.iter().any(|later| {
            name.trim_end_matches(|c: char| c == '_' || c == '.' || c.is_ascii_digit()) == *later
        })
    };
    all.into_iter().filter(|measure| !is_later(measure)).collect()
}

#[test]
fn trec_eval_9_on_every_query() {
    let file = golden("trec_eval.json");
    let (qrels, run) = (qrels(&file), run(&file));
    let mut compared = 0;
    for case in file["cases"].as_array().unwrap() {
        let judged_only = case["judged_only"].as_bool().unwrap();
        let policy = Policy {
            level: Some(case["level"].as_i64().unwrap() as i32),
            unjudged: if judged_only { Unjudged::Removed } else { Unjudged::NonRelevant },
            ..Compat::TrecEval9.policy()
        };
        let measures = measures_of_trec_eval_9();
        let evaluation = evaluate(&qrels, &run, &measures, &policy).unwrap();
        assert_eq!(evaluation.queries.len(), 13, "one judged query is not in the run");
        compared += compare(&evaluation, object(case, "values"), |m| m.trec_name().unwrap());
    }
    assert!(compared > 13 * 4 * 50, "{compared}");
}

#[test]
fn judged_only_as_a_parameter_is_the_policy() {
    let file = golden("trec_eval.json");
    let policy = Compat::TrecEval9.policy();
    let plain = parse_list("AP nDCG@10 P@5 R@10 RR Rprec").unwrap();
    let parameter = parse_list(
        "AP(judged_only=True) nDCG(judged_only=True)@10 P(judged_only=True)@5 R(judged_only=True)@10 \
         RR(judged_only=True) Rprec(judged_only=True)",
    )
    .unwrap();
    let removed = Policy { unjudged: Unjudged::Removed, ..policy };
    let a = evaluate(&qrels(&file), &run(&file), &plain, &removed).unwrap();
    let b = evaluate(&qrels(&file), &run(&file), &parameter, &policy).unwrap();
    for (a, b) in a.measures.iter().zip(&b.measures) {
        assert_eq!(a.values, b.values, "{}", b.measure);
    }
    assert!(a.account.unjudged_dropped > 0);
}

#[test]
fn measures_that_trec_eval_lacks() {
    let file = golden("others.json");
    let measures = parse_list(
        "Judged@5 Judged@20 Compat Compat(p=0.8) Compat(normalize=False) Accuracy Accuracy(rel=2)@10 RBP(rel=1) \
         RBP(p=0.5,rel=2)",
    )
    .unwrap();
    let evaluation = evaluate(&qrels(&file), &run(&file), &measures, &Policy::default()).unwrap();
    let values = object(&file, "values");
    let mut compared = 0;
    for (place, query) in evaluation.queries.iter().enumerate() {
        let Some(expected) = values.get(query).and_then(Value::as_object) else { continue };
        for (name, value) in expected {
            let measure: Measure = name.parse().unwrap();
            let ours = evaluation.measured(&measure).unwrap().values[place];
            let value = value.as_f64().unwrap();
            // cwl_eval sums the first thousand ranks only and prints rounded weights of the tail.
            let tolerance = if name.starts_with("RBP") { 1e-4 } else { 1e-9 };
            assert!((ours - value).abs() < tolerance, "{query} {name}: ours {ours}, reference {value}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn ndeval_on_subtopics() {
    let file = golden("others.json");
    let mut qrels = Qrels::new();
    for line in file["subtopic_qrels"].as_array().unwrap() {
        let text = |place: usize| line[place].as_str().unwrap();
        qrels.query_mut(text(0)).push(text(1), text(2), line[3].as_i64().unwrap() as i32).unwrap();
    }
    let measures = parse_list(
        "alpha_nDCG@5 alpha_nDCG@10 alpha_nDCG@20 alpha_nDCG(alpha=0.2)@10 ERR_IA@5 ERR_IA@10 ERR_IA@20 StRecall@5 \
         StRecall@10 P_IA@5 P_IA@10 alpha_DCG@5 alpha_DCG@10 nERR_IA@5 nERR_IA@10 NRBP \
         NRBP(alpha=0.2,beta=0.8) nNRBP AP_IA",
    )
    .unwrap();
    let evaluation = evaluate(&qrels, &run(&file), &measures, &Policy::default()).unwrap();
    let diversity = object(&file, "diversity");
    let mut compared = 0;
    for (place, query) in evaluation.queries.iter().enumerate() {
        let Some(expected) = diversity.get(query).and_then(Value::as_object) else { continue };
        for (name, value) in expected {
            let measure: Measure = name.parse().unwrap();
            let ours = evaluation.measured(&measure).unwrap().values[place];
            let value = value.as_f64().unwrap();
            assert!((ours - value).abs() < 1e-6, "{query} {name}: ours {ours}, reference {value}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}
