//! Reading measures: `Name(parameter=value,…)@cutoff`, and lists of them.

use super::declaration::{CutoffKind, Declaration, Kind, Parameter};
use super::{Cutoff, MEASURES, Measure, Value, dialect, trec_eval};
use plackett_core::declaration::{nearest, suggestion};

/// Text that is no measure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No measure has this name.
    #[error("unknown measure `{found}`{} (`plackett eval --list-measures` shows all)", did_you_mean(.nearest))]
    Unknown {
        /// What was written.
        found: String,
        /// The name that is spelled most like it; `None` where none is near.
        nearest: Option<String>,
    },
    /// The measure has no such parameter.
    #[error("`{measure}` has no parameter `{found}`; it takes: {allowed}")]
    Parameter {
        /// The measure's name.
        measure: String,
        /// What was written.
        found: String,
        /// The names that are allowed.
        allowed: String,
    },
    /// A parameter or cut-off holds something it cannot.
    #[error("in `{text}`: {what} must be {expected}, found `{found}`")]
    Value {
        /// The whole text.
        text: String,
        /// The parameter, or "the cut-off".
        what: String,
        /// What it may be.
        expected: String,
        /// What was written.
        found: String,
    },
    /// Brackets or separators are wrong.
    #[error("cannot read `{0}`; write Name, Name@10 or Name(parameter=value)@10")]
    Form(String),
}

/// Reads one measure.
pub fn parse(text: &str) -> Result<Measure, ParseError> {
    let text = text.trim();
    grammar(text).or_else(|error| match dialect::translate(text) {
        // `P` and `recall` are also trec_eval's names of whole families; a list may hold those, one measure may not.
        Some(Ok(meanings)) if meanings.len() == 1 => meant(meanings).map(|mut measures| measures.remove(0)),
        _ => Err(error),
    })
}

/// The measures of words of another tool.
fn meant(meanings: Vec<dialect::Meaning>) -> Result<Vec<Measure>, ParseError> {
    let measure =
        |meaning: dialect::Meaning| Ok(Measure { spelling: meaning.spelling, ..grammar(&meaning.ours)? });
    meanings.into_iter().map(measure).collect()
}

/// Reads measures separated by blanks or commas, with trec_eval's families (`ndcg_cut.5,10`, `official`). Each measure
/// is kept once.
pub fn parse_list(text: &str) -> Result<Vec<Measure>, ParseError> {
    list(text, |_| None)
}

/// The same, but a word that is a name of trec_eval, as trec_eval spells it, means what it means there: `rbp` has trec_eval's
/// persistence. Cut-offs and parameters that are named take the place of those that trec_eval has by itself.
pub fn parse_trec_list(text: &str) -> Result<Vec<Measure>, ParseError> {
    let named =
        |named: trec_eval::Named| dialect::Meaning { ours: named.ours, spelling: Some(named.spelling) };
    let first =
        |word: &str| Some(trec_eval::expand(word, true)?.map(|all| all.into_iter().map(named).collect()));
    let mut measures = list(text, first)?;
    let spellings = measures.iter().filter_map(|measure| measure.spelling.as_ref());
    let chosen: Vec<usize> = spellings.filter(|s| s.chosen).map(|s| s.place).collect();
    measures.retain(|m| m.spelling.as_ref().is_none_or(|s| s.chosen || !chosen.contains(&s.place)));
    Ok(measures)
}

/// `first` looks at each word before Plackett's own names.
fn list(
    text: &str,
    first: impl Fn(&str) -> Option<Result<Vec<dialect::Meaning>, ParseError>>,
) -> Result<Vec<Measure>, ParseError> {
    let mut measures: Vec<Measure> = Vec::new();
    for word in words(text)? {
        let expanded = match (first(&word), grammar(&word)) {
            (Some(meanings), _) => meant(meanings?)?,
            (None, Ok(measure)) => vec![measure],
            (None, Err(error)) => match dialect::translate(&word) {
                Some(meanings) => meant(meanings?)?,
                None => return Err(error),
            },
        };
        for measure in expanded {
            match measures.iter().position(|known| *known == measure) {
                None => measures.push(measure),
                // `-m official -m P.5`: the second says that only this cut-off is wanted.
                Some(place) if measure.spelling.as_ref().is_some_and(|s| s.chosen) => {
                    measures[place] = measure
                }
                Some(_) => {}
            }
        }
    }
    Ok(measures)
}

/// Splits at blanks and commas outside brackets. A number after a comma continues trec_eval's `ndcg_cut.5,10`, and a gain its
/// `ndcg.1=3,2=9`.
fn words(text: &str) -> Result<Vec<String>, ParseError> {
    let mut words: Vec<String> = Vec::new();
    for word in split_outside(text, |c| c == ',' || c.is_whitespace())? {
        match words.last_mut() {
            Some(previous) if goes_on(word) && previous.contains('.') => {
                previous.push(',');
                previous.push_str(word);
            }
            _ => words.push(word.to_string()),
        }
    }
    Ok(words)
}

fn goes_on(word: &str) -> bool {
    let number = word
        .split_once('=')
        .map_or(word, |(grade, gain)| if grade.parse::<i32>().is_ok() { gain } else { "" });
    number.parse::<f64>().is_ok()
}

fn split_outside(text: &str, separator: impl Fn(char) -> bool) -> Result<Vec<&str>, ParseError> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (place, character) in text.char_indices() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return Err(ParseError::Form(text.to_string()));
        }
        if depth == 0 && separator(character) {
            parts.push(&text[start..place]);
            start = place + character.len_utf8();
        }
    }
    if depth != 0 {
        return Err(ParseError::Form(text.to_string()));
    }
    parts.push(&text[start..]);
    Ok(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect())
}

fn grammar(text: &str) -> Result<Measure, ParseError> {
    let name_end = text.find(['(', '@']).unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    let declaration = lookup(name.trim()).ok_or_else(|| unknown(name.trim()))?;
    let form = || ParseError::Form(text.to_string());
    let (inside, after) = match rest.strip_prefix('(') {
        Some(rest) => rest.rsplit_once(')').ok_or_else(form)?,
        None => ("", rest),
    };
    let mut given = vec![None; declaration.parameters.len()];
    for assignment in split_outside(inside, |c| c == ',')? {
        let (name, value) = assignment.split_once('=').ok_or_else(form)?;
        let (name, value) = dialect::parameter(name.trim(), value.trim(), declaration.parameters);
        let place = declaration.parameters.iter().position(|p| p.name == name).ok_or_else(|| {
            let allowed: Vec<&str> = declaration.parameters.iter().map(|p| p.name).collect();
            ParseError::Parameter {
                measure: declaration.name.to_string(),
                found: name.to_string(),
                allowed: if allowed.is_empty() { "none".into() } else { allowed.join(", ") },
            }
        })?;
        given[place] = Some(value_of(text, &declaration.parameters[place], value)?);
    }
    let after = after.trim();
    let cutoff = match after.strip_prefix('@') {
        Some(cutoff) => Some(cutoff.trim()),
        None if after.is_empty() => None,
        None => return Err(form()),
    };
    Ok(Measure { declaration, given, cutoff: cutoff_of(text, declaration, cutoff)?, spelling: None })
}

fn value_of(text: &str, parameter: &Parameter, value: &str) -> Result<Value, ParseError> {
    let (read, expected) = match parameter.kind {
        Kind::Integer(low, high) => (
            value.parse().ok().filter(|v| (low..=high).contains(v)).map(Value::Integer),
            format!("a whole number from {low} to {high}"),
        ),
        Kind::Number(low, high) => (
            value.parse().ok().filter(|v| (low..=high).contains(v)).map(Value::Number),
            format!("a number from {low} to {high}"),
        ),
        Kind::Switch => (
            match value.to_ascii_lowercase().as_str() {
                "true" => Some(Value::Switch(true)),
                "false" => Some(Value::Switch(false)),
                _ => None,
            },
            "True or False".to_string(),
        ),
        Kind::Numbers(low, high) => (
            dialect::numbers(value, low, high),
            format!("numbers from {low} to {high} in braces, as in {{0.2,0.5}}"),
        ),
        Kind::Gains => {
            (dialect::gains(value), "'linear', 'exp' or {grade: gain, …} with gains ≥ 0".to_string())
        }
    };
    read.ok_or_else(|| ParseError::Value {
        text: text.to_string(),
        what: format!("`{}`", parameter.name),
        expected,
        found: value.to_string(),
    })
}

fn cutoff_of(
    text: &str,
    declaration: &Declaration,
    cutoff: Option<&str>,
) -> Result<Option<Cutoff>, ParseError> {
    let (read, expected) = match (declaration.cutoff, cutoff) {
        (CutoffKind::None | CutoffKind::OptionalRank, None) => return Ok(None),
        (CutoffKind::None, Some(_)) => (None, format!("left out: {} takes none", declaration.name)),
        (CutoffKind::Recall, given) => (
            given.and_then(|c| c.parse().ok()).filter(|r| (0.0..=1.0).contains(r)).map(Cutoff::Recall),
            "a recall from 0 to 1".to_string(),
        ),
        (CutoffKind::Multiple, given) => (
            given
                .and_then(|c| c.parse().ok())
                .filter(|m: &f64| (0.0..=1e6).contains(m))
                .map(Cutoff::Multiple),
            "a multiple of the number of relevant documents, as in @0.5".to_string(),
        ),
        (CutoffKind::OptionalRank | CutoffKind::Rank, given) => (
            given.and_then(|c| c.parse().ok()).filter(|&k| k > 0).map(Cutoff::Rank),
            format!("a rank, as in {}@10", declaration.name),
        ),
    };
    read.map(Some).ok_or_else(|| ParseError::Value {
        text: text.to_string(),
        what: "the cut-off after @".into(),
        expected,
        found: cutoff.unwrap_or("nothing").to_string(),
    })
}

/// Case, blanks, `-` and `_` never matter.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

fn lookup(name: &str) -> Option<&'static Declaration> {
    let wanted = plain(name);
    MEASURES.iter().find(|d| plain(d.name) == wanted || d.aliases.iter().any(|alias| plain(alias) == wanted))
}

fn did_you_mean(nearest: &Option<String>) -> String {
    suggestion(&nearest.as_deref())
}

fn unknown(found: &str) -> ParseError {
    let wanted = plain(found);
    let spellings: Vec<(String, &str)> = MEASURES
        .iter()
        .flat_map(|d| std::iter::once(&d.name).chain(d.aliases).map(|spelling| (plain(spelling), d.name)))
        .collect();
    let meant = nearest(&wanted, spellings.iter().map(|(spelling, _)| spelling.as_str()));
    let meant = meant.and_then(|meant| spellings.iter().find(|(spelling, _)| spelling == meant));
    ParseError::Unknown { found: found.to_string(), nearest: meant.map(|(_, name)| name.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(text: &str) -> String {
        parse(text).map_or_else(|e| format!("error: {e}"), |m| m.to_string())
    }

    #[test]
    fn spellings_of_the_field_mean_the_same() {
        for (written, ours) in [
            ("nDCG@10", "nDCG@10"),
            ("ndcg@10", "nDCG@10"),
            ("NDCG@10", "nDCG@10"),
            ("ndcg_cut_10", "nDCG@10"),
            ("ndcg_cut.10", "nDCG@10"),
            ("ndcg", "nDCG"),
            ("nDCG(gains='exp')@10", "nDCG(gains='exp')@10"),
            ("nDCG(dcg='exp-log2')@10", "nDCG(gains='exp')@10"),
            ("ndcg_burges@5", "nDCG(gains='exp')@5"),
            ("nDCG(gains={0: 0, 2: 9, 1: 3.5})@5", "nDCG(gains={0:0,1:3.5,2:9})@5"),
            ("map", "AP"),
            ("MAP@100", "AP@100"),
            ("map_cut_100", "AP@100"),
            ("map@100-l2", "AP(rel=2)@100"),
            ("AP(rel=2)", "AP(rel=2)"),
            ("recip_rank", "RR"),
            ("mrr@10", "RR@10"),
            ("P_10", "P@10"),
            ("P(rel=2,judged_only=True)@5", "P(rel=2,judged_only=True)@5"),
            ("precision@5", "P@5"),
            ("recall_1000", "R@1000"),
            ("Recall@20", "R@20"),
            ("hit_rate@3", "Success@3"),
            ("Hit@3", "Success@3"),
            ("success_1", "Success@1"),
            ("r_precision", "Rprec"),
            ("RPrec", "Rprec"),
            ("BPref", "Bpref"),
            ("rbp.95", "RBP(p=0.95,rel=1)"),
            ("RBP(p=0.8)", "RBP(p=0.8)"),
            ("ERR-IA@20", "ERR_IA@20"),
            ("alpha-nDCG@20", "alpha_nDCG@20"),
            ("iprec_at_recall_0.10", "IPrec@0.1"),
            ("11pt_avg", "IPrec11"),
            ("gm_map", "GMAP"),
            ("R_cap@100", "RCap@100"),
            ("set_F", "SetF"),
            ("num_rel_ret", "NumRelRet"),
        ] {
            assert_eq!(display(written), ours, "{written}");
            assert_eq!(display(ours), ours, "display of {written} reads back");
        }
    }

    #[test]
    fn lists_hold_families() {
        let names =
            |text: &str| parse_list(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("ndcg_cut.5,10 AP(rel=2), P.10"), ["nDCG@5", "nDCG@10", "AP(rel=2)", "P@10"]);
        assert_eq!(names("nDCG@10,ndcg@10"), ["nDCG@10"]);
        assert_eq!(names("nDCG(gains={1:1,2:3})@10 RR"), ["nDCG(gains={1:1,2:3})@10", "RR"]);
        assert_eq!(names("official").len(), 29);
        assert_eq!(names("P").len(), 9);
        assert!(names("all_trec").len() > 50);
    }

    #[test]
    fn names_of_trec_eval_mean_what_they_mean_there() {
        let names = |text: &str| {
            let all = parse_trec_list(text).unwrap();
            all.iter().map(|m| (m.to_string(), m.trec_name().unwrap_or_default())).collect::<Vec<_>>()
        };
        let pair = |ours: &str, theirs: &str| (ours.to_string(), theirs.to_string());
        assert_eq!(names("rbp"), [pair("RBP(p=0.9,per_query=True)", "rbp")]);
        assert_eq!(names("rbp.p=0.5"), [pair("RBP(p=0.5,per_query=True)", "rbp_p=0.5")]);
        assert_eq!(names("ndcg.1=3,2=9"), [pair("nDCG(gains={1:3,2:9})", "ndcg_1=3,2=9")]);
        assert_eq!(
            names("P.7,5 nDCG@10"),
            [pair("P@5", "P_5"), pair("P@7", "P_7"), pair("nDCG@10", "ndcg_cut_10")]
        );
        assert_eq!(names("ndcg_cut.23.4"), [pair("nDCG@23", "ndcg_cut_23")]);
        assert_eq!(names("11pt_avg..25,.5"), [pair("IPrec11(levels={0.25,0.5})", "11pt_avg_.25,.5")]);
        // What is named takes the place of what is there by itself.
        assert_eq!(names("P P.5"), [pair("P@5", "P_5")]);
        assert_eq!(names("official").len(), 29);
        assert_eq!(names("all_trec").iter().filter(|(_, theirs)| theirs.is_empty()).count(), 0);
        for bad in ["P.0", "P.5,5", "utility.1,2", "ndcg.x=1", "map.5", "rbp.q=1", "iprec_at_recall.-1"] {
            assert!(parse_trec_list(bad).is_err(), "{bad}");
        }
        assert!(parse_trec_list("runid").unwrap().is_empty());
    }

    #[test]
    fn errors_say_what_would_be_right() {
        assert!(display("nDGC@10").contains("did you mean `nDCG`?"));
        assert!(display("recal@10").contains("did you mean `R`?"));
        let far = display("throughput");
        assert!(far.contains("unknown measure `throughput` (`plackett eval"), "{far}");
        assert!(display("AP(level=2)").contains("`AP` has no parameter `level`; it takes: rel, judged_only"));
        assert!(display("nDCG@0").contains("must be a rank, as in nDCG@10, found `0`"));
        assert!(display("P").contains("must be a rank, as in P@10, found `nothing`"));
        assert!(display("Bpref@10").contains("left out"));
        assert!(display("RBP(p=1.5)").contains("a number from 0 to 1"));
        assert!(display("nDCG(gains={1:-2})@5").contains("gains ≥ 0"));
        assert!(display("AP(rel=2").contains("cannot read"));
        assert!(display("").contains("unknown measure"));
        assert!(display("nDCG@10)").contains("found `10)`"));
    }

    #[test]
    fn equality_is_by_meaning() {
        assert_eq!(parse("AP(rel=1)").unwrap(), parse("AP").unwrap());
        assert_ne!(parse("AP@10").unwrap(), parse("AP").unwrap());
        assert_ne!(parse("AP").unwrap(), parse("GMAP").unwrap());
    }
}
