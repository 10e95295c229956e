//! `plackett embed`: vectors of texts.

mod texts;
mod vector_file;

use super::documents::DocumentArguments;
use super::number::whole;
use super::paths::Paths;
use super::{Global, Outcome, Output};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use plackett::pipeline::{LocalModel, Models};
use plackett_lm::{EmbedOptions, LmError, Truncated};
use plackett_remote::{Api, Capability, RemoteModel};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use texts::Texts;
use vector_file::VectorFile;

/// Texts that go through the model in one call: memory stays bounded however long the input is.
const AT_ONCE: usize = 512;
/// Texts that are named one by one when something has to be said of them.
const NAMED: usize = 20;

/// Turn texts into vectors with an embedding model
#[derive(Args)]
#[command(mut_arg("input_format", |argument| argument.help(FORMAT_HELP)))]
#[command(after_help = "Examples:\n  \
                        plackett embed \"a text\" \"another\" --json\n  \
                        plackett embed --input passages.txt --model all-MiniLM-L6-v2 > vectors.txt\n  \
                        plackett embed --input - --json < passages.txt\n  \
                        plackett embed --input passages.txt --output vectors.npy    (or vectors.parquet)\n  \
                        plackett embed --input corpus.jsonl --output vectors.parquet\n  \
                        plackett embed \"a text\" --model remote:http://127.0.0.1:8080/embed\n\n\
                        Without --json each text becomes one line of numbers with blanks between them. Texts that are longer\n\
                        than the model reads are cut, and named: in `truncated`, and on standard error. A text without a\n\
                        token has no vector: its line is empty, and null in JSON; its row has zeros in a .npy file, and none\n\
                        in a table.")]
pub struct Arguments {
    /// The texts
    #[arg(required_unless_present = "input")]
    texts: Vec<String>,
    /// Read texts from a file, one a line (`-`: standard input); of a collection (.jsonl, .csv, .tsv or .parquet, or with
    /// --input-format) the title and the text of each document
    #[arg(long, short, value_name = "FILE", conflicts_with = "texts")]
    input: Option<PathBuf>,
    /// Write the vectors to a .npy file, a row for each text, or to a .parquet table, where each has the id of its document as
    /// `_id`, or its number where texts have none (`plackett index --vectors-from` reads both)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
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
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..))]
    max_tokens: Option<usize>,
    #[command(flatten, next_help_heading = "Documents of a collection")]
    kept: DocumentArguments,
}

/// What `--input-format` is by itself, which is another thing here than where all input is documents.
const FORMAT_HELP: &str = "How the documents are kept [default: by the ending of the name; a text on each line of other files and of \
                           standard input]";

impl Arguments {
    /// The input, where it holds documents.
    pub fn collection(&self) -> Option<&Path> {
        self.input.as_deref().filter(|path| self.kept.names_documents(path))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    model: &'a str,
    dim: usize,
    /// `None` where they are in `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    embeddings: Option<Vec<Embedding>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Path>,
    /// How many texts.
    texts: usize,
    /// `None` when a server does not tell.
    truncated: Option<Vec<Cut>>,
}

#[derive(Serialize)]
struct Embedding {
    index: usize,
    /// `None` for a text that is no document.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// `None` when a server does not tell.
    tokens: Option<usize>,
    /// `None` for a text without a token.
    vector: Option<Vec<f32>>,
}

#[derive(Serialize)]
struct Cut {
    index: usize,
    tokens: usize,
    kept: usize,
    /// Whether `tokens` is extrapolated from the beginning of the text.
    estimated: bool,
}

/// What makes the vectors.
enum Embedder {
    Local(LocalModel, EmbedOptions),
    /// A server, and what is put before each text.
    Remote(Arc<RemoteModel>, String),
}

/// Vectors of some texts.
struct Vectors {
    /// `None` for a text without a token.
    rows: Vec<Option<Vec<f32>>>,
    tokens: Option<Vec<usize>>,
    truncated: Option<Vec<Truncated>>,
}

impl Embedder {
    fn open(
        arguments: &Arguments,
        models: &Models,
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<Embedder> {
        let prefix = arguments.prefix.clone().unwrap_or_default();
        if let Some(remote) = models.remote(None)? {
            remote.require(Capability::Embeddings)?;
            if arguments.max_tokens.is_some() {
                remote.require(Capability::Tokenizer).context("--max-tokens")?;
            }
            if arguments.prompt.is_some() {
                bail!("--prompt: a remote model's prompts are not known here; give the text with --prefix");
            }
            if global.memory_budget.is_some() {
                bail!("--memory-budget: {} is a server; the server has its own memory", remote.name());
            }
            return Ok(Embedder::Remote(remote, prefix));
        }
        let model = models.open(None)?;
        check_limit(arguments, &model, output)?;
        if let Some(remark) = model.remark() {
            output.warn(&remark);
        }
        let prompt = match &arguments.prompt {
            Some(name) => prompt(&model, name)?,
            None => prefix,
        };
        Ok(Embedder::Local(model, EmbedOptions { prompt, max_tokens: arguments.max_tokens }))
    }

    /// Whether there is anything to embed in a text.
    fn has_words(&self, text: &str) -> anyhow::Result<bool> {
        match self {
            Embedder::Local(model, _) => Ok(model.has_words(text)?),
            Embedder::Remote(..) => Ok(!text.trim().is_empty()),
        }
    }

    /// Tokens that a text has at least.
    fn special_tokens(&self) -> usize {
        if let Embedder::Local(model, _) = self { model.special_tokens() } else { 0 }
    }

    /// The most tokens that are read of a text.
    fn limit(&self) -> usize {
        match self {
            Embedder::Local(model, options) => {
                options.max_tokens.unwrap_or(usize::MAX).min(model.info().max_tokens)
            }
            Embedder::Remote(..) => 0,
        }
    }

    /// The vectors of texts; positions in errors and among those that were cut count from `first`.
    fn embed(&self, texts: &[String], first: usize) -> anyhow::Result<Vectors> {
        let mut with_words = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            let place = || format!("text {}", first + i + 1);
            if self.has_words(text).with_context(place)? {
                with_words.push(i);
            }
        }
        let mut vectors = Vectors { rows: vec![None; texts.len()], tokens: None, truncated: None };
        let views: Vec<&str> = with_words.iter().map(|i| texts[*i].as_str()).collect();
        let place = |index: usize| with_words.get(index).map_or(first, |i| first + i);
        let rows: Vec<Vec<f32>> = match self {
            Embedder::Local(model, options) => {
                let made = model.embed(&views, options).map_err(|error| match error {
                    LmError::Tokenization { index, problem } => {
                        anyhow!("text {}: {problem}", place(index) + 1)
                    }
                    error => error.into(),
                })?;
                let mut tokens = vec![0; texts.len()];
                with_words.iter().zip(made.tokens).for_each(|(i, count)| tokens[*i] = count);
                vectors.tokens = Some(tokens);
                let cut = made.truncated.into_iter();
                vectors.truncated =
                    Some(cut.map(|cut| Truncated { index: place(cut.index), ..cut }).collect());
                made.data.chunks_exact(made.dim.max(1)).map(<[f32]>::to_vec).collect()
            }
            Embedder::Remote(model, prefix) => {
                let whole: Vec<String> = views.iter().map(|text| format!("{prefix}{text}")).collect();
                let views: Vec<&str> = whole.iter().map(String::as_str).collect();
                // text-embeddings-inference is told to refuse what is too long; the others may cut without a word.
                vectors.truncated = (model.config().api == Api::TeiEmbed).then(Vec::new);
                if views.is_empty() { Vec::new() } else { model.embed(&views)? }
            }
        };
        for (i, row) in with_words.into_iter().zip(rows) {
            // A text may begin with so many blanks that none of its tokens is read.
            let read = vectors.tokens.as_ref().is_none_or(|tokens| tokens[i] > self.special_tokens());
            vectors.rows[i] = read.then_some(row);
        }
        Ok(vectors)
    }
}

/// The text of one of the model's own prompts.
fn prompt(model: &LocalModel, name: &str) -> anyhow::Result<String> {
    let known = model.prompt_names();
    if known.contains(&name) {
        return Ok(model.prompt(name).to_string());
    }
    let own = match known[..] {
        [] => "it has none; give the text itself with --prefix".to_string(),
        _ => format!("it has {}", known.join(", ")),
    };
    bail!("--prompt {name}: the model {} has no prompt of this name; {own}", model.info().name)
}

/// Refuses a limit that leaves nothing of a text, and says it when the limit is none.
fn check_limit(arguments: &Arguments, model: &LocalModel, output: &Output) -> anyhow::Result<()> {
    let Some(most) = arguments.max_tokens else { return Ok(()) };
    let special = model.special_tokens();
    if most <= special {
        bail!(
            "--max-tokens {most}: the model puts {special} special tokens around a text; give more than that"
        );
    }
    let own = model.info().max_tokens;
    if most > own {
        output
            .warn(&format!("--max-tokens {most}: the model reads at most {own} tokens, which is the limit"));
    }
    Ok(())
}

/// Says which texts were cut and which have no vector, the first ones by name.
fn say_what_is_missing(
    texts: &Texts,
    embeddings_without: &[usize],
    truncated: &[Cut],
    limit: usize,
    output: &Output,
) {
    for index in embeddings_without.iter().take(NAMED) {
        output.warn(&format!("{}: it has no token, so it has no vector", texts.name(*index)));
    }
    if let Some(more @ 1..) = embeddings_without.len().checked_sub(NAMED) {
        output.warn(&format!("{more} more texts have no token, and no vector"));
    }
    for Cut { index, tokens, kept, estimated } in truncated.iter().take(NAMED) {
        let name = texts.name(*index);
        // How many tokens come after a word of a megabyte is not known from that word.
        if *estimated && *kept < limit {
            output.warn(&format!(
                "{name}: no more than its beginning was read, which has {kept} tokens and, without a word's end, a \
                 megabyte or more"
            ));
            continue;
        }
        let about = if *estimated { "about " } else { "" };
        output.warn(&format!("{name}: cut from {about}{tokens} to {kept} tokens"));
    }
    if let Some(more @ 1..) = truncated.len().checked_sub(NAMED) {
        output.warn(&format!("{more} more texts were cut; `truncated` of --json has all"));
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let paths = Paths::default().reads("--input", &arguments.input).opens("--model", &arguments.model);
    paths.writes("--output", &arguments.output).check(output)?;
    let read = Texts::read(arguments, global, output)?;
    let texts = &read.texts;
    if texts.is_empty() {
        let file = arguments.input.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default();
        return Err(anyhow!("{file}there is no text; give at least one line").into());
    }
    let mut file = arguments.output.as_deref().map(|path| VectorFile::new(path, texts.len())).transpose()?;
    let models = Models::new(arguments.model.clone(), global.models());
    let embedder = Embedder::open(arguments, &models, global, output)?;
    let (mut embeddings, mut truncated, mut without) = (Vec::new(), Some(Vec::new()), Vec::new());
    let mut dim = if let Embedder::Local(model, _) = &embedder { model.info().dim } else { 0 };
    let progress = output.progress("embedding", texts.len() as u64);
    for (part, texts) in texts.chunks(AT_ONCE).enumerate() {
        let first = part * AT_ONCE;
        let made = embedder.embed(texts, first)?;
        match (made.truncated, &mut truncated) {
            (Some(cuts), Some(truncated)) => truncated.extend(cuts.into_iter().map(Cut::from)),
            _ => truncated = None,
        }
        for (i, vector) in made.rows.into_iter().enumerate() {
            match &vector {
                Some(vector) => dim = vector.len(),
                None => without.push(first + i),
            }
            if let Some(file) = &mut file {
                file.push(&read.id(first + i), vector.as_deref())?;
            } else if output.json {
                let tokens = made.tokens.as_ref().and_then(|tokens| tokens.get(i)).copied();
                let id = read.ids.as_ref().and_then(|ids| ids.get(first + i)).cloned();
                embeddings.push(Embedding { index: first + i, id, tokens, vector });
            } else {
                let numbers: Vec<String> = vector.iter().flatten().map(ToString::to_string).collect();
                output.print_data(&format!("{}\n", numbers.join(" ")))?;
            }
        }
        progress.inc(texts.len() as u64);
    }
    progress.finish_and_clear();
    file.map(VectorFile::commit).transpose()?;
    say_what_is_missing(&read, &without, truncated.as_deref().unwrap_or_default(), embedder.limit(), output);
    if truncated.is_none() {
        output.warn("the server does not tell whether it cut texts");
    }
    if output.json {
        let written = arguments.output.as_deref();
        let embeddings = written.is_none().then_some(embeddings);
        let model = models.name(None);
        let document = Document { model, dim, embeddings, output: written, texts: texts.len(), truncated };
        let text = output.envelope.fields_in_a_line(&document).context("vectors as JSON")?;
        output.print_data(&text)?;
    } else if let Some(path) = &arguments.output {
        output.print_data(&format!("{}: {} vectors of {dim} numbers\n", path.display(), texts.len()))?;
    }
    Ok(())
}

impl From<Truncated> for Cut {
    fn from(Truncated { index, tokens, kept, estimated }: Truncated) -> Cut {
        Cut { index, tokens, kept, estimated }
    }
}
