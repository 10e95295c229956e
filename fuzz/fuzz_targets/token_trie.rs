//! Tries as bytes. One that is read has its sequences in order, finds each of them, and is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_lm::decode::TokenTrie;

fuzz_target!(|data: &[u8]| {
    let Ok(trie) = TokenTrie::from_bytes(data) else { return };
    assert_eq!(trie.to_bytes(), data);
    for rank in 0..trie.len() {
        let sequence = trie.sequence(rank);
        assert_eq!(trie.find(&sequence), Some(rank), "{sequence:?}");
        assert!(rank == 0 || trie.sequence(rank - 1) < sequence, "{sequence:?}");
    }
    let mut open = vec![trie.root()];
    let mut finished = 0;
    while let Some(node) = open.pop() {
        finished += usize::from(trie.finished(node).is_some());
        open.extend(trie.children(node).map(|(_, child)| child));
    }
    assert_eq!(finished, trie.len());
});
