//! `train-decoder`: a small decoder of bytes that learns the texts of collections, read out at one depth or at several.

use super::SEED;
use super::byte_decoder::{check_shape, open, ratios, spread, texts_of};
use super::train::{FOLDER, remove_checkpoint};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{SCHEDULE, batch, decay, rate, settings_of, warmup};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use plackett_train::objective::parse_sum;
use plackett_train::trainer::{
    BYTE_VOCABULARY, DepthMeasure, LanguageTask, ReadOuts, Report, StepRecord, check_depths, measure_depths,
    train, windows_of_bytes,
};
use plackett_train::{Compute, Parameters};
use std::path::Path;

/// Numbers beside those of each depth.
const NUMBERS: [&str; 5] = ["trainable", "parameters", "loss", "step_seconds", "peak_memory"];

/// Windows of a pass while depths are measured.
const MEASURED_TOGETHER: usize = 16;

/// The declaration.
pub static TRAIN_DECODER: StageKind = StageKind {
    name: "train-decoder",
    help: "a small Llama whose tokens are bytes learns the texts of collections, from drawn weights or from those of another such stage; \
           the loss is the mean of those after the layers of `depths`, all with the same last norm and output matrix (sorted fine-tuning; the \
           last layer alone is plain training). A share of the texts is held out, and on windows of them every depth of `measured` gives \
           nll/N (−ln p of a byte) and accuracy/N (share of bytes that were the most probable ones); also trainable and parameters (numbers), \
           loss (the mean of the last tenth of the steps), step_seconds (the median), peak_memory (bytes of values and gradients on their \
           way back) and, with `compared`, step_ratio (the time of a pass there and back over that of one with the last layer alone)",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "data",
            FieldKind::Stages(&[OutputKind::Data]),
            "the collections whose texts are learned",
        ),
        FieldSpec::new(
            "model",
            FieldKind::Stage(&[OutputKind::Model]),
            Default::Absent,
            "a stage of this kind whose model is trained on; without it weights are drawn",
        ),
        FieldSpec::new(
            "layers",
            FieldKind::Whole(1, 200),
            Default::Whole(12),
            "layers of a model that is drawn",
        ),
        FieldSpec::new("width", FieldKind::Whole(2, 8192), Default::Whole(128), "numbers of a token"),
        FieldSpec::new("heads", FieldKind::Whole(1, 256), Default::Whole(4), "heads of attention"),
        FieldSpec::new(
            "inner",
            FieldKind::Whole(1, 65536),
            Default::Whole(344),
            "inner width of the feed-forward network",
        ),
        FieldSpec::new(
            "tied",
            FieldKind::Switch,
            Default::Switch(false),
            "whether the output matrix is that of the embeddings",
        ),
        FieldSpec::new(
            "take",
            FieldKind::Whole(0, 200),
            Default::Whole(0),
            "only so many layers, from the first, are taken out of the model and trained as one of their own; 0 for all",
        ),
        FieldSpec::required(
            "depths",
            FieldKind::Text,
            "layers after which the loss is taken, ascending, as `3,6,9,12`",
        ),
        FieldSpec::new(
            "measured",
            FieldKind::Text,
            Default::Absent,
            "layers after which it is measured; those of `depths` where it is left out",
        ),
        FieldSpec::new(
            "own_heads",
            FieldKind::Switch,
            Default::Switch(false),
            "each depth but the last layer gets a copy of the output matrix, and nothing else is trained",
        ),
        FieldSpec::new(
            "tokens",
            FieldKind::Whole(2, 8192),
            Default::Whole(96),
            "bytes of a window, and positions of the model",
        ),
        batch(16, "windows in a step"),
        FieldSpec::required("steps", FieldKind::Whole(0, i64::MAX), "steps; 0 measures the model as it is"),
        rate(1e-3),
        warmup(0),
        SCHEDULE,
        decay(0.0),
        FieldSpec::new(
            "held_out",
            FieldKind::Number(0.0, 0.9),
            Default::Number(0.1),
            "share of the texts that is not learned",
        ),
        FieldSpec::new(
            "windows",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(200),
            "windows of held-out texts that are measured, at most, spread evenly over all",
        ),
        FieldSpec::new(
            "compared",
            FieldKind::Whole(0, 1000),
            Default::Whole(0),
            "passes there and back, after the training, whose time is compared with that of passes of the last layer alone, in turn",
        ),
        SEED,
    ],
    chooses: None,
    check,
    numbers: |values, _| {
        let depths =
            depths_of(values, "measured").or_else(|_| depths_of(values, "depths")).unwrap_or_default();
        let measured = depths.iter().flat_map(|depth| [format!("nll/{depth}"), format!("accuracy/{depth}")]);
        let ratio = (values.count("compared") > 0).then(|| "step_ratio".to_string());
        NUMBERS.iter().map(ToString::to_string).chain(measured).chain(ratio).collect()
    },
    // Collections are in the keys of the stages that read them.
    outside: nothing_outside,
    estimate,
    run,
};

/// Depths as they are written in a field, checked against the layers where these are known.
fn depths_of(values: &Values, field: &'static str) -> Result<Vec<usize>, RecipeError> {
    let wrong = |problem: String| values.wrong(field, 0, Problem::Said(problem));
    let parse = |part: &str| {
        part.trim().parse::<usize>().map_err(|_| {
            wrong(format!(
                "`{}` is no number of layers; write them with commas between, as `3,6,9,12`",
                part.trim()
            ))
        })
    };
    values.word(field).split(',').map(parse).collect()
}

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    check_shape(values)?;
    for field in ["depths", "measured"].into_iter().filter(|field| values.has(field)) {
        let depths = depths_of(values, field)?;
        let wrong = |problem: String| values.wrong(field, 0, Problem::Said(problem));
        // The layers of a model that is taken over are those of its stage, and are checked when it is opened.
        let layers = match (values.count("take"), values.has("model")) {
            (0, true) => usize::MAX,
            (0, false) => values.count("layers"),
            (take, _) => take,
        };
        check_depths(&depths, layers).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

fn estimate(task: &Task<'_>) -> Result<Estimate, StageError> {
    let values = task.values;
    let (layers, width, inner) = (values.count("layers"), values.count("width"), values.count("inner"));
    let layers = Some(values.count("take")).filter(|take| *take > 0).unwrap_or(layers);
    let weights = layers * (4 * width * width + 3 * width * inner) + 2 * BYTE_VOCABULARY * width;
    let steps = values.count("steps");
    // Six operations a weight and token on the way there and back, at a rate that two cores reach with narrow matrices.
    let operations = 6.0 * weights as f64 * (steps * values.count("batch") * values.count("tokens")) as f64;
    let work = format!("trains a decoder of {weights} numbers for {steps} steps");
    Ok(Estimate { work, seconds: Some(5.0 + operations / 4e10), ..Estimate::default() })
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let mut parameters = Parameters::default();
    let mut model = open(task, &mut parameters)?;
    let tokens = values.count("tokens").min(model.context());
    let [learned, kept] = texts_of(task, values)?;
    let windows = windows_of_bytes(learned.iter().map(String::as_str), tokens);
    let held = windows_of_bytes(kept.iter().map(String::as_str), tokens);
    if held.is_empty() {
        let problem =
            format!("the texts that are held out do not fill a window of {tokens} bytes; hold out more");
        return Err(StageError::Field { field: "held_out", problem });
    }
    let found = held.len();
    let held = spread(held, values.count("windows"));
    let depths = depths_of(values, "depths").map_err(|error| StageError::Work(error.to_string()))?;
    let measured = depths_of(values, "measured").unwrap_or_else(|_| depths.clone());
    // What is measured with a matrix of its own is what is trained with one.
    let read_outs = match values.on("own_heads") {
        true => ReadOuts::own_heads(&model, &depths, &mut parameters)?,
        false => ReadOuts::shared(&model, &depths)?,
    };
    let measured = match values.on("own_heads") {
        true => read_outs.clone(),
        false => ReadOuts::shared(&model, &measured)?,
    };
    let compute = Compute::new(rayon::current_num_threads());
    let language = || parse_sum("language").map_err(|error| StageError::Work(error.to_string()));
    let learning =
        LanguageTask::of_tokens(&model, windows, language()?)?.with_read_outs(match values.on("own_heads") {
            true => read_outs.trained(&parameters),
            false => read_outs,
        });
    let report = learn(task, &learning, &compute, &mut parameters)?;
    let peak = compute.peak_bytes();
    let plain = || -> Result<_, StageError> {
        Ok(LanguageTask::of_tokens(&model, learning.sequences(), language()?)?
            .with_read_outs(ReadOuts::last(&model)))
    };
    let ratios = match values.count("compared") {
        0 => Vec::new(),
        rounds => ratios(&learning, &plain()?, &parameters, (values.count("batch"), rounds))?,
    };
    let measuring = LanguageTask::of_tokens(&model, held, language()?)?.with_read_outs(measured);
    let measures = measure_depths(&measuring, &compute, &parameters, MEASURED_TOGETHER);
    let sizes = (parameters.trainable_count(), parameters.count());
    drop((learning, measuring));
    model.save(&task.folder.join(FOLDER), &parameters)?;
    remove_checkpoint(task.folder)?;
    let mut made = made(task, &report, (sizes, peak), &measures);
    if !ratios.is_empty() {
        let keys = (1..=ratios.len()).map(|round| round.to_string()).collect();
        made.numbers.push(Quantity { name: "step_ratio".into(), unit: "round".into(), keys, values: ratios });
    }
    made.facts.push(("texts learned".into(), learned.len().to_string()));
    made.facts.push(("texts held out".into(), kept.len().to_string()));
    made.facts
        .push(("windows measured".into(), format!("{} of {found}", found.min(values.count("windows")))));
    Ok(made)
}

fn learn(
    task: &Task<'_>,
    learning: &LanguageTask<'_>,
    compute: &std::sync::Arc<Compute>,
    parameters: &mut Parameters,
) -> Result<Report, StageError> {
    let values = task.values;
    if values.count("steps") == 0 {
        return Ok(Report::default());
    }
    let settings = settings_of(values);
    let identity = format!("{:?}", values.written());
    let mut progress = |record: &StepRecord, total: usize| {
        (task.progress)(task.name, record.step as u64, total as u64);
    };
    let place: (Option<&Path>, &str) = (Some(task.folder), &identity);
    Ok(train(learning, compute, parameters, &settings, place, None, &mut progress)?)
}

fn made(
    task: &Task<'_>,
    report: &Report,
    ((trainable, parameters), peak): ((usize, usize), usize),
    measures: &[DepthMeasure],
) -> StageOutput {
    let (loss, seconds) = (f64::from(report.final_loss()), report.median_seconds());
    let of = [trainable as f64, parameters as f64, loss, seconds, peak as f64];
    let seed = task.values.count("seed");
    let mut numbers: Vec<Quantity> =
        NUMBERS.into_iter().zip(of).map(|(name, value)| Quantity::of_seed(name, seed, value)).collect();
    for measure in measures {
        let keys: Vec<String> = (1..=measure.texts.len()).map(|at| at.to_string()).collect();
        let column = |name: &str, values: Vec<f64>| Quantity {
            name: format!("{name}/{}", measure.depth),
            unit: "window".into(),
            keys: keys.clone(),
            values,
        };
        numbers.push(column("nll", measure.texts.iter().map(|text| text.nll).collect()));
        numbers.push(column("accuracy", measure.texts.iter().map(|text| text.accuracy).collect()));
    }
    StageOutput { numbers, ..StageOutput::default() }
}
