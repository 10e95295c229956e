//! `summaries`: long documents cut to a budget in several ways, and how well an encoder ranks what is left.

use super::SEED;
use crate::pipeline::ModelError;
use crate::recipe::data::word_weights::WordWeights;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Environment, Task, hash_file};
use crate::recipe::worlds::choosing::cosine;
use plackett_core::formats::{DEFAULT_LINE_LIMIT, FormatError, read_json_lines};
use plackett_core::summary::{Budget, query_summary, sentences, words};
use plackett_lm::EmbedOptions;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

const NUMBERS: [&str; 2] = ["RR@10", "coverage"];

const ENCODER: &str = "all-MiniLM-L6-v2";

/// The declaration.
pub static SUMMARIES: StageKind = StageKind {
    name: "summaries",
    help: "the longest answers of a file of questions, cut to a budget of words, as candidates of their questions: the `depth` documents that share the \
           rarest words with a question, in the order of the bundled encoder's cosines with what is left of them. Gives RR@10 and coverage (share of the \
           question's words, by weight, in what is left of its answer), by question",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        FieldSpec::required("file", FieldKind::Text, "in that folder, with `query` and `pos` on each line"),
        FieldSpec::required(
            "cut",
            FieldKind::Choice(&["lead", "random", "quite"]),
            "the first words, random sentences, or those that cover the question",
        ),
        FieldSpec::new(
            "decay",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.5),
            "of quite: what a covered word's weight is multiplied with",
        ),
        FieldSpec::new("budget", FieldKind::Whole(1, 100_000), Default::Whole(48), "words that are left"),
        FieldSpec::new(
            "documents",
            FieldKind::Whole(10, 1_000_000),
            Default::Whole(1000),
            "how many, the longest first",
        ),
        FieldSpec::new("depth", FieldKind::Whole(1, 1000), Default::Whole(50), "candidates of a question"),
        SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let file = hash_file(&path_of(values, environment)?)?;
        Ok(vec![("file".into(), file), ("model".into(), environment.fingerprint(ENCODER)?)])
    },
    estimate: |task| {
        let (questions, depth) = (task.values.count("documents"), task.values.count("depth"));
        let work = format!("embeds what is left of {depth} documents for each of {questions} questions");
        Ok(Estimate { work, seconds: Some((questions * depth) as f64 / 500.0), ..Estimate::default() })
    },
    run,
};

fn path_of(values: &Values, environment: &Environment) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(values.word("file")))
}

#[derive(Deserialize)]
struct Line {
    query: String,
    #[serde(default)]
    pos: Vec<String>,
}

/// A question and its answer.
struct Pair {
    question: String,
    answer: String,
}

/// The pairs with the longest answers, each answer once.
fn read(task: &Task<'_>) -> Result<Vec<Pair>, StageError> {
    let path = path_of(task.values, task.environment)?;
    let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
    for (_, line) in read_json_lines::<Line>(&path, DEFAULT_LINE_LIMIT, "a question with its answers")? {
        if let Some(answer) = line.pos.into_iter().next().filter(|answer| seen.insert(answer.clone())) {
            pairs.push(Pair { question: line.query, answer });
        }
    }
    let length = |pair: &Pair| pair.answer.split_whitespace().count();
    pairs.sort_by_key(|pair| std::cmp::Reverse(length(pair)));
    pairs.truncate(task.values.count("documents"));
    if pairs.is_empty() {
        let problem = "has no question with an answer".to_string();
        return Err(FormatError::File { file: path.display().to_string(), problem }.into());
    }
    Ok(pairs)
}

/// The words of all answers.
struct Frequencies {
    documents: Vec<HashSet<String>>,
    weights: WordWeights,
}

impl Frequencies {
    fn new(pairs: &[Pair]) -> Frequencies {
        let documents: Vec<HashSet<String>> =
            pairs.iter().map(|pair| words(&pair.answer).into_iter().collect()).collect();
        let mut weights = WordWeights::default();
        documents.iter().for_each(|document| weights.add(document));
        Frequencies { documents, weights }
    }

    /// Documents by the weight of the question's words in them; of equal ones the first.
    fn candidates(&self, weights: &HashMap<String, f64>, depth: usize) -> Vec<usize> {
        let mut sorted: Vec<(&String, f64)> = weights.iter().map(|(word, weight)| (word, *weight)).collect();
        sorted.sort_by(|a, b| a.0.cmp(b.0));
        let score = |document: &HashSet<String>| {
            sorted.iter().filter(|(word, _)| document.contains(*word)).map(|(_, weight)| weight).sum::<f64>()
        };
        let scores: Vec<f64> = self.documents.iter().map(score).collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(depth);
        order
    }
}

/// What is left of an answer for a question.
fn cut(values: &Values, answer: &str, weights: &HashMap<String, f64>, seed: u64) -> String {
    let budget = values.count("budget");
    match values.word("cut") {
        "lead" => answer.split_whitespace().take(budget).collect::<Vec<_>>().join(" "),
        "random" => {
            let mut all = sentences(answer);
            all.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            all.join(" ").split_whitespace().take(budget).collect::<Vec<_>>().join(" ")
        }
        _ => query_summary(answer, weights, values.real("decay"), Budget::Words(budget)).text,
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let pairs = read(task)?;
    let frequencies = Frequencies::new(&pairs);
    let model = task.environment.models(Some(ENCODER)).open(None)?;
    let embed = |texts: &[String]| -> Result<Vec<Vec<f32>>, StageError> {
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let made = model.embed(&views, &EmbedOptions::default()).map_err(ModelError::from)?;
        Ok(made.data.chunks_exact(made.dim.max(1)).map(<[f32]>::to_vec).collect())
    };
    let questions: Vec<String> = pairs.iter().map(|pair| pair.question.clone()).collect();
    let vectors = embed(&questions)?;
    // What does not look at the question is cut and read once.
    let depends = values.word("cut") == "quite";
    let once: Vec<String> = match depends {
        true => Vec::new(),
        false => pairs
            .iter()
            .enumerate()
            .map(|(at, pair)| {
                cut(values, &pair.answer, &HashMap::new(), (values.count("seed") * 1_000_003 + at) as u64)
            })
            .collect(),
    };
    let fixed = embed(&once)?;
    let (mut reciprocal, mut coverage) = (Vec::new(), Vec::new());
    for (at, pair) in pairs.iter().enumerate() {
        (task.progress)(task.name, at as u64, pairs.len() as u64);
        let weights = frequencies.weights.of(&pair.question);
        let candidates = frequencies.candidates(&weights, values.count("depth"));
        let texts: Vec<String> = match depends {
            true => {
                candidates.iter().map(|&document| cut(values, &pairs[document].answer, &weights, 0)).collect()
            }
            false => Vec::new(),
        };
        let own = embed(&texts)?;
        let score = |(place, &document): (usize, &usize)| {
            cosine(if depends { &own[place] } else { &fixed[document] }, &vectors[at])
        };
        let scores: Vec<f64> = candidates.iter().enumerate().map(score).collect();
        let rank = candidates.iter().position(|document| *document == at).map(|place| {
            1 + scores
                .iter()
                .enumerate()
                .filter(|(other, score)| {
                    **score > scores[place] || **score == scores[place] && *other < place
                })
                .count()
        });
        reciprocal.push(rank.filter(|rank| *rank <= 10).map_or(0.0, |rank| 1.0 / rank as f64));
        let left = if depends { cut(values, &pair.answer, &weights, 0) } else { once[at].clone() };
        let left: HashSet<String> = words(&left).into_iter().collect();
        let all: f64 = weights.values().sum();
        let mut covered: Vec<f64> =
            weights.iter().filter(|(word, _)| left.contains(*word)).map(|(_, weight)| *weight).collect();
        covered.sort_by(f64::total_cmp);
        coverage.push(if all > 0.0 { covered.iter().sum::<f64>() / all } else { 0.0 });
    }
    let keys: Vec<String> = (1..=pairs.len()).map(|at| at.to_string()).collect();
    Ok(StageOutput {
        numbers: vec![
            Quantity::by_query(NUMBERS[0], keys.clone(), reciprocal),
            Quantity::by_query(NUMBERS[1], keys, coverage),
        ],
        facts: vec![("documents".into(), pairs.len().to_string())],
        ..StageOutput::default()
    })
}
