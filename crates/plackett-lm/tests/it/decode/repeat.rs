//! The same numbers twice: every constraint under every search on the engine, whatever the number of threads, the format
//! of weights and caches, and the pool of the caller.

use crate::decode::engine::{open, open_packed};
use crate::decode::vocabulary::Words;
use plackett_lm::Precision;
use plackett_lm::decode::*;
use plackett_lm::decoder::{CacheFormat, DecoderModel};
use std::fmt::Write;

fn strategies() -> [Strategy; 4] {
    let beam = Beam::new(6);
    [
        Strategy::Greedy,
        Strategy::Beam(beam),
        Strategy::DiverseBeam { beam: Beam { width: 4, ..beam }, groups: 2, penalty: 0.7 },
        Strategy::Sample(Sampling { samples: 5, temperature: 1.3, top_p: Some(0.95), ..Sampling::new(11) }),
    ]
}

/// Tokens and the bits of all sums, of three requests under all strategies.
fn add<C: Constraint>(model: &DecoderModel, constraint: &C, out: &mut String) {
    let prompts = [vec![5, 6, 7], (0..40).collect(), vec![9]];
    for strategy in strategies() {
        let mut session = model.session();
        let requests: Vec<DecodeRequest<C>> = (0..)
            .zip(&prompts)
            .map(|(index, prompt)| DecodeRequest { prefix: session.root(), prompt, constraint, index })
            .collect();
        let options = DecodeOptions::new(strategy);
        for decoded in decode(&mut session, &requests, &options).expect("a run") {
            let decoded = decoded.expect("no dead end");
            assert!(!decoded.hypotheses.is_empty());
            for own in &decoded.hypotheses {
                writeln!(out, "{:?} {:x} {:x}", own.tokens, own.log_prob.to_bits(), own.score.to_bits())
                    .expect("a string");
            }
        }
        assert_eq!(session.live_prefixes(), 0);
    }
}

/// Under all constraints.
fn everything(model: &DecoderModel, words: &Words) -> String {
    let tokenize = |text: &str| words.tokenize(text);
    let mut out = String::new();
    let order = Permutation::new(&["[1]", "[2]", "[10]", "[12]"], " > ", None, tokenize, Some(words.end));
    add(model, &order.expect("identifiers"), &mut out);
    let sequences: Vec<Vec<u32>> =
        (0..50u32).map(|n| vec![10 + n % 7, 10 + n % 5, n % 3 + 60, 70 + n]).collect();
    let trie = TokenTrie::build(&sequences).expect("sequences").trie;
    add(model, &TrieConstraint::new(&trie, Some(words.end)).expect("members"), &mut out);
    let range = ScoreRange::decimals(0, 50, 1).expect("a range");
    let sheet = ScoreSheet::new(&["1", "2"], range, SheetOrder::Free).expect("candidates");
    add(model, &Bytewise::new(sheet, words.bytes.clone()).expect("bytes"), &mut out);
    let answers: [&[&str]; 2] = [&["yes", " yes"], &["no", " no"]];
    add(model, &Choices::new(&answers, tokenize, Some(words.end)).expect("answers"), &mut out);
    add(model, &FreeText::new(words.bytes.clone(), &["stop"], &[words.end], 12).expect("a text"), &mut out);
    out
}

/// How weights are kept.
#[derive(Clone, Copy, Debug)]
enum Weights {
    F32,
    Int8,
    /// Blocks of a GGUF file.
    Packed,
}

fn opened(weights: Weights, cache: CacheFormat, threads: usize) -> (DecoderModel, Words) {
    match weights {
        Weights::F32 => (open(Precision::F32, cache, threads), Words::by_hand()),
        Weights::Int8 => (open(Precision::Int8, cache, threads), Words::by_hand()),
        Weights::Packed => open_packed(cache, threads),
    }
}

#[test]
fn seeded_runs_repeat_bit_for_bit_for_any_number_of_threads() {
    let pools = [1, 2, 3].map(|threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of the caller")
    });
    for weights in [Weights::F32, Weights::Int8, Weights::Packed] {
        let mut all = Vec::new();
        for cache in [CacheFormat::F32, CacheFormat::F16, CacheFormat::Int8, CacheFormat::Int16] {
            let (model, words) = opened(weights, cache, 1);
            let one = everything(&model, &words);
            for threads in [1, 2, 3] {
                let (model, words) = opened(weights, cache, threads);
                for pool in &pools {
                    assert!(
                        pool.install(|| everything(&model, &words)) == one,
                        "{weights:?} {cache:?}: {threads} threads of the model, {} of the caller",
                        pool.current_num_threads()
                    );
                }
            }
            let lines = one.lines().count();
            assert!(lines > 150, "only {lines} outputs");
            all.push(one);
        }
        // Formats do differ, so what repeats is what was computed.
        assert!(all[1] != all[0] && all[2] != all[0], "{weights:?}");
        // Int16 is what attention in integers computes with.
        assert_eq!(all[3] == all[0], !matches!(weights, Weights::F32), "{weights:?}");
    }
}
