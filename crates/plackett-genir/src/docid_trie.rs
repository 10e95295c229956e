//! The docids of a corpus as a tree, with the documents of each leaf.

use crate::GenirError;
use plackett_lm::decode::TokenTrie;

/// The tree of the docids of a corpus. Documents may share a docid; none may begin another one.
#[derive(Clone, Debug)]
pub struct DocidTrie {
    trie: TokenTrie,
    /// For each rank of the trie its documents, in the order of the corpus.
    documents: Vec<Vec<usize>>,
}

/// What the docids of a corpus are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DocidReport {
    /// Documents of the corpus.
    pub documents: usize,
    /// Different docids.
    pub docids: usize,
    /// Documents that do not have a docid of their own.
    pub colliding: usize,
    /// Mean tokens of a docid, its end included.
    pub mean_length: f64,
    /// Most tokens of a docid, its end included.
    pub longest: usize,
}

impl DocidTrie {
    /// The tree of one docid a document, each with the token that ends it.
    ///
    /// # Errors
    /// [`GenirError::Docid`] for an empty docid, and for one that begins another (which an end token prevents);
    /// [`GenirError::Setting`] where there is none.
    pub fn new<S: AsRef<[u32]>>(docids: &[S]) -> Result<DocidTrie, GenirError> {
        if docids.is_empty() {
            return Err(GenirError::Setting("there are no documents, and so no docids".into()));
        }
        if let Some(document) = docids.iter().position(|docid| docid.as_ref().is_empty()) {
            return Err(GenirError::Docid { document, problem: "it has no tokens".into() });
        }
        let built = TokenTrie::build(docids).map_err(|error| GenirError::Setting(error.to_string()))?;
        if built.prefixes > 0 {
            let longer = |rank: usize| built.trie.sequence(rank).starts_with(&built.trie.sequence(rank - 1));
            let rank = (1..built.trie.len()).find(|rank| longer(*rank)).unwrap_or(1);
            let [document, begun] = [rank - 1, rank].map(|rank| built.order[rank] as usize);
            let problem =
                format!("it begins that of document {begun}; end each with a token that is in no docid");
            return Err(GenirError::Docid { document, problem });
        }
        let mut documents: Vec<Vec<usize>> =
            built.order.iter().map(|document| vec![*document as usize]).collect();
        let mut rank_of = vec![0; docids.len()];
        built.order.iter().enumerate().for_each(|(rank, document)| rank_of[*document as usize] = rank);
        for (later, first) in built.duplicates {
            documents[rank_of[first as usize]].push(later as usize);
        }
        Ok(DocidTrie { trie: built.trie, documents })
    }

    /// The same tree in which each docid ends with the first token that tells it from all others (ZeroGR, 2025, prefix tree
    /// with shortening). Ranks stay what they are.
    pub fn shortened(&self) -> DocidTrie {
        let sequences: Vec<Vec<u32>> = (0..self.trie.len()).map(|rank| self.trie.sequence(rank)).collect();
        let shared = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let shortest = (0..sequences.len()).map(|rank| {
            let before = rank.checked_sub(1).map_or(0, |other| shared(&sequences[rank], &sequences[other]));
            let after = sequences.get(rank + 1).map_or(0, |other| shared(&sequences[rank], other));
            &sequences[rank][..sequences[rank].len().min(before.max(after) + 1)]
        });
        // Neighbours still differ at the same place, so the sorted order and with it every rank stays, and nothing can fail.
        let trie = TokenTrie::build(shortest).map_or_else(|_| self.trie.clone(), |built| built.trie);
        DocidTrie { trie, documents: self.documents.clone() }
    }

    /// The tree.
    pub fn trie(&self) -> &TokenTrie {
        &self.trie
    }

    /// The documents under the docid of a rank, in the order of the corpus; none beyond the last rank.
    pub fn documents(&self, rank: usize) -> &[usize] {
        self.documents.get(rank).map_or(&[], Vec::as_slice)
    }

    /// What the docids are like.
    pub fn report(&self) -> DocidReport {
        let lengths: Vec<usize> = (0..self.trie.len()).map(|rank| self.trie.sequence(rank).len()).collect();
        let shared = self.documents.iter().filter(|documents| documents.len() > 1);
        let tokens: usize = lengths.iter().zip(&self.documents).map(|(length, of)| length * of.len()).sum();
        let documents: usize = self.documents.iter().map(Vec::len).sum();
        DocidReport {
            documents,
            docids: self.trie.len(),
            colliding: shared.map(Vec::len).sum(),
            mean_length: tokens as f64 / documents.max(1) as f64,
            longest: lengths.into_iter().max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u32 = 1;

    #[test]
    fn documents_with_one_docid_share_a_leaf_in_the_order_of_the_corpus() {
        let tree = DocidTrie::new(&[vec![5, 6, END], vec![4, END], vec![5, 6, END], vec![5, END]]).unwrap();
        assert_eq!(tree.trie().len(), 3);
        let of: Vec<&[usize]> = (0..4).map(|rank| tree.documents(rank)).collect();
        assert_eq!(of, [&[1][..], &[3], &[0, 2], &[]]);
        let report = tree.report();
        assert_eq!((report.documents, report.docids, report.colliding, report.longest), (4, 3, 2, 3));
        assert_eq!(report.mean_length, 10.0 / 4.0);
    }

    #[test]
    fn shortened_docids_are_the_shortest_prefixes_that_are_unique() {
        let tree = DocidTrie::new(&[vec![5, 6, 7, END], vec![5, 8, 7, END], vec![4, 9, END], vec![5, END]]);
        let tree = tree.unwrap();
        let short = tree.shortened();
        let all: Vec<Vec<u32>> = (0..4).map(|rank| short.trie().sequence(rank)).collect();
        assert_eq!(all, [vec![4], vec![5, END], vec![5, 6], vec![5, 8]]);
        for rank in 0..4 {
            assert_eq!(short.documents(rank), tree.documents(rank));
        }
        assert!(short.report().mean_length < tree.report().mean_length);
    }

    #[test]
    fn docids_that_cannot_be_told_apart_are_refused_by_place() {
        let error = DocidTrie::new(&[vec![5], vec![4], vec![5, 6]]).unwrap_err().to_string();
        assert!(error.contains("document 0") && error.contains("document 2"), "{error}");
        let error = DocidTrie::new(&[vec![5], vec![]]).unwrap_err().to_string();
        assert!(error.contains("document 1") && error.contains("no tokens"), "{error}");
        assert!(DocidTrie::new::<Vec<u32>>(&[]).is_err());
    }
}
