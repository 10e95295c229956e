//! Speed of training steps on token sequences, as JSON lines on standard output.
//!
//! `train_steps MODEL_DIR THREADS FILE` opens a BERT directory as a cross-encoder and reads batches from FILE: a sequence a
//! line, `LABEL ID ID …`, and a blank line between batches. Each line on standard input is one of
//!
//! - `step B`: forward, backward and AdamW over batch B; answers with the loss before the step and the seconds;
//! - `bare B`: the matrix products alone of that step's linear layers, of packed matrices; answers with the seconds;
//! - `reset`: the weights of the beginning and an optimiser without history;
//! - `save FOLDER`: writes the model, for the peer.
//!
//! `benches/train/run` drives it and runs the peer on the same batches.

use plackett_kernel::{Panels, Start, multiply_panels, multiply_transposed};
use plackett_train::nn::{BertConfig, Mode, TokenBatch};
use plackett_train::optimizer::AdamW;
use plackett_train::tape::Gradients;
use plackett_train::trainer::CrossEncoder;
use plackett_train::{Compute, Parameters, Tape};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// Learning rate and weight decay, the peer's too.
const RATE: f32 = 2e-5;
const DECAY: f32 = 0.01;

struct Batch {
    tokens: TokenBatch,
    labels: Vec<f32>,
}

fn batches(content: &str) -> Result<Vec<Batch>, Failure> {
    let mut batches = Vec::new();
    for part in content.split("\n\n").filter(|part| !part.trim().is_empty()) {
        let (mut sequences, mut labels) = (Vec::new(), Vec::new());
        for line in part.lines() {
            let mut numbers = line.split_ascii_whitespace();
            labels.push(numbers.next().ok_or("a line without a label")?.parse()?);
            sequences.push(numbers.map(str::parse).collect::<Result<Vec<u32>, _>>()?);
        }
        batches.push(Batch { tokens: TokenBatch::new(sequences.iter().map(Vec::as_slice)), labels });
    }
    Ok(batches)
}

struct Bench {
    model: CrossEncoder,
    parameters: Parameters,
    begun: Parameters,
    optimizer: AdamW,
    gradients: Gradients,
    compute: Arc<Compute>,
    batches: Vec<Batch>,
}

impl Bench {
    fn batch(&self, number: &str) -> Result<&Batch, Failure> {
        let number: usize = number.parse()?;
        self.batches.get(number).ok_or_else(|| format!("there is no batch {number}").into())
    }

    fn step(&mut self, number: &str) -> Result<Value, Failure> {
        let start = Instant::now();
        let (tokens, labels) = self.batch(number).map(|batch| (&batch.tokens, &batch.labels))?;
        let tape = Tape::new(&self.parameters, &self.compute);
        let hidden = self.model.bert.forward(&tape, tokens, Mode::default());
        let pooled = self.model.bert.pooled(&tape, &hidden, tokens);
        let scores = self.model.classifier.forward(&tape, &pooled, None);
        // Binary cross-entropy: ln(1 + eˢ) − y·s.
        let labels = tape.constant((labels.len(), 1), labels);
        let loss = tape.mean(&tape.minus(&tape.softplus(&scores), &tape.times(&labels, &scores)));
        drop((hidden, pooled, scores, labels));
        let value = loss.item();
        tape.backward(&loss, &mut self.gradients);
        self.optimizer.step(&self.compute, &mut self.parameters, &self.gradients, |_| RATE);
        self.gradients.clear();
        Ok(json!({"loss": value, "seconds": start.elapsed().as_secs_f64()}))
    }

    /// Products of all linear layers, forward, by their inputs and by their weights.
    fn bare(&self, number: &str) -> Result<Value, Failure> {
        let tokens = self.batch(number)?.tokens.tokens.len();
        let BertConfig { hidden_size: width, intermediate_size: inner, num_hidden_layers: layers, .. } =
            self.model.bert.config;
        let shapes = [(width, width, 4), (inner, width, 1), (width, inner, 1)];
        let mut seconds = 0.0;
        for (outputs, inputs, count) in shapes {
            seconds += count as f64 * layers as f64 * self.bare_layer(tokens, outputs, inputs);
        }
        Ok(json!({"seconds": seconds}))
    }

    /// Mean seconds of the three products of a linear layer.
    fn bare_layer(&self, tokens: usize, outputs: usize, inputs: usize) -> f64 {
        const TIMES: usize = 4;
        let (isa, workers) = (self.compute.isa, self.compute.workers);
        let numbers = |count: usize| (0..count).map(|at| (at % 17) as f32 * 0.1 - 0.8).collect::<Vec<f32>>();
        let (weight, mut x, mut y) =
            (numbers(outputs * inputs), numbers(tokens * inputs), numbers(tokens * outputs));
        let (mut forward, mut back) = (Panels::default(), Panels::default());
        forward.pack(workers, &weight, inputs, outputs, true);
        back.pack(workers, &weight, outputs, inputs, false);
        let mut change = numbers(outputs * inputs);
        let start = Instant::now();
        for _ in 0..TIMES {
            multiply_panels(isa, workers, &x, (tokens, inputs), &forward, &mut y, Start::Zero, None);
            let sizes = (tokens, outputs, inputs);
            multiply_transposed(isa, workers, &y, &x, sizes, &mut change, None);
            multiply_panels(isa, workers, &y, (tokens, outputs), &back, &mut x, Start::Zero, None);
            // Products of products would grow beyond all numbers.
            (x[0], y[0]) = (1.0, 1.0);
            change.fill(0.0);
        }
        start.elapsed().as_secs_f64() / TIMES as f64
    }

    fn answer(&mut self, line: &str) -> Result<Value, Failure> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("step", number) => self.step(number),
            ("bare", number) => self.bare(number),
            ("reset", _) => {
                self.parameters = self.begun.clone();
                self.optimizer = optimizer();
                Ok(json!({}))
            }
            ("save", folder) => {
                self.model.save(Path::new(folder), &self.parameters)?;
                Ok(json!({}))
            }
            _ => Err(format!("`{line}` is not known").into()),
        }
    }
}

fn optimizer() -> AdamW {
    let mut optimizer = AdamW::default();
    optimizer.decay = DECAY;
    optimizer
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, threads, file] = &arguments[..] else {
        return Err("usage: train_steps MODEL_DIR THREADS FILE".into());
    };
    let threads: usize = threads.parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let mut parameters = Parameters::default();
    let model = CrossEncoder::open(Path::new(directory), &mut parameters, 512, 1)?;
    let compute = Compute::new(threads);
    let mut bench = Bench {
        model,
        begun: parameters.clone(),
        parameters,
        optimizer: optimizer(),
        gradients: Gradients::default(),
        batches: batches(&std::fs::read_to_string(file)?)?,
        compute,
    };
    let tokens: Vec<usize> = bench.batches.iter().map(|batch| batch.tokens.tokens.len()).collect();
    println!("{}", json!({"ready": true, "tokens": tokens, "isa": bench.compute.isa.name()}));
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        println!("{}", bench.answer(line?.trim())?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
