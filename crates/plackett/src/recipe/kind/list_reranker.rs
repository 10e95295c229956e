//! `list-reranker`: the best ten of an embedder, of which a small model picks one (UniME-V2's reranker, on features).

use super::judged_negatives::answered;
use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::{ScorerTraining, learn_scorer};
use crate::recipe::models::training_fields::{batch, rate, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{Judge, PairJudge, QuestionSet, TextVectors, cosine, read_questions};
use plackett_train::Compute;
use plackett_train::trainer::{Settings, VectorList, score_lists};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Candidates of a list.
const LIST: usize = 10;
/// Yes or no of each pair, and which one of the list.
const OBJECTIVE: &str = "binary-cross-entropy + softmax-cross-entropy";

/// The declaration.
pub static LIST_RERANKER: StageKind = StageKind {
    name: "list-reranker",
    help: "a network of one hidden layer learns, of the ten paragraphs that the encoder finds best, whether each answers the question and \
           which one does it best; it sees the product of both vectors, their cosine, the share of the question's words in the paragraph \
           and its length. The right paragraph is put at a random place among negatives, of which there are 1 to 9. Gives, of questions of \
           other articles, `first` and `reranked` (P@1 of the encoder and after it) and `found` (in the first ten), by question; and by \
           list to learn from `place` (of the right one, from 0 for the first to 1 for the last)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        FieldSpec::new("hidden", FieldKind::Whole(1, 4096), Default::Whole(32), "units of the layer"),
        batch(32, "lists in a step"),
        steps((1, 1_000_000), 600, "of AdamW"),
        rate(3e-3),
        super::SEED,
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| ["first", "reranked", "found", "place"].map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let steps = task.values.count("steps");
        let seconds = Some(5.0 + steps as f64 * 0.03);
        Ok(Estimate { work: format!("a training of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// The ten best paragraphs of each question.
fn best(set: &QuestionSet, asked: &[usize], vectors: &TextVectors) -> Result<Vec<Vec<usize>>, StageError> {
    let documents: Vec<&[f32]> =
        set.passages.iter().map(|text| vectors.get(text)).collect::<Result<_, _>>()?;
    let one = |at: &usize| {
        let query = vectors.get(&set.questions[*at].0)?;
        let mut ranked: Vec<(usize, f64)> =
            documents.iter().map(|document| cosine(query, document)).enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(ranked.into_iter().take(LIST).map(|(place, _)| place).collect())
    };
    asked.par_iter().map(one).collect()
}

/// Features of a question with a paragraph.
fn features(
    judge: &PairJudge,
    set: &QuestionSet,
    (question, place): (usize, usize),
    vectors: &TextVectors,
) -> Result<Vec<f32>, StageError> {
    let text = &set.questions[question].0;
    let (query, document) = (vectors.get(text)?, vectors.get(&set.passages[place])?);
    // A product of two unit vectors has numbers of about 1/dimension; those of a layer are better near 1.
    let width = vectors.dimension() as f32;
    let mut features: Vec<f32> = query.iter().zip(document).map(|(a, b)| a * b * width.sqrt()).collect();
    let length = set.passages[place].split_whitespace().count() as f32;
    features.extend([
        4.0 * cosine(query, document) as f32,
        4.0 * judge.coverage(text, place) as f32,
        (length + 1.0).ln() - 4.7,
    ]);
    Ok(features)
}

fn judge_of(set: &QuestionSet) -> PairJudge {
    PairJudge::new(Judge::Words, 0.0, 0, &set.passages.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Lists to learn from, and where the right paragraph stands in each.
fn lists(
    set: &QuestionSet,
    vectors: &TextVectors,
    seed: u64,
) -> Result<(Vec<VectorList>, Vec<f64>), StageError> {
    let all: Vec<usize> = (0..set.questions.len()).collect();
    let (found, judge) = (best(set, &all, vectors)?, judge_of(set));
    let one = |at: usize| -> Result<(VectorList, f64), StageError> {
        let own = set.questions[at].1;
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1 << 32).wrapping_add(at as u64));
        let mut places: Vec<usize> = found[at].iter().copied().filter(|place| *place != own).collect();
        let count = random.random_range(1..LIST).min(places.len());
        places.truncate(count);
        let place = random.random_range(0..=count);
        places.insert(place, own);
        let mut list = VectorList { name: at.to_string(), ..VectorList::default() };
        for other in places {
            list.candidates.extend(features(&judge, set, (at, other), vectors)?);
            list.labels.push(if other == own { 1.0 } else { 0.0 });
        }
        Ok((list, place as f64 / count.max(1) as f64))
    };
    Ok(all.into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (vectors, file) = vectors_of(task)?;
    let (learned, tested) = (read_questions(&file, "squad2-b")?, read_questions(&file, "squad2-a")?);
    let seed = values.count("seed") as u64;
    let (lists, places) = lists(&learned, &vectors, seed)?;
    let training = ScorerTraining {
        objective: OBJECTIVE,
        width: vectors.dimension() + 3,
        batch: values.count("batch"),
        decay: Settings::default().decay,
        seed,
    };
    let (scorer, parameters) = learn_scorer(task, &lists, &training)?;
    let compute = Compute::new(rayon::current_num_threads());
    let (asked, judge) = (answered(&tested), judge_of(&tested));
    let found = best(&tested, &asked, &vectors)?;
    let list = |(at, places): (&usize, &Vec<usize>)| -> Result<VectorList, StageError> {
        let mut list = VectorList { labels: vec![0.0; places.len()], ..VectorList::default() };
        for place in places {
            list.candidates.extend(features(&judge, &tested, (*at, *place), &vectors)?);
        }
        Ok(list)
    };
    let questions: Vec<VectorList> = asked.par_iter().zip(&found).map(list).collect::<Result<_, _>>()?;
    let scores = score_lists(&scorer, &parameters, &compute, &questions);
    let one = |yes: bool| f64::from(u8::from(yes));
    let own = |at: usize| tested.questions[asked[at]].1;
    let picked = |at: usize| {
        let scores: &[f32] = &scores[at];
        let best =
            (0..scores.len()).fold(0, |best, other| if scores[other] > scores[best] { other } else { best });
        found[at][best]
    };
    let by_question = |of: &dyn Fn(usize) -> bool| (0..asked.len()).map(|at| one(of(at))).collect::<Vec<_>>();
    let keys: Vec<String> = asked.iter().map(ToString::to_string).collect();
    let quantity = |name: &str, values| Quantity::by_query(name, keys.clone(), values);
    let list_keys = (1..=places.len()).map(|at| at.to_string()).collect();
    Ok(StageOutput {
        facts: vec![("mean place of the right paragraph".into(), format!("{:.3}", mean(&places)))],
        numbers: vec![
            quantity("first", by_question(&|at| found[at].first() == Some(&own(at)))),
            quantity("reranked", by_question(&|at| picked(at) == own(at))),
            quantity("found", by_question(&|at| found[at].contains(&own(at)))),
            Quantity::by_query("place", list_keys, places),
        ],
        ..StageOutput::default()
    })
}
