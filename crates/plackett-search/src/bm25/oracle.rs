//! The search that scores every document, and random collections on which the fast one must give the same, to the bit.

use super::*;
use crate::{Index, IndexSettings};
use plackett_core::{Document, order_by_score};
use proptest::prelude::*;

/// Adds up every posting of every term, then sorts everything.
fn exhaustive(index: &Index, terms: &QueryTerms, bm25: &Bm25, depth: usize) -> Vec<(String, f64)> {
    let scorer = index.scorer(bm25);
    let snapshot = scorer.snapshot;
    let means = snapshot.mean_lengths.iter().enumerate();
    let mean: f64 = means.map(|(field, mean)| bm25.weight(field) * mean).sum();
    let mut scores: BTreeMap<(usize, u32), f64> = BTreeMap::new();
    for (term, weight) in terms {
        let segments = 0..snapshot.segments.len();
        let hits = |segment| prepared::hits(snapshot, scorer.fields, bm25, segment, term).unwrap();
        let all: Vec<_> = segments.map(hits).collect();
        let weight = weight * scorer.idf(all.iter().map(Vec::len).sum());
        for (segment, hits) in all.into_iter().enumerate() {
            let lengths = &snapshot.segments[segment].lengths;
            for (doc, tf) in hits {
                let weighted =
                    lengths.iter().enumerate().map(|(f, l)| bm25.weight(f) * f64::from(l[doc as usize]));
                let length = bm25.lengths.of(weighted.sum());
                let ratio = if mean > 0.0 { length / mean } else { 0.0 };
                let norm = bm25.k1 * (1.0 - bm25.b + bm25.b * ratio);
                *scores.entry((segment, doc)).or_default() += weight * (tf / (tf + norm));
            }
        }
    }
    let id = |(segment, doc): (usize, u32)| snapshot.segments[segment].ids.get(doc as usize).unwrap();
    let mut all: Vec<(&str, f64)> = scores.into_iter().map(|(at, score)| (id(at), score)).collect();
    all.sort_by(|a, b| order_by_score(*a, *b));
    all.into_iter().take(depth).map(|(id, score)| (id.to_string(), score)).collect()
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A word of a vocabulary in which the first ones are in most documents and the last ones in few.
fn word(state: &mut u64) -> String {
    let uniform = (random(state) % 1_000_000) as f64 / 1e6;
    format!("w{}", (300.0 * uniform.powi(4)) as u32)
}

/// `count` documents, a commit after every `commit`, and a tenth of them deleted again.
fn collection(path: &std::path::Path, count: u64, commit: u64, seed: u64) -> Index {
    let mut index =
        Index::create(path, &IndexSettings { analyzer: "whitespace".into(), ..IndexSettings::default() })
            .unwrap();
    let mut writer = index.writer(None).unwrap();
    let mut state = seed;
    for number in 0..count {
        let mut text = |length: u64| {
            let words: Vec<String> = (0..random(&mut state) % length).map(|_| word(&mut state)).collect();
            words.join(" ")
        };
        let (title, text) = (text(4), text(24));
        writer.put(Document { title, ..Document::new(format!("d{number}"), text) }).unwrap();
        if number % commit == commit - 1 {
            writer.commit().unwrap();
        }
    }
    for _ in 0..count / 10 {
        writer.delete(&format!("d{}", random(&mut state) % count)).unwrap();
    }
    writer.finish().unwrap();
    index
}

fn compare(index: &Index, seed: u64, queries: u64) {
    let mut state = seed;
    let constants = [
        Bm25::default(),
        Bm25 { k1: 1.2, b: 0.75, lengths: Lengths::Lucene, ..Bm25::default() },
        Bm25 { k1: 0.0, b: 1.0, ..Bm25::default() },
        Bm25 { k1: 2.0, b: 0.3, weights: vec![2.5, 0.7], ..Bm25::default() },
        Bm25 { k1: 2.0, b: 0.3, weights: vec![0.0, 1.0], ..Bm25::default() },
    ];
    for number in 0..queries {
        let mut terms = QueryTerms::new();
        for _ in 0..1 + random(&mut state) % 8 {
            let weight =
                if number % 2 == 0 { 1.0 } else { (random(&mut state) % 1000) as f64 / 300.0 + 0.01 };
            *terms.entry(word(&mut state)).or_default() += weight;
        }
        let bm25 = &constants[(random(&mut state) % constants.len() as u64) as usize];
        for depth in [0, 1, 2, 10, 100, 100_000] {
            let found = index.search_terms(&terms, bm25, depth).unwrap();
            assert_eq!(found, exhaustive(index, &terms, bm25, depth), "{terms:?} {bm25:?} {depth}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn nothing_left_out_changes_the_answer(seed in any::<u64>(), count in 1u64..400, commit in 1u64..200) {
        let folder = tempfile::tempdir().unwrap();
        let index = collection(&folder.path().join("i"), count, commit, seed);
        compare(&index, seed, 12);
    }
}

#[test]
fn several_windows_give_the_answer_of_all_documents() {
    let folder = tempfile::tempdir().unwrap();
    let index = collection(&folder.path().join("i"), 20_000, u64::MAX, 7);
    compare(&index, 11, 40);
}
