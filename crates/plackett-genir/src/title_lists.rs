//! Several titles in one answer (CorpusBrain, 2022): after a title that is complete a separator may follow, and after it another title.

use crate::beam_options::by_token;
use crate::{DocidTrie, GenerativeRetriever, GenirError};
use plackett_lm::LmError;
use plackett_lm::decode::{
    Allowed, Constraint, DecodeModel, DecodeRequest, TokenTrie, Transition, TrieNode, decode,
};
use plackett_train::trainer::END_TOKEN;
use std::collections::HashSet;

/// The token between titles, to go behind those of docids into a vocabulary. It is in no title: there a bar is no word.
pub const TITLE_SEPARATOR: &str = "|";
/// Lists of titles of a tree.
#[derive(Clone, Debug)]
pub struct TitleLists<'t> {
    trie: &'t TokenTrie,
    separator: u32,
    most: usize,
}

impl<'t> TitleLists<'t> {
    /// At most `most` titles (one at least) with a separator between them. Each title of the tree has its end.
    ///
    /// # Errors
    /// The separator is in a title, or a title does not end with the token that ends docids (shortened ones do not).
    pub fn new(titles: &'t DocidTrie, separator: u32, most: usize) -> Result<TitleLists<'t>, GenirError> {
        let trie = titles.trie();
        for rank in 0..trie.len() {
            let tokens = trie.sequence(rank);
            let document = titles.documents(rank).first().copied().unwrap_or(0);
            let refused = |problem: &str| Err(GenirError::Docid { document, problem: problem.into() });
            if tokens.contains(&separator) {
                return refused("it has the separator of titles in it; take another separator");
            }
            if tokens.last() != Some(&END_TOKEN) {
                return refused("it ends without the token that ends docids; lists need whole titles");
            }
        }
        Ok(TitleLists { trie, separator, most: most.max(1) })
    }

    /// The title that would be complete at a node.
    fn complete(&self, node: TrieNode) -> Option<usize> {
        self.trie.child(node, END_TOKEN).and_then(|leaf| self.trie.finished(leaf))
    }
}

impl Constraint for TitleLists<'_> {
    /// Where in a title, and the ranks of those before; whether the list has ended.
    type State = (TrieNode, Vec<usize>, bool);
    type Output = Vec<usize>;

    fn start(&self) -> Self::State {
        (self.trie.root(), Vec::new(), false)
    }

    fn allowed(&self, (node, before, ended): &Self::State) -> Allowed {
        if *ended {
            return Allowed::Only([].into());
        }
        let mut ids: Vec<u32> = self.trie.children(*node).map(|(token, _)| token).collect();
        if self.complete(*node).is_some() && before.len() + 1 < self.most {
            ids.push(self.separator);
        }
        Allowed::only(ids)
    }

    fn advance(&self, state: &Self::State, token: u32) -> Option<Transition<Self::State>> {
        let (node, before, ended) = state;
        if *ended {
            return None;
        }
        let with = |rank: usize| before.iter().copied().chain([rank]).collect::<Vec<usize>>();
        if token == self.separator {
            let rank = self.complete(*node).filter(|_| before.len() + 1 < self.most)?;
            return Some(Transition::Continue((self.trie.root(), with(rank), false)));
        }
        let child = self.trie.child(*node, token)?;
        Some(match self.trie.finished(child) {
            Some(rank) => Transition::Finished((child, with(rank), true)),
            None => Transition::Continue((child, before.clone(), false)),
        })
    }

    fn output(&self, (_, titles, ended): &Self::State) -> Option<Vec<usize>> {
        ended.then(|| titles.clone())
    }
}

/// What was found for a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageList {
    /// Pages, the best first, each once, as places in the corpus with the score of the first list that has them.
    pub pages: Vec<(usize, f64)>,
    /// Titles of lists that stood in the answer before and were dropped.
    pub repeated: usize,
    /// Lists with more than one title.
    pub several: usize,
    /// Sequences that went through the model.
    pub branches: usize,
}

impl GenerativeRetriever {
    /// Pages for each query from lists of at most `most` titles: lists by beams, ranked by the mean log-probability of a token over the whole
    /// vocabulary, as fairseq ranks them, and the pages of each in their order. The retriever must have been opened with whole docids, and
    /// have [`TITLE_SEPARATOR`] in its vocabulary.
    ///
    /// # Errors
    /// Docids that are shortened, a vocabulary without the separator, a prefix-aware decoder, or what the engine says.
    pub fn search_titles(
        &self,
        queries: &[&str],
        (width, most): (usize, usize),
    ) -> Result<Vec<PageList>, GenirError> {
        self.files().check_plain("a list of titles")?;
        let language = &self.files().language;
        let mut tokens = self.files().catalogue.tokens().to_vec();
        tokens.push(TITLE_SEPARATOR.into());
        let separator = language.docid_tokens(&tokens)?.pop().unwrap_or(END_TOKEN);
        let constraint = TitleLists::new(self.docids(), separator, most)?;
        let prompts: Vec<Vec<u32>> = queries.iter().map(|query| language.prompt(query)).collect();
        let mut session = self.engine().session();
        let prefix = session.root();
        let requests: Vec<DecodeRequest<'_, _>> = prompts
            .iter()
            .zip(0..)
            .map(|(prompt, index)| DecodeRequest { prefix, prompt, constraint: &constraint, index })
            .collect();
        let found = decode(&mut session, &requests, &by_token(width))?;
        let pages = |found: Result<plackett_lm::decode::Decoded<Vec<usize>>, _>| {
            let found = found.map_err(LmError::from)?;
            let lists = found.hypotheses.into_iter().map(|list| (list.output, list.score));
            Ok(PageList { branches: found.branches, ..self.expanded(lists) })
        };
        found.into_iter().map(pages).collect()
    }

    /// The pages of lists, each once.
    fn expanded(&self, lists: impl Iterator<Item = (Vec<usize>, f64)>) -> PageList {
        let (mut found, mut seen) = (PageList::default(), HashSet::new());
        for (titles, score) in lists {
            found.several += usize::from(titles.len() > 1);
            for page in titles.iter().flat_map(|rank| self.docids().documents(*rank)) {
                match seen.insert(*page) {
                    true => found.pages.push((*page, score)),
                    false => found.repeated += 1,
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beam_options::tests::log_prob;
    use crate::{DocidDecoder, DocidLanguage, RetrieverFiles};
    use plackett_ids::Item;
    use plackett_ids::scheme::{Source, parse};
    use plackett_lm::decode::{Beam, DecodeOptions, RandomModel, Strategy};
    use plackett_train::Parameters;
    use plackett_train::nn::LlamaConfig;
    use plackett_train::trainer::LanguageModel;

    #[test]
    fn titles_are_scored_by_each_of_their_tokens_over_the_whole_vocabulary() {
        let items = ["tea", "fox in the snow"].map(|title| Item { title: title.into(), ..Item::new(title) });
        let catalogue = parse("title").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        let tokens: Vec<String> =
            catalogue.tokens().iter().cloned().chain([TITLE_SEPARATOR.to_string()]).collect();
        let language = DocidLanguage::new(["a query"], &tokens, (1, 4));
        let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
        let mut parameters = Parameters::default();
        let config = LlamaConfig::small(0, 1, (16, 32), 2);
        let vocabulary = files.language.vocabulary();
        let model = LanguageModel::of_words(vocabulary, &config, 24, 3, &mut parameters).unwrap();
        let folder = tempfile::tempdir().unwrap();
        files.save(folder.path(), &model, &parameters).unwrap();
        let retriever = GenerativeRetriever::open(folder.path(), false).unwrap();
        let found = retriever.search_titles(&["query"], (8, 1)).unwrap().remove(0);
        let docids = files.docids().unwrap();
        assert_eq!((found.pages.len(), docids[0].len(), docids[1].len()), (2, 4, 7));
        for (page, score) in found.pages {
            let by_hand = log_prob(&retriever, &files.language.prompt("query"), &docids[page]);
            let by_hand = by_hand / docids[page].len() as f64;
            assert!((score - by_hand).abs() < 1e-4, "title {page}: {score} and not {by_hand}");
        }
    }

    #[test]
    fn every_list_is_of_titles_and_has_no_more_than_are_allowed() {
        let titles = [vec![5, END_TOKEN], vec![5, 6, END_TOKEN], vec![7, END_TOKEN]];
        let tree = DocidTrie::new(&titles).unwrap();
        for (most, expected) in [(1, 3), (2, 3 + 9), (3, 3 + 9 + 27)] {
            let constraint = TitleLists::new(&tree, 8, most).unwrap();
            let mut model = RandomModel::new(10, 3);
            let prefix = model.root();
            let request = DecodeRequest { prefix, prompt: &[0], constraint: &constraint, index: 0 };
            let options = DecodeOptions::new(Strategy::Beam(Beam::new(100)));
            let found = decode(&mut model, &[request], &options).unwrap().remove(0).unwrap();
            assert_eq!(found.hypotheses.len(), expected, "all lists of up to {most}");
            for list in &found.hypotheses {
                let written: Vec<Vec<u32>> = list
                    .tokens
                    .split(|token| *token == 8)
                    .map(|part| part.iter().copied().filter(|token| *token != END_TOKEN).collect())
                    .collect();
                let read: Vec<Vec<u32>> = list
                    .output
                    .iter()
                    .map(|rank| tree.trie().sequence(*rank)[..].split_last().unwrap().1.to_vec())
                    .collect();
                assert_eq!(written, read);
            }
        }
        assert!(TitleLists::new(&tree, 6, 2).unwrap_err().to_string().contains("separator"));
        assert!(TitleLists::new(&tree.shortened(), 8, 2).unwrap_err().to_string().contains("ends"));
    }
}
