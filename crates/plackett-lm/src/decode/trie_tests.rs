//! Tries against an ordered map, their memory, and bytes that lie.

use crate::decode::trie::{TokenTrie, TrieNode};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Every node against the sorted list of sequences.
fn check(trie: &TokenTrie, sequences: &BTreeMap<Vec<u32>, usize>) -> Result<(), TestCaseError> {
    let ranks: BTreeMap<&[u32], usize> = sequences.keys().map(Vec::as_slice).zip(0..).collect();
    prop_assert_eq!(trie.len(), ranks.len());
    let mut prefixes: BTreeSet<&[u32]> = BTreeSet::from([&[][..]]);
    for sequence in sequences.keys() {
        prefixes.extend((1..=sequence.len()).map(|n| &sequence[..n]));
    }
    for prefix in &prefixes {
        let node = trie.descend(prefix).expect("a prefix of a sequence");
        prop_assert_eq!(trie.finished(node), ranks.get(prefix).copied());
        let below: Vec<&Vec<u32>> = sequences.keys().filter(|s| s.starts_with(prefix)).collect();
        prop_assert_eq!(node.ranks().len(), below.len());
        let next: BTreeSet<u32> = below.iter().filter_map(|s| s.get(prefix.len()).copied()).collect();
        let children: Vec<(u32, TrieNode)> = trie.children(node).collect();
        prop_assert_eq!(children.iter().map(|(token, _)| *token).collect::<Vec<_>>(), Vec::from_iter(next));
        for (token, child) in children {
            prop_assert_eq!(trie.child(node, token), Some(child));
            prop_assert_eq!(trie.child(node, token + 100_000), None);
        }
    }
    for (sequence, rank) in ranks {
        prop_assert_eq!(trie.find(sequence), Some(rank));
        prop_assert_eq!(trie.sequence(rank), sequence);
    }
    Ok(())
}

fn sequences(tokens: u32, most: usize, length: usize) -> impl Strategy<Value = Vec<Vec<u32>>> {
    // Ids on both sides of what two bytes hold.
    let id = (0..tokens).prop_map(|id| if id % 3 == 0 { id * 30_000 } else { id });
    proptest::collection::vec(proptest::collection::vec(id, 1..=length), 0..most)
}

/// First positions of the distinct sequences, and (later, first) pairs of those that stand again.
type Distinct = (BTreeMap<Vec<u32>, usize>, Vec<(u32, u32)>);

fn oracle(input: &[Vec<u32>]) -> Distinct {
    let (mut map, mut duplicates) = (BTreeMap::new(), Vec::new());
    for (index, sequence) in input.iter().enumerate() {
        if let Some(first) = map.get(sequence) {
            duplicates.push((index as u32, *first as u32));
        } else {
            map.insert(sequence.clone(), index);
        }
    }
    (map, duplicates)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn small_and_indexed_tries_are_those_of_a_map(input in prop_oneof![
        sequences(4, 60, 4), sequences(12, 900, 3), sequences(200, 900, 2), sequences(2, 40, 7),
    ]) {
        let (map, duplicates) = oracle(&input);
        let built = TokenTrie::build(&input).expect("sequences");
        check(&built.trie, &map)?;
        prop_assert_eq!(built.duplicates, duplicates);
        prop_assert_eq!(&built.order, &map.values().map(|index| *index as u32).collect::<Vec<_>>());
        let prefixes = map.keys().filter(|a| map.keys().any(|b| b.len() > a.len() && b.starts_with(a))).count();
        prop_assert_eq!(built.prefixes, prefixes);
        let bytes = built.trie.to_bytes();
        prop_assert_eq!(&TokenTrie::from_bytes(&bytes).expect("bytes"), &built.trie);
        prop_assert!(TokenTrie::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn damaged_bytes_never_panic_nor_read_as_unsorted(
        input in sequences(6, 40, 3),
        at in any::<prop::sample::Index>(),
        value: u8,
    ) {
        let mut bytes = TokenTrie::build(&input).expect("sequences").trie.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(trie) = TokenTrie::from_bytes(&bytes) {
            let map = (0..trie.len()).map(|rank| (trie.sequence(rank), rank)).collect();
            check(&trie, &map)?;
        }
    }
}

#[test]
fn an_empty_sequence_is_refused_with_its_position() {
    let error = TokenTrie::build([vec![1], vec![]]).expect_err("empty").to_string();
    assert!(error.starts_with("sequence 1 of the trie"), "{error}");
    let empty = TokenTrie::build(Vec::<Vec<u32>>::new()).expect("no sequences").trie;
    assert!(empty.is_empty() && empty.children(empty.root()).next().is_none());
    assert_eq!(TokenTrie::from_bytes(&empty.to_bytes()), Ok(empty));
}

#[test]
fn lying_counts_are_refused_before_memory_is_taken() {
    let good = TokenTrie::build([[1u32, 2], [3, 4]]).expect("sequences").trie.to_bytes();
    for (at, value, part) in [
        (16, u64::MAX, "cannot be"),
        (24, u64::from(u32::MAX), "do not make"),
        (32, u64::MAX / 2, "do not make"),
        (32, 0, "expected from the header"),
    ] {
        let mut bytes = good.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let error = TokenTrie::from_bytes(&bytes).expect_err("a lie").to_string();
        assert!(error.contains(part), "{at}: {error}");
    }
    let mut version = good.clone();
    version[8] = 9;
    assert!(TokenTrie::from_bytes(&version).expect_err("newer").to_string().contains("version 9"));
    let mut swapped = good.clone();
    swapped.swap(40, 44);
    assert!(TokenTrie::from_bytes(&swapped).expect_err("order").to_string().contains("sequence 1"));
}

/// The acceptance line on memory, at the size it names, in both widths.
#[test]
fn a_million_ids_of_four_tokens_take_at_most_twice_their_raw_memory() {
    for (offset, width) in [(0u64, 2usize), (100_000, 4)] {
        let mut state = 1u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below + offset) as u32
        };
        let input: Vec<[u32; 4]> =
            (0..1_000_000).map(|_| [next(4096), next(256), next(256), next(256)]).collect();
        let built = TokenTrie::build(&input).expect("sequences");
        let (trie, raw) = (&built.trie, built.trie.len() * 4 * width);
        assert_eq!((trie.id_width(), trie.len() + built.duplicates.len()), (width, 1_000_000));
        assert!(trie.bytes() <= 2 * raw, "{} of {raw}", trie.bytes());
        let start = std::time::Instant::now();
        let children = trie.children(trie.root()).count();
        let root = start.elapsed();
        assert_eq!(children, 4096);
        let start = std::time::Instant::now();
        let grandchildren: usize =
            trie.children(trie.root()).map(|(_, node)| trie.children(node).count()).sum();
        println!(
            "1,000,000 × 4 ids of {width} bytes: {} bytes, {:.3} × raw; {children} children of the root in {root:?}, \
             {grandchildren} grandchildren in {:?}",
            trie.bytes(),
            trie.bytes() as f64 / raw as f64,
            start.elapsed()
        );
    }
}
