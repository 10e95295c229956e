//! What of a document a ranker reads: all of it, its title, or its title with a summary for the query.

use super::dataset::Dataset;
use super::word_weights::WordWeights;
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use plackett_core::Document;
use plackett_core::summary::{Budget, query_summary, words};

/// The part.
pub const READS: FieldSpec = FieldSpec::new(
    "reads",
    FieldKind::Choice(&["title", "title-and-summary"]),
    Default::Absent,
    "what of a document is read: its title alone, or the title and the sentences of its text that cover the query (QUITE); all, where it is not said",
);

/// How long a summary is.
pub const SUMMARY_WORDS: FieldSpec = FieldSpec::new(
    "summary_words",
    FieldKind::Whole(1, 100_000),
    Default::Absent,
    "words of a summary; 40, where it is not said",
);

/// Words of a summary where nothing is said.
const USUAL_SUMMARY: usize = 40;
/// What the weight of a word of the query is multiplied with once a sentence covers it, as in QUITE.
const DECAY: f64 = 0.5;

/// Reads parts of the documents of a collection.
pub enum PartReader {
    /// All.
    Whole,
    /// Titles.
    Title,
    /// Titles with so many words of a summary, whose words have weights in the collection.
    Summary(usize, WordWeights),
}

impl PartReader {
    /// As the fields [`READS`] and [`SUMMARY_WORDS`] say.
    ///
    /// # Errors
    /// The corpus cannot be read, or a summary's length stands without a summary.
    pub fn new(values: &Values, dataset: &Dataset) -> Result<PartReader, StageError> {
        let most = Some(values.count("summary_words")).filter(|words| *words > 0);
        match (values.text("reads"), most) {
            (Some("title-and-summary"), _) => {
                let mut weights = WordWeights::default();
                for document in dataset.corpus()? {
                    weights.add(&words(&document?.text).into_iter().collect());
                }
                Ok(PartReader::Summary(most.unwrap_or(USUAL_SUMMARY), weights))
            }
            (_, Some(_)) => Err(StageError::Field {
                field: "summary_words",
                problem: "it goes with `reads = \"title-and-summary\"`; leave it out".into(),
            }),
            (Some("title"), None) => Ok(PartReader::Title),
            _ => Ok(PartReader::Whole),
        }
    }

    /// What is read of a document for a question.
    pub fn text(&self, question: &str, document: &Document) -> String {
        match self {
            PartReader::Whole => document.model_text().into_owned(),
            PartReader::Title => document.title.clone(),
            PartReader::Summary(most, weights) => {
                let summary =
                    query_summary(&document.text, &weights.of(question), DECAY, Budget::Words(*most));
                Document { text: summary.text, ..document.clone() }.model_text().into_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_by_hand() {
        let document = Document {
            title: "Fruit".into(),
            text: "Pears are green. An apple is red.".into(),
            ..Document::default()
        };
        assert_eq!(PartReader::Whole.text("apple", &document), "Fruit Pears are green. An apple is red.");
        assert_eq!(PartReader::Title.text("apple", &document), "Fruit");
        let mut weights = WordWeights::default();
        weights.add(&words(&document.text).into_iter().collect());
        let summary = PartReader::Summary(4, weights);
        assert_eq!(summary.text("which apple?", &document), "Fruit An apple is red.");
    }
}
