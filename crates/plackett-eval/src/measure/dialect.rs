//! The spellings of trec_eval (`ndcg_cut_10`, `ndcg_cut.5,10`, `official`), ranx (`ndcg_burges@10`, `map@100-l2`,
//! `rbp.95`) and RecBole, translated to Plackett's.

use super::{Cutoff, Kind, Measure, TrecName, Value};

/// The ranks that trec_eval reports when none are named.
const RANKS: &[&str] = &["5", "10", "15", "20", "30", "100", "200", "500", "1000"];
const SUCCESS_RANKS: &[&str] = &["1", "5", "10"];
const RECALLS: &[&str] = &["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"];

/// trec_eval's families: name, Plackett's name, cut-offs by default.
const FAMILIES: &[(&str, &str, &[&str])] = &[
    ("ndcg_cut", "nDCG", RANKS),
    ("map_cut", "AP", RANKS),
    ("P", "P", RANKS),
    ("recall", "R", RANKS),
    ("success", "Success", SUCCESS_RANKS),
    ("iprec_at_recall", "IPrec", RECALLS),
];

/// The measures that trec_eval prints when none is named.
pub const OFFICIAL: &str = "NumQ NumRet NumRel NumRelRet AP GMAP Rprec Bpref RR IPrec@0 IPrec@0.1 IPrec@0.2 IPrec@0.3 \
    IPrec@0.4 IPrec@0.5 IPrec@0.6 IPrec@0.7 IPrec@0.8 IPrec@0.9 IPrec@1 P@5 P@10 P@15 P@20 P@30 P@100 P@200 P@500 P@1000";

/// Plackett's spelling of a name of another tool; several, separated by blanks, where the name stands for a family.
pub fn translate(text: &str) -> Option<String> {
    match text.to_ascii_lowercase().as_str() {
        "official" => return Some(OFFICIAL.to_string()),
        "all_trec" => return Some(all_trec()),
        _ => {}
    }
    if let Some((rest, level)) = text.rsplit_once("-l").filter(|(_, level)| is_digits(level)) {
        let ours = family(rest).or_else(|| ranx(rest)).unwrap_or_else(|| rest.to_string());
        return Some(with_level(&ours, level));
    }
    family(text).or_else(|| ranx(text))
}

fn family(text: &str) -> Option<String> {
    for (name, ours, default) in FAMILIES {
        let Some(rest) = text
            .get(..name.len())
            .filter(|head| head.eq_ignore_ascii_case(name))
            .map(|_| &text[name.len()..])
        else {
            continue;
        };
        if rest.is_empty() && (name.contains('_') || text == *name) {
            return Some(spell(ours, default));
        }
        if let Some(numbers) = rest.strip_prefix(['_', '.']) {
            let cuts: Vec<&str> = numbers.split(',').collect();
            if cuts.iter().all(|cut| cut.parse::<f64>().is_ok()) {
                return Some(spell(ours, &cuts));
            }
        }
    }
    None
}

fn spell(name: &str, cuts: &[&str]) -> String {
    cuts.iter().map(|cut| format!("{name}@{cut}")).collect::<Vec<_>>().join(" ")
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

fn all_trec() -> String {
    let mut all = OFFICIAL.to_string();
    for (_, ours, default) in FAMILIES {
        if !matches!(*ours, "P" | "IPrec") {
            all.push(' ');
            all.push_str(&spell(ours, default));
        }
    }
    all.push_str(" nDCG infAP IPrec11 SetP SetR SetF SetAP SetRelP");
    all
}

/// trec_eval's name for a measure whose parameters (beside `rel`, which trec_eval sets for all at once) are its own.
pub fn trec_name(measure: &Measure) -> Option<String> {
    let declaration = measure.declaration();
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
        (TrecName::Cut(prefix), Some(Cutoff::Recall(recall))) => Some(format!("{prefix}{recall:.2}")),
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
