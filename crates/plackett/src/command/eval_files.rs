//! The files of an evaluation: judgments, runs, and the texts for the report.

use super::documents::DocumentArguments;
use anyhow::anyhow;
use plackett_core::formats::trec::{Duplicates, Nan, ReadOptions, RunFormat, parse_run, read_qrels};
use plackett_core::formats::{BeirFolder, FormatError, read_all, read_topics};
use plackett_core::{Qrels, Run};
use plackett_eval::{self as eval, Policy};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How files are read, beside the policy.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The split of a BEIR folder.
    pub split: String,
    /// Whether scores that are not numbers are let in.
    pub keep_nan: bool,
    /// Whether grades such as 1.7 are cut to whole numbers.
    pub truncate_grades: bool,
}

impl Reading {
    fn options(&self, policy: &Policy) -> ReadOptions {
        ReadOptions {
            // The reader names the lines of a duplicate that is an error; others are settled, and counted, by the
            // evaluation.
            duplicates: match policy.duplicates {
                eval::Duplicates::Error => Duplicates::Error,
                eval::Duplicates::First | eval::Duplicates::Last => Duplicates::KeepAll,
            },
            nan: if self.keep_nan { Nan::Keep } else { Nan::Error },
            truncate_grades: self.truncate_grades,
            ..ReadOptions::default()
        }
    }

    /// Reads judgments: a file, or a BEIR folder's split.
    pub fn qrels(&self, path: &Path, policy: &Policy) -> anyhow::Result<Qrels> {
        let file = if path.is_dir() { self.in_folder(path)? } else { path.to_path_buf() };
        Ok(read_qrels(&file, &self.options(policy))?)
    }

    /// Reads a run; three columns are MS MARCO's.
    pub fn run(&self, path: &Path, policy: &Policy) -> anyhow::Result<Run> {
        let bytes = read_all(path)?;
        let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
        let run_format = if has_three_columns(&bytes) { RunFormat::MsMarco } else { RunFormat::Auto };
        Ok(parse_run(&bytes, &name, &ReadOptions { run_format, ..self.options(policy) })?)
    }

    fn in_folder(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        BeirFolder::at(folder).qrels_file(&self.split).map_err(|error| match error {
            FormatError::File { file, problem } => anyhow!("{file}: {problem} (choose with --split)"),
            other => other.into(),
        })
    }
}

fn has_three_columns(bytes: &[u8]) -> bool {
    let first =
        bytes.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty() && line[0] != b'#');
    first.is_some_and(|line| {
        line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).count() == 3
    })
}

/// Texts of queries by id.
pub fn query_texts(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    Ok(read_topics(path)?.into_iter().map(|query| (query.id, query.text)).collect())
}

/// Texts of the wanted documents by id. The others are read past, so that a large collection takes no memory.
pub fn document_texts(
    path: &Path,
    kept: &DocumentArguments,
    wanted: &HashSet<String>,
) -> anyhow::Result<HashMap<String, String>> {
    let mut texts = HashMap::new();
    if wanted.is_empty() {
        return Ok(texts);
    }
    for document in kept.read(path, None)? {
        let document = document.map_err(|error| anyhow!(error))?;
        if wanted.contains(&document.id) {
            let text = document.model_text().into_owned();
            texts.insert(document.id, text);
            if texts.len() == wanted.len() {
                break;
            }
        }
    }
    Ok(texts)
}
