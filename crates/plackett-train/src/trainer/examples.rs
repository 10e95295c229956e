//! Examples to train on, and the files they are read from.

use crate::TrainError;
use crate::random::Stream;
use plackett_core::formats::{FormatError, Lines, json_problem};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A document with its label.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Candidate {
    /// Its text.
    pub text: String,
    /// Its grade; a greater one is better.
    pub label: f32,
    /// The score of a teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<f32>,
}

/// A query with candidates.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct RankingExample {
    /// The query.
    pub query: String,
    /// What is ranked.
    pub candidates: Vec<Candidate>,
}

/// A query whose candidates have an order that can be taught.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderedExample {
    /// Where it stands in its file, from 1.
    pub record: usize,
    /// The query.
    pub query: String,
    /// Its candidates, the best first.
    pub candidates: Vec<Candidate>,
    /// What is to be written before their order, where the file has it.
    pub reasoning: Option<GivenReasoning>,
}

/// A reasoning about a list, which names passages by the places at which it saw them.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenReasoning {
    /// What is written.
    pub text: String,
    /// The candidates as it saw them: for each place in the file the rank, from 0, of what stands there.
    pub shown: Vec<usize>,
}

/// A line of a file of lists whose orders are taught.
#[derive(Deserialize)]
struct OrderedRecord {
    query: String,
    candidates: Vec<Candidate>,
    #[serde(default)]
    reasoning: Option<String>,
}

/// A text that follows another one.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct TextExample {
    /// What is given; it teaches nothing.
    #[serde(default)]
    pub prompt: String,
    /// What is to be written.
    pub target: String,
}

/// Most bytes of a line.
const MOST_BYTES: usize = 64 << 20;

/// Reads a file of JSON lines, each a [`RankingExample`].
///
/// # Errors
/// A line that is no example, with its number.
pub fn read_ranking_examples(path: &Path) -> Result<Vec<RankingExample>, TrainError> {
    read(path, |example: &RankingExample| {
        if example.candidates.is_empty() {
            return Some("`candidates` is empty; leave the record out".into());
        }
        if example.query.trim().is_empty() {
            return Some("`query` is empty; write what is asked, or leave the record out".into());
        }
        let label = example.candidates.iter().position(|candidate| !candidate.label.is_finite());
        label.map(|at| format!("the label of candidate {} is no number", at + 1))
    })
}

/// Reads a file of JSON lines, each a [`RankingExample`], for what is taught of orders: by the scores of the teacher where all
/// candidates have one, else by the labels, equal ones in the order of the file. Of each list the `most` best are kept. A list
/// may have a `reasoning`, in which `[1]` is the first candidate of the line.
///
/// # Errors
/// A line that is no example, or has no order to teach, or a reasoning about other candidates or more than are kept, with its number.
pub fn read_ordered_examples(path: &Path, most: usize) -> Result<Vec<OrderedExample>, TrainError> {
    let problem = |list: &OrderedRecord| {
        without_order(&list.query, &list.candidates, most).or_else(|| without_use(list, most))
    };
    let ordered = |(record, list): (usize, OrderedRecord)| {
        let OrderedRecord { query, candidates, reasoning } = list;
        let places = best_first(&candidates);
        let reasoning = reasoning.map(|text| {
            let mut shown = vec![0; candidates.len()];
            places.iter().enumerate().for_each(|(rank, place)| shown[*place] = rank);
            GivenReasoning { text, shown }
        });
        let candidates = in_order(candidates, &places, most);
        OrderedExample { record, query, candidates, reasoning }
    };
    Ok(read_numbered(path, problem)?.into_iter().map(ordered).collect())
}

/// Why the reasoning of a list teaches nothing.
fn without_use(list: &OrderedRecord, most: usize) -> Option<String> {
    let (reasoning, count) = (list.reasoning.as_ref()?, list.candidates.len());
    if reasoning.trim().is_empty() {
        return Some("`reasoning` is empty; write what leads to the order, or leave it out".into());
    }
    if let Some(label) = foreign_label(reasoning, count) {
        return Some(format!(
            "`reasoning` names {label}, and the list has {count} candidates, of which [1] is the first one of the line; correct the \
             label, or leave the record out"
        ));
    }
    (most < count).then(|| {
        format!(
            "`reasoning` is about all {count} candidates, of which `window` keeps {most}; leave `window` out, or write one of {count} \
             or more"
        )
    })
}

/// The first label in a text, as `[7]`, that none of so many candidates has. Brackets right after a word, as in `a[0]`, are those
/// of an index and no label.
pub(crate) fn foreign_label(text: &str, count: usize) -> Option<&str> {
    text.match_indices('[').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let digits = &rest[..rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len())];
        let is_index = text[..at].ends_with(|before: char| before.is_alphanumeric() || "_)".contains(before));
        let is_label = !digits.is_empty() && rest[digits.len()..].starts_with(']') && !is_index;
        let is_known = digits.parse().is_ok_and(|label: usize| (1..=count).contains(&label));
        (is_label && !is_known).then(|| &text[at..at + digits.len() + 2])
    })
}

/// Whether candidates are ordered by the scores of a teacher: where all have one.
fn has_teacher(candidates: &[Candidate]) -> bool {
    candidates.iter().all(|candidate| candidate.teacher.is_some())
}

/// What candidates are ordered by: the scores of a teacher where all have one, else the labels.
pub fn worths(candidates: &[Candidate]) -> Vec<f32> {
    let by_teacher = has_teacher(candidates);
    candidates.iter().map(|candidate| worth(candidate, by_teacher)).collect()
}

/// What a candidate is ordered by.
fn worth(candidate: &Candidate, by_teacher: bool) -> f32 {
    match candidate.teacher {
        Some(score) if by_teacher => score,
        _ => candidate.label,
    }
}

/// The places of candidates, the best first; equal ones as they stand.
fn best_first(candidates: &[Candidate]) -> Vec<usize> {
    let by_teacher = has_teacher(candidates);
    let worth = |place: usize| worth(&candidates[place], by_teacher);
    let mut places: Vec<usize> = (0..candidates.len()).collect();
    places.sort_by(|a, b| worth(*b).total_cmp(&worth(*a)));
    places
}

/// The candidates at the first so many of these places, in their order.
fn in_order(candidates: Vec<Candidate>, places: &[usize], most: usize) -> Vec<Candidate> {
    let mut all: Vec<Option<Candidate>> = candidates.into_iter().map(Some).collect();
    places.iter().take(most).filter_map(|place| all[*place].take()).collect()
}

/// The places of the candidates of a list in the order that is taught, the best first.
///
/// # Errors
/// Why it teaches no order, in a sentence.
pub(crate) fn taught_order(query: &str, candidates: &[Candidate]) -> Result<Vec<usize>, String> {
    match without_order(query, candidates, usize::MAX) {
        Some(problem) => Err(problem),
        None => Ok(best_first(candidates)),
    }
}

/// Why a list cannot be shown and put in order.
pub(crate) fn unshowable<'a>(query: &str, texts: impl ExactSizeIterator<Item = &'a str>) -> Option<String> {
    let (count, mut texts) = (texts.len(), texts);
    if count < 2 {
        return Some(format!(
            "`candidates` has {count}, and an order is of two or more; add others, or leave the record out"
        ));
    }
    if query.trim().is_empty() {
        return Some("`query` is empty; write what is asked, or leave the record out".into());
    }
    let blank = texts.position(|text| text.trim().is_empty());
    blank.map(|at| format!("`text` of candidate {} is empty; leave the candidate out", at + 1))
}

/// Why a list teaches no order.
fn without_order(query: &str, candidates: &[Candidate], most: usize) -> Option<String> {
    let texts = candidates.iter().map(|candidate| candidate.text.as_str());
    if let Some(problem) = unshowable(query, texts) {
        return Some(problem);
    }
    let is_number =
        |candidate: &Candidate| candidate.label.is_finite() && candidate.teacher.is_none_or(f32::is_finite);
    if let Some(at) = candidates.iter().position(|candidate| !is_number(candidate)) {
        return Some(format!("the label or teacher score of candidate {} is no number", at + 1));
    }
    let mut kept = best_first(candidates);
    kept.truncate(most);
    let by_teacher = has_teacher(candidates);
    // What is in order differs where its ends do.
    let ends = [kept.first(), kept.last()].map(|end| end.map(|place| worth(&candidates[*place], by_teacher)));
    let what = if by_teacher { "teacher score" } else { "label" };
    (ends[0] == ends[1]).then(|| {
        format!(
            "all {} candidates of the list have the same {what}, so that no order of them is the right one; give some of them \
             others, or leave the record out",
            kept.len()
        )
    })
}

/// Reads a file of JSON lines, each a [`TextExample`].
///
/// # Errors
/// A line that is no example, with its number.
pub fn read_text_examples(path: &Path) -> Result<Vec<TextExample>, TrainError> {
    read(path, |example: &TextExample| {
        example.target.trim().is_empty().then(|| "`target` is empty; leave the record out".into())
    })
}

fn read<T: for<'de> Deserialize<'de>>(
    path: &Path,
    problem: impl Fn(&T) -> Option<String>,
) -> Result<Vec<T>, TrainError> {
    Ok(read_numbered(path, problem)?.into_iter().map(|(_, example)| example).collect())
}

/// Examples with the numbers of their lines.
fn read_numbered<T: for<'de> Deserialize<'de>>(
    path: &Path,
    problem: impl Fn(&T) -> Option<String>,
) -> Result<Vec<(usize, T)>, TrainError> {
    if path == Path::new("-") {
        let problem = "examples are read more than once, and standard input cannot be; name a file".into();
        return Err(TrainError::Form { path: path.into(), problem });
    }
    let failed = |record: usize, problem: String| TrainError::Record { path: path.into(), record, problem };
    let (mut lines, mut examples) = (Lines::open(path, MOST_BYTES)?, Vec::new());
    while let Some(text) = lines.next().map_err(|error| unread(path, error))? {
        if text.trim().is_empty() {
            continue;
        }
        let parsed: Result<T, String> =
            serde_json::from_str(text).map_err(|error| json_problem(text, &error));
        let record = lines.line() as usize;
        let example = parsed.map_err(|problem| failed(record, problem))?;
        if let Some(problem) = problem(&example) {
            return Err(failed(record, problem));
        }
        examples.push((record, example));
    }
    if examples.is_empty() {
        return Err(TrainError::Form { path: path.into(), problem: "there is no example in it".into() });
    }
    Ok(examples)
}

/// A line that is too long as a record: the limit is no flag where there is a training.
fn unread(path: &Path, error: FormatError) -> TrainError {
    match error {
        FormatError::LineTooLong { line, limit, .. } => TrainError::Record {
            path: path.into(),
            record: line as usize,
            problem: format!("it has more than {limit} bytes; leave it out, or shorten it"),
        },
        error => error.into(),
    }
}

/// Keeps all candidates with a label above 0, and at most `negatives` others for each of them, drawn by the seed; examples
/// without one are left out. Gives how many were left out.
pub fn keep_negatives(examples: &mut Vec<RankingExample>, negatives: usize, seed: u64) -> usize {
    let before = examples.len();
    for (at, example) in examples.iter_mut().enumerate() {
        let order = Stream::new(seed, at as u64).permutation(example.candidates.len());
        let positives = example.candidates.iter().filter(|candidate| candidate.label > 0.0).count();
        let others: Vec<usize> =
            order.into_iter().filter(|place| example.candidates[*place].label <= 0.0).collect();
        let dropped = others.get(negatives.saturating_mul(positives)..).unwrap_or_default();
        let mut place = 0;
        example.candidates.retain(|_| {
            place += 1;
            !dropped.contains(&(place - 1))
        });
    }
    examples.retain(|example| example.candidates.iter().any(|candidate| candidate.label > 0.0));
    before - examples.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(candidates: &[(&str, f32, Option<f32>)]) -> RankingExample {
        let candidate = |(text, label, teacher): &(&str, f32, Option<f32>)| Candidate {
            text: text.to_string(),
            label: *label,
            teacher: *teacher,
        };
        RankingExample { query: "q".into(), candidates: candidates.iter().map(candidate).collect() }
    }

    fn order(candidates: &[(&str, f32, Option<f32>)], most: usize) -> String {
        let RankingExample { query, candidates } = example(candidates);
        assert_eq!(without_order(&query, &candidates, most), None);
        let places = best_first(&candidates);
        in_order(candidates, &places, most).into_iter().map(|candidate| candidate.text).collect()
    }

    #[test]
    fn the_order_is_the_teachers_where_all_have_a_score() {
        let all = [("a", 0.0, Some(2.0)), ("b", 1.0, Some(1.0)), ("c", 0.0, Some(3.0))];
        assert_eq!(order(&all, usize::MAX), "cab");
        let mut some = all;
        some[2].2 = None;
        assert_eq!(order(&some, usize::MAX), "bac", "equal labels in the order of the file");
        assert_eq!(order(&some, 2), "ba");
    }

    #[test]
    fn lists_without_an_order_are_told() {
        for (candidates, most, said) in [
            (&[("a", 1.0, None)][..], 9, "`candidates` has 1"),
            (
                &[("a", 1.0, None), ("b", 1.0, None)][..],
                9,
                "all 2 candidates of the list have the same label",
            ),
            (&[("a", 1.0, Some(2.0)), ("b", 0.0, Some(2.0))][..], 9, "the same teacher score"),
            (&[("a", 1.0, None), ("b", 1.0, None), ("c", 0.0, None)][..], 2, "all 2 candidates"),
            (&[("a", 1.0, None), (" ", 0.0, None)][..], 9, "`text` of candidate 2 is empty"),
            (&[("a", 1.0, Some(f32::INFINITY)), ("b", 0.0, None)][..], 9, "candidate 1 is no number"),
        ] {
            let example = example(candidates);
            let message = without_order(&example.query, &example.candidates, most).unwrap_or_default();
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_and_standard_input_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("texts.jsonl");
        std::fs::write(&path, "\u{feff}{\"target\": \"a\"}\r\n\n{\"target\": \" \"}\n").unwrap();
        let message = read_text_examples(&path).unwrap_err().to_string();
        assert!(message.contains("record 3: `target` is empty"), "{message}");
        let message = read_text_examples(Path::new("-")).unwrap_err().to_string();
        assert!(message.contains("name a file"), "{message}");
        let message = read_text_examples(folder.path()).unwrap_err().to_string();
        assert!(message.contains("is a folder"), "{message}");
    }

    #[test]
    fn a_reasoning_keeps_the_places_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.jsonl");
        let candidate = |text: &str, label: u8| format!("{{\"text\": \"{text}\", \"label\": {label}}}");
        let candidates = [candidate("a", 0), candidate("b", 2), candidate("c", 1)].join(", ");
        let line = |reasoning: &str| {
            let line = format!(
                "{{\"query\": \"q\", \"candidates\": [{candidates}], \"reasoning\": \"{reasoning}\"}}\n"
            );
            std::fs::write(&path, line).unwrap();
        };
        line("[2] has it.");
        let list = read_ordered_examples(&path, 3).unwrap().remove(0);
        let texts: Vec<&str> = list.candidates.iter().map(|candidate| candidate.text.as_str()).collect();
        assert_eq!(texts, ["b", "c", "a"]);
        // The file shows a, b and c, which have the ranks 2, 0 and 1.
        assert_eq!(list.reasoning, Some(GivenReasoning { text: "[2] has it.".into(), shown: vec![2, 0, 1] }));
        let message = read_ordered_examples(&path, 2).unwrap_err().to_string();
        assert!(message.contains("record 1: `reasoning` is about all 3 candidates"), "{message}");
        line(" ");
        let message = read_ordered_examples(&path, 3).unwrap_err().to_string();
        assert!(message.contains("record 1: `reasoning` is empty"), "{message}");
        line("[2] has it, and [4] does not.");
        let message = read_ordered_examples(&path, 3).unwrap_err().to_string();
        assert!(message.contains("record 1: `reasoning` names [4], and the list has 3"), "{message}");
    }

    #[test]
    fn labels_that_no_candidate_has_are_found() {
        for (text, found) in [
            ("[1], [2] and [3]", None),
            ("[3][4]", Some("[4]")),
            ("so [0] is first", Some("[0]")),
            ("[99999999999999999999999] is none", Some("[99999999999999999999999]")),
            ("Of a[9], f(x)[9] and b_[9] each is an index, [A], [] and [1, 9] no label, and [9 no end", None),
            ("[9", None),
        ] {
            assert_eq!(foreign_label(text, 3), found, "{text}");
        }
    }
}
