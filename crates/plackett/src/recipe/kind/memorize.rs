//! `memorize`: a small decoder that learns questions and answers by heart, from nothing.

use super::SEED;
use super::byte_decoder::{check_shape, shape_of};
use super::train::FOLDER;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{batch, rate, settings_of, warmup};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::{Input, Task};
use crate::recipe::worlds::unlearning::{CORPUS_FIELDS, Corpus, Evaluation, NUMBERS};
use plackett_train::trainer::{LanguageModel, Settings, StepRecord, train};
use plackett_train::unlearning::{AnswerTask, TokenPair};
use plackett_train::{Compute, Parameters};

/// Bytes of a question with its answer, or of a passage, at most, as the model's files say.
const CONTEXT: usize = 2048;

/// What it gives beside the numbers of an evaluation.
const OWN: [&str; 4] = ["loss", "parameters", "steps", "step_seconds"];

/// Its own fields, behind those of what is learned.
const FIELDS: [FieldSpec; 17] = {
    let own = [
        FieldSpec::new(
            "without_forgotten",
            FieldKind::Switch,
            Default::Switch(false),
            "whether what is to be forgotten is left out: the model that never knew it",
        ),
        FieldSpec::new(
            "passages",
            FieldKind::Whole(0, 10_000_000),
            Default::Whole(0),
            "passages of `texts` that are learned from beside, each once",
        ),
        FieldSpec::new("layers", FieldKind::Whole(1, 64), Default::Whole(4), "of the decoder"),
        FieldSpec::new("width", FieldKind::Whole(8, 4096), Default::Whole(128), "numbers of a byte"),
        FieldSpec::new("heads", FieldKind::Whole(1, 64), Default::Whole(4), "of attention"),
        FieldSpec::new(
            "inner",
            FieldKind::Whole(8, 16384),
            Default::Whole(256),
            "of the feed-forward networks",
        ),
        FieldSpec::new(
            "epochs",
            FieldKind::Whole(1, 100_000),
            Default::Whole(60),
            "how often each question is seen",
        ),
        batch(16, "questions or passages in a step"),
        rate(2e-3),
        warmup(50),
        SEED,
    ];
    let mut all = [SEED; 17];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < CORPUS_FIELDS.len() { CORPUS_FIELDS[at] } else { own[at - CORPUS_FIELDS.len()] };
        at += 1;
    }
    all
};

/// The declaration.
pub static MEMORIZE: StageKind = StageKind {
    name: "memorize",
    help: "a Llama over bytes that learns questions and answers by heart from nothing, for stages of the kind `unlearn`; gives loss (over \
           the last tenth of the steps), parameters, steps, step_seconds, and the numbers of an evaluation, which `unlearn` gives too and \
           explains",
    version: 1,
    gives: OutputKind::Model,
    fields: &FIELDS,
    chooses: None,
    check: |values, _| check_shape(values),
    numbers: |_, _| OWN.iter().chain(&NUMBERS).map(ToString::to_string).collect(),
    outside: nothing_outside,
    estimate: |task| {
        let values = task.values;
        let work = format!(
            "learns about {} subjects by heart, {} times over",
            values.count("subjects"),
            values.count("epochs")
        );
        Ok(Estimate { work, ..Estimate::default() })
    },
    run,
};

/// The model of a stage, and what it has learned: of `memorize`, or of `unlearn` after it.
///
/// # Errors
/// The stage has another kind of model, or the model or the corpus cannot be read.
pub fn learned(
    task: &Task<'_>,
    field: &'static str,
    parameters: &mut Parameters,
) -> Result<(LanguageModel, Corpus), StageError> {
    let input = task.input(task.values.word(field))?;
    let source = memorized(task, input).ok_or_else(|| {
        let problem =
            format!("a stage of the kind `{}` has no decoder that has learned by heart; name one of the kind `memorize`", input.kind.name);
        StageError::Field { field, problem }
    })?;
    let decoder = LanguageModel::open(&input.folder.join(FOLDER), parameters)?;
    // What is learned from beside is not needed again.
    Ok((decoder, Corpus::load(task, source.values, 0)?))
}

/// The stage that has learned what the model of a stage knows.
fn memorized<'t>(task: &'t Task<'_>, input: &'t Input<'t>) -> Option<&'t Input<'t>> {
    match input.kind.name {
        "memorize" => Some(input),
        "unlearn" => memorized(task, task.inputs.get(input.values.word("model"))?),
        _ => None,
    }
}

/// Where the model of a stage has learned: to compare what two of them have learned.
pub fn corpus_of(task: &Task<'_>, field: &str) -> Option<Vec<(&'static str, String)>> {
    let source = memorized(task, task.inputs.get(task.values.word(field))?)?;
    let own = |(name, _): &(&'static str, String)| CORPUS_FIELDS.iter().any(|field| field.name == *name);
    Some(source.values.written().into_iter().filter(own).collect())
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let corpus = Corpus::load(task, values, values.count("passages"))?;
    let (seed, epochs) = (values.count("seed"), values.count("epochs"));
    let mut parameters = Parameters::default();
    let mut decoder = LanguageModel::of_bytes(&shape_of(values), CONTEXT, seed as u64, &mut parameters)?;
    let forget = if values.on("without_forgotten") { &[][..] } else { &corpus.forget };
    let pairs: Vec<&TokenPair> = forget.iter().chain(&corpus.retain).map(|item| &item.pair).collect();
    // Questions come again in every epoch, each passage once in all of them.
    let all = std::iter::repeat_n(pairs, epochs).flatten().chain(&corpus.passages);
    let all: Vec<TokenPair> = all.cloned().collect();
    let compute = Compute::new(rayon::current_num_threads());
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let learning = AnswerTask { llama: &decoder.llama, pairs: &all };
    let report =
        train(&learning, &compute, &mut parameters, &settings(values), (None, ""), None, &mut progress)?;
    decoder.save(&task.folder.join(FOLDER), &parameters)?;
    let own = [
        f64::from(report.final_loss()),
        parameters.count() as f64,
        report.total as f64,
        report.median_seconds(),
    ];
    let mut numbers: Vec<Quantity> =
        OWN.iter().zip(own).map(|(name, value)| Quantity::of_seed(*name, seed, value)).collect();
    numbers.extend(Evaluation::new(&decoder.llama, &parameters, &corpus, seed, &compute).numbers);
    Ok(StageOutput {
        numbers,
        facts: vec![
            ("answers to be forgotten".into(), corpus.forget.len().to_string()),
            ("answers to be kept".into(), corpus.retain.len().to_string()),
            ("passages learned from".into(), corpus.passages.len().to_string()),
            ("passages held out".into(), corpus.held_out.len().to_string()),
        ],
        warnings: corpus.remarks,
    })
}

fn settings(values: &Values) -> Settings {
    Settings { epochs: 1.0, checkpoint: 0, ..settings_of(values) }
}
