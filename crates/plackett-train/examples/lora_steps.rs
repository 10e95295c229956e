//! Speed of LoRA's training steps of a decoder, as JSON lines on standard output.
//!
//! `lora_steps MODEL THREADS FILE` opens a Llama with LoRA on all linear layers of its blocks and reads batches from FILE: the
//! tokens of a sequence a line, and a blank line between batches. Each line on standard input is one of
//!
//! - `step B`: forward, backward and AdamW over batch B, of which each token but a sequence's first is predicted; answers with the loss
//!   before the step and the seconds;
//! - `bare B`: the matrix products alone of that step (frozen weights: forward, and backward by inputs); answers with the seconds;
//! - `reset`: the weights of the beginning and an optimiser without history;
//! - `save FOLDER`: writes FOLDER/base and FOLDER/adapter, for the peer.
//!
//! `benches/train/run` drives it and runs the peer on the same batches.

use plackett_kernel::{Panels, Start, multiply_panels};
use plackett_train::adapter::{Attached, PeftRanks, Targets, parse};
use plackett_train::nn::TokenBatch;
use plackett_train::optimizer::AdamW;
use plackett_train::tape::Gradients;
use plackett_train::trainer::LanguageModel;
use plackett_train::{Compute, Parameters, Tape};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// Learning rate and weight decay, the peer's too.
const RATE: f32 = 1e-4;
const DECAY: f32 = 0.01;
const ADAPTER: &str = "lora(rank=16)";

struct Batch {
    tokens: TokenBatch,
    /// Rows, and the token that follows each.
    targets: Vec<(usize, u32)>,
}

impl Batch {
    fn new(sequences: &[Vec<u32>]) -> Batch {
        let tokens = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        let targets = tokens.sequences.iter().flat_map(|sequence| sequence.start + 1..sequence.end);
        let targets = targets.map(|row| (row - 1, tokens.tokens[row])).collect();
        Batch { tokens, targets }
    }
}

fn batches(content: &str) -> Result<Vec<Batch>, Failure> {
    let parts = content.split("\n\n").filter(|part| !part.trim().is_empty());
    let sequence =
        |line: &str| line.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>();
    parts.map(|part| Ok(Batch::new(&part.lines().map(sequence).collect::<Result<Vec<_>, _>>()?))).collect()
}

struct Bench {
    model: LanguageModel,
    attached: Attached,
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
        let batch = self.batch(number)?;
        let tape = Tape::new(&self.parameters, &self.compute);
        let hidden = self.model.llama.hidden(&tape, &batch.tokens);
        let log_probabilities = self.model.llama.log_probabilities(&tape, &hidden, &batch.targets);
        let loss = tape.scale(&tape.mean(&log_probabilities), -1.0);
        drop((hidden, log_probabilities));
        let value = loss.item();
        tape.backward(&loss, &mut self.gradients);
        self.optimizer.step(&self.compute, &mut self.parameters, &self.gradients, |_| RATE);
        self.gradients.clear();
        Ok(json!({"loss": value, "seconds": start.elapsed().as_secs_f64()}))
    }

    /// Products of all frozen layers and of the output matrix, forward and by their weights.
    fn bare(&self, number: &str) -> Result<Value, Failure> {
        let batch = self.batch(number)?;
        let config = &self.model.llama.config;
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let keys = width / config.num_attention_heads * config.num_key_value_heads;
        let blocks = [(width, width, 2), (keys, width, 2), (inner, width, 2), (width, inner, 1)];
        let mut seconds = self.bare_layer(batch.targets.len(), config.vocab_size, width);
        for (outputs, inputs, count) in blocks {
            let layers = (count * config.num_hidden_layers) as f64;
            seconds += layers * self.bare_layer(batch.tokens.tokens.len(), outputs, inputs);
        }
        Ok(json!({"seconds": seconds}))
    }

    /// Seconds of the two products of a frozen linear layer.
    fn bare_layer(&self, rows: usize, outputs: usize, inputs: usize) -> f64 {
        // All outputs of the vocabulary at once would be larger than all else; so many at a time cost the same.
        const MOST: usize = 4096;
        let pieces = outputs.div_ceil(MOST);
        let outputs = outputs.div_ceil(pieces);
        let (isa, workers) = (self.compute.isa, self.compute.workers);
        let numbers = |count: usize| (0..count).map(|at| (at % 17) as f32 * 0.1 - 0.8).collect::<Vec<f32>>();
        let (weight, mut x, mut y) =
            (numbers(outputs * inputs), numbers(rows * inputs), numbers(rows * outputs));
        let (mut forward, mut back) = (Panels::default(), Panels::default());
        forward.pack(workers, &weight, inputs, outputs, true);
        back.pack(workers, &weight, outputs, inputs, false);
        let start = Instant::now();
        multiply_panels(isa, workers, &x, (rows, inputs), &forward, &mut y, Start::Zero, None);
        multiply_panels(isa, workers, &y, (rows, outputs), &back, &mut x, Start::Zero, None);
        start.elapsed().as_secs_f64() * pieces as f64
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
                self.save(Path::new(folder))?;
                Ok(json!({}))
            }
            _ => Err(format!("`{line}` is not known").into()),
        }
    }

    /// The base without the adapter, whose second matrices are zeros at the beginning, and the adapter.
    fn save(&mut self, folder: &Path) -> Result<(), Failure> {
        let base = folder.join("base");
        self.model.save(&base, &self.begun)?;
        let name = base.to_string_lossy();
        self.attached.save_peft(&self.begun, &folder.join("adapter"), &name, PeftRanks::Own)?;
        Ok(())
    }
}

fn optimizer() -> AdamW {
    let mut optimizer = AdamW::default();
    optimizer.decay = DECAY;
    optimizer
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, threads, file] = &arguments[..] else {
        return Err("usage: lora_steps MODEL THREADS FILE".into());
    };
    let threads: usize = threads.parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let mut parameters = Parameters::default();
    let mut model = LanguageModel::open(Path::new(model), &mut parameters)?;
    let targets = Targets::parse("all");
    let attached = parse(ADAPTER)?.attach(&mut parameters, &mut model.llama, &targets, 1, |_| false)?;
    let batches = batches(&std::fs::read_to_string(file)?)?;
    let tokens: Vec<usize> = batches.iter().map(|batch| batch.tokens.tokens.len()).collect();
    let trained = attached.trainable_count(&parameters);
    let mut bench = Bench {
        model,
        attached,
        begun: parameters.clone(),
        parameters,
        optimizer: optimizer(),
        gradients: Gradients::default(),
        compute: Compute::new(threads),
        batches,
    };
    let isa = bench.compute.isa.name();
    println!("{}", json!({"ready": true, "tokens": tokens, "trained": trained, "isa": isa}));
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        println!("{}", bench.answer(line?.trim())?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
