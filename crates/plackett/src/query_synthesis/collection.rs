//! Written queries as a BEIR folder with a data card.

use super::{CleanedQueries, DocumentSample, QueryPrompt, QuerySynthesisError, RoundTrip};
use crate::data_card::{DataCard, FILE};
use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_lm::sha256::Sha256;
use plackett_rank::model::Sampling;
use plackett_train::synth::UselessQuery;
use std::collections::HashSet;
use std::path::Path;

/// The first line of its card, by which a collection is known.
const TITLE: &str = "Queries for documents";
/// The name of its judgments.
const SPLIT: &str = "train";

/// A collection: each query's own document is relevant to it, and nothing else is judged.
pub struct QueryCollection<'c> {
    /// What was asked about.
    pub documents: &'c [Document],
    /// What was written.
    pub queries: &'c CleanedQueries,
    /// How documents were sampled.
    pub sample: DocumentSample,
    /// What the model is called.
    pub model: &'c str,
    /// What it continued.
    pub prompt: &'c QueryPrompt,
    /// How it drew.
    pub sampling: Option<Sampling>,
    /// What queries had to find.
    pub round_trip: Option<&'c RoundTrip<'c>>,
    /// SHA-256 of what else it was made from, by name.
    pub sources: Vec<(String, String)>,
}

impl QueryCollection<'_> {
    /// Whether a folder has such a collection.
    pub fn is_in(folder: &Path) -> bool {
        let card = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        card.lines().next() == Some(format!("# {TITLE}").as_str())
    }

    /// Writes the card, `queries.jsonl` and `qrels/train.tsv` into a folder, with a corpus also the documents that have a query.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, with_corpus: bool) -> Result<(), QuerySynthesisError> {
        let writer = BeirWriter::create(folder)?;
        self.write_card(folder)?;
        let written = &self.queries.kept;
        if with_corpus {
            let have: HashSet<usize> = written.iter().map(|query| query.document).collect();
            let documents = self.documents.iter().enumerate().filter(|(at, _)| have.contains(at));
            writer.corpus(documents.map(|(_, document)| Ok(document.clone())))?;
        }
        let queries: Vec<Query> =
            written.iter().map(|query| Query::new(query.id.as_str(), query.text.as_str())).collect();
        writer.queries(&queries)?;
        let mut qrels = Qrels::new();
        for query in written {
            let full = |source| FormatError::Full { file: folder.display().to_string(), source };
            qrels.query_mut(&query.id).push("0", &self.documents[query.document].id, 1).map_err(full)?;
        }
        Ok(writer.qrels(SPLIT, &qrels)?)
    }

    fn write_card(&self, folder: &Path) -> Result<(), QuerySynthesisError> {
        let mut sources = vec![("the documents that are asked about".to_string(), hash_of(self.documents))];
        sources.extend(self.sources.iter().cloned());
        let mut settings = vec![
            ("Documents", self.sample.to_string()),
            ("Words of a document that are read", self.prompt.words().to_string()),
        ];
        if let Some(sampling) = self.sampling {
            settings.push(("Temperature", sampling.temperature.to_string()));
        }
        if let Some(RoundTrip { search, depth }) = self.round_trip {
            let found = format!("`{}` finds the document among the first {depth}", search.pipeline);
            settings.push(("Round trip", found));
        }
        let card = DataCard {
            title: TITLE,
            model: self.model,
            prompt: &self.prompt.page(),
            seed: self.sample.seed,
            settings,
            sources,
            counts: self.counts(),
        };
        Ok(card.write(folder)?)
    }

    /// How many queries are kept, and how many of each kind are not.
    fn counts(&self) -> Vec<(String, usize)> {
        let mut counts = vec![
            ("documents asked about".to_string(), self.documents.len()),
            ("queries that were written".to_string(), self.queries.written),
            ("queries that are kept".to_string(), self.queries.kept.len()),
        ];
        counts.extend(UselessQuery::ALL.map(|reason| {
            let number = self.queries.left_out.get(&reason).copied().unwrap_or_default();
            (format!("left out: {}", reason.words()), number)
        }));
        counts
    }
}

/// SHA-256 of documents, with their ids and titles.
pub fn hash_of(documents: &[Document]) -> String {
    let mut hasher = Sha256::new();
    for document in documents {
        [&document.id, &document.title, &document.text].into_iter().for_each(|part| hasher.update_part(part));
    }
    hasher.hex_digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query_synthesis::{SampleBy, WrittenQuery};
    use plackett_core::formats::BeirFolder;
    use std::collections::BTreeMap;

    #[test]
    fn a_collection_has_queries_judgments_and_a_card() {
        let folder = tempfile::tempdir().unwrap();
        let documents = [Document::new("a", "green tea"), Document::new("b", "figs")];
        let query = WrittenQuery { id: "b".into(), text: "fruit".into(), document: 1 };
        let left_out = BTreeMap::from([(UselessQuery::Empty, 1)]);
        let queries = CleanedQueries { kept: vec![query], written: 2, left_out };
        let collection = QueryCollection {
            documents: &documents,
            queries: &queries,
            sample: DocumentSample { documents: 2, by: SampleBy::Uniform, characters: 0, seed: 7 },
            model: "small",
            prompt: &QueryPrompt::of_text("{document} asks", 9).unwrap(),
            sampling: None,
            round_trip: None,
            sources: vec![("model small".into(), "ab12".into())],
        };
        assert!(!QueryCollection::is_in(folder.path()));
        collection.write(folder.path(), false).unwrap();
        assert!(QueryCollection::is_in(folder.path()));
        let beir = BeirFolder::at(folder.path());
        assert_eq!(beir.queries().unwrap(), [Query::new("b", "fruit")]);
        assert!(beir.corpus_file().is_err());
        let judged = beir.qrels("train").unwrap();
        let relevant: Vec<String> =
            judged.relevant("b").map(|judgment| judgment.document.to_string()).collect();
        assert_eq!(relevant, ["b"]);
        let card = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        for piece in [
            "- Seed: 7\n- Documents: 2, drawn uniformly",
            "| model small | ab12 |",
            "| queries that are kept | 1 |",
            "| left out: nothing is left of the query | 1 |",
            "    [the document's first words] asks\n",
        ] {
            assert!(card.contains(piece), "{piece}: {card}");
        }
        collection.write(folder.path(), true).unwrap();
        let ids: Vec<String> = beir.corpus().unwrap().map(|document| document.unwrap().id).collect();
        assert_eq!(ids, ["b"]);
    }
}
