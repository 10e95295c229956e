//! Several titles in one answer (CorpusBrain, 2022): after a title that is complete a separator may follow, and after it another title.

mod answers;
mod targets;

pub(crate) use answers::AnswerLists;
pub use targets::TitleTargets;

use crate::beam_options::by_token;
use crate::{DocidTrie, GenerativeRetriever, GenirError, RetrieverFiles};
use plackett_lm::LmError;
use plackett_lm::decode::{
    Allowed, Constraint, DecodeModel, DecodeRequest, TokenTrie, Transition, TrieNode, decode,
};
use plackett_train::trainer::END_TOKEN;
use std::collections::HashSet;

/// The token between titles, to go behind those of docids into a vocabulary. It is in no title: there a bar is no word.
pub const TITLE_SEPARATOR: &str = "|";

/// How lists of titles are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TitleSearch {
    /// Beams of a query.
    pub width: usize,
    /// Titles of a list at most.
    pub most: usize,
    /// Whether no title may stand twice in a list. The authors' constraint lets it, and what stands there again is dropped.
    pub distinct: bool,
}

/// Lists of titles of a tree.
#[derive(Clone, Debug)]
pub struct TitleLists<'t> {
    trie: &'t TokenTrie,
    separator: u32,
    most: usize,
    distinct: bool,
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
        Ok(TitleLists { trie, separator, most: most.max(1), distinct: false })
    }

    /// The same lists without those in which a title stands twice.
    pub fn distinct(self) -> TitleLists<'t> {
        TitleLists { distinct: true, ..self }
    }

    /// Whether a title below a node may still be written.
    fn is_free(&self, node: TrieNode, before: &[usize]) -> bool {
        let below = node.ranks();
        !self.distinct || before.iter().filter(|rank| below.contains(*rank)).count() < below.len()
    }

    /// The title that would be complete at a node, where it may be written.
    fn complete(&self, node: TrieNode, before: &[usize]) -> Option<usize> {
        let leaf = self.trie.child(node, END_TOKEN).filter(|leaf| self.is_free(*leaf, before))?;
        self.trie.finished(leaf)
    }

    /// The title that is complete at a node and may have another one behind it.
    fn continued(&self, node: TrieNode, before: &[usize]) -> Option<usize> {
        let has_room = before.len() + 1 < self.most && (!self.distinct || before.len() + 1 < self.trie.len());
        self.complete(node, before).filter(|_| has_room)
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
        let free = self.trie.children(*node).filter(|(_, child)| self.is_free(*child, before));
        let mut ids: Vec<u32> = free.map(|(token, _)| token).collect();
        if self.continued(*node, before).is_some() {
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
            let rank = self.continued(*node, before)?;
            return Some(Transition::Continue((self.trie.root(), with(rank), false)));
        }
        let child = self.trie.child(*node, token).filter(|child| self.is_free(*child, before))?;
        Some(match self.trie.finished(child) {
            Some(rank) => Transition::Finished((child, with(rank), true)),
            None => Transition::Continue((child, before.clone(), false)),
        })
    }

    fn output(&self, (_, titles, ended): &Self::State) -> Option<Vec<usize>> {
        ended.then(|| titles.clone())
    }
}

/// Where a page was written first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageOrigin {
    /// The list, as its place in [`PageList::lists`].
    pub list: usize,
    /// Different titles that stand before its own in the answer; pages of one title have the same.
    pub before: usize,
}

/// What was found for a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageList {
    /// Pages, the best first, each once, as places in the corpus with the score of the first list that has them.
    pub pages: Vec<(usize, f64)>,
    /// Of each of these pages where it was written.
    pub origins: Vec<PageOrigin>,
    /// Lists that were written, the best first, each as the ranks of its titles in the tree, with its score.
    pub lists: Vec<(Vec<usize>, f64)>,
    /// Titles of lists that stood in the answer before and were dropped.
    pub repeated: usize,
    /// Lists with more than one title.
    pub several: usize,
    /// Sequences that went through the model.
    pub branches: usize,
}

impl RetrieverFiles {
    /// The token between titles; `None` where the vocabulary has none, since lists were not learned. It is not to be asked for where category
    /// paths are written, whose tokens stand in its place.
    pub fn title_separator(&self) -> Option<u32> {
        let mut tokens = self.catalogue.tokens().to_vec();
        tokens.push(TITLE_SEPARATOR.into());
        self.language.docid_tokens(&tokens).ok()?.pop()
    }
}

impl GenerativeRetriever {
    /// Refuses lists of so many titles that cannot be had.
    ///
    /// # Errors
    /// [`GenirError::Setting`] for a prefix-aware decoder, a vocabulary without the separator, more titles than there are, or lists that could
    /// be longer than the model's context; [`GenirError::Docid`] as [`TitleLists::new`].
    pub fn check_titles(&self, most: usize) -> Result<(), GenirError> {
        let files = self.files();
        files.check_plain("a list of titles")?;
        let said = |problem: String| Err(GenirError::Setting(problem));
        let Some(separator) = files.title_separator() else {
            return said(
                "the model has learned no lists of docids; leave `titles` out, or teach it some (`plackett ids learn \
                 --titles`)"
                    .into(),
            );
        };
        TitleLists::new(self.docids(), separator, most)?;
        let report = self.docids().report();
        if most > report.docids {
            let there = report.docids;
            return said(format!("there are not {most} different docids to write in a list, but {there}"));
        }
        let context = self.engine().info().positions;
        let room = context.saturating_sub(files.language.most_words() + 1);
        if most.saturating_mul(report.longest) > room {
            return said(format!(
                "lists of {most} docids may be longer than the model's context of {context} tokens; ask for {} \
                 at most",
                room / report.longest.max(1)
            ));
        }
        Ok(())
    }

    /// Pages for each query from lists of titles: lists by beams, ranked by the mean log-probability of a token over the whole
    /// vocabulary, as fairseq ranks them, and the pages of each in their order. The retriever must have been opened with whole docids, and
    /// have [`TITLE_SEPARATOR`] in its vocabulary.
    ///
    /// # Errors
    /// Docids that are shortened, a vocabulary without the separator, a prefix-aware decoder, or what the engine says.
    pub fn search_titles(&self, queries: &[&str], search: &TitleSearch) -> Result<Vec<PageList>, GenirError> {
        self.files().check_plain("a list of titles")?;
        let language = &self.files().language;
        let separator = self.files().title_separator().ok_or_else(|| {
            GenirError::Setting("the vocabulary lacks the separator; the model has learned no lists".into())
        })?;
        let lists = TitleLists::new(self.docids(), separator, search.most)?;
        let constraint = if search.distinct { lists.distinct() } else { lists };
        let prompts: Vec<Vec<u32>> = queries.iter().map(|query| language.prompt(query)).collect();
        let mut session = self.engine().session();
        let prefix = session.root();
        let requests: Vec<DecodeRequest<'_, _>> = prompts
            .iter()
            .zip(0..)
            .map(|(prompt, index)| DecodeRequest { prefix, prompt, constraint: &constraint, index })
            .collect();
        let found = decode(&mut session, &requests, &by_token(search.width))?;
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
        for (list, (titles, score)) in lists.enumerate() {
            found.several += usize::from(titles.len() > 1);
            for rank in &titles {
                let pages = self.docids().documents(*rank);
                if !seen.insert(*rank) {
                    found.repeated += pages.len();
                    continue;
                }
                let origin = PageOrigin { list, before: seen.len() - 1 };
                found.pages.extend(pages.iter().map(|page| (*page, score)));
                found.origins.extend(pages.iter().map(|_| origin));
            }
            found.lists.push((titles, score));
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
        let lists = |most| TitleSearch { width: 8, most, distinct: true };
        let found = retriever.search_titles(&["query"], &lists(1)).unwrap().remove(0);
        let docids = files.docids().unwrap();
        assert_eq!((found.pages.len(), docids[0].len(), docids[1].len()), (2, 4, 7));
        for (page, score) in found.pages {
            let by_hand = log_prob(&retriever, &files.language.prompt("query"), &docids[page]);
            let by_hand = by_hand / docids[page].len() as f64;
            assert!((score - by_hand).abs() < 1e-4, "title {page}: {score} and not {by_hand}");
        }
        // Either title alone, or before the other one: a list is scored with its separator, and without an end in its middle.
        let several = retriever.search_titles(&["query"], &lists(2)).unwrap().remove(0);
        assert_eq!((several.lists.len(), several.several, several.pages.len()), (4, 2, 2));
        assert_eq!(several.repeated, 4, "of six titles the first two are new");
        let separator = files.title_separator().unwrap();
        let rank_of =
            |page: usize| (0..2).find(|rank| retriever.docids().documents(*rank) == [page]).unwrap();
        for (first, second) in [(0, 1), (1, 0)] {
            let (last, begun) = docids[first].split_last().unwrap();
            assert_eq!(*last, END_TOKEN);
            let tokens = [begun, &[separator], &docids[second][..]].concat();
            let by_hand = log_prob(&retriever, &files.language.prompt("query"), &tokens);
            let by_hand = by_hand / tokens.len() as f64;
            let ranks = [rank_of(first), rank_of(second)];
            let (_, score) = several.lists.iter().find(|(titles, _)| titles[..] == ranks).unwrap();
            assert!((score - by_hand).abs() < 1e-4, "{first}, {second}: {score} and not {by_hand}");
        }
        assert_eq!(several.origins[0], PageOrigin { list: 0, before: 0 });
        assert_eq!(several.origins[1].before, 1);
        // The first page is the first title of the best list.
        assert_eq!(rank_of(several.pages[0].0), several.lists[0].0[0]);
        assert!(retriever.check_titles(2).is_ok());
        let error = retriever.check_titles(3).unwrap_err().to_string();
        assert!(error.contains("not 3 different docids"), "{error}");
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
        // Without repetition: 3 alone, 3 · 2 of two, 3 · 2 · 1 of three, and none of four.
        for (most, expected) in [(1, 3), (2, 3 + 6), (3, 3 + 6 + 6), (4, 3 + 6 + 6)] {
            let constraint = TitleLists::new(&tree, 8, most).unwrap().distinct();
            let mut model = RandomModel::new(10, 3);
            let prefix = model.root();
            let request = DecodeRequest { prefix, prompt: &[0], constraint: &constraint, index: 0 };
            let options = DecodeOptions::new(Strategy::Beam(Beam::new(100)));
            let found = decode(&mut model, &[request], &options).unwrap().remove(0).unwrap();
            let lists: HashSet<Vec<usize>> =
                found.hypotheses.iter().map(|list| list.output.clone()).collect();
            assert_eq!((lists.len(), found.hypotheses.len()), (expected, expected), "lists of up to {most}");
            for list in lists {
                let different: HashSet<&usize> = list.iter().collect();
                assert_eq!(different.len(), list.len(), "{list:?}");
            }
        }
        assert!(TitleLists::new(&tree, 6, 2).unwrap_err().to_string().contains("separator"));
        assert!(TitleLists::new(&tree.shortened(), 8, 2).unwrap_err().to_string().contains("ends"));
    }
}
