//! `plackett choose`: the best of some texts, given or written, by any method that ranks.

use super::number::{real, whole};
use super::open::read_lines;
use super::paths::Paths;
use super::{Global, Outcome, Output};
use anyhow::{Context, anyhow};
use clap::Args;
use plackett::Pipeline;
use plackett::choosing::{Draft, Scored, Scorer, Writer};
use plackett::pipeline::Models;
use plackett_arena::choosing::RescoredSearch;
use plackett_core::continuation::unigram_overlap;
use plackett_core::summary::words;
use plackett_core::{Document, Query, RankRequest};
use plackett_rank::Settings;
use plackett_rank::model::{CallError, ChatMessage, ChatRole, LanguageModel, Prompt};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Choose the best of several texts for a prompt: given ones, or ones that a language model writes
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett choose \"Why is the sky blue?\" --candidates answers.txt\n  \
                        plackett choose --by yes-no --model SmolLM2-135M-Instruct \"Why is the sky blue?\" -c answers.txt \\\n    \
                        --results 3\n  \
                        plackett choose \"The Rhine is a river that\" --samples 10\n  \
                        plackett choose \"The Rhine is a river that\" --samples 5 --beams 2 --every 16 --json\n  \
                        plackett choose --chat \"Name three colours.\" --by likelihood\n\n\
                        --by takes a method of `plackett rerank` (the prompt is its query, each text a document),\n\
                        `likelihood` (the writer's mean log-probability of a token) or `overlap` (share of a text's words\n\
                        that the prompt has). Without --every whole texts are drawn and the best one is chosen; with it, all\n\
                        texts so far are scored every few tokens and the best --beams go on. Of equal texts the first\n\
                        counts.")]
pub struct Arguments {
    /// What the texts answer or continue
    prompt: String,
    /// Texts to choose among, one a line (`-`: standard input); without it they are written
    #[arg(long, short, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// What is best: a method of `plackett rerank`, likelihood or overlap
    #[arg(long, value_name = "METHOD", default_value = "bi-encoder")]
    by: String,
    /// Model of the method [default: the bundled one]
    #[arg(long, short, value_name = "MODEL", env = "PLACKETT_MODEL")]
    model: Option<String>,
    /// Texts to give, best first
    #[arg(long, value_parser = whole::<usize>(1..), value_name = "N", default_value = "1")]
    results: usize,
    #[command(flatten)]
    writing: Writing,
}

/// How texts are written.
#[derive(Args)]
struct Writing {
    /// Model that writes
    #[arg(
        long,
        value_name = "MODEL",
        default_value = "SmolLM2-135M-Instruct",
        conflicts_with = "candidates"
    )]
    writer: String,
    /// The prompt is what a user says: write it out with the model's chat template
    #[arg(long, conflicts_with = "candidates")]
    chat: bool,
    /// Texts that are drawn, of each beam in each round
    #[arg(long, value_parser = whole::<usize>(1..=10_000), value_name = "N", default_value = "8", conflicts_with = "candidates")]
    samples: usize,
    /// Most tokens of a text
    #[arg(long, value_parser = whole::<usize>(1..), value_name = "N", default_value = "64", conflicts_with = "candidates")]
    max_tokens: usize,
    /// Tokens between two scorings [default: all of them]
    #[arg(long, value_parser = whole::<usize>(1..), value_name = "N", conflicts_with = "candidates")]
    every: Option<usize>,
    /// Texts that go on after a scoring
    #[arg(long, value_parser = whole::<usize>(1..=1000), value_name = "N", default_value = "1", conflicts_with = "candidates")]
    beams: usize,
    /// Divide logits by this before drawing
    #[arg(long, value_parser = real(" above 0", |x| x > 0.0), value_name = "X", default_value = "1", conflicts_with = "candidates")]
    temperature: f64,
    /// Draw among the most probable tokens whose probabilities reach this sum
    #[arg(long, value_parser = real(" above 0, up to 1", |x| x > 0.0 && x <= 1.0), value_name = "P", default_value = "0.9", conflicts_with = "candidates")]
    top_p: f64,
    /// The same seed draws the same texts
    #[arg(long, value_parser = whole::<u64>(0..), value_name = "N", default_value = "1", conflicts_with = "candidates")]
    seed: u64,
}

/// What is best.
enum Best {
    Likelihood,
    Overlap(Vec<String>),
    Method(Box<Pipeline>, String),
}

/// Refuses a model of which the method makes no use. One that is set for all commands of a shell may be there.
fn check_model(arguments: &Arguments, is_used: bool) -> anyhow::Result<()> {
    let set = std::env::var("PLACKETT_MODEL").ok();
    match &arguments.model {
        Some(model) if !is_used && set.as_ref() != Some(model) => {
            anyhow::bail!(
                "--model {model}: --by {} uses no model besides the --writer; leave the flag out",
                arguments.by
            )
        }
        _ => Ok(()),
    }
}

impl Best {
    fn new(arguments: &Arguments, global: &Global) -> anyhow::Result<Best> {
        if ["likelihood", "overlap"].contains(&arguments.by.as_str()) {
            check_model(arguments, false)?;
        }
        Ok(match arguments.by.as_str() {
            "likelihood" if arguments.candidates.is_some() => {
                anyhow::bail!(
                    "--by likelihood is of texts that are written here; leave --candidates out, or name a method"
                )
            }
            "likelihood" => Best::Likelihood,
            "overlap" if words(&arguments.prompt).is_empty() => {
                anyhow::bail!("--by overlap: the prompt has no words to be in a text; choose by a method")
            }
            "overlap" => Best::Overlap(words(&arguments.prompt)),
            method => {
                let models = Models::new(arguments.model.clone(), global.models());
                let pipeline = Pipeline::resolve(method, None, &models, &Settings::default())
                    .with_context(|| format!("--by {method}"))?;
                check_model(arguments, models.default_is_used())?;
                Best::Method(Box::new(pipeline), arguments.prompt.clone())
            }
        })
    }
}

impl Scorer for Best {
    type Error = anyhow::Error;

    fn scores(&self, drafts: &[&Draft]) -> anyhow::Result<Vec<f64>> {
        let (pipeline, prompt) = match self {
            Best::Likelihood if drafts.iter().all(|draft| draft.tokens > 0 && draft.log_prob == 0.0) => {
                anyhow::bail!(
                    "--by likelihood: the --writer tells no probabilities; choose by a method or overlap"
                )
            }
            Best::Likelihood => return Ok(drafts.iter().map(|draft| draft.mean_log_prob()).collect()),
            Best::Overlap(prompt) => {
                return Ok(drafts.iter().map(|draft| unigram_overlap(prompt, &words(&draft.text))).collect());
            }
            Best::Method(pipeline, prompt) => (pipeline, prompt),
        };
        let documents =
            drafts.iter().enumerate().map(|(at, draft)| Document::new(at.to_string(), draft.text.as_str()));
        let request = RankRequest::new(Query::new("prompt", prompt.as_str()), documents);
        let ranking = pipeline.rerank(&[request]).pop().context("the method gave no answer")??;
        // What a method passes on no further stays behind everything that it ranked.
        let mut scores = vec![f64::NEG_INFINITY; drafts.len()];
        for entry in &ranking.entries {
            if let Some(score) = entry.id.parse::<usize>().ok().and_then(|at| scores.get_mut(at)) {
                *score = entry.score;
            }
        }
        Ok(scores)
    }

    fn failed(&self, error: CallError) -> anyhow::Error {
        anyhow!("the model that writes: {error}")
    }
}

/// Texts with their scores, the best first.
struct Chosen {
    texts: Vec<(String, Option<f64>)>,
    drawn: usize,
    rounds: usize,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    Paths::default().reads("--candidates", &arguments.candidates).check(output)?;
    if arguments.writing.beams > 1 && arguments.writing.every.is_none() {
        return Err(anyhow!("--beams go on after a scoring: say with --every after how many tokens").into());
    }
    let best = Best::new(arguments, global)?;
    let chosen = match &arguments.candidates {
        Some(file) => {
            let lines = read_lines(file)?;
            let all = lines.len();
            let lines = lines.into_iter().filter(|line| !line.trim().is_empty());
            let drafts: Vec<Draft> = lines.map(|text| Draft { text, ..Draft::default() }).collect();
            if drafts.len() < all {
                output.warn(&format!("--candidates: {} blank lines are no texts", all - drafts.len()));
            }
            if drafts.is_empty() {
                return Err(anyhow!("{}: there is no text; give at least one line", file.display()).into());
            }
            among(&best, drafts, 0)?
        }
        None => written(&best, arguments, global)?,
    };
    if chosen.texts.len() < arguments.results {
        output.warn(&format!("--results {}: there are {} texts", arguments.results, chosen.texts.len()));
    }
    let texts = &chosen.texts[..chosen.texts.len().min(arguments.results)];
    if output.json {
        let results: Vec<_> =
            texts.iter().map(|(text, score)| json!({"text": text, "score": score})).collect();
        return Ok(output.print_json(
            &json!({"by": arguments.by, "chosen": results, "drawn": chosen.drawn, "rounds": chosen.rounds}),
        )?);
    }
    for (text, _) in texts {
        let line = if texts.len() > 1 { text.replace('\n', "\\n") } else { text.clone() };
        output.print(&format!("{}\n", line.trim()))?;
    }
    Ok(())
}

/// Texts in their order.
fn among(best: &Best, drafts: Vec<Draft>, drawn: usize) -> anyhow::Result<Chosen> {
    let scores = best.scores(&drafts.iter().collect::<Vec<_>>())?;
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    // A stable sort: of equal scores the first stays first.
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let texts = order.into_iter().map(|at| (drafts[at].text.clone(), finite(scores[at]))).collect();
    Ok(Chosen { texts, drawn, rounds: drawn.min(1) })
}

fn finite(score: f64) -> Option<f64> {
    score.is_finite().then_some(score)
}

/// Texts that a model writes.
fn written(best: &Best, arguments: &Arguments, global: &Global) -> anyhow::Result<Chosen> {
    let writing = &arguments.writing;
    let models = Models::new(Some(writing.writer.clone()), global.models());
    let model: Arc<dyn LanguageModel> = models
        .reranker(None)?
        .language_model()
        .map_err(|problem| anyhow!("--writer {}: {problem}", writing.writer))?;
    let prompt = match writing.chat {
        true => Prompt::chat(vec![ChatMessage::new(ChatRole::User, arguments.prompt.as_str())]),
        false => Prompt::text(arguments.prompt.as_str()),
    };
    let writer = Writer::new(model.as_ref(), prompt, (writing.temperature, Some(writing.top_p)));
    let Some(every) = writing.every else {
        let drawn = writer
            .draw((&Draft::default(), writing.seed), writing.samples, writing.max_tokens)
            .map_err(|error| best.failed(error))?;
        return among(best, drawn.into_iter().map(|drawn| drawn.draft).collect(), writing.samples);
    };
    let search = RescoredSearch {
        every,
        beams: writing.beams,
        samples: writing.samples,
        longest: writing.max_tokens,
        seed: writing.seed,
    };
    search.check()?;
    let scored = Scored { writer: &writer, scorer: best };
    let found = search.run(&scored)?;
    let score = |at: usize| found.scores.get(at).copied().and_then(finite);
    let texts = found.beams.iter().enumerate().map(|(at, draft)| (draft.text.clone(), score(at))).collect();
    Ok(Chosen { texts, drawn: found.drawn, rounds: found.rounds })
}
