//! `plackett generate`: texts of a language model, free or under a constraint.

mod asked;
mod engine;
mod languages;
mod remote;
mod report;
mod stream;

use super::open::read_lines;
use super::{Global, Outcome, Output};
use asked::Asked;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Instant;

/// Prompts that go through the model together: memory stays bounded however long the input is.
const TOGETHER: usize = 32;

/// Generate text with a language model, free or as one of the outputs that a constraint allows
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett generate --chat \"Name three colours.\" --max-tokens 40\n  \
                        plackett generate \"The capital of France is\" --beams 4 --results 4\n  \
                        plackett generate --chat --choose yes,no \"Is water wet? Answer yes or no.\" --json\n  \
                        plackett generate --permutation 3 --model ./my-ranker \"[1] … [2] … [3] … Best first:\"\n  \
                        plackett generate --trie cities.txt --beams 8 \"The capital of France is\"\n  \
                        plackett generate --sample --seed 7 --temperature 0.8 --top-p 0.9 \"Once upon a time\"\n  \
                        plackett generate --model ./flan-t5-small --file questions.txt --json\n  \
                        plackett generate --chat \"Hello\" --model remote:http://127.0.0.1:8080/v1/chat/completions\n\n\
                        Answers of --choose, --permutation and --trie begin with a blank when the prompt does not end \
                        in white space, and without one after --chat.\nProbabilities under a constraint are those over \
                        the tokens that it allows. With several prompts or --results, each output is one line (line \
                        breaks in it are written \\n).")]
pub struct Arguments {
    /// The prompts
    #[arg(required_unless_present = "file", value_name = "PROMPT")]
    prompts: Vec<String>,
    /// Read prompts from a file, one a line (`-`: standard input)
    #[arg(long, short, value_name = "FILE", conflicts_with = "prompts")]
    file: Option<PathBuf>,
    /// Model: a GGUF file, a directory, a name, an id or remote:URL (see `plackett model list`)
    #[arg(long, short, value_name = "MODEL", default_value = "SmolLM2-135M-Instruct")]
    model: String,
    /// Each prompt is what a user says: write it out with the model's chat template
    #[arg(long)]
    chat: bool,
    /// What the model is told before, with --chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Control tokens written in a prompt are control tokens and not text
    #[arg(long, conflicts_with = "chat")]
    control_tokens: bool,
    /// Most tokens of an output [default: 256 for text; as many as it takes under a constraint]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// A text ends before this (may be given several times)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Outputs to print for each prompt, best first [default: 1; all with --sample; --json has all]
    #[arg(long, value_name = "N")]
    results: Option<usize>,
    #[command(flatten)]
    search: Search,
    #[command(flatten)]
    constraint: Constraint,
    /// A LoRA adapter: a directory as PEFT saves it
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Number format of the weights [default: as the file has them]
    #[arg(long, value_enum)]
    precision: Option<Precision>,
    /// Number format of keys and values [default: int16 where products are made in integers, else f32]
    #[arg(long, value_enum)]
    cache: Option<Cache>,
}

/// How tokens are chosen; without any of it, the most probable one each time.
#[derive(Args)]
struct Search {
    /// Beam search of this width [with --choose: the number of answers]
    #[arg(long, value_name = "N", conflicts_with = "sample")]
    beams: Option<usize>,
    /// Beams in this many groups that avoid each other's tokens
    #[arg(long, value_name = "GROUPS", requires = "beams")]
    diverse: Option<usize>,
    /// How much groups avoid each other, in units of log-probability
    #[arg(long, value_name = "X", requires = "diverse", default_value_t = 1.0)]
    diversity: f64,
    /// Divide the sum of log-probabilities of a beam by its length to this power
    #[arg(long, value_name = "X", requires = "beams", default_value_t = 0.0)]
    length_penalty: f64,
    /// Draw tokens at random
    #[arg(long)]
    sample: bool,
    /// Draws for each prompt
    #[arg(long, value_name = "N", requires = "sample", default_value_t = 1)]
    samples: usize,
    /// Divide logits by this before drawing
    #[arg(long, value_name = "X", requires = "sample", default_value_t = 1.0)]
    temperature: f64,
    /// Draw among this many of the most probable tokens
    #[arg(long, value_name = "K", requires = "sample")]
    top_k: Option<usize>,
    /// Draw among the most probable tokens that reach this probability together
    #[arg(long, value_name = "P", requires = "sample")]
    top_p: Option<f64>,
    /// Seed of all draws: the same seed, the same texts
    #[arg(long, value_name = "N", requires = "sample", default_value_t = 0)]
    seed: u64,
}

/// What may be written; without any of it, text.
#[derive(Args)]
#[group(multiple = true)]
struct Constraint {
    /// One of these texts, with commas between
    #[arg(long, value_name = "A,B,…", conflicts_with_all = ["permutation", "trie", "scores", "stop"])]
    choose: Option<String>,
    /// An ordering of [1] … [N], as in `[2] > [1]`
    #[arg(long, value_name = "N", conflicts_with_all = ["trie", "scores", "stop"])]
    permutation: Option<usize>,
    /// One of the lines of a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scores", "stop"])]
    trie: Option<PathBuf>,
    /// Scores of candidates 1 … N, as JSON
    #[arg(long, value_name = "N", conflicts_with = "stop")]
    scores: Option<usize>,
    /// Highest score of --scores
    #[arg(long, value_name = "N", requires = "scores", default_value_t = 10)]
    max_score: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Precision {
    F32,
    Int8,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cache {
    F32,
    F16,
    Int16,
    Int8,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let lines = arguments.file.as_deref().map(read_lines).transpose()?;
    let prompts = lines.as_ref().unwrap_or(&arguments.prompts);
    if prompts.is_empty() {
        return Err(anyhow::anyhow!("there is no prompt; give at least one line").into());
    }
    let asked = Asked::read(arguments)?;
    let printed = report::Printed::new(arguments, prompts.len());
    let start = Instant::now();
    if arguments.model.starts_with(plackett_lm::remote::PREFIX) {
        let made = remote::run(arguments, &asked, prompts, global)?;
        return report::write(&made, prompts, &printed, start.elapsed(), output);
    }
    let engine = engine::Engine::open(arguments, global)?;
    let prepared = engine.prepare(arguments, &asked, prompts)?;
    let (opened, start) = (start.elapsed(), Instant::now());
    let mut made = engine.describe(opened);
    let progress = output.progress("generating", prompts.len() as u64);
    let streamed = printed.one_text(&asked) && !output.json;
    for part in prepared.chunks(TOGETHER) {
        made.results.extend(engine.generate(&asked, part, streamed.then_some(output))?);
        progress.inc(part.len() as u64);
    }
    progress.finish_and_clear();
    report::write(&made, prompts, &printed.after_stream(streamed), start.elapsed(), output)
}
