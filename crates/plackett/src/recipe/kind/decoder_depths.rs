//! `decoder-depths`: what the depths of a decoder cost, and what they write, through the engine that users run.

use super::byte_decoder::{decoder_of, spread, texts_of};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::decoder::{
    AttentionPattern, DecoderModel, DecoderOptions, ExitThreshold, MissingKeys, OutputRequest, Positions,
    Request,
};
use plackett_lm::{LmError, Precision};
use plackett_train::trainer::{encode_bytes, windows_of_bytes};
use std::time::Instant;

/// Windows of a pass whose time is taken.
const TIMED_WINDOWS: usize = 16;

/// The declaration.
pub static DECODER_DEPTHS: StageKind = StageKind {
    name: "decoder-depths",
    help: "runs the model of a stage of the kind `train-decoder` at its depths, in f32. For each of `depths` and the whole model: seconds/N (the \
           least time of a pass over sixteen held-out windows through N layers and the last norm, without the output matrix) and \
           share/N (that time over the time of the whole model, divided by N over its layers); head_share (time of the output matrix over \
           that of one token's pass through the first of `depths` with it). For each prompt, the beginning of a held-out text: drafts/N/same (1 where \
           N layers draft and the whole model checks, and what is written is what the whole model writes by itself, else 0), \
           drafts/N/accepted (share of drafts that were chosen), drafts/N/speed (time without drafts over time with them); of early exits at \
           `thresholds` exits/same (share of tokens that are those of the whole model in their places), exits/depth (mean layers of a token) and exits/speed; \
           and never/same (1 where thresholds above 1 write what the whole model writes)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "model",
            FieldKind::Stage(&[OutputKind::Model]),
            "a stage of the kind `train-decoder`",
        ),
        FieldSpec::required("depths", FieldKind::Text, "depths before the last layer, ascending, as `3,6,9`"),
        FieldSpec::new(
            "thresholds",
            FieldKind::Text,
            Default::Absent,
            "the least probability at each of `depths`, as `0.9,0.8,0.7`; 0.9 everywhere where it is left out",
        ),
        FieldSpec::new("prompts", FieldKind::Whole(1, 10_000), Default::Whole(50), "prompts"),
        FieldSpec::new("prompt_tokens", FieldKind::Whole(1, 4096), Default::Whole(32), "bytes of a prompt"),
        FieldSpec::new("new_tokens", FieldKind::Whole(1, 4096), Default::Whole(64), "bytes that are written"),
        FieldSpec::new(
            "rounds",
            FieldKind::Whole(1, 1000),
            Default::Whole(15),
            "how often each pass is timed, all depths in turn",
        ),
    ],
    chooses: None,
    check: |values, _| Plan::read(values).map(drop),
    numbers: |values, _| {
        let Ok(plan) = Plan::read(values) else { return Vec::new() };
        let mut names: Vec<String> = Vec::new();
        for depth in &plan.depths {
            names.extend([format!("seconds/{depth}"), format!("share/{depth}")]);
            names.extend(["same", "accepted", "speed"].map(|number| format!("drafts/{depth}/{number}")));
        }
        names.extend(
            ["seconds/all", "head_share", "exits/same", "exits/depth", "exits/speed", "never/same"]
                .map(str::to_string),
        );
        names
    },
    outside: nothing_outside,
    estimate: |task| {
        let texts = task.values.count("prompts") * task.values.count("new_tokens");
        let seconds = texts as f64 * 0.004 * (2 + task.values.texts("depths").len()) as f64;
        Ok(Estimate {
            work: format!("writes {texts} bytes several ways"),
            seconds: Some(seconds),
            ..Estimate::default()
        })
    },
    run,
};

/// What is run.
struct Plan {
    depths: Vec<usize>,
    exits: Vec<ExitThreshold>,
}

impl Plan {
    fn read(values: &Values) -> Result<Plan, RecipeError> {
        fn list<T: std::str::FromStr>(values: &Values, field: &'static str) -> Result<Vec<T>, RecipeError> {
            let wrong = |part: &str| {
                values.wrong(
                    field,
                    0,
                    Problem::Said(format!("`{part}` is no number; write numbers with commas between")),
                )
            };
            values
                .word(field)
                .split(',')
                .map(|part| part.trim().parse().map_err(|_| wrong(part.trim())))
                .collect()
        }
        let depths: Vec<usize> = list(values, "depths")?;
        if depths.first() == Some(&0) || depths.windows(2).any(|pair| pair[0] >= pair[1]) {
            let problem = "layers from 1 are expected, ascending, each once".into();
            return Err(values.wrong("depths", 0, Problem::Said(problem)));
        }
        let thresholds: Vec<f64> = match values.has("thresholds") {
            true => list(values, "thresholds")?,
            false => vec![0.9; depths.len()],
        };
        if thresholds.len() != depths.len() || thresholds.iter().any(|own| !(0.0..=2.0).contains(own)) {
            let problem =
                format!("{} numbers from 0 to 2 are expected, one for each of `depths`", depths.len());
            return Err(values.wrong("thresholds", 0, Problem::Said(problem)));
        }
        let exit = |(depth, threshold): (&usize, f64)| ExitThreshold { depth: *depth, threshold };
        let exits = depths.iter().zip(thresholds).map(exit).collect();
        Ok(Plan { depths, exits })
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let plan = Plan::read(task.values).map_err(|error| StageError::Work(error.to_string()))?;
    let (trained, folder) = decoder_of(task, "model")?;
    let failed = |error: LmError| StageError::Answer(error.to_string());
    let options = DecoderOptions { precision: Precision::F32, ..task.environment.models.decoder() };
    let model = DecoderModel::open(&folder, &options).map_err(failed)?;
    let [_, held] = texts_of(task, trained)?;
    let (given, new) = (task.values.count("prompt_tokens"), task.values.count("new_tokens"));
    if given + new > model.info().positions {
        let positions = model.info().positions;
        let problem =
            format!("{given} bytes of a prompt and {new} more are over the model's {positions} positions");
        return Err(StageError::Field { field: "new_tokens", problem });
    }
    let begins = held.iter().map(|text| encode_bytes(text)).filter(|tokens| tokens.len() >= given);
    let prompts =
        spread(begins.map(|tokens| tokens[..given].to_vec()).collect(), task.values.count("prompts"));
    if prompts.is_empty() {
        let problem = format!("no text that was held out has {given} bytes");
        return Err(StageError::Field { field: "prompt_tokens", problem });
    }
    let mut made = StageOutput::default();
    if prompts.len() < task.values.count("prompts") {
        made.warnings.push(format!("only {} texts that were held out have {given} bytes", prompts.len()));
    }
    let windows = windows_of_bytes(
        held.iter().map(String::as_str),
        trained.count("tokens").min(model.info().positions),
    );
    made.numbers = times(&model, &plan, &windows, task.values.count("rounds")).map_err(failed)?;
    made.numbers.extend(written(task, &model, &plan, (&prompts, new)).map_err(failed)?);
    Ok(made)
}

/// What one pass over windows wants.
fn seconds_of(
    model: &DecoderModel,
    windows: &[Vec<u32>],
    layers: usize,
    outputs: &OutputRequest,
) -> Result<f64, LmError> {
    let request = |tokens| Request {
        tokens,
        cache: None,
        pattern: AttentionPattern::Causal,
        adapter: None,
        outputs: outputs.clone(),
    };
    let requests: Vec<Request> = windows.iter().map(|tokens| request(&tokens[..])).collect();
    let begun = Instant::now();
    model.forward_until(&requests, layers)?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Times of passes of each depth, in turn, and what the output matrix takes.
fn times(
    model: &DecoderModel,
    plan: &Plan,
    windows: &[Vec<u32>],
    rounds: usize,
) -> Result<Vec<Quantity>, LmError> {
    let windows = &windows[..windows.len().min(TIMED_WINDOWS)];
    let all = model.info().layers;
    let depths: Vec<usize> = plan.depths.iter().copied().chain([all]).collect();
    let states = OutputRequest { hidden: Positions::All, ..OutputRequest::default() };
    let logits =
        OutputRequest { logits_at: Positions::All, logit_ids: LogitIds::All, ..OutputRequest::default() };
    let mut least = vec![f64::INFINITY; depths.len()];
    let mut with_head = f64::INFINITY;
    for _ in 0..rounds {
        for (least, depth) in least.iter_mut().zip(&depths) {
            *least = least.min(seconds_of(model, windows, *depth, &states)?);
        }
        with_head = with_head.min(seconds_of(model, windows, depths[0], &logits)?);
    }
    let whole = least.last().copied().unwrap_or(f64::INFINITY);
    let one = |name: String, value: f64| Quantity::of_seed(name, 1, value);
    let mut numbers = Vec::new();
    for (depth, seconds) in plan.depths.iter().zip(&least) {
        numbers.push(one(format!("seconds/{depth}"), *seconds));
        numbers.push(one(format!("share/{depth}"), seconds / whole / (*depth as f64 / all as f64)));
    }
    numbers.push(one("seconds/all".into(), whole));
    numbers.push(one("head_share".into(), (1.0 - least[0] / with_head).max(0.0)));
    Ok(numbers)
}

/// What is written greedily after a prompt, and in how many seconds.
fn greedy(session: &mut dyn DecodeModel, prompt: &[u32], count: usize) -> Result<(Vec<u32>, f64), LmError> {
    let begun = Instant::now();
    let mut written = Vec::with_capacity(count);
    let (mut parent, mut tokens) = (session.root(), prompt.to_vec());
    for _ in 0..count {
        let branch = Branch { parent, tokens: &tokens, logit_ids: LogitIds::All, normalizer: false };
        let Some(answer) = session.extend(&[branch], &[parent])?.pop() else { break };
        let mut best = 0;
        for (at, logit) in answer.logits.iter().enumerate() {
            if *logit > answer.logits[best] {
                best = at;
            }
        }
        written.push(best as u32);
        (parent, tokens) = (answer.prefix, vec![best as u32]);
    }
    session.release(&[parent]);
    Ok((written, begun.elapsed().as_secs_f64()))
}

/// The share of tokens that are the same in their places.
fn same(a: &[u32], b: &[u32]) -> f64 {
    let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
    same as f64 / a.len().max(b.len()).max(1) as f64
}

/// What drafts and exits write after each prompt, against the whole model.
fn written(
    task: &Task<'_>,
    model: &DecoderModel,
    plan: &Plan,
    (prompts, count): (&[Vec<u32>], usize),
) -> Result<Vec<Quantity>, LmError> {
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    let mut add = |name: String, value: f64| match columns.iter_mut().find(|(known, _)| *known == name) {
        Some((_, values)) => values.push(value),
        None => columns.push((name, vec![value])),
    };
    let is = |is: bool| f64::from(u8::from(is));
    let never: Vec<ExitThreshold> =
        plan.exits.iter().map(|exit| ExitThreshold { threshold: 2.0, ..*exit }).collect();
    for (at, prompt) in prompts.iter().enumerate() {
        (task.progress)(task.name, at as u64, prompts.len() as u64);
        let (whole, seconds) = greedy(&mut model.session(), prompt, count)?;
        for depth in &plan.depths {
            let mut session = model.speculative_session(*depth, None)?;
            let (drafted, own) = greedy(&mut session, prompt, count)?;
            let counts = session.counts();
            add(format!("drafts/{depth}/same"), is(drafted == whole));
            add(format!("drafts/{depth}/accepted"), counts.accepted as f64 / counts.drafted.max(1) as f64);
            add(format!("drafts/{depth}/speed"), seconds / own);
        }
        let mut session = model.exit_session(&plan.exits, MissingKeys::Computed, None)?;
        let (early, own) = greedy(&mut session, prompt, count)?;
        add("exits/same".into(), same(&early, &whole));
        add("exits/depth".into(), session.counts().mean_depth());
        add("exits/speed".into(), seconds / own);
        let mut session = model.exit_session(&never, MissingKeys::Computed, None)?;
        add("never/same".into(), is(greedy(&mut session, prompt, count)?.0 == whole));
    }
    let keys: Vec<String> = (1..=prompts.len()).map(|at| at.to_string()).collect();
    let quantity = |(name, values)| Quantity { name, unit: "prompt".into(), keys: keys.clone(), values };
    Ok(columns.into_iter().map(quantity).collect())
}
