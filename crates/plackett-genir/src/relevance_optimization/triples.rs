//! Triples of labelled queries: the docid of a document that answers, and that of a negative from a first stage (DDRO, section 4).

use super::DocidTriple;
use crate::learning::Similar;
use crate::rank_bands::{PAPER_BANDS, draw_negatives};
use crate::{GenirError, RetrieverFiles};
use plackett_train::random::Stream;
use serde::Serialize;
use std::collections::HashSet;
use std::ops::Range;
use std::str::FromStr;

/// Ranks of the first stage that negatives come from.
const DEPTH: usize = 1000;

/// Where the negatives of a query come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NegativeSource {
    /// Ranks 1–100, 101–500 and 501–1000 of the first stage, in equal shares.
    #[default]
    Bands,
    /// Its first hundred ranks.
    Top,
    /// All documents.
    Random,
}

impl NegativeSource {
    /// The names, as they are written.
    pub const NAMES: &'static [&'static str] = &["bands", "top", "random"];
}

impl FromStr for NegativeSource {
    /// What is expected.
    type Err = String;

    fn from_str(text: &str) -> Result<NegativeSource, String> {
        match text {
            "bands" => Ok(NegativeSource::Bands),
            "top" => Ok(NegativeSource::Top),
            "random" => Ok(NegativeSource::Random),
            _ => Err(format!("one of {} is expected", NegativeSource::NAMES.join(", "))),
        }
    }
}

/// A labelled query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredQuery<'q> {
    /// The number from which what is drawn for it follows.
    pub number: usize,
    /// Its text.
    pub text: &'q str,
    /// The places of the documents that answer it.
    pub positives: Vec<usize>,
}

/// How triples are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TripleDrawing {
    /// Where negatives come from.
    pub negatives: NegativeSource,
    /// Negatives of a query.
    pub each: usize,
    /// From which everything that is drawn follows.
    pub seed: u64,
}

/// Triples, and how many negatives are missing for want of documents in their bands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrawnTriples {
    /// The triples, query after query.
    pub triples: Vec<DocidTriple>,
    /// Negatives that were asked for and are not there.
    pub missing: usize,
}

impl TripleDrawing {
    /// The triples of labelled queries: each document that answers one with each of its negatives, whose docids are of none that answers it.
    /// `ranked` is the first stage.
    ///
    /// # Errors
    /// No query has a negative, docids that the vocabulary does not have, or what the first stage says.
    pub fn triples(
        &self,
        queries: &[AnsweredQuery<'_>],
        files: &RetrieverFiles,
        ranked: &Similar<'_>,
    ) -> Result<DrawnTriples, GenirError> {
        let docids = files.docids()?;
        let all = 0..docids.len();
        let bands: &[Range<usize>] = match self.negatives {
            NegativeSource::Bands => &PAPER_BANDS[..],
            NegativeSource::Top => &PAPER_BANDS[..1],
            NegativeSource::Random => std::slice::from_ref(&all),
        };
        let mut drawn = DrawnTriples::default();
        for query in queries {
            let stream = |kind: u64| Stream::new(self.seed, (kind << 40) | query.number as u64);
            let ranking = match self.negatives {
                NegativeSource::Random => stream(6).permutation(docids.len()),
                NegativeSource::Bands | NegativeSource::Top => ranked(query.text, DEPTH)?,
            };
            // Documents of one docid cannot be told apart by it.
            let answers: HashSet<&[u32]> =
                query.positives.iter().map(|positive| docids[*positive].as_slice()).collect();
            let is_positive = |document: usize| answers.contains(docids[document].as_slice());
            let negatives = draw_negatives(&ranking, is_positive, bands, self.each, stream(5));
            drawn.missing += negatives.missing.iter().sum::<usize>();
            let mut chosen = query.positives.clone();
            chosen.sort_unstable();
            chosen.dedup();
            for positive in chosen {
                let triple = |(document, _): &(usize, usize)| DocidTriple {
                    prompt: files.language.prompt(query.text),
                    chosen: docids[positive].clone(),
                    rejected: docids[*document].clone(),
                };
                drawn.triples.extend(negatives.drawn.iter().map(triple));
            }
        }
        if drawn.triples.is_empty() {
            let problem = "no labelled query has a negative; there is nothing to learn";
            return Err(GenirError::Setting(problem.into()));
        }
        Ok(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DocidDecoder, DocidLanguage};
    use plackett_core::Document;
    use plackett_ids::scheme::parse;

    fn files() -> RetrieverFiles {
        files_of("atomic", ["red foxes", "old ships", "a full moon", "green tea"])
    }

    /// Those of documents whose titles are their texts.
    fn files_of(scheme: &str, texts: [&str; 4]) -> RetrieverFiles {
        let document = |(at, text): (usize, &&str)| {
            let mut document = Document::new(format!("d{at}"), *text);
            document.title = document.text.clone();
            document
        };
        let documents: Vec<Document> = texts.iter().enumerate().map(document).collect();
        let scheme = parse(scheme).unwrap();
        let catalogue = crate::learning::catalogue_of(&scheme, &documents, None, 1).unwrap();
        let language = DocidLanguage::new(texts, catalogue.tokens(), (1, 4));
        RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain }
    }

    #[test]
    fn each_answer_meets_each_negative_of_its_query() {
        let files = files();
        let docids = files.docids().unwrap();
        let query = AnsweredQuery { number: 0, text: "red ships", positives: vec![1, 0, 1] };
        let ranked = |_: &str, depth: usize| Ok((0..4).take(depth).collect());
        let drawing = TripleDrawing { negatives: NegativeSource::Top, each: 2, seed: 1 };
        let drawn = drawing.triples(std::slice::from_ref(&query), &files, &ranked).unwrap();
        let pairs = |drawn: &DrawnTriples| -> Vec<(usize, usize)> {
            let place = |docid: &Vec<u32>| docids.iter().position(|own| own == docid).unwrap();
            let mut pairs: Vec<(usize, usize)> =
                drawn.triples.iter().map(|one| (place(&one.chosen), place(&one.rejected))).collect();
            pairs.sort_unstable();
            pairs
        };
        assert_eq!((pairs(&drawn), drawn.missing), (vec![(0, 2), (0, 3), (1, 2), (1, 3)], 0));
        assert!(drawn.triples.iter().all(|triple| triple.prompt == files.language.prompt("red ships")));
        // Of seven negatives three are of the first band, which has two documents that do not answer, and the others have none.
        let drawing = TripleDrawing { negatives: NegativeSource::Bands, each: 7, seed: 1 };
        let drawn = drawing.triples(std::slice::from_ref(&query), &files, &ranked).unwrap();
        assert_eq!((drawn.triples.len(), drawn.missing), (4, 5));
        let drawing = TripleDrawing { negatives: NegativeSource::Random, each: 2, seed: 1 };
        let nothing = |_: &str, _: usize| Err(GenirError::Setting("not asked".into()));
        let drawn = drawing.triples(std::slice::from_ref(&query), &files, &nothing).unwrap();
        assert_eq!(pairs(&drawn), [(0, 2), (0, 3), (1, 2), (1, 3)]);
    }

    #[test]
    fn a_document_with_the_docid_of_an_answer_is_no_negative() {
        let files = files_of("title(duplicates=keep)", ["fox", "fox", "ship", "moon"]);
        let docids = files.docids().unwrap();
        assert_eq!(docids[0], docids[1]);
        let ranked = |_: &str, depth: usize| Ok((0..4).take(depth).collect());
        let drawing = TripleDrawing { negatives: NegativeSource::Top, each: 3, seed: 1 };
        let drawn = |positives: Vec<usize>| {
            let query = AnsweredQuery { number: 0, text: "fox", positives };
            drawing.triples(&[query], &files, &ranked).unwrap()
        };
        let one = drawn(vec![0]);
        let mut rejected: Vec<&Vec<u32>> = one.triples.iter().map(|triple| &triple.rejected).collect();
        let mut others = vec![&docids[2], &docids[3]];
        rejected.sort_unstable();
        others.sort_unstable();
        assert_eq!((rejected, one.missing), (others, 1));
        // The second fox is no negative of the ship either, for its docid answers the query.
        let both = drawn(vec![0, 2]);
        assert!(both.triples.iter().all(|triple| triple.rejected == docids[3]));
        assert_eq!((both.triples.len(), both.missing), (2, 2));
    }

    #[test]
    fn queries_without_negatives_and_other_names_are_refused() {
        let query = AnsweredQuery { number: 0, text: "red", positives: vec![0] };
        let ranked = |_: &str, _: usize| Ok(vec![0]);
        let drawing = TripleDrawing { negatives: NegativeSource::default(), each: 3, seed: 1 };
        let error = drawing.triples(&[query], &files(), &ranked).unwrap_err().to_string();
        assert!(error.contains("nothing to learn"), "{error}");
        for name in NegativeSource::NAMES {
            let source: NegativeSource = name.parse().unwrap();
            assert_eq!(serde_json::to_value(source).unwrap(), *name);
        }
        assert!("bottom".parse::<NegativeSource>().unwrap_err().contains("bands, top, random"));
    }
}
