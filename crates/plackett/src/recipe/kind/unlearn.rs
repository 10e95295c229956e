//! `unlearn`: a decoder that has learned by heart forgets a part of it.

use super::SEED;
use super::memorize::{corpus_of, learned};
use super::train::FOLDER;
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{batch, decay, rate, settings_of, steps, warmup};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::unlearning::{Corpus, Evaluation, Item, NUMBERS, REFUSALS, values_of};
use plackett_eval::compare::kolmogorov_smirnov;
use plackett_eval::correlation::spearman;
use plackett_train::adapter::{self, Attached};
use plackett_train::nn::Llama;
use plackett_train::trainer::{BYTE_VOCABULARY, END_OF_TEXT, Settings, Trained, encode_bytes};
use plackett_train::unlearning::{
    AnswerMeasure, Rebase, TokenPair, UnlearningJob, UnlearningOutcome, measure_answers, row_weights,
};
use plackett_train::{Compute, Parameters};

/// What it gives beside the numbers of an evaluation.
const OWN: [&str; 12] = [
    "steps",
    "steps_to_level",
    "steps_to_uniform",
    "forget_nll_half",
    "ma_gap",
    "retain_ratio",
    "retain_perplexity_ratio",
    "perplexity_ratio",
    "forget_quality",
    "trainable",
    "seconds",
    "step_seconds",
];

/// What an adapter that begins from importance gives too.
const IMPORTANCE: [&str; 6] = [
    "importance_passes",
    "importance_seconds",
    "importance_share",
    "rebase_difference",
    "row_correlation",
    "below_epsilon",
];

/// The declaration.
pub static UNLEARN: StageKind = StageKind {
    name: "unlearn",
    help: "a decoder of a stage `memorize` forgets a part of what it has learned by heart, with adapters or whole, beside answers \
           that are to be kept; gives steps, steps_to_level (the first after which forget_ma is that of `retain_only` or less; one \
           more than there are where it never is), steps_to_uniform (the same for a forget_nll as of guessing, ln 257), \
           forget_nll_half (at half of the steps), ma_gap (forget_ma less that of `retain_only`), retain_ratio (retain_nll over that \
           before), retain_perplexity_ratio (exp of the mean retain_nll, over that before), perplexity_ratio (of unrelated text, over that before), forget_quality (p-value of Kolmogorov and Smirnov's test \
           of forget_truth against `retain_only`), trainable, seconds (of all steps), step_seconds; of `fila` importance_passes, \
           importance_seconds, importance_share (of the seconds of all steps), rebase_difference (of a logit, by moving weights into \
           the adapter), row_correlation (layer by layer, of the row weights with those of swapped roles) and below_epsilon (the \
           share of numbers of a layer whose importance for what is kept is below epsilon); and of every evaluation forget_ma (of \
           each answer to be forgotten the share of bytes that are the likeliest ones), forget_nll (mean −ln p of a byte), \
           forget_probability, forget_rouge (ROUGE-L recall of what is written), forget_el (EL_10 over three beginnings), forget_truth \
           (TOFU's quotient: above 1 the right answer is likelier than wrong ones), forget_truth_score (the smaller of it and its \
           reciprocal), forget_repeats (share of 4-grams of bytes that stood before in what is written), forget_distinct \
           (distinct-2), forget_length (bytes that are written), the same of answers to be kept as far as they say something \
           (retain_rouge over the first 30), unrelated_nll and unrelated_perplexity (of held-out text) and utility (harmonic mean of \
           probability, ROUGE-L and truth score of what is to be kept)",
    version: 2,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "model",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage of the kind `memorize`, or one of this kind after it",
        ),
        FieldSpec::required(
            "retain_only",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage of the kind `memorize` that never knew what is to be forgotten",
        ),
        FieldSpec::new(
            "objective",
            FieldKind::Text,
            Default::Text("inverted-hinge"),
            "what is minimised: inverted-hinge, gradient-ascent, gradient-difference, gradient-ascent + reference-kl, npo or refusal",
        ),
        FieldSpec::new(
            "adapter",
            FieldKind::Text,
            Default::Text("fila(rank=16)"),
            "an adapter with its options, as `lora(rank=16, alpha=32)`; `full` trains everything",
        ),
        FieldSpec::new(
            "targets",
            FieldKind::Text,
            Default::Text("all"),
            "ends of the names of the linear layers that get the adapter, or `all`",
        ),
        rate(5e-4),
        steps((1, 1_000_000), 60, "steps"),
        batch(16, "answers to be forgotten in a step; as many to be kept stand beside them"),
        warmup(12),
        decay(0.01),
        FieldSpec::new(
            "until_level",
            FieldKind::Switch,
            Default::Switch(false),
            "whether the training ends once forget_ma is what it is in `retain_only`, or less",
        ),
        FieldSpec::new(
            "importance_batch",
            FieldKind::Whole(1, 4096),
            Default::Whole(2),
            "answers in a batch of the pass that measures importance",
        ),
        SEED,
    ],
    chooses: None,
    check,
    numbers: |values, _| {
        let more = if begins_from_importance(values) { &IMPORTANCE[..] } else { &[] };
        OWN.iter().chain(more).chain(&NUMBERS).map(ToString::to_string).collect()
    },
    outside: nothing_outside,
    estimate: |task| {
        let work = format!("forgets in {} steps", task.values.count("steps"));
        Ok(Estimate { work, ..Estimate::default() })
    },
    run,
};

fn begins_from_importance(values: &Values) -> bool {
    adapter::parse(values.word("adapter")).is_ok_and(|adapter| adapter.spec.needs_importance)
}

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    job(values).check().map_err(|error| {
        let said = error.to_string();
        let field = if said.starts_with("objective") { "objective" } else { "adapter" };
        values.wrong(field, 0, Problem::Said(said))
    })
}

fn job(values: &Values) -> UnlearningJob {
    UnlearningJob {
        objective: values.word("objective").into(),
        trained: Trained {
            adapter: values.word("adapter").into(),
            targets: values.word("targets").into(),
            ..Trained::default()
        },
        settings: Settings { checkpoint: 0, ..settings_of(values) },
        importance_batch: values.count("importance_batch"),
    }
}

/// What is seen after each step.
#[derive(Default)]
struct Course {
    /// forget_ma and the mean forget_nll.
    seen: Vec<(f64, f64)>,
    /// −ln p of each answer to be forgotten at half of the steps.
    half: Vec<f64>,
}

impl Course {
    /// The first step after which something holds; one more than there are where it never does.
    fn first(&self, holds: impl Fn(&(f64, f64)) -> bool) -> (f64, bool) {
        let at = self.seen.iter().position(holds);
        (at.unwrap_or(self.seen.len()) as f64 + 1.0, at.is_some())
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    if corpus_of(task, "model") != corpus_of(task, "retain_only") {
        let problem = "its stage has to learn the same as that of `model`, but for what is to be forgotten; give both the same fields";
        return Err(StageError::Field { field: "retain_only", problem: problem.into() });
    }
    let mut parameters = Parameters::default();
    let (mut decoder, corpus) = learned(task, "model", &mut parameters)?;
    let never_knew = numbers_of(task, "retain_only")?;
    let level = mean(values_of(never_knew, "forget_ma"));
    let pairs = |items: &[Item]| -> Vec<TokenPair> { items.iter().map(|item| item.pair.clone()).collect() };
    let (forget, retain) = (pairs(&corpus.forget), pairs(&corpus.retain));
    let refusals: Vec<Vec<u32>> = REFUSALS.iter().map(|text| ended(text)).collect();
    let compute = Compute::new(rayon::current_num_threads());
    let (job, mut course) = (job(values), Course::default());
    let (steps, until_level) = (values.count("steps"), values.on("until_level"));
    let mut observe = |step: usize, llama: &Llama, parameters: &Parameters| {
        let measured = measure_answers(llama, parameters, &forget, &compute);
        let of = |number: fn(&AnswerMeasure) -> f64| measured.iter().map(number).collect::<Vec<f64>>();
        let (accuracy, nll) = (mean(&of(AnswerMeasure::accuracy)), of(|measure| measure.nll));
        course.seen.push((accuracy, mean(&nll)));
        if course.half.is_empty() || 2 * step <= steps {
            course.half = nll;
        }
        (task.progress)(task.name, step as u64, steps as u64);
        until_level && accuracy <= level
    };
    let texts = (&forget[..], &retain[..]);
    let outcome = job.run(&mut decoder.llama, &mut parameters, texts, &refusals, &compute, &mut observe)?;
    decoder.save(&task.folder.join(FOLDER), &parameters)?;
    let seed = values.count("seed");
    let evaluation = Evaluation::new(&decoder.llama, &parameters, &corpus, seed, &compute);
    made(task, &corpus, &outcome, &course, evaluation)
}

/// The tokens of an answer, with their end.
fn ended(text: &str) -> Vec<u32> {
    let mut tokens = encode_bytes(text);
    tokens.push(END_OF_TEXT);
    tokens
}

/// The numbers of the stage that a field names.
fn numbers_of<'t>(task: &'t Task<'_>, field: &'static str) -> Result<&'t [Quantity], StageError> {
    let input = task.input(task.values.word(field))?;
    let made = input.made.as_ref().ok_or_else(|| StageError::Field {
        field,
        problem: "the stage has left no numbers; run it anew".into(),
    })?;
    Ok(&made.numbers)
}

fn made(
    task: &Task<'_>,
    corpus: &Corpus,
    outcome: &UnlearningOutcome,
    course: &Course,
    evaluation: Evaluation,
) -> Result<StageOutput, StageError> {
    let (before, never_knew) = (numbers_of(task, "model")?, numbers_of(task, "retain_only")?);
    let seed = task.values.count("seed");
    let keys: Vec<String> = corpus.forget.iter().map(|item| item.key.clone()).collect();
    let one = |name: &str, value: f64| Quantity::of_seed(name, seed, value);
    let level = mean(values_of(never_knew, "forget_ma"));
    let (to_level, reached) = course.first(|(accuracy, _)| *accuracy <= level);
    let uniform = (BYTE_VOCABULARY as f64).ln();
    let (to_uniform, _) = course.first(|(_, nll)| *nll >= uniform);
    let gaps = evaluation.values("forget_ma").iter().zip(values_of(never_knew, "forget_ma"));
    let mean_of = |numbers: &[Quantity], name: &str| mean(values_of(numbers, name));
    let change = |name: &str| mean(evaluation.values(name)) - mean_of(before, name);
    let truth = (evaluation.values("forget_truth"), values_of(never_knew, "forget_truth"));
    let quality = kolmogorov_smirnov(truth.0, truth.1).map_or(0.0, |found| found.p);
    let mut numbers = vec![
        one("steps", outcome.report.total as f64),
        one("steps_to_level", to_level),
        one("steps_to_uniform", to_uniform),
        Quantity::by_query("forget_nll_half", keys.clone(), course.half.clone()),
        Quantity::by_query("ma_gap", keys, gaps.map(|(now, never)| now - never).collect()),
        one("retain_ratio", mean(evaluation.values("retain_nll")) / mean_of(before, "retain_nll").max(1e-9)),
        one("retain_perplexity_ratio", change("retain_nll").exp()),
        one("perplexity_ratio", change("unrelated_nll").exp()),
        one("forget_quality", quality),
        one("trainable", outcome.trainable as f64),
        one("seconds", outcome.seconds),
        one("step_seconds", outcome.seconds / outcome.report.total.max(1) as f64),
    ];
    if let (Some(rebase), Some(attached)) = (&outcome.rebase, &outcome.attached) {
        numbers.extend(of_importance(rebase, attached, outcome.seconds, seed));
    }
    numbers.extend(evaluation.numbers);
    let mut made = StageOutput {
        numbers,
        facts: vec![
            ("forget_ma of the model that never knew".into(), format!("{level:.3}")),
            ("course of forget_ma".into(), drawn(course, |seen| seen.0)),
            ("course of forget_nll".into(), drawn(course, |seen| seen.1)),
        ],
        warnings: corpus.remarks.clone(),
    };
    if !reached {
        made.warnings.push(format!(
            "forget_ma is never as low as in the model that never knew ({level:.3}): steps_to_level is one more than there were"
        ));
    }
    if course.seen.iter().all(|(_, nll)| *nll < uniform) {
        made.warnings.push(format!(
            "forget_nll is never that of guessing ({uniform:.2}): steps_to_uniform is one more than there were"
        ));
    }
    Ok(made)
}

/// About ten values of a course.
fn drawn(course: &Course, number: impl Fn(&(f64, f64)) -> f64) -> String {
    let every = course.seen.len().div_ceil(10).max(1);
    let shown = course.seen.iter().enumerate().filter(|(at, _)| (at + 1) % every == 0);
    shown.map(|(at, seen)| format!("{}: {:.3}", at + 1, number(seen))).collect::<Vec<_>>().join(", ")
}

/// The numbers of an adapter that began from importance.
fn of_importance(rebase: &Rebase, attached: &Attached, seconds: f64, seed: usize) -> Vec<Quantity> {
    let options = &attached.configured.options;
    let (epsilon, relative) = (options.number("epsilon"), options.switch("relative"));
    let rows = row_weights(&rebase.pass.importance, attached.sites(), epsilon, relative);
    let names: Vec<String> = attached.sites().iter().map(|site| site.name.clone()).collect();
    // Rows that all count the same have no order: they are those of any other.
    let correlations = rows.iter().map(|[own, swapped]| spearman(own, swapped).unwrap_or(1.0)).collect();
    let below = attached
        .sites()
        .iter()
        .map(|site| rebase.pass.importance.share_below(site.weight, epsilon).unwrap_or(1.0))
        .collect();
    let layers = |name: &str, values| Quantity {
        name: name.into(),
        unit: "layer".into(),
        keys: names.clone(),
        values,
    };
    let one = |name: &str, value: f64| Quantity::of_seed(name, seed, value);
    vec![
        one("importance_passes", rebase.pass.passes as f64),
        one("importance_seconds", rebase.pass.seconds),
        one("importance_share", rebase.pass.seconds / seconds.max(1e-9)),
        one("rebase_difference", f64::from(rebase.difference)),
        layers("row_correlation", correlations),
        layers("below_epsilon", below),
    ]
}
