//! The texts that `plackett embed` reads: those of the command line, of lines, or of documents, which have ids.

use super::Arguments;
use crate::command::documents::CollectionBar;
use crate::command::open::read_lines;
use crate::command::{Global, Output};
use anyhow::bail;
use plackett_core::formats::{DocumentOptions, FieldUse, Remarks};
use std::borrow::Cow;
use std::path::Path;

/// Texts in their order.
pub struct Texts {
    pub texts: Vec<String>,
    /// The ids of documents, one for each text.
    pub ids: Option<Vec<String>>,
}

impl Texts {
    /// Reads all that is asked for.
    ///
    /// # Errors
    /// The file cannot be read, or a flag is about documents where there are none.
    pub fn read(arguments: &Arguments, global: &Global, output: &Output) -> anyhow::Result<Texts> {
        if let Some(path) = arguments.collection() {
            return Texts::of_documents(path, arguments, global, output);
        }
        if let Some(flag) = arguments.kept.given() {
            bail!(
                "{flag}: is about the documents of a collection, and here each text stands for itself; leave it out, or name the \
                 collection with --input and, where its name does not end in .jsonl, .csv, .tsv or .parquet, with --input-format"
            );
        }
        let lines = arguments.input.as_deref().map(read_lines).transpose()?;
        Ok(Texts { texts: lines.unwrap_or_else(|| arguments.texts.clone()), ids: None })
    }

    /// The title and the text of each document, as an index embeds them.
    fn of_documents(
        path: &Path,
        arguments: &Arguments,
        global: &Global,
        output: &Output,
    ) -> anyhow::Result<Texts> {
        let bar = CollectionBar::new(output, "reading documents", Some(path));
        let remarks = Remarks::default();
        let options = DocumentOptions {
            field_use: FieldUse::Read,
            line_limit: global.max_line_bytes,
            bytes_read: Some(bar.count()),
            remarks: remarks.clone(),
            ..DocumentOptions::default()
        };
        let (mut texts, mut ids) = (Vec::new(), Vec::new());
        for document in arguments.kept.read(path, options)? {
            let document = document?;
            bar.read();
            bar.finished(1);
            texts.push(document.model_text().into_owned());
            ids.push(document.id);
        }
        bar.end();
        remarks.take().iter().for_each(|remark| output.warn(remark));
        Ok(Texts { texts, ids: Some(ids) })
    }

    /// The id of a text: that of its document, or its number from 1, as `index` numbers lines.
    pub fn id(&self, index: usize) -> Cow<'_, str> {
        match self.ids.as_ref().and_then(|ids| ids.get(index)) {
            Some(id) => Cow::Borrowed(id.as_str()),
            None => Cow::Owned((index + 1).to_string()),
        }
    }

    /// What messages call a text.
    pub fn name(&self, index: usize) -> String {
        match &self.ids {
            Some(_) => format!("document `{}`", self.id(index)),
            None => format!("text {}", index + 1),
        }
    }
}
