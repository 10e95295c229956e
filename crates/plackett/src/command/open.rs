//! What several commands read, and the flags that go with it.

use super::number::whole;
use super::{Global, Output};
use clap::Args;
use plackett_core::formats::{BeirFolder, FormatError, Lines, Remarks, read_topics_with, trec};
use plackett_core::{Qrels, Query, Run, counted};
use plackett_lm::store::Store;
use plackett_rank::{Chunks, LongText, Settings};
use plackett_search::{ANALYZER_VERSION, Index, SearchError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is done with texts that a model cannot read whole.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct LongTextArguments {
    /// Texts longer than the model reads: truncate, refuse, chunk-max or chunk-mean [default: truncate]
    #[arg(long, value_name = "POLICY")]
    #[serde(with = "super::as_text")]
    long_text: Option<LongText>,
    /// Tokens per chunk [default: as many as the model reads]
    #[arg(long, value_name = "TOKENS", value_parser = whole::<usize>(1..))]
    chunk_size: Option<usize>,
    /// Tokens from one chunk's beginning to the next's [default: three quarters of a chunk]
    #[arg(long, value_name = "TOKENS", value_parser = whole::<usize>(1..))]
    chunk_stride: Option<usize>,
}

impl LongTextArguments {
    /// The first of the flags that was given.
    pub fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--long-text", self.long_text.is_some()),
            ("--chunk-size", self.chunk_size.is_some()),
            ("--chunk-stride", self.chunk_stride.is_some()),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }

    /// Refuses values that no flag would have taken, of a manifest.
    pub fn check_values(&self) -> anyhow::Result<()> {
        let counts = [("--chunk-size", self.chunk_size), ("--chunk-stride", self.chunk_stride)];
        counts.into_iter().try_for_each(|(flag, count)| match count {
            Some(count) => whole::<usize>(1..).check(flag, &count.to_string()),
            None => Ok(()),
        })
    }

    /// What of a text is read, in words: scores depend on it.
    pub fn reading(&self) -> serde_json::Value {
        serde_json::json!([
            self.long_text.unwrap_or_default().to_string(),
            self.chunk_size,
            self.chunk_stride
        ])
    }

    /// The settings of rerankers.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let long_text = match (self.long_text.unwrap_or_default(), self.chunk_size, self.chunk_stride) {
            (policy, None, None) => policy,
            (LongText::Truncate | LongText::Refuse, ..) => {
                anyhow::bail!("--chunk-size and --chunk-stride need --long-text chunk-max or chunk-mean")
            }
            (LongText::Chunks(own), size, stride) => {
                let chunks = Chunks { size: size.or(own.size), stride: stride.or(own.stride), ..own };
                if let (Some(size), Some(given)) = (chunks.size, chunks.stride)
                    && given > size
                {
                    let flag = if stride.is_some() { "--chunk-stride" } else { "--long-text: stride" };
                    anyhow::bail!(
                        "{flag} {given}: what lies between chunks of {size} tokens would not be read; give {size} or less"
                    )
                }
                LongText::Chunks(chunks)
            }
        };
        Ok(Settings { long_text, ..Settings::default() })
    }
}

/// Queries from JSONL, TSV or TREC topics; the queries of a BEIR folder.
pub fn read_queries(path: &Path, line_limit: usize) -> Result<Vec<Query>, FormatError> {
    read_queries_with(path, line_limit, &Remarks::default())
}

/// The same with remarks on what may be read otherwise than it was meant.
pub fn read_queries_with(
    path: &Path,
    line_limit: usize,
    remarks: &Remarks,
) -> Result<Vec<Query>, FormatError> {
    let file = if path.is_dir() { BeirFolder::at(path).queries_file()? } else { path.to_path_buf() };
    read_topics_with(&file, line_limit, remarks)
}

/// Judgments.
pub fn read_qrels(path: &Path) -> Result<Qrels, FormatError> {
    trec::read_qrels(path, &trec::ReadOptions::default())
}

/// A run in TREC's six columns, MS MARCO's three, or JSON. What is passed over in it goes to the remarks.
pub fn read_run(path: &Path, line_limit: usize, remarks: &Remarks) -> Result<Run, FormatError> {
    let remarks = remarks.clone();
    trec::read_run(path, &trec::ReadOptions { line_limit, remarks, ..trec::ReadOptions::default() })
}

/// Opens an index, or says how to make one.
pub fn open_index(path: &Path) -> anyhow::Result<Index> {
    if path.is_file() {
        anyhow::bail!(
            "{}: is a file, expected the folder of an index; make one of a collection with `plackett index {0} -o DIR`",
            path.display()
        );
    }
    match Index::open(path) {
        Err(SearchError::Foreign { .. }) if !path.exists() => anyhow::bail!(
            "{}: there is no index; make one with `plackett index COLLECTION -o {0}`",
            path.display()
        ),
        opened => Ok(opened?),
    }
}

/// Tells of an index whose words were cut by an older version of its analyser. It is searched by that version.
pub fn remark_on_version(index: &Index, output: &Output) {
    let settings = index.settings();
    if settings.analyzer_version < ANALYZER_VERSION {
        output.warn(&format!(
            "{}: its words are of version {} of the analyser `{}`, to which letters with accents in two characters are \
             other letters than those in one; index the collection again for version {ANALYZER_VERSION}",
            index.directory().display(),
            settings.analyzer_version,
            settings.analyzer
        ));
    }
}

/// Names shown of a longer list.
const LISTED: usize = 5;

/// So many of something, whose plural ends in s: `1 document`, `2 documents`.
pub fn many(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// So many queries, in words: `1 query`.
pub fn many_queries(count: usize) -> String {
    counted(count, "query", "queries")
}

/// How many there are, with the first of them: ``2 ids (`a`, `b`)``.
pub fn listed<T: AsRef<str>>(names: &[T], one: &str, many: &str) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| format!("`{}`", name.as_ref())).collect();
    let more = if names.len() > LISTED { ", …" } else { "" };
    format!("{} {} ({}{more})", names.len(), if names.len() == 1 { one } else { many }, shown.join(", "))
}

/// The lines of a file or of standard input, of any length; .gz and .zst are unpacked.
pub fn read_lines(path: &Path) -> Result<Vec<String>, FormatError> {
    let mut lines = Lines::open(path, usize::MAX)?;
    let mut read = Vec::new();
    while let Some(line) = lines.next()? {
        read.push(line.to_string());
    }
    Ok(read)
}

/// Where a model's files are: a path, or a name in the store.
pub fn model_folder(name: &str, global: &Global) -> anyhow::Result<PathBuf> {
    Ok(Store::from_environment(global.offline)?.find(name)?.directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_said_as_several() {
        assert_eq!([many(1, "step"), many_queries(1), many_queries(2)], ["1 step", "1 query", "2 queries"]);
    }
}
