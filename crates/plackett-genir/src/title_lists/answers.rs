//! Labelled queries with several answers as texts after which lists are learned (CorpusBrain, 2022: targets of several provenance pages).

use super::TitleTargets;
use crate::representation::{PairSource, TextPair};
use crate::{GenirError, RetrieverFiles};
use std::collections::HashMap;

/// For each labelled query the documents that answer it.
pub(crate) struct AnswerLists {
    targets: TitleTargets,
    answers: HashMap<String, Vec<usize>>,
    most: usize,
}

impl AnswerLists {
    /// Lists of at most `most` docids.
    ///
    /// # Errors
    /// The vocabulary has no separator.
    pub(crate) fn new(
        files: &RetrieverFiles,
        labelled: &PairSource,
        most: usize,
    ) -> Result<AnswerLists, GenirError> {
        let mut answers: HashMap<String, Vec<usize>> = HashMap::new();
        for pair in &labelled.pairs {
            answers.entry(pair.text.clone()).or_default().push(pair.document);
        }
        Ok(AnswerLists { targets: TitleTargets::new(files)?, answers, most })
    }

    /// What is to be written after a text: the docid of its own document, and behind it those of other answers in the order of the judgments, so
    /// that of a query's lists each begins with another answer. A text that is no labelled query of its document has one docid.
    pub(crate) fn of(&self, pair: &TextPair) -> Vec<u32> {
        let mut documents = vec![pair.document];
        let answers = self.answers.get(&pair.text).filter(|answers| answers.contains(&pair.document));
        for other in answers.into_iter().flatten() {
            let is_new = !documents.iter().any(|known| self.targets.are_equal(*known, *other));
            if is_new && documents.len() < self.most {
                documents.push(*other);
            }
        }
        self.targets.of(&documents)
    }

    /// The longest list that there could be, in tokens.
    pub(crate) fn longest(&self) -> usize {
        self.targets.longest(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::title_lists::TITLE_SEPARATOR;
    use crate::{DocidDecoder, DocidLanguage};
    use plackett_ids::Item;
    use plackett_ids::scheme::{Source, parse};

    #[test]
    fn a_query_with_several_answers_has_a_list_that_begins_with_each() {
        let items = ["a", "b", "c"].map(Item::new);
        let catalogue = parse("atomic").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        let tokens: Vec<String> =
            catalogue.tokens().iter().cloned().chain([TITLE_SEPARATOR.to_string()]).collect();
        let language = DocidLanguage::new(["a query"], &tokens, (1, 4));
        let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
        let pair = |text: &str, document| TextPair { text: text.into(), document };
        let labelled =
            PairSource::new(vec![pair("both", 0), pair("both", 2), pair("both", 1), pair("one", 1)]);
        let docids = files.docids().unwrap();
        let [a, b, c] = [0, 1, 2].map(|document: usize| docids[document][0]);
        let (end, separator) = (docids[0][1], files.title_separator().unwrap());
        let lists = AnswerLists::new(&files, &labelled, 2).unwrap();
        assert_eq!(lists.of(&pair("both", 0)), [a, separator, c, end]);
        assert_eq!(lists.of(&pair("both", 1)), [b, separator, a, end]);
        assert_eq!(lists.of(&pair("one", 1)), [b, end]);
        // A chunk of a document that reads like a query which it does not answer.
        assert_eq!(lists.of(&pair("one", 0)), [a, end]);
        assert_eq!(lists.longest(), 4);
        let all = AnswerLists::new(&files, &labelled, 3).unwrap();
        assert_eq!(all.of(&pair("both", 2)), [c, separator, a, separator, b, end]);
    }
}
