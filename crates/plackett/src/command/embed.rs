//! `plackett embed`: vectors of texts.

use super::{Global, Outcome, Output};
use anyhow::Context;
use clap::Args;
use plackett::pipeline::Models;
use plackett_lm::{EmbedOptions, EncoderModel};
use serde::Serialize;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Texts that go through the model in one call: memory stays bounded however long the input is.
const AT_ONCE: usize = 512;

/// Turn texts into vectors with an encoder model
#[derive(Args)]
#[command(after_help = "Examples:\n  plackett embed \"a text\" \"another\" --json\n  \
                        plackett embed --input passages.txt --model all-MiniLM-L6-v2 > vectors.txt\n  \
                        cat passages.txt | plackett embed --input - --json\n\n\
                        Without --json each text becomes one line of numbers with blanks between them.\nTexts that \
                        are longer than the model reads are cut, and named: in `truncated`, and on standard error.")]
pub struct Arguments {
    /// The texts
    #[arg(required_unless_present = "input")]
    texts: Vec<String>,
    /// Read texts from a file, one a line (`-`: standard input)
    #[arg(long, short, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Model: a directory, a name or an id (see `plackett model list`; default: the one that comes with the program)
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
    truncated: Vec<Cut>,
}

#[derive(Serialize)]
struct Embedding {
    index: usize,
    tokens: usize,
    vector: Vec<f32>,
}

#[derive(Serialize)]
struct Cut {
    index: usize,
    tokens: usize,
    kept: usize,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let lines = arguments.input.as_deref().map(read).transpose()?;
    let texts = lines.as_ref().unwrap_or(&arguments.texts);
    let models = Models::new(arguments.model.clone(), global.offline);
    let model = models.open(None)?;
    let options = EmbedOptions { prompt: prompt(arguments, &model), max_tokens: arguments.max_tokens };
    if arguments.prompt.is_some() && options.prompt.is_empty() {
        output.note("note: the model has no prompt of this name; the texts go to it as they are");
    }
    let mut document =
        Document { model: models.name(None), dim: model.info().dim, embeddings: vec![], truncated: vec![] };
    let progress = output.progress("embedding", texts.len() as u64);
    for (part, texts) in texts.chunks(AT_ONCE).enumerate() {
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let made = model.embed(&views, &options)?;
        for cut in &made.truncated {
            let index = part * AT_ONCE + cut.index;
            document.truncated.push(Cut { index, tokens: cut.tokens, kept: cut.kept });
        }
        for (i, (vector, tokens)) in made.data.chunks_exact(made.dim).zip(&made.tokens).enumerate() {
            if output.json {
                let index = part * AT_ONCE + i;
                document.embeddings.push(Embedding { index, tokens: *tokens, vector: vector.to_vec() });
            } else {
                let numbers: Vec<String> = vector.iter().map(ToString::to_string).collect();
                output.print(&format!("{}\n", numbers.join(" ")))?;
            }
        }
        progress.inc(texts.len() as u64);
    }
    progress.finish_and_clear();
    for Cut { index, tokens, kept } in &document.truncated {
        output.note(&format!("text {}: cut from {tokens} to {kept} tokens", index + 1));
    }
    if output.json {
        let mut text = serde_json::to_string(&document).context("vectors as JSON")?;
        text.push('\n');
        output.print(&text)?;
    }
    Ok(())
}

fn prompt(arguments: &Arguments, model: &EncoderModel) -> String {
    match (&arguments.prompt, &arguments.prefix) {
        (Some(name), _) => model.prompt(name).to_string(),
        (None, prefix) => prefix.clone().unwrap_or_default(),
    }
}

/// The lines of a file or of standard input.
fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(path);
        Box::new(BufReader::new(file.with_context(|| format!("cannot read `{}`", path.display()))?))
    };
    let lines = reader.lines().enumerate();
    lines
        .map(|(i, line)| line.with_context(|| format!("{}, line {}: not text", path.display(), i + 1)))
        .collect()
}
