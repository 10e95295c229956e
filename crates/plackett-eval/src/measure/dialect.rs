//! The spellings of ranx (`ndcg_burges@10`, `map@100-l2`, `rbp.95`) and RecBole, translated to Plackett's; those of trec_eval
//! are in [`trec_eval`].

use super::trec_eval::{self, Named};
use super::{Cutoff, Kind, Measure, ParseError, TrecName, Value};

/// What a word of another tool stands for.
pub struct Meaning {
    /// Plackett's spelling.
    pub ours: String,
    /// trec_eval's, where it is a name of trec_eval.
    pub spelling: Option<trec_eval::Spelling>,
}

/// The measures that a word of another tool stands for; several where it is the name of a family. `None` where no tool has
/// such a name.
pub fn translate(text: &str) -> Option<Result<Vec<Meaning>, ParseError>> {
    if let Some((rest, level)) = text.rsplit_once("-l").filter(|(_, level)| is_digits(level)) {
        let ours = match trec_eval::expand(rest, false) {
            Some(Ok(named)) => named.into_iter().map(|named| named.ours).collect(),
            _ => vec![ranx(rest).unwrap_or_else(|| rest.to_string())],
        };
        let with_level = |ours: String| Meaning { ours: with_level(&ours, level), spelling: None };
        return Some(Ok(ours.into_iter().map(with_level).collect()));
    }
    let named = |named: Named| Meaning { ours: named.ours, spelling: Some(named.spelling) };
    let found = ranx(text).map(|ours| Ok(vec![Meaning { ours, spelling: None }]));
    found.or_else(|| Some(trec_eval::expand(text, false)?.map(|all| all.into_iter().map(named).collect())))
}

fn ranx(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("ndcg_burges") {
        return Some(format!("nDCG(gains='exp'){rest}"));
    }
    if let Some(rest) = lower.strip_prefix("rbp.").filter(|rest| is_digits(rest)) {
        return Some(format!("RBP(p=0.{rest},rel=1)"));
    }
    if lower.starts_with("r_precision") {
        return Some("Rprec".to_string());
    }
    None
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn with_level(text: &str, level: &str) -> String {
    match (text.split_once('('), text.split_once('@')) {
        (Some((name, rest)), _) => format!("{name}(rel={level},{rest}"),
        (None, Some((name, cut))) => format!("{name}(rel={level})@{cut}"),
        (None, None) => format!("{text}(rel={level})"),
    }
}

/// trec_eval's name for a measure whose parameters (beside `rel`, which trec_eval sets for all at once) are its own.
pub fn trec_name(measure: &Measure) -> Option<String> {
    let declaration = measure.declaration();
    if let Some(spelling) = &measure.spelling {
        return Some(spelling.text.clone());
    }
    let foreign = declaration.parameters.iter().zip(&measure.given).any(|(parameter, given)| {
        given.as_ref().is_some_and(|value| parameter.name != "rel" && *value != parameter.default)
    });
    if foreign || (declaration.name == "NumRet" && measure.given.iter().any(Option::is_some)) {
        return None;
    }
    match (declaration.trec_eval, measure.cutoff) {
        (TrecName::Whole(name) | TrecName::Both(name, _), None) => Some(name.to_string()),
        (TrecName::Cut(prefix) | TrecName::Both(_, prefix), Some(Cutoff::Rank(rank))) => {
            Some(format!("{prefix}{rank}"))
        }
        (TrecName::Cut(prefix), Some(Cutoff::Recall(at) | Cutoff::Multiple(at))) => {
            Some(format!("{prefix}{at:.2}"))
        }
        _ => None,
    }
}

/// A parameter of another tool in Plackett's terms: ir_measures' `dcg='exp-log2'` is `gains='exp'`.
pub fn parameter<'t>(name: &'t str, value: &'t str, declared: &[super::Parameter]) -> (&'t str, &'t str) {
    let has_gains = declared.iter().any(|parameter| parameter.kind == Kind::Gains);
    match (name, value.trim_matches(['\'', '"'])) {
        ("dcg", "exp-log2") if has_gains => ("gains", "'exp'"),
        ("dcg", "log2") if has_gains => ("gains", "'linear'"),
        _ => (name, value),
    }
}

/// Reads `'linear'`, `'exp'` or `{grade: gain, …}`.
pub fn gains(text: &str) -> Option<Value> {
    match text.trim_matches(['\'', '"']) {
        "linear" => return Some(Value::Linear),
        "exp" | "exponential" => return Some(Value::Exponential),
        _ => {}
    }
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut table = Vec::new();
    for entry in inside.split(',').filter(|entry| !entry.trim().is_empty()) {
        let (grade, gain) = entry.split_once(':')?;
        table.push((grade.trim().parse().ok()?, gain.trim().parse().ok()?));
    }
    table.sort_by_key(|(grade, _)| *grade);
    let value = Value::Gains(table);
    super::graded::valid_gains(&value).then_some(value)
}

/// Reads a list of numbers, `{0.25,0.5}`.
pub fn numbers(text: &str, low: f64, high: f64) -> Option<Value> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let numbers: Option<Vec<f64>> = inside.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers.filter(|all| all.iter().all(|n| (low..=high).contains(n))).map(Value::Numbers)
}
