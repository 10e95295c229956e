//! `train-views`: MVP's encoder of view vectors and its decoder of anchors learn from short lists.

use super::{CANDIDATES, DEPTH, ENCODER, SEED, WORDS, dataset_of, encoder_fingerprint, rank, train};
use crate::recipe::data::dataset::Dataset;
use crate::recipe::data::judged_lists::grades_of;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::embedding_examples::{reader, teacher};
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps, warmup};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::TokenBm25;
use plackett_core::RankRequest;
use plackett_rank::model::LanguageModel;
use plackett_rank::training_example::{EmbeddingExampleBuilder, readable};
use plackett_train::objective::parse_sum;
use plackett_train::random::Stream;
use plackett_train::trainer::{
    Report, Settings, StepRecord, ViewExample, ViewRanker, ViewTask, train as learn, words_of,
};
use plackett_train::{Compute, Parameters};
use std::sync::Arc;

/// Numbers of a training.
const NUMBERS: [&str; 3] = ["first_loss", "loss", "step_seconds"];
/// Numbers of each list that is held out: before and after.
const LIKENESS: [&str; 2] = ["cosine_before", "cosine"];
/// How much of the mean of squared gradients stays from step to step: what the orthogonality of the first steps has left there is
/// forgotten soon, so that steps of the smaller loss of the order are not held down by it.
const BETA2: f32 = 0.98;

/// The declaration.
pub static TRAIN_VIEWS: StageKind = StageKind {
    name: "train-views",
    help: "MVP: an encoder of passages into view vectors, and a decoder of anchors that begins with drawn weights, learn from lists of one \
           relevant candidate of a query and some that are not, filled up with passages of other queries; the relevant one is first, the \
           others stand in BM25's order or are equal. Gives first_loss (of the first step), loss (the mean of the last tenth of the steps) \
           and step_seconds (the median), and where there are several views, by list of a share that is held out, cosine_before and cosine: \
           the mean size of the cosines between the anchors of its views, before and after. The model is one for `mvp`",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        CANDIDATES,
        DEPTH,
        WORDS,
        ENCODER,
        FieldSpec::new("views", FieldKind::Whole(1, 6), Default::Whole(4), "view tokens"),
        FieldSpec::new(
            "negatives",
            FieldKind::Whole(1, 1000),
            Default::Whole(4),
            "passages of a list that are not relevant",
        ),
        FieldSpec::new(
            "teacher",
            FieldKind::Choice(&["bm25", "labels"]),
            Default::Text("bm25"),
            "the order of those behind the relevant one: BM25's, or none",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("listnet(target=reciprocal-rank, temperature=0.8, target_temperature=0.8)"),
            "what is minimised of the scores, as in docs/objectives.md",
        ),
        FieldSpec::new(
            "lambda",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(1.0),
            "the weight of the orthogonality of anchors",
        ),
        FieldSpec::new(
            "held_out",
            FieldKind::Number(0.0, 0.9),
            Default::Number(0.1),
            "share of the lists, the last ones, that is not learned from",
        ),
        rate(5e-5),
        FieldSpec::new(
            "head_rate",
            FieldKind::Number(0.0, 1.0),
            Default::Number(5e-4),
            "the learning rate of the decoder",
        ),
        batch(8, "lists in a step"),
        steps((1, i64::MAX), 300, "steps"),
        warmup(0),
        FieldSpec::new(
            "tokens",
            FieldKind::Whole(16, 512),
            Default::Whole(96),
            "most tokens of a passage with its query and view tokens",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| match parse_sum(values.word("objective")) {
        Ok(_) => Ok(()),
        Err(error) => Err(values.wrong("objective", 0, Problem::Said(error.to_string()))),
    },
    numbers: |values, _| {
        let likeness = LIKENESS.iter().filter(|_| values.count("views") > 1);
        NUMBERS.iter().chain(likeness).map(ToString::to_string).collect()
    },
    outside: encoder_fingerprint,
    estimate: |task| {
        let (steps, lists) = (task.values.count("steps"), task.values.count("batch"));
        let passages = steps * lists * (1 + task.values.count("negatives"));
        let tokens = passages * task.values.count("tokens") * 6 / 10;
        let work = format!("a training of {steps} steps of {lists} lists");
        Ok(Estimate { work, seconds: Some(tokens as f64 / TOKENS_A_SECOND), ..Estimate::default() })
    },
    run,
};

/// Tokens that the small encoder learns from in a second on two cores.
pub(super) const TOKENS_A_SECOND: f64 = 2000.0;

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let base = task.environment.directory(values.word("model"))?;
    let (mut parameters, seed) = (Parameters::default(), values.count("seed"));
    let (most, views) = (values.count("tokens"), values.count("views"));
    let ranker = ViewRanker::open(&base, &mut parameters, views, most, seed as u64)?;
    let (requests, cut) = rank::requests(task, values)?;
    let lists = lists(task, &requests, &prompts(reader(task, &base)?, views, ranker.encoder.most_tokens())?)?;
    let held = (lists.examples.len() as f64 * values.real("held_out")) as usize;
    let (learned, held_out) = lists.examples.split_at(lists.examples.len() - held);
    let objective =
        || parse_sum(values.word("objective")).map_err(|error| field("objective", error.to_string()));
    let lambda = values.real("lambda") as f32;
    let lesson = ViewTask::new(&ranker, learned, most, objective()?, lambda)?;
    let test = ViewTask::new(&ranker, held_out, most, objective()?, lambda)?;
    let compute = Compute::new(rayon::current_num_threads());
    let before = ranker.anchor_similarity(&compute, &parameters, &test.passages());
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let identity = format!("{:?}", values.written());
    let place = (Some(task.folder), identity.as_str());
    let report = learn(&lesson, &compute, &mut parameters, &settings(values), place, None, &mut progress)?;
    let after = ranker.anchor_similarity(&compute, &parameters, &test.passages());
    ranker.save(&task.folder.join(train::FOLDER), &parameters)?;
    train::remove_checkpoint(task.folder)?;
    let mut made = StageOutput { numbers: numbers_of(&report, seed), ..StageOutput::default() };
    if !before.is_empty() {
        let keys: Vec<String> = held_out.iter().map(|example| example.name.clone()).collect();
        for (name, found) in LIKENESS.into_iter().zip([before, after]) {
            made.numbers.push(Quantity::by_query(name, keys.clone(), found));
        }
    }
    made.facts.push(("lists to learn from".into(), learned.len().to_string()));
    made.facts.push(("lists held out".into(), held_out.len().to_string()));
    made.facts.extend(cut);
    made.warnings = lists.remarks;
    // None, as long as the method and the encoder count the same tokens.
    made.warnings.extend(lost(lesson.cut(), most));
    Ok(made)
}

fn field(field: &'static str, problem: String) -> StageError {
    StageError::Field { field, problem }
}

fn settings(values: &Values) -> Settings {
    Settings { beta2: BETA2, ..settings_of(values) }
}

/// [`NUMBERS`] of a training.
pub(super) fn numbers_of(report: &Report, seed: usize) -> Vec<Quantity> {
    let of = [f64::from(report.first_loss()), f64::from(report.final_loss()), report.median_seconds()];
    NUMBERS.into_iter().zip(of).map(|(name, value)| Quantity::of_seed(name, seed, value)).collect()
}

/// What is to be said of texts that lost their ends.
pub(super) fn lost((cut, of): (usize, usize), most: usize) -> Option<String> {
    (cut > 0)
        .then(|| format!("{cut} of {of} texts have more than {most} tokens, and what is more is not read"))
}

/// Lists to learn from, and what was left out, in sentences.
struct ViewLists {
    examples: Vec<ViewExample>,
    remarks: Vec<String>,
}

/// What the method `mvp` lets an encoder read behind so many view tokens.
fn prompts(
    model: Arc<dyn LanguageModel>,
    views: usize,
    most_tokens: usize,
) -> Result<EmbeddingExampleBuilder, StageError> {
    let (views, length) = (views.to_string(), most_tokens.to_string());
    teacher("mvp", &[("views", views.as_str()), ("length", length.as_str())], model, most_tokens)
}

/// A list of each query that has a relevant candidate: the first of those, and others that are drawn.
fn lists(
    task: &Task<'_>,
    requests: &[RankRequest],
    prompts: &EmbeddingExampleBuilder,
) -> Result<ViewLists, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("candidates"))?;
    let requests: Vec<RankRequest> = requests.iter().map(readable).collect();
    let passages: Vec<Vec<(String, bool)>> =
        requests.iter().map(|request| graded(request, &dataset)).collect();
    let bm25 = (values.word("teacher") == "bm25").then(|| Bm25::new(&passages));
    let draw = Draw { passages: &passages, negatives: values.count("negatives"), seed: values.count("seed") };
    let (mut examples, mut filled, mut without) = (Vec::new(), 0, 0);
    let (mut cut, mut texts) = (0, 0);
    for (at, request) in requests.iter().enumerate() {
        if at % 100 == 0 {
            (task.progress)("prompts", at as u64, requests.len() as u64);
        }
        let Some((places, of_others)) = draw.list(at) else {
            without += 1;
            continue;
        };
        filled += of_others;
        let document = |place: &(usize, usize)| requests[place.0].candidates[place.1].document.clone();
        let list = RankRequest::new(request.query.clone(), places.iter().map(document));
        let lesson = prompts.example(&list).map_err(|error| field("tokens", error.to_string()))?;
        cut += lesson.truncated.len();
        texts += lesson.documents.len();
        let labels = match &bm25 {
            Some(bm25) => labels(&bm25.scores(&request.query.text, &places)),
            None => (0..places.len()).map(|place| f32::from(u8::from(place == 0))).collect(),
        };
        examples.push(ViewExample { name: request.query.id.clone(), texts: lesson.documents, labels });
    }
    let mut remarks = Vec::new();
    if without > 0 {
        remarks.push(format!(
            "{without} of {} queries have no relevant candidate, or too few others, and are left out",
            requests.len()
        ));
    }
    if filled > 0 {
        remarks.push(format!("{filled} passages of lists are drawn from those of other queries"));
    }
    remarks.extend(lost((cut, texts), values.count("tokens")));
    match examples.len() {
        0 => Err(field("candidates", "no query has a relevant candidate; nothing can be learned".into())),
        _ => Ok(ViewLists { examples, remarks }),
    }
}

/// The texts of the candidates of a query, and whether they are relevant.
fn graded(request: &RankRequest, dataset: &Dataset) -> Vec<(String, bool)> {
    let texts = request.candidates.iter().map(|candidate| candidate.document.model_text().into_owned());
    texts.zip(grades_of(dataset, request)).map(|(text, grade)| (text, grade > 0)).collect()
}

/// Draws lists.
struct Draw<'p> {
    /// The candidates of each query, and whether they are relevant.
    passages: &'p [Vec<(String, bool)>],
    negatives: usize,
    seed: usize,
}

impl Draw<'_> {
    /// The list of a query, as places of queries and their candidates, the relevant one first, and how many are candidates of other queries;
    /// `None` where nothing is relevant or too little else is there.
    fn list(&self, query: usize) -> Option<(Vec<(usize, usize)>, usize)> {
        let own = &self.passages[query];
        let stream = Stream::new(self.seed as u64, query as u64);
        let mut list = vec![(query, own.iter().position(|(_, is_relevant)| *is_relevant)?)];
        let others = stream.permutation(own.len()).into_iter().filter(|at| !own[*at].1);
        list.extend(others.take(self.negatives).map(|at| (query, at)));
        let missing = self.negatives + 1 - list.len();
        // Draws that hit the query itself or a passage that is there count too, so that a small collection comes to an end.
        for round in 0..100 * missing as u64 {
            if list.len() > self.negatives {
                break;
            }
            // Behind the words of the permutation.
            let word = own.len() as u64 + 2 * round;
            let other = stream.below(word, self.passages.len());
            let place = (other, stream.below(word + 1, self.passages[other].len()));
            let text = |place: (usize, usize)| self.passages[place.0].get(place.1).map(|(text, _)| text);
            let is_new = text(place).is_some() && list.iter().all(|listed| text(*listed) != text(place));
            if other != query && is_new && own.iter().all(|(own, _)| Some(own) != text(place)) {
                list.push(place);
            }
        }
        (list.len() > self.negatives).then_some((list, missing))
    }
}

/// BM25 over all candidates.
struct Bm25 {
    index: TokenBm25,
    /// The place of the first candidate of each query.
    starts: Vec<usize>,
}

impl Bm25 {
    fn new(passages: &[Vec<(String, bool)>]) -> Bm25 {
        let words: Vec<Vec<String>> =
            passages.iter().flatten().map(|(text, _)| words_of(text).collect()).collect();
        let mut starts = vec![0];
        starts.extend(passages.iter().scan(0, |end, passages| {
            *end += passages.len();
            Some(*end)
        }));
        Bm25 { index: TokenBm25::new(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()), starts }
    }

    /// Scores of a query and the candidates at some places.
    fn scores(&self, query: &str, places: &[(usize, usize)]) -> Vec<f64> {
        let all = self.index.scores(&words_of(query).collect::<Vec<_>>());
        places.iter().map(|(query, at)| all[self.starts[*query] + at]).collect()
    }
}

/// Labels by which the first is best and the others follow by their scores; of equal ones the first.
fn labels(scores: &[f64]) -> Vec<f32> {
    let mut order: Vec<usize> = (1..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut labels = vec![scores.len() as f32; scores.len()];
    for (rank, at) in order.into_iter().enumerate() {
        labels[at] = (scores.len() - 1 - rank) as f32;
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passages(of: &[&[(&str, bool)]]) -> Vec<Vec<(String, bool)>> {
        of.iter().map(|list| list.iter().map(|(text, is)| (text.to_string(), *is)).collect()).collect()
    }

    #[test]
    fn a_list_is_a_relevant_candidate_and_others_filled_up_from_elsewhere() {
        let all = passages(&[
            &[("a", false), ("b", true), ("c", true), ("d", false)],
            &[("e", false), ("a", false), ("f", true)],
            &[("g", false)],
        ]);
        let draw = Draw { passages: &all, negatives: 4, seed: 1 };
        let (list, of_others) = draw.list(0).unwrap();
        assert_eq!((list[0], list.len(), of_others), ((0, 1), 5, 2));
        let texts: std::collections::BTreeSet<&str> =
            list.iter().map(|(query, at)| all[*query][*at].0.as_str()).collect();
        // Its own two, and two of e, f and g; its other relevant candidate is none of them, and nothing is twice.
        assert_eq!(texts.len(), 5);
        assert!(texts.contains("d") && !texts.contains("c"));
        assert_eq!(draw.list(0), draw.list(0));
        let two = Draw { negatives: 2, ..draw };
        let (list, of_others) = two.list(0).unwrap();
        assert_eq!((list.len(), of_others), (3, 0));
        assert!(list.iter().all(|(query, _)| *query == 0));
        assert_eq!(two.list(2), None);
        // There are not so many passages.
        assert_eq!(Draw { negatives: 9, ..two }.list(0), None);
    }

    #[test]
    fn the_relevant_one_is_first_and_the_others_follow_by_bm25() {
        assert_eq!(labels(&[0.1, 3.0, 1.0, 3.0, 2.0]), [5.0, 4.0, 1.0, 3.0, 2.0]);
        let all = passages(&[&[("the cat sat", true), ("a dog", false)], &[("Cats and a CAT", false)]]);
        let scores = Bm25::new(&all).scores("cat?", &[(0, 1), (1, 0), (0, 0)]);
        assert_eq!(scores[0], 0.0);
        assert!(scores[1] > 0.0 && scores[2] > 0.0);
    }
}
