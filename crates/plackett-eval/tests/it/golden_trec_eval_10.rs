//! Every name of trec_eval 10 on every query (file made by `tools/golden_trec_eval.py`).

use plackett_core::Run;
use plackett_core::formats::trec::{
    PreferenceFormat, ReadOptions, parse_preferences, parse_qrels, parse_run,
};
use plackett_eval::measure::{Aggregate, Value, parse_trec_list};
use plackett_eval::{Compat, Evaluation, Evaluator, IntervalOptions, Missing, TieRule, Unjudged};
use std::collections::BTreeMap;

/// The command line of a case.
struct Asked {
    evaluator: Evaluator,
    format: String,
}

fn asked(arguments: &[String]) -> Asked {
    let mut policy = Compat::TrecEval10.policy();
    let (mut names, mut format, mut collection) = (Vec::new(), "qrels".to_string(), None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (flag, rest) = word.split_at(2);
        let mut value = || if rest.is_empty() { words.next().unwrap().clone() } else { rest.to_string() };
        match flag {
            "-m" => names.push(value()),
            "-l" => policy.level = Some(value().parse().unwrap()),
            "-M" => policy.depth = Some(value().parse().unwrap()),
            "-N" => collection = Some(value().parse().unwrap()),
            "-R" => format = value(),
            "-J" => policy.unjudged = Unjudged::Removed,
            "-c" => policy.missing = Missing::Zero,
            _ => panic!("{word}"),
        }
    }
    if format.contains("prefs") {
        policy.ties = TieRule::DocnoAsc;
    }
    let mut measures = parse_trec_list(&names.join(" ")).unwrap();
    if let Some(collection) = collection {
        for measure in &mut measures {
            *measure = measure.with("collection", Value::Number(collection)).unwrap_or(measure.clone());
        }
    }
    let intervals = IntervalOptions { bootstrap: false, analytic: false, ..IntervalOptions::default() };
    Asked { evaluator: Evaluator { measures, policy, intervals }, format }
}

fn evaluation(asked: &Asked, judgments: &str, run: &Run) -> Evaluation {
    let options = ReadOptions { truncate_grades: true, ..ReadOptions::default() };
    let preferences = |format| parse_preferences(judgments.as_bytes(), "j", format, &options).unwrap();
    let found = match asked.format.as_str() {
        "prefs" => asked.evaluator.evaluate_preferences(&preferences(PreferenceFormat::Lists), run),
        "qrels_prefs" => asked.evaluator.evaluate_preferences(&preferences(PreferenceFormat::Qrels), run),
        _ => asked.evaluator.evaluate(&parse_qrels(judgments.as_bytes(), "j", &options).unwrap(), run),
    };
    found.unwrap()
}

/// By name and query, what trec_eval would print.
fn printed(found: &Evaluation) -> BTreeMap<(String, String), String> {
    let mut lines = BTreeMap::new();
    for measured in &found.measures {
        let name = measured.measure.trec_name().unwrap();
        let by_query =
            measured.measure.declaration().aggregate != Aggregate::GeometricMean && name != "num_q";
        for (query, value) in found.queries.iter().zip(&measured.values).filter(|_| by_query) {
            lines.insert((name.clone(), query.clone()), value.to_string());
        }
        lines.insert((name, "all".into()), measured.mean.to_string());
    }
    for texts in &found.texts {
        for (query, text) in found.queries.iter().zip(&texts.values) {
            lines.insert((texts.measure.trec_name().unwrap(), query.clone()), format!("'{text}'"));
        }
    }
    lines
}

#[test]
fn every_name_on_every_query() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trec_eval_10.json");
    let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let file = |name: &str| {
        let lines = golden["files"][name].as_array().unwrap();
        lines.iter().map(|line| format!("{}\n", line.as_str().unwrap())).collect::<String>()
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in golden["cases"].as_array().unwrap() {
        let words: Vec<String> =
            case["arguments"].as_array().unwrap().iter().map(|w| w.as_str().unwrap().into()).collect();
        let run =
            parse_run(file(case["run"].as_str().unwrap()).as_bytes(), "r", &ReadOptions::default()).unwrap();
        let found = evaluation(&asked(&words), &file(case["judgments"].as_str().unwrap()), &run);
        let ours = printed(&found);
        let lines: Vec<Vec<String>> = serde_json::from_value(case["lines"].clone()).unwrap();
        let lines: Vec<_> = lines.into_iter().filter(|line| line[0] != "runid").collect();
        assert_eq!(lines.len(), ours.len(), "{words:?}");
        for line in lines {
            let [name, query, theirs] = <[String; 3]>::try_from(line).unwrap();
            let Some(ours) = ours.get(&(name.clone(), query.clone())) else {
                wrong.push(format!("{words:?} {name} {query}: {theirs}, not measured"));
                continue;
            };
            // With -J a list may be empty, and there trec_eval divides 0 by 0; here that is 0.
            if theirs.contains("nan") && query == "all" {
                continue;
            }
            let theirs = if theirs.contains("nan") { "0".to_string() } else { theirs };
            let same = match (ours.parse::<f64>(), theirs.parse::<f64>()) {
                (Ok(a), Ok(b)) => (a - b).abs() < 1e-9,
                _ => *ours == theirs,
            };
            if !same {
                wrong.push(format!("{words:?} {name} {query}: trec_eval {theirs}, ours {ours}"));
            }
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 4000, "{compared}");
}
