//! Speed of a decoder: seconds of what each line on standard input asks for, as JSON lines on standard output.
//!
//! `measure_decoder MODEL auto|int8|f32 THREADS IDS` reads token ids (blanks between them) from a file; then
//! - `prefill N R`: R passes over the first N ids, logits of the whole vocabulary after the last;
//! - `generate P N`: N greedy steps after the first P ids, whose own pass is not counted;
//! - `chosen R` and `whole R`: R times 100 single tokens after one cached prefix, with 20 logits each or all of them;
//! - `bare N R`: R times only the matrix products of N tokens.
//!
//! `benches/decoder/run` drives it and runs the peers on the same ids.

use plackett_lm::Precision;
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::decoder::{DecoderModel, DecoderOptions, OutputRequest, Positions, Request};
use std::io::{BufRead, Write};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// Candidates that each read logits after one shared prefix.
const BRANCHES: usize = 100;
/// Tokens of that prefix.
const PREFIX: usize = 128;

fn largest(logits: &[f32]) -> u32 {
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    best.unwrap_or(0) as u32
}

fn prefill(model: &DecoderModel, ids: &[u32], repetitions: usize) -> Result<f64, Failure> {
    let outputs = OutputRequest {
        logits_at: Positions::Last,
        logit_ids: LogitIds::All,
        cache: true,
        ..OutputRequest::default()
    };
    let request = Request { tokens: ids, cache: None, pattern: Default::default(), adapter: None, outputs };
    let start = Instant::now();
    for _ in 0..repetitions {
        std::hint::black_box(model.forward(std::slice::from_ref(&request))?);
    }
    Ok(start.elapsed().as_secs_f64())
}

fn generate(model: &DecoderModel, ids: &[u32], steps: usize) -> Result<f64, Failure> {
    let mut session = model.session();
    let root = session.root();
    let first = Branch { parent: root, tokens: ids, logit_ids: LogitIds::All, normalizer: false };
    let mut answer = session.extend(&[first], &[root])?.remove(0);
    let start = Instant::now();
    for _ in 0..steps {
        let next = [largest(&answer.logits)];
        let branch =
            Branch { parent: answer.prefix, tokens: &next, logit_ids: LogitIds::All, normalizer: false };
        answer = session.extend(&[branch], &[answer.prefix])?.remove(0);
    }
    Ok(start.elapsed().as_secs_f64())
}

fn branches(
    model: &DecoderModel,
    ids: &[u32],
    logit_ids: LogitIds,
    repetitions: usize,
) -> Result<f64, Failure> {
    let cache = model.prefill(&ids[..PREFIX], None)?;
    let outputs = OutputRequest { logits_at: Positions::Last, logit_ids, ..OutputRequest::default() };
    let own = &ids[PREFIX..PREFIX + BRANCHES];
    let request = |token| Request {
        tokens: token,
        cache: Some(&cache),
        pattern: Default::default(),
        adapter: None,
        outputs: outputs.clone(),
    };
    let requests: Vec<Request> = own.chunks(1).map(request).collect();
    let start = Instant::now();
    for _ in 0..repetitions {
        std::hint::black_box(model.forward(&requests)?);
    }
    Ok(start.elapsed().as_secs_f64())
}

fn answer(model: &DecoderModel, ids: &[u32], line: &str) -> Result<f64, Failure> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| -> Result<usize, Failure> {
        Ok(words.get(index).ok_or_else(|| format!("`{line}` lacks a number"))?.parse()?)
    };
    match words.first() {
        Some(&"prefill") => prefill(model, &ids[..number(1)?], number(2)?),
        Some(&"generate") => generate(model, &ids[..number(1)?], number(2)?),
        Some(&"chosen") => branches(model, ids, LogitIds::Only(&ids[..20]), number(1)?),
        Some(&"whole") => branches(model, ids, LogitIds::All, number(1)?),
        Some(&"bare") => {
            let (tokens, repetitions) = (number(1)?, number(2)?);
            let start = Instant::now();
            (0..repetitions).for_each(|_| model.products_alone(tokens));
            Ok(start.elapsed().as_secs_f64())
        }
        _ => Err(format!("`{line}` is no request").into()),
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, path, precision, threads, file] = &arguments[..] else {
        return Err("usage: measure_decoder MODEL auto|int8|f32 THREADS IDS".into());
    };
    let precision = match precision.as_str() {
        "f32" => Precision::F32,
        "int8" => Precision::Int8,
        _ => Precision::Auto,
    };
    let options = DecoderOptions { precision, threads: Some(threads.parse()?), ..DecoderOptions::default() };
    let model = DecoderModel::open(path, &options)?;
    let ids: Vec<u32> =
        std::fs::read_to_string(file)?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    println!("{{\"isa\":\"{}\",\"weight_bytes\":{}}}", model.info().isa.name(), model.info().weight_bytes);
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let seconds = answer(&model, &ids, &line?)?;
        println!("{{\"seconds\":{seconds}}}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
