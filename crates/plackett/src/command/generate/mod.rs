//! `plackett generate`: texts of a language model, free or under a constraint.

mod asked;
mod depths;
mod engine;
mod languages;
mod remote;
mod report;
mod stream;

use super::number::{real, whole};
use super::open::read_lines;
use super::paths::Paths;
use super::{Global, Outcome, Output};
use asked::Asked;
use clap::{Args, ValueEnum};
use depths::Depths;
use std::path::PathBuf;
use std::time::Instant;

/// Prompts that go through the model together: memory stays bounded however long the input is.
const TOGETHER: usize = 32;

/// Generate text with a language model, free or as one of the outputs that a constraint allows
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett generate --chat \"Name three colours.\" --max-tokens 40\n  \
                        plackett generate \"The capital of France is\" --beams 4 --results 4\n  \
                        plackett generate --chat --choose yes,no \"Is water wet? Answer yes or no.\" --json\n  \
                        plackett generate --permutation 3 --model ./my-ranker \"[1] … [2] … [3] … Best first:\"\n  \
                        plackett generate --trie cities.txt --beams 8 \"The capital of France is\"\n  \
                        plackett generate --sample --seed 7 --temperature 0.8 --top-p 0.9 \"Once upon a time\"\n  \
                        plackett generate --model ./flan-t5-small --file questions.txt --json\n  \
                        plackett generate --model ./sorted \"The wing\" --exit 4:0.9,8:0.8\n  \
                        plackett generate --chat \"Hello\" --model remote:http://127.0.0.1:8080/v1/chat/completions\n\n\
                        Choices of --choose, --permutation and --trie begin with a blank when the prompt does not end in\n\
                        white space, and without one after --chat. Probabilities under a constraint are those over the\n\
                        tokens that it allows. With several prompts or --results, each output is one line (line breaks in it\n\
                        are written \\n).")]
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
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..))]
    max_tokens: Option<u32>,
    /// A text ends before this (may be given several times)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Outputs to give for each prompt, best first [default: 1; all with --sample or --json]
    #[arg(long, value_parser = whole::<usize>(1..), value_name = "N")]
    results: Option<usize>,
    #[command(flatten)]
    search: Search,
    #[command(flatten)]
    constraint: Constraint,
    #[command(flatten)]
    depths: Depths,
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

impl Arguments {
    /// Where a prompt stands, for messages.
    fn place(&self, index: usize) -> String {
        match &self.file {
            Some(file) => format!("{}, line {}", file.display(), index + 1),
            None => format!("prompt {}", index + 1),
        }
    }
}

/// How tokens are chosen; without any of it, the most probable one each time.
#[derive(Args)]
struct Search {
    /// Beam search of this width [with --choose: the number of answers]
    #[arg(long, value_parser = whole::<usize>(1..=10_000), value_name = "N", conflicts_with = "sample")]
    beams: Option<usize>,
    /// Beams in this many groups that avoid each other's tokens
    #[arg(long, value_parser = whole::<usize>(1..), value_name = "GROUPS", requires = "beams")]
    diverse: Option<usize>,
    /// How much groups avoid each other, in units of log-probability [default: 1]
    #[arg(long, value_parser = real(" from 0", |x| x >= 0.0), value_name = "X", requires = "diverse")]
    diversity: Option<f64>,
    /// Divide the sum of log-probabilities of a beam by its length to this power [default: 0]
    #[arg(long, value_parser = real(" from 0", |x| x >= 0.0), value_name = "X", requires = "beams")]
    length_penalty: Option<f64>,
    /// Draw tokens at random
    #[arg(long)]
    sample: bool,
    /// Draws for each prompt [default: 1]
    #[arg(long, value_parser = whole::<usize>(1..=10_000), value_name = "N", requires = "sample")]
    samples: Option<usize>,
    /// Divide logits by this before drawing; 0 takes the most probable token each time [default: 1]
    #[arg(long, value_parser = real(" above 0, or 0 for the most probable token each time,", |x| x >= 0.0), value_name = "X", conflicts_with = "beams")]
    temperature: Option<f64>,
    /// Draw among this many of the most probable tokens
    #[arg(long, value_parser = whole::<usize>(1..), value_name = "K", requires = "sample")]
    top_k: Option<usize>,
    /// Draw among the most probable tokens that reach this probability together
    #[arg(long, value_parser = real(" above 0 and up to 1", |x| x > 0.0 && x <= 1.0), value_name = "P", requires = "sample")]
    top_p: Option<f64>,
    /// Seed of all draws: the same seed, the same texts [default: 0]
    #[arg(long, value_parser = whole::<u64>(0..), value_name = "N", requires = "sample")]
    seed: Option<u64>,
}

/// What may be written; without any of it, text.
#[derive(Args)]
#[group(multiple = true)]
struct Constraint {
    /// One of these texts, with commas between
    #[arg(long, value_name = "A,B,…", conflicts_with_all = ["permutation", "trie", "scores", "stop"])]
    choose: Option<String>,
    /// An ordering of [1] … [N], as in `[2] > [1]`
    #[arg(long, value_parser = whole::<usize>(1..=10_000), value_name = "N", conflicts_with_all = ["trie", "scores", "stop"])]
    permutation: Option<usize>,
    /// One of the lines of a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scores", "stop"])]
    trie: Option<PathBuf>,
    /// Scores of candidates 1 … N, as JSON
    #[arg(long, value_parser = whole::<usize>(1..=10_000), value_name = "N", conflicts_with = "stop")]
    scores: Option<usize>,
    /// Highest score of --scores [default: 10]
    #[arg(long, value_parser = whole::<i64>(1..=i128::from(asked::MOST_SCORE)), value_name = "N", requires = "scores")]
    max_score: Option<i64>,
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

/// Refuses flags that say more about another one that is not given. The parser does that by itself, but for those whose
/// other flag does not go together with something else that is given.
fn check_needed(arguments: &Arguments) -> anyhow::Result<()> {
    let (search, constraint) = (&arguments.search, &arguments.constraint);
    for (flag, given, other, there) in [
        ("--max-score", constraint.max_score.is_some(), "--scores", constraint.scores.is_some()),
        ("--system", arguments.system.is_some(), "--chat", arguments.chat),
        ("--diverse", search.diverse.is_some(), "--beams", search.beams.is_some()),
        ("--diversity", search.diversity.is_some(), "--diverse", search.diverse.is_some()),
        ("--length-penalty", search.length_penalty.is_some(), "--beams", search.beams.is_some()),
        ("--samples", search.samples.is_some(), "--sample", search.sample),
        ("--top-k", search.top_k.is_some(), "--sample", search.sample),
        ("--top-p", search.top_p.is_some(), "--sample", search.sample),
        ("--seed", search.seed.is_some(), "--sample", search.sample),
    ] {
        if given && !there {
            anyhow::bail!("{flag}: has an effect only with {other}; give that, or leave it out");
        }
    }
    Ok(())
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    check_needed(arguments)?;
    depths::check_drafts(arguments)?;
    let files = Paths::default().reads("--file", &arguments.file);
    files.reads("--trie", &arguments.constraint.trie).opens("--model", [&arguments.model]).check(output)?;
    let lines = arguments.file.as_deref().map(read_lines).transpose()?;
    let prompts = lines.as_ref().unwrap_or(&arguments.prompts);
    if prompts.is_empty() {
        let file = arguments.file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default();
        return Err(anyhow::anyhow!("{file}there is no prompt; give at least one line").into());
    }
    let asked = Asked::read(arguments)?;
    let printed = report::Printed::new(arguments, prompts.len());
    let start = Instant::now();
    if arguments.model.starts_with(plackett_remote::PREFIX) {
        let made = remote::run(arguments, &asked, prompts, global)?.best(arguments.results);
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
    made.depths = engine.depths();
    made.depths.sentences().iter().for_each(|sentence| output.note(sentence));
    let made = made.best(arguments.results);
    report::write(&made, prompts, &printed.after_stream(streamed), start.elapsed(), output)
}
