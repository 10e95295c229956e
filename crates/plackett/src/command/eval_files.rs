//! The files of an evaluation: judgments, runs, and the texts for the report.

use super::documents::DocumentArguments;
use anyhow::{anyhow, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett_core::formats::trec::{
    Comments, Duplicates, Nan, PreferenceFormat, ReadOptions, read_preferences, read_qrels, read_run,
};
use plackett_core::formats::{BeirFolder, DocumentOptions, FormatError, Remarks, read_topics_with};
use plackett_core::{Preferences, Qrels, Run};
use plackett_eval::{self as eval, Policy};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a file of judgments holds, under trec_eval's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgmentFormat {
    /// Grades.
    Qrels,
    /// Grades of several judgment groups, which the second column names.
    Groups,
    /// Preferences.
    Preferences(PreferenceFormat),
}

impl JudgmentFormat {
    const ALL: [(&'static str, JudgmentFormat); 4] = [
        ("qrels", JudgmentFormat::Qrels),
        ("qrels_jg", JudgmentFormat::Groups),
        ("prefs", JudgmentFormat::Preferences(PreferenceFormat::Lists)),
        ("qrels_prefs", JudgmentFormat::Preferences(PreferenceFormat::Qrels)),
    ];

    /// A parser, which knows the names for help and completion.
    pub fn parser() -> impl TypedValueParser<Value = JudgmentFormat> {
        PossibleValuesParser::new(Self::ALL.iter().map(|(name, _)| *name)).map(|text| {
            let found = Self::ALL.iter().find(|(name, _)| *name == text);
            found.map_or(JudgmentFormat::Qrels, |(_, format)| *format)
        })
    }

    /// Whether they are preferences.
    pub fn is_preferences(self) -> bool {
        matches!(self, JudgmentFormat::Preferences(_))
    }
}

/// What runs are measured on.
pub enum Judgments {
    /// Grades of documents, by one or by several groups.
    Grades(Qrels),
    /// Preferences between documents.
    Preferences(Preferences),
}

/// How files are read, beside the policy.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What the judgments are.
    pub format: JudgmentFormat,
    /// The split of a BEIR folder, where one was named.
    pub split: Option<String>,
    /// Whether scores that are not numbers are let in.
    pub keep_nan: bool,
    /// Whether grades such as 1.7 are cut to whole numbers.
    pub truncate_grades: bool,
    /// Which lines are comments.
    pub comments: Comments,
    /// Whether fields behind the sixth of a run are ignored.
    pub extra_fields: bool,
    /// Longest line in bytes.
    pub line_limit: usize,
    /// What was passed over.
    pub remarks: Remarks,
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
            comments: self.comments,
            extra_fields: self.extra_fields,
            line_limit: self.line_limit,
            remarks: self.remarks.clone(),
            ..ReadOptions::default()
        }
    }

    /// Reads judgments: a file, or a BEIR folder's split.
    pub fn judgments(&self, path: &Path, policy: &Policy) -> anyhow::Result<Judgments> {
        if let (Some(split), false) = (&self.split, path.is_dir()) {
            bail!("--split {split}: {} is no folder; a split is chosen in a BEIR folder", path.display());
        }
        let options = self.options(policy);
        match self.format {
            JudgmentFormat::Preferences(format) => {
                Ok(Judgments::Preferences(read_preferences(path, format, &options)?))
            }
            JudgmentFormat::Qrels | JudgmentFormat::Groups => {
                let file = if path.is_dir() { self.in_folder(path)? } else { path.to_path_buf() };
                Ok(Judgments::Grades(read_qrels(&file, &options)?))
            }
        }
    }

    /// Reads a run; three columns are MS MARCO's.
    pub fn run(&self, path: &Path, policy: &Policy) -> anyhow::Result<Run> {
        Ok(read_run(path, &self.options(policy))?)
    }

    fn in_folder(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let split = self.split.as_deref().unwrap_or("test");
        BeirFolder::at(folder).qrels_file(split).map_err(|error| match error {
            FormatError::File { file, problem } => anyhow!("{file}: {problem} (choose with --split)"),
            other => other.into(),
        })
    }
}

/// Texts of queries by id.
pub fn query_texts(
    path: &Path,
    line_limit: usize,
    remarks: &Remarks,
) -> anyhow::Result<HashMap<String, String>> {
    let queries = read_topics_with(path, line_limit, remarks)?;
    Ok(queries.into_iter().map(|query| (query.id, query.text)).collect())
}

/// Texts of the wanted documents by id. The others are read past, so that a large collection takes no memory.
pub fn document_texts(
    path: &Path,
    kept: &DocumentArguments,
    wanted: &HashSet<String>,
    options: DocumentOptions,
) -> anyhow::Result<HashMap<String, String>> {
    let mut texts = HashMap::new();
    // Opened even where nothing is wanted of them, so that a wrong name is told.
    let documents = kept.read(path, options)?;
    for document in documents.take(if wanted.is_empty() { 0 } else { usize::MAX }) {
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
