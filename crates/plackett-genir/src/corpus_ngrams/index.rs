//! All runs of tokens of a corpus, in a suffix array.

use crate::GenirError;
use rayon::prelude::*;
use std::sync::Arc;

/// Stands behind every text, so that no run goes from one to the next; above every token.
const BREAK: u32 = u32::MAX;

/// The tokens of all texts of a corpus and the order of what begins at each of them: which runs of tokens there are, how often, where, and what
/// follows them.
///
/// It takes 8 bytes for each token (the token, and its place in the order), and 4 more for each text and each document. Runs are known up to a
/// length that is given, by which alone the order is made: texts that repeat themselves do not make sorting slow.
#[derive(Clone, Debug)]
pub struct NgramIndex {
    /// The texts one after the other, each with a [`BREAK`] behind it.
    tokens: Vec<u32>,
    /// Places of tokens in `tokens`, ordered by the `longest` tokens from there on.
    suffixes: Vec<u32>,
    /// The place at which each document begins.
    documents: Vec<u32>,
    /// The different tokens, ascending.
    different: Arc<[u32]>,
    longest: usize,
}

/// A run of tokens that occurs: the part of the order that begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NgramRange {
    start: usize,
    end: usize,
    length: usize,
}

impl NgramRange {
    /// Tokens of the run.
    pub fn length(self) -> usize {
        self.length
    }

    /// How often it occurs in the corpus.
    pub fn count(self) -> usize {
        self.end - self.start
    }
}

/// Takes documents one after the other, of which only the tokens are kept.
#[derive(Clone, Debug)]
pub struct NgramIndexBuilder {
    tokens: Vec<u32>,
    documents: Vec<u32>,
    longest: usize,
}

impl NgramIndexBuilder {
    /// An empty corpus, whose runs will be known up to a length of `longest` tokens.
    ///
    /// # Errors
    /// [`GenirError::Setting`] for a length of 0.
    pub fn new(longest: usize) -> Result<NgramIndexBuilder, GenirError> {
        if longest == 0 {
            return Err(GenirError::Setting("n-grams of 0 tokens; give a length of at least 1".into()));
        }
        Ok(NgramIndexBuilder { tokens: Vec::new(), documents: Vec::new(), longest })
    }

    /// Adds a document; no run goes from one of its texts to the next. It is named by its number, from 0.
    ///
    /// # Errors
    /// [`GenirError::Setting`] for a token that no vocabulary has (2³² − 1), or beyond 2³² − 1 tokens in all.
    pub fn push<T: AsRef<[u32]>>(&mut self, texts: &[T]) -> Result<(), GenirError> {
        let place = |tokens: usize| {
            u32::try_from(tokens).ok().filter(|place| *place != BREAK).ok_or_else(|| {
                GenirError::Setting(format!("more than {BREAK} tokens; make an index of fewer documents"))
            })
        };
        let begins = place(self.tokens.len())?;
        let more: usize = texts.iter().map(|text| text.as_ref().len() + 1).sum();
        place(self.tokens.len() + more)?;
        if texts.iter().any(|text| text.as_ref().contains(&BREAK)) {
            return Err(GenirError::Setting(format!("the token {BREAK} stands for the end of a text")));
        }
        self.documents.push(begins);
        for text in texts {
            self.tokens.extend_from_slice(text.as_ref());
            self.tokens.push(BREAK);
        }
        Ok(())
    }

    /// Sorts what begins at each token.
    ///
    /// # Errors
    /// [`GenirError::Setting`] where no document has a token.
    pub fn finish(self) -> Result<NgramIndex, GenirError> {
        let NgramIndexBuilder { tokens, documents, longest } = self;
        let places = (0..).zip(&tokens).filter(|(_, token)| **token != BREAK);
        let mut suffixes: Vec<u32> = places.map(|(place, _)| place).collect();
        if suffixes.is_empty() {
            return Err(GenirError::Setting("no document has a token, so that there is no n-gram".into()));
        }
        let from = |place: u32| {
            let start = place as usize;
            &tokens[start..tokens.len().min(start + longest)]
        };
        suffixes.par_sort_unstable_by(|a, b| from(*a).cmp(from(*b)).then(a.cmp(b)));
        let mut index = NgramIndex { tokens, suffixes, documents, different: [].into(), longest };
        index.different = index.followers(index.root()).into();
        Ok(index)
    }
}

impl NgramIndex {
    /// Tokens of all texts together.
    pub fn tokens(&self) -> usize {
        self.suffixes.len()
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// The most tokens of a run.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        let numbers = self.tokens.len() + self.suffixes.len() + self.documents.len() + self.different.len();
        numbers * size_of::<u32>()
    }

    /// The run without tokens, which occurs at every token.
    pub fn root(&self) -> NgramRange {
        NgramRange { start: 0, end: self.suffixes.len(), length: 0 }
    }

    /// A run with one more token; `None` where it does not occur, or is longer than runs are known.
    pub fn extend(&self, run: NgramRange, token: u32) -> Option<NgramRange> {
        if token == BREAK || run.length >= self.longest {
            return None;
        }
        let within = self.suffixes.get(run.start..run.end)?;
        let before = within.partition_point(|place| self.token_behind(*place, run) < token);
        let own = within[before..].partition_point(|place| self.token_behind(*place, run) == token);
        let start = run.start + before;
        (own > 0).then_some(NgramRange { start, end: start + own, length: run.length + 1 })
    }

    /// The run of these tokens; `None` where it does not occur, or is longer than runs are known.
    pub fn find(&self, tokens: &[u32]) -> Option<NgramRange> {
        tokens.iter().try_fold(self.root(), |run, token| self.extend(run, *token))
    }

    /// The tokens that follow a run anywhere, ascending; none where it ends a text wherever it occurs, or is as long as runs are known.
    pub fn follow(&self, run: NgramRange) -> Arc<[u32]> {
        match run.length {
            0 => self.different.clone(),
            _ => self.followers(run).into(),
        }
    }

    /// Whether nothing follows a run.
    pub fn is_final(&self, run: NgramRange) -> bool {
        // The end of a text is above every token, and so the first only where it is the only one.
        let first = self.suffixes.get(run.start);
        run.length >= self.longest || first.is_none_or(|place| self.token_behind(*place, run) == BREAK)
    }

    /// Where a run occurs: documents, and places that say whether two occurrences overlap. In no particular order.
    pub fn occurrences(&self, run: NgramRange) -> impl Iterator<Item = (usize, usize)> + '_ {
        let places = self.suffixes.get(run.start..run.end).unwrap_or_default();
        places.iter().map(move |place| (self.document_at(*place), *place as usize))
    }

    /// The documents in which a run occurs, ascending and each once.
    pub fn documents_with(&self, run: NgramRange) -> Vec<usize> {
        let mut found: Vec<usize> = self.occurrences(run).map(|(document, _)| document).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn document_at(&self, place: u32) -> usize {
        self.documents.partition_point(|begins| *begins <= place).saturating_sub(1)
    }

    /// The token behind a run that begins at a place.
    fn token_behind(&self, place: u32, run: NgramRange) -> u32 {
        self.tokens.get(place as usize + run.length).copied().unwrap_or(BREAK)
    }

    fn followers(&self, run: NgramRange) -> Vec<u32> {
        let mut found = Vec::new();
        if run.length >= self.longest {
            return found;
        }
        let mut rest = self.suffixes.get(run.start..run.end).unwrap_or_default();
        while let Some(place) = rest.first() {
            let token = self.token_behind(*place, run);
            if token == BREAK {
                break;
            }
            found.push(token);
            rest = &rest[rest.partition_point(|place| self.token_behind(*place, run) == token)..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn index_of(documents: &[Vec<Vec<u32>>], longest: usize) -> NgramIndex {
        let mut builder = NgramIndexBuilder::new(longest).unwrap();
        for texts in documents {
            builder.push(texts).unwrap();
        }
        builder.finish().unwrap()
    }

    /// Every occurrence of a run: its document, its text, where it begins there, and what follows.
    fn by_hand(documents: &[Vec<Vec<u32>>], run: &[u32]) -> Vec<(usize, Option<u32>)> {
        let mut found = Vec::new();
        for (document, texts) in documents.iter().enumerate() {
            for text in texts {
                for start in 0..text.len() {
                    if text[start..].starts_with(run) {
                        found.push((document, text.get(start + run.len()).copied()));
                    }
                }
            }
        }
        found
    }

    #[test]
    fn runs_of_a_small_corpus() {
        // Two texts in the first document: no run goes from 2 to 3.
        let index = index_of(&[vec![vec![1, 2], vec![3, 1]], vec![vec![1, 2, 3]], vec![]], 3);
        assert_eq!((index.tokens(), index.documents(), index.longest()), (7, 3, 3));
        // Seven tokens in the order, ten with the ends of texts, three documents, three different tokens.
        assert_eq!(index.bytes(), 4 * (7 + 10 + 3 + 3));
        assert_eq!(index.follow(index.root()).to_vec(), [1, 2, 3]);
        let one = index.find(&[1]).unwrap();
        assert_eq!((one.count(), one.length()), (3, 1));
        assert_eq!(index.follow(one).to_vec(), [2], "behind the 1 that ends a text nothing follows");
        assert!(!index.is_final(one));
        let two = index.find(&[1, 2]).unwrap();
        assert_eq!(index.documents_with(two), [0, 1]);
        assert_eq!(index.follow(two).to_vec(), [3]);
        assert_eq!(index.documents_with(index.extend(two, 3).unwrap()), [1]);
        assert!(index.is_final(index.find(&[1, 2, 3]).unwrap()), "as long as runs are known");
        assert!(index.is_final(index.find(&[3, 1]).unwrap()), "the end of its text");
        assert!(index.find(&[2, 3, 1]).is_none() && index.find(&[4]).is_none());
        assert!(index.find(&[1, 2, 3, 3]).is_none() && index.find(&[BREAK]).is_none());
    }

    #[test]
    fn what_has_no_run_is_refused() {
        let said = |result: Result<NgramIndex, GenirError>| result.unwrap_err().to_string();
        assert!(NgramIndexBuilder::new(0).unwrap_err().to_string().contains("at least 1"));
        let mut builder = NgramIndexBuilder::new(2).unwrap();
        assert!(said(builder.clone().finish()).contains("no document has a token"));
        builder.push(&[Vec::<u32>::new()]).unwrap();
        assert!(said(builder.clone().finish()).contains("no document has a token"));
        assert!(builder.push(&[vec![BREAK]]).unwrap_err().to_string().contains("end of a text"));
    }

    proptest! {
        /// Counts, followers and documents of every run of up to four tokens of three, also of those that do not occur.
        #[test]
        fn runs_are_those_that_a_search_through_all_texts_finds(
            documents in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(0u32..3, 0..9), 0..3), 1..6),
            longest in 1usize..5,
            runs in prop::collection::vec(prop::collection::vec(0u32..3, 0..5), 1..20),
        ) {
            prop_assume!(documents.iter().flatten().any(|text| !text.is_empty()));
            let index = index_of(&documents, longest);
            for run in runs {
                let occurrences = by_hand(&documents, &run);
                let Some(found) = index.find(&run) else {
                    prop_assert!(occurrences.is_empty() || run.len() > longest);
                    continue;
                };
                prop_assert_eq!(found.length(), run.len());
                prop_assert_eq!(found.count(), occurrences.len());
                let with: BTreeSet<usize> = occurrences.iter().map(|(document, _)| *document).collect();
                prop_assert_eq!(index.documents_with(found), with.into_iter().collect::<Vec<_>>());
                let mut followers: BTreeSet<u32> = occurrences.iter().filter_map(|(_, next)| *next).collect();
                if run.len() == longest {
                    followers.clear();
                }
                prop_assert_eq!(index.is_final(found), followers.is_empty());
                prop_assert_eq!(index.follow(found).to_vec(), followers.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
