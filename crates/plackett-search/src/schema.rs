//! Which columns the inverted index has.

use crate::analysis::{Analysis, IndexTokenizer};
use crate::{IndexSettings, SearchError};
use tantivy::Term;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions,
};

pub(crate) const ID: &str = "id";
pub(crate) const VECTOR: &str = "vector";
const METADATA: &str = "metadata";
pub(crate) const DOCUMENT: &str = "document";
pub(crate) const START: &str = "start";
pub(crate) const END: &str = "end";
const SOURCE: &str = "source";
const TOKENIZER: &str = "plackett";

/// Handles of the columns.
#[derive(Clone)]
pub(crate) struct Fields {
    pub id: Field,
    /// The document as JSON.
    pub source: Field,
    pub vector: Field,
    /// Searched fields in the order of the settings.
    pub searched: Vec<Field>,
    /// Columns with the number of terms of each searched field.
    pub lengths: Vec<Field>,
    pub length_names: Vec<String>,
    /// Terms of the metadata, where it can be filtered by.
    pub metadata: Option<Field>,
    /// What passages have besides; `None` where documents are whole.
    pub passage: Option<PassageFields>,
}

/// Columns that lead from a passage to its document.
#[derive(Clone, Copy)]
pub(crate) struct PassageFields {
    /// The document's id.
    pub document: Field,
    /// The first byte of the document's text that the passage has, and the first behind it.
    pub start: Field,
    pub end: Field,
}

impl Fields {
    /// What all entries of a document have, and no other.
    pub fn of_document(&self, id: &str) -> Term {
        Term::from_field_text(self.passage.map_or(self.id, |passage| passage.document), id)
    }
}

/// The schema of an index with these settings.
pub(crate) fn build(settings: &IndexSettings) -> Result<(Schema, Fields), SearchError> {
    if settings.fields.is_empty() {
        return Err(SearchError::Argument(
            "an index needs at least one searched field, such as `text`".into(),
        ));
    }
    let mut schema = Schema::builder();
    let id = schema.add_text_field(ID, STRING | FAST);
    let source = schema.add_text_field(SOURCE, STORED);
    let vector = schema.add_u64_field(VECTOR, FAST);
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqs);
    let passage = settings.chunking.as_ref().map(|_| PassageFields {
        document: schema.add_text_field(DOCUMENT, STRING),
        start: schema.add_u64_field(START, FAST),
        end: schema.add_u64_field(END, FAST),
    });
    let mut fields = Fields {
        id,
        source,
        vector,
        searched: Vec::new(),
        lengths: Vec::new(),
        length_names: Vec::new(),
        metadata: None,
        passage,
    };
    for (number, name) in settings.fields.iter().enumerate() {
        if settings.fields[..number].contains(name) {
            return Err(SearchError::Argument(format!("the field `{name}` is named twice")));
        }
        let options = TextOptions::default().set_indexing_options(indexing.clone());
        fields.searched.push(schema.add_text_field(&format!("f{number}"), options));
        let length = format!("l{number}");
        fields.lengths.push(schema.add_u64_field(&length, FAST));
        fields.length_names.push(length);
    }
    if settings.filters {
        let options = indexing.set_index_option(IndexRecordOption::Basic);
        let options = TextOptions::default().set_indexing_options(options);
        fields.metadata = Some(schema.add_text_field(METADATA, options));
    }
    Ok((schema.build(), fields))
}

/// Makes the analyser known to the inverted index.
pub(crate) fn register(index: &tantivy::Index, analyzer: Analysis) {
    let tokenizer = tantivy::tokenizer::TextAnalyzer::from(IndexTokenizer(analyzer));
    index.tokenizers().register(TOKENIZER, tokenizer);
}
