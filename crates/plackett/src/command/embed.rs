//! `plackett embed`: vectors of texts.

use super::open::read_lines;
use super::{Global, Outcome, Output};
use anyhow::Context;
use clap::Args;
use plackett::pipeline::{LocalModel, Models};
use plackett_lm::remote::{Api, Capability, RemoteModel};
use plackett_lm::{EmbedOptions, Truncated};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Texts that go through the model in one call: memory stays bounded however long the input is.
const AT_ONCE: usize = 512;

/// Turn texts into vectors with an embedding model
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett embed \"a text\" \"another\" --json\n  \
                        plackett embed --input passages.txt --model all-MiniLM-L6-v2 > vectors.txt\n  \
                        cat passages.txt | plackett embed --input - --json\n  \
                        plackett embed \"a text\" --model remote:http://127.0.0.1:8080/embed\n\n\
                        Without --json each text becomes one line of numbers with blanks between them.\nTexts that \
                        are longer than the model reads are cut, and named: in `truncated`, and on standard error.")]
pub struct Arguments {
    /// The texts
    #[arg(required_unless_present = "input")]
    texts: Vec<String>,
    /// Read texts from a file, one a line (`-`: standard input)
    #[arg(long, short, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Model: a directory, a name, an id or remote:URL (see `plackett model list`; default: the one that comes with the
    /// program)
    #[arg(long, short, value_name = "MODEL")]
    model: Option<String>,
    /// Put the model's own prompt of this name (such as `query`) before each text
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// Put this before each text
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt")]
    prefix: Option<String>,
    /// Cut texts to this many tokens, when that is less than the model's own limit
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
}

#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    dim: usize,
    embeddings: Vec<Embedding>,
    /// `None` when a server does not tell.
    truncated: Option<Vec<Cut>>,
}

#[derive(Serialize)]
struct Embedding {
    index: usize,
    /// `None` when a server does not tell.
    tokens: Option<usize>,
    vector: Vec<f32>,
}

#[derive(Serialize)]
struct Cut {
    index: usize,
    tokens: usize,
    kept: usize,
}

/// What makes the vectors.
enum Embedder {
    Local(LocalModel, EmbedOptions),
    /// A server, and what is put before each text.
    Remote(Arc<RemoteModel>, String),
}

/// Vectors of some texts.
struct Vectors {
    rows: Vec<Vec<f32>>,
    tokens: Option<Vec<usize>>,
    truncated: Option<Vec<Truncated>>,
}

impl Embedder {
    fn open(arguments: &Arguments, models: &Models, output: &Output) -> anyhow::Result<Embedder> {
        let prefix = arguments.prefix.clone().unwrap_or_default();
        if let Some(remote) = models.remote(None)? {
            remote.require(Capability::Embeddings)?;
            if arguments.max_tokens.is_some() {
                remote.require(Capability::Tokenizer).context("--max-tokens")?;
            }
            if arguments.prompt.is_some() {
                anyhow::bail!(
                    "--prompt: a remote model's prompts are not known here; give the text with --prefix"
                );
            }
            return Ok(Embedder::Remote(remote, prefix));
        }
        let model = models.open(None)?;
        let prompt = arguments.prompt.as_deref().map_or(prefix, |name| model.prompt(name).to_string());
        if arguments.prompt.is_some() && prompt.is_empty() {
            output.warn("the model has no prompt of this name; the texts go to it as they are");
        }
        Ok(Embedder::Local(model, EmbedOptions { prompt, max_tokens: arguments.max_tokens }))
    }

    fn embed(&self, texts: &[String]) -> anyhow::Result<Vectors> {
        match self {
            Embedder::Local(model, options) => {
                let views: Vec<&str> = texts.iter().map(String::as_str).collect();
                let made = model.embed(&views, options)?;
                let rows = made.data.chunks_exact(made.dim.max(1)).map(<[f32]>::to_vec).collect();
                Ok(Vectors { rows, tokens: Some(made.tokens), truncated: Some(made.truncated) })
            }
            Embedder::Remote(model, prefix) => {
                let whole: Vec<String> = texts.iter().map(|text| format!("{prefix}{text}")).collect();
                let views: Vec<&str> = whole.iter().map(String::as_str).collect();
                // text-embeddings-inference is told to refuse what is too long; the others may cut without a word.
                let truncated = (model.config().api == Api::TeiEmbed).then(Vec::new);
                Ok(Vectors { rows: model.embed(&views)?, tokens: None, truncated })
            }
        }
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let lines = arguments.input.as_deref().map(read_lines).transpose()?;
    let texts = lines.as_ref().unwrap_or(&arguments.texts);
    let models = Models::new(arguments.model.clone(), global.models());
    let embedder = Embedder::open(arguments, &models, output)?;
    let (mut embeddings, mut truncated) = (Vec::new(), Some(Vec::new()));
    let mut dim = if let Embedder::Local(model, _) = &embedder { model.info().dim } else { 0 };
    let progress = output.progress("embedding", texts.len() as u64);
    for (part, texts) in texts.chunks(AT_ONCE).enumerate() {
        let first = part * AT_ONCE;
        let made = embedder.embed(texts)?;
        match (made.truncated, &mut truncated) {
            (Some(cuts), Some(truncated)) => {
                let cut =
                    |cut: Truncated| Cut { index: first + cut.index, tokens: cut.tokens, kept: cut.kept };
                truncated.extend(cuts.into_iter().map(cut));
            }
            _ => truncated = None,
        }
        for (i, vector) in made.rows.into_iter().enumerate() {
            dim = vector.len();
            if output.json {
                let tokens = made.tokens.as_ref().and_then(|tokens| tokens.get(i)).copied();
                embeddings.push(Embedding { index: first + i, tokens, vector });
            } else {
                let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
                output.print(&format!("{}\n", numbers.join(" ")))?;
            }
        }
        progress.inc(texts.len() as u64);
    }
    progress.finish_and_clear();
    for Cut { index, tokens, kept } in truncated.iter().flatten() {
        output.note(&format!("text {}: cut from {tokens} to {kept} tokens", index + 1));
    }
    if truncated.is_none() {
        output.warn("the server does not tell whether it cut texts");
    }
    if output.json {
        let document = Document { model: models.name(None), dim, embeddings, truncated };
        let text = output.envelope.fields_in_a_line(&document).context("vectors as JSON")?;
        output.print(&text)?;
    }
    Ok(())
}
