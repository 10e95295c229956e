//! `judged-negatives`: an embedding learns from mined negatives with a judge's scores (UniME-V2 on text).

use super::judge_auc::{JUDGE, NOISE};
use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training_fields::{batch, rate, settings_of, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{
    Judge, PairJudge, QuestionSet, TextVectors, cosine, read_questions, rewritten,
};
use plackett_core::hard_negatives::{HardNegatives, Mining, effective_count};
use plackett_train::objective::parse_sum;
use plackett_train::trainer::{
    Against, DualProjection, DualTask, Pairing, Settings, Side, StepRecord, train,
};
use plackett_train::{Compute, Parameters};
use rand::SeedableRng;
use rand::seq::{SliceRandom, index::sample};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Numbers by seed beside the measures.
const NUMBERS: [&str; 6] = ["copies", "copies_removed", "others_removed", "negatives", "spread", "loss"];
const MEASURES: [&str; 2] = ["P@1", "RR@10"];
/// The file of mined records.
const RECORDS: &str = "hard-negatives.jsonl";
/// The temperature of both softmaxes.
const TEMPERATURE: f64 = 0.02;

/// The declaration.
pub static JUDGED_NEGATIVES: StageKind = StageKind {
    name: "judged-negatives",
    help: "one map of the vectors of questions and paragraphs learns from the negatives that are mined for each question: of the 50 most \
           similar paragraphs those that a judge does not take for positives, every fifth of them, with the judge's scores as soft labels; \
           a share of the paragraphs is planted again under other ids. Gives P@1 and RR@10 of the questions of other articles, by question \
           (mean of the seeds), and by seed `copies` (planted copies of the own paragraph among the candidates), `copies_removed` and \
           `others_removed` (shares that the filter took out, of those copies and of all other candidates), `negatives` of a question, \
           `spread` (candidates that the soft labels are spread over: e to their entropy) and `loss` (at the end). The records of the \
           first seed are kept as hard-negatives.jsonl",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        VECTORS,
        FieldSpec::new(
            "labels",
            FieldKind::Choice(&["soft", "hard"]),
            Default::Text("soft"),
            "the judge's scores, or the positive alone",
        ),
        FieldSpec::new(
            "filter",
            FieldKind::Switch,
            Default::Switch(true),
            "whether what the judge takes for a positive is no negative",
        ),
        FieldSpec::new(
            "shuffled",
            FieldKind::Switch,
            Default::Switch(false),
            "whether the scores of a question's candidates are mixed up",
        ),
        JUDGE,
        NOISE,
        FieldSpec::new(
            "copies",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.1),
            "share of the paragraphs that are planted again",
        ),
        FieldSpec::new(
            "copied",
            FieldKind::Choice(&["exact", "rewritten"]),
            Default::Text("rewritten"),
            "as they are, or in another order without their last sentence",
        ),
        FieldSpec::new("negatives", FieldKind::Whole(1, 50), Default::Whole(8), "of a question"),
        batch(32, "questions in a step"),
        steps((0, 1_000_000), 400, "of AdamW"),
        rate(3e-4),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(2), "how many"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| MEASURES.iter().chain(&NUMBERS).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (3.0 + steps as f64 * 0.02));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

/// Paragraphs to learn from, and after them the planted copies.
struct Candidates {
    texts: Vec<String>,
    /// The paragraph that each of them is.
    origins: Vec<usize>,
}

impl Candidates {
    fn new(set: &QuestionSet, share: f64, exact: bool, seed: u64) -> Candidates {
        let count = set.passages.len();
        let planted = ((count as f64 * share).round() as usize).min(count);
        let mut places = sample(&mut ChaCha8Rng::seed_from_u64(seed), count, planted).into_vec();
        places.sort_unstable();
        let mut texts = set.passages.clone();
        texts.extend(places.iter().map(|&place| match exact {
            true => set.passages[place].clone(),
            false => rewritten(&set.passages[place]),
        }));
        Candidates { texts, origins: (0..count).chain(places).collect() }
    }
}

/// What mining has counted.
#[derive(Default)]
struct Counted {
    copies: usize,
    copies_removed: usize,
    others: usize,
    others_removed: usize,
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (vectors, file) = vectors_of(task)?;
    let (learned, tested) = (read_questions(&file, "squad2-b")?, read_questions(&file, "squad2-a")?);
    let (mut measured, mut numbers) = (Vec::new(), Vec::new());
    for seed in 1..=task.values.count("seeds") {
        let (of_seed, own) = learn(task, (&learned, &tested), &vectors, seed)?;
        measured.push(of_seed);
        numbers.push(own);
    }
    let asked = answered(&tested);
    let keys: Vec<String> = asked.iter().map(ToString::to_string).collect();
    let mut made = StageOutput::default();
    for (at, name) in MEASURES.into_iter().enumerate() {
        let of = |question: usize| mean(&measured.iter().map(|seed| seed[question][at]).collect::<Vec<_>>());
        let values = (0..asked.len()).map(of).collect();
        made.numbers.push(Quantity::by_query(name, keys.clone(), values));
    }
    for (at, name) in NUMBERS.into_iter().enumerate() {
        let values = numbers.iter().map(|seed| seed[at]).collect();
        made.numbers.push(Quantity::of_seeds(name, values));
    }
    made.facts.push(("questions to learn from".into(), learned.questions.len().to_string()));
    Ok(made)
}

/// Places of the questions that their paragraph answers.
pub(super) fn answered(set: &QuestionSet) -> Vec<usize> {
    (0..set.questions.len()).filter(|at| set.questions[*at].2 != Some(false)).collect()
}

type Measured = Vec<[f64; MEASURES.len()]>;

fn learn(
    task: &Task<'_>,
    (learned, tested): (&QuestionSet, &QuestionSet),
    vectors: &TextVectors,
    seed: usize,
) -> Result<(Measured, [f64; NUMBERS.len()]), StageError> {
    let values = task.values;
    let number = |name| values.real(name);
    let candidates =
        Candidates::new(learned, number("copies"), values.word("copied") == "exact", seed as u64);
    let (records, counted) = mine(task, learned, &candidates, vectors, seed as u64)?;
    if seed == 1 {
        keep(task, learned, &candidates, &records)?;
    }
    let groups: Vec<Vec<Pairing>> = records.iter().map(|record| vec![record.clone()]).collect();
    let questions: Vec<&[f32]> =
        learned.questions.iter().map(|(text, ..)| vectors.get(text)).collect::<Result<_, _>>()?;
    let documents: Vec<&[f32]> =
        candidates.texts.iter().map(|text| vectors.get(text)).collect::<Result<_, _>>()?;
    let soft = values.word("labels") == "soft";
    let objective = if soft { "symmetric-kl" } else { "symmetric-kl(direction=teacher)" };
    let objective = parse_sum(objective)
        .map_err(|error| StageError::Field { field: "labels", problem: error.to_string() })?;
    let mut parameters = Parameters::default();
    let projection = DualProjection::new(&mut parameters, vectors.dimension(), (true, true));
    let compute = Compute::new(rayon::current_num_threads());
    let dual = DualTask {
        projection: projection.clone(),
        queries: &questions,
        documents: &documents,
        groups: &groups,
        against: Against::Own,
        objective,
    };
    let mut loss = 0.0;
    if values.count("steps") > 0 {
        let settings = Settings { seed: seed as u64, checkpoint: 0, ..settings_of(values) };
        let name = format!("{}, seed {seed}", task.name);
        let mut progress =
            |record: &StepRecord, total: usize| (task.progress)(&name, record.step as u64, total as u64);
        let report = train(&dual, &compute, &mut parameters, &settings, (None, ""), None, &mut progress)?;
        loss = f64::from(report.final_loss());
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let of_records = |of: &dyn Fn(&Pairing) -> f64| mean(&records.iter().map(of).collect::<Vec<_>>());
    let spread = |record: &Pairing| {
        let scores: Vec<f64> = record.teacher.iter().map(|score| f64::from(*score)).collect();
        effective_count(&scores, TEMPERATURE)
    };
    let numbers = [
        counted.copies as f64,
        share(counted.copies_removed, counted.copies),
        share(counted.others_removed, counted.others),
        of_records(&|record| record.documents.len() as f64 - 1.0),
        of_records(&spread),
        loss,
    ];
    Ok((measure(&projection, &parameters, &compute, tested, vectors)?, numbers))
}

/// The questions with their paragraph and mined negatives; those without any are left out.
fn mine(
    task: &Task<'_>,
    set: &QuestionSet,
    candidates: &Candidates,
    vectors: &TextVectors,
    seed: u64,
) -> Result<(Vec<Pairing>, Counted), StageError> {
    let values = task.values;
    let texts: Vec<&str> = candidates.texts.iter().map(String::as_str).collect();
    let documents: Vec<&[f32]> = texts.iter().map(|text| vectors.get(text)).collect::<Result<_, _>>()?;
    let judge = match values.word("judge") {
        "words" => Some(Judge::Words),
        "oracle" => Some(Judge::Oracle),
        _ => None,
    };
    let noise = values.real("noise");
    let judge =
        judge.map(|judge| PairJudge::new(judge, noise, seed, &texts).with_origins(&candidates.origins));
    let beta = values.on("filter").then_some(0.01);
    let mining = Mining { beta, count: values.count("negatives"), ..Mining::default() };
    let one = |at: usize| -> Result<(Option<Pairing>, Counted), StageError> {
        let (question, own, _) = &set.questions[at];
        let query = vectors.get(question)?;
        let mut ranked: Vec<(usize, f64)> = (0..documents.len())
            .filter(|place| place != own)
            .map(|place| (place, cosine(query, documents[place])))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let is_own = |place: usize| candidates.origins[place] == *own;
        let score = |place: usize| match &judge {
            Some(judge) => judge.score((at, question), place, is_own(place)),
            None => cosine(query, documents[place]).clamp(0.0, 1.0),
        };
        let positive = score(*own);
        let mined = mining.mine(&ranked, positive, score);
        let copies = ranked.iter().take(mining.depth).filter(|(place, _)| is_own(*place)).count();
        let copies_removed = mined.removed.iter().filter(|place| is_own(**place)).count();
        let counted = Counted {
            copies,
            copies_removed,
            others: mining.depth.min(ranked.len()) - copies,
            others_removed: mined.removed.len() - copies_removed,
        };
        if mined.negatives.is_empty() {
            return Ok((None, counted));
        }
        let mut documents = vec![*own];
        documents.extend(mined.negatives.iter().map(|(place, _)| *place));
        let mut teacher = vec![positive as f32];
        teacher.extend(mined.negatives.iter().map(|(_, score)| *score as f32));
        if values.on("shuffled") {
            let drawn = seed.wrapping_mul(1 << 32).wrapping_add(at as u64);
            teacher.shuffle(&mut ChaCha8Rng::seed_from_u64(drawn));
        }
        if values.word("labels") == "hard" {
            teacher.fill(0.0);
            teacher[0] = 1.0;
        }
        Ok((Some(Pairing { query: at, documents, teacher }), counted))
    };
    let mut all = Counted::default();
    let mut records = Vec::new();
    for (record, counted) in
        (0..set.questions.len()).into_par_iter().map(one).collect::<Result<Vec<_>, _>>()?
    {
        records.extend(record);
        all.copies += counted.copies;
        all.copies_removed += counted.copies_removed;
        all.others += counted.others;
        all.others_removed += counted.others_removed;
    }
    match records.is_empty() {
        false => Ok((records, all)),
        true => {
            let problem = "the judge took every candidate for a positive; nothing can be learned".to_string();
            Err(StageError::Field { field: "judge", problem })
        }
    }
}

/// Writes records in the form of the authors' files.
fn keep(
    task: &Task<'_>,
    set: &QuestionSet,
    candidates: &Candidates,
    records: &[Pairing],
) -> Result<(), StageError> {
    let path = task.folder.join(RECORDS);
    let mut lines = String::new();
    for record in records {
        let text = |at: usize| candidates.texts[record.documents[at]].clone();
        let score = |at: usize| f64::from(record.teacher[at]);
        let written = HardNegatives {
            query_text: set.questions[record.query].0.clone(),
            pos_text: text(0),
            query_pos_scores: score(0),
            hard_negatives: (1..record.documents.len()).map(|at| (text(at), String::new())).collect(),
            hard_negatives_scores: (1..record.documents.len()).map(score).collect(),
            ..HardNegatives::default()
        };
        let line = serde_json::to_string(&written)
            .map_err(|error| StageError::Damaged { path: path.clone(), problem: error.to_string() })?;
        lines.push_str(&line);
        lines.push('\n');
    }
    std::fs::write(&path, lines).map_err(StageError::cache(&path))
}

/// P@1 and RR@10 of the questions that are answered, over the paragraphs of their half; of equal cosines the first.
fn measure(
    projection: &DualProjection,
    parameters: &Parameters,
    compute: &std::sync::Arc<Compute>,
    set: &QuestionSet,
    vectors: &TextVectors,
) -> Result<Measured, StageError> {
    let of = |texts: Vec<&str>, side| -> Result<Vec<Vec<f32>>, StageError> {
        let views: Vec<&[f32]> = texts.into_iter().map(|text| vectors.get(text)).collect::<Result<_, _>>()?;
        Ok(projection.project(parameters, compute, &views, side))
    };
    let documents = of(set.passages.iter().map(String::as_str).collect(), Side::Document)?;
    let asked = answered(set);
    let questions = of(asked.iter().map(|at| set.questions[*at].0.as_str()).collect(), Side::Query)?;
    let one = |(at, query): (&usize, &Vec<f32>)| {
        let own = set.questions[*at].1;
        let score = cosine(query, &documents[own]);
        let before = documents.iter().enumerate().filter(|(place, document)| {
            let other = cosine(query, document);
            other > score || other == score && *place < own
        });
        match before.count() {
            0 => [1.0, 1.0],
            rank if rank < 10 => [0.0, 1.0 / (rank + 1) as f64],
            _ => [0.0, 0.0],
        }
    };
    Ok(asked.par_iter().zip(&questions).map(one).collect())
}
