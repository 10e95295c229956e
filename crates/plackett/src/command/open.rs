//! What several commands read, and the flags that go with it.

use anyhow::Context;
use clap::Args;
use plackett_core::formats::{BeirFolder, FormatError, read_topics, trec};
use plackett_core::{Qrels, Query, Run};
use plackett_rank::{Chunks, LongText, Settings};
use plackett_search::Index;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What is done with texts that a model cannot read whole.
#[derive(Args, Clone, Debug)]
pub struct LongTextArguments {
    /// Texts longer than the model reads: truncate, refuse, chunk-max or chunk-mean
    #[arg(long, value_name = "POLICY", default_value = "truncate")]
    long_text: LongText,
    /// Tokens per chunk [default: as many as the model reads]
    #[arg(long, value_name = "TOKENS")]
    chunk_size: Option<usize>,
    /// Tokens from one chunk's beginning to the next's [default: three quarters of a chunk]
    #[arg(long, value_name = "TOKENS")]
    chunk_stride: Option<usize>,
}

impl LongTextArguments {
    /// The settings of rerankers.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let long_text = match (self.long_text, self.chunk_size, self.chunk_stride) {
            (policy, None, None) => policy,
            (_, Some(0), _) | (_, _, Some(0)) => anyhow::bail!("a chunk of 0 tokens: give at least 1"),
            (LongText::Truncate | LongText::Refuse, ..) => {
                anyhow::bail!("--chunk-size and --chunk-stride need --long-text chunk-max or chunk-mean")
            }
            (LongText::Chunks(chunks), size, stride) => LongText::Chunks(Chunks {
                size: size.or(chunks.size),
                stride: stride.or(chunks.stride),
                ..chunks
            }),
        };
        Ok(Settings { long_text, progress: None })
    }
}

/// Queries from JSONL, TSV or TREC topics; the queries of a BEIR folder.
pub fn read_queries(path: &Path) -> Result<Vec<Query>, FormatError> {
    if path.is_dir() { BeirFolder::open(path)?.queries() } else { read_topics(path) }
}

/// Judgments.
pub fn read_qrels(path: &Path) -> Result<Qrels, FormatError> {
    trec::read_qrels(path, &trec::ReadOptions::default())
}

/// A TREC run.
pub fn read_run(path: &Path) -> Result<Run, FormatError> {
    trec::read_run(path, &trec::ReadOptions::default())
}

/// Opens an index, or says how to make one.
pub fn open_index(path: &Path) -> anyhow::Result<Index> {
    if !path.exists() {
        anyhow::bail!(
            "{}: there is no index; make one with `plackett index COLLECTION -o {0}`",
            path.display()
        );
    }
    Ok(Index::open(path)?)
}

/// The lines of a file or of standard input.
pub fn read_lines(path: &Path) -> anyhow::Result<Vec<String>> {
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
