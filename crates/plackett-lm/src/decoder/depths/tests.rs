//! Depths of tiny random models of every family, against passes of all tokens without a cache.

use super::exit::{ExitSession, ExitThreshold, MissingKeys};
use super::pick::best;
use crate::decode::model::{Branch, DecodeModel, LogitIds, PrefixId};
use crate::decode::{DecodeOptions, DecodeRequest, FreeText, Strategy, decode};
use crate::decoder::{CacheFormat, DecoderModel, DecoderOptions, OutputRequest, Positions, Request};
use plackett_kernel::Precision;
use std::path::Path;
use std::sync::Arc;

const FAMILIES: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "gemma3"];

fn open_with(family: &str, options: &DecoderOptions) -> DecoderModel {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder");
    DecoderModel::open(golden.join(family), options).unwrap()
}

fn open(family: &str) -> DecoderModel {
    open_with(family, &DecoderOptions { threads: Some(2), ..DecoderOptions::default() })
}

/// A prompt of a number.
fn prompt(number: u32) -> Vec<u32> {
    (0..5 + number % 7).map(|at| (31 * number + 17 * at * at + at) % 270).collect()
}

/// Logits of the whole vocabulary after tokens, from a pass through some layers without any cache.
fn recomputed(model: &DecoderModel, tokens: &[u32], layers: usize) -> Vec<f32> {
    let outputs =
        OutputRequest { logits_at: Positions::Last, logit_ids: LogitIds::All, ..OutputRequest::default() };
    let request = Request { tokens, cache: None, pattern: Default::default(), adapter: None, outputs };
    model.forward_until(&[request], layers).unwrap().remove(0).logits.remove(0)
}

/// What is written greedily, and the logits before each token.
fn greedy(session: &mut dyn DecodeModel, prompt: &[u32], count: usize) -> (Vec<u32>, Vec<Vec<f32>>) {
    let isa = plackett_kernel::Isa::detect();
    let (mut written, mut all) = (Vec::new(), Vec::new());
    let (mut parent, mut tokens) = (session.root(), prompt.to_vec());
    for _ in 0..count {
        let branch = Branch { parent, tokens: &tokens, logit_ids: LogitIds::All, normalizer: false };
        let answer = session.extend(&[branch], &[parent]).unwrap().remove(0);
        let token = best(isa, &answer.logits).0;
        written.push(token);
        all.push(answer.logits);
        (parent, tokens) = (answer.prefix, vec![token]);
    }
    session.release(&[parent]);
    (written, all)
}

fn assert_bits(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{what}");
}

fn exits<'m>(model: &'m DecoderModel, exits: &[(usize, f64)], missing: MissingKeys) -> ExitSession<'m> {
    let exits: Vec<ExitThreshold> = exits
        .iter()
        .map(|(depth, threshold)| ExitThreshold { depth: *depth, threshold: *threshold })
        .collect();
    model.exit_session(&exits, missing, None).unwrap()
}

#[test]
fn drafts_change_nothing_over_fifty_prompts() {
    let mut accepted = 0;
    for family in FAMILIES {
        let model = open(family);
        for number in 0..10 {
            let (expected, logits) = greedy(&mut model.session(), &prompt(number), 40);
            for depth in [1, 2] {
                let mut session = model.speculative_session(depth, None).unwrap();
                let (tokens, own) = greedy(&mut session, &prompt(number), 40);
                assert_eq!(tokens, expected, "{family}, prompt {number}, depth {depth}");
                for (own, logits) in own.iter().zip(&logits) {
                    assert_bits(own, logits, family);
                }
                let counts = session.counts();
                assert_eq!(counts.accepted + counts.rounds, 40, "each token is a draft or begins a round");
                assert!(counts.drafted >= counts.accepted && counts.rejected <= counts.rounds);
                accepted += counts.accepted;
            }
        }
    }
    assert!(accepted > 100, "{accepted} drafts were chosen, too few to test that they are right");
}

#[test]
fn drafts_change_nothing_in_other_formats_and_at_the_end_of_the_positions() {
    for (precision, cache) in [
        (Precision::F32, CacheFormat::F16),
        (Precision::Int8, CacheFormat::Int16),
        (Precision::Int8, CacheFormat::Int8),
    ] {
        let options =
            DecoderOptions { precision, cache: Some(cache), threads: Some(1), ..Default::default() };
        let model = open_with("llama", &options);
        // 30 tokens and 226 more fill all 256 positions; segments grow beyond whole panels of 32 on the way.
        let prompt: Vec<u32> = (0..30).map(|at| at * 7 % 250).collect();
        let expected = greedy(&mut model.session(), &prompt, 226).0;
        let mut session = model.speculative_session(2, None).unwrap();
        assert_eq!(greedy(&mut session, &prompt, 226).0, expected, "{precision:?} {cache:?}");
        assert!(session.counts().accepted > 20);
    }
}

#[test]
fn thresholds_that_nothing_reaches_are_the_whole_model() {
    for family in FAMILIES {
        let model = open(family);
        for missing in [MissingKeys::Computed, MissingKeys::Copied] {
            let mut session = exits(&model, &[(1, 1.1), (2, 1.5)], missing);
            let (tokens, logits) = greedy(&mut session, &prompt(3), 30);
            let (expected, whole) = greedy(&mut model.session(), &prompt(3), 30);
            assert_eq!(tokens, expected, "{family}");
            logits.iter().zip(&whole).for_each(|(a, b)| assert_bits(a, b, family));
            assert_eq!(session.counts().answered, [(1, 0), (2, 0), (3, 30)]);
            assert_eq!(session.counts().mean_depth(), 3.0);
        }
    }
}

/// Thresholds between which the probabilities of a model lie, so that all depths are used.
fn mixed(model: &DecoderModel) -> [(usize, f64); 2] {
    let isa = plackett_kernel::Isa::detect();
    let middle = |depth: usize| {
        let mut all: Vec<f64> =
            (0..40).map(|number| best(isa, &recomputed(model, &prompt(number), depth)).1).collect();
        all.sort_by(f64::total_cmp);
        all[24]
    };
    [(1, middle(1)), (2, middle(2))]
}

#[test]
fn late_keys_are_those_of_a_pass_without_a_cache() {
    let isa = plackett_kernel::Isa::detect();
    let mut used = [0; 3];
    for family in FAMILIES {
        let model = open(family);
        let thresholds = mixed(&model);
        let mut session = exits(&model, &thresholds, MissingKeys::Computed);
        for number in 0..4 {
            let (mut parent, mut tokens) = (session.root(), prompt(number));
            let mut all = tokens.clone();
            for _ in 0..25 {
                let branch = Branch { parent, tokens: &tokens, logit_ids: LogitIds::All, normalizer: true };
                let answer = session.extend(&[branch], &[parent]).unwrap().remove(0);
                // The first depth that is sure enough, found from nothing.
                let (depth, expected) = (1..=3)
                    .map(|depth| (depth, recomputed(&model, &all, depth)))
                    .find(|(depth, logits)| *depth == 3 || best(isa, logits).1 >= thresholds[depth - 1].1)
                    .unwrap();
                assert_bits(&answer.logits, &expected, family);
                used[depth - 1] += 1;
                let (token, probability) = best(isa, &expected);
                let own = f64::from(expected[token as usize]) - answer.normalizer.unwrap();
                assert!((own.exp() - probability).abs() < 1e-9);
                all.push(token);
                (parent, tokens) = (answer.prefix, vec![token]);
            }
            session.release(&[parent]);
        }
        let counts = session.counts();
        assert_eq!(counts.tokens(), 100);
        assert!(counts.mean_depth() > 1.0 && counts.mean_depth() < 3.0);
    }
    assert!(used.iter().all(|used| *used > 20), "{used:?}");
}

#[test]
fn copied_states_are_another_answer_with_the_same_bookkeeping() {
    let model = open("llama");
    let thresholds = mixed(&model);
    let [computed, copied] = [MissingKeys::Computed, MissingKeys::Copied].map(|missing| {
        let mut session = exits(&model, &thresholds, missing);
        let found: Vec<_> = (0..6).map(|number| greedy(&mut session, &prompt(number), 25)).collect();
        assert_eq!(session.counts().tokens(), 150);
        found
    });
    let first =
        |found: &[(Vec<u32>, Vec<Vec<f32>>)]| found.iter().map(|own| own.1[0].clone()).collect::<Vec<_>>();
    // The prompt is fresh, so the first answers are the same; later ones read keys that were copied.
    assert_eq!(first(&computed), first(&copied));
    assert!(computed.iter().zip(&copied).any(|(a, b)| a.1 != b.1));
}

#[test]
fn branches_of_a_call_are_answered_as_if_alone() {
    let model = open("qwen2");
    let thresholds = mixed(&model);
    let run = |together: bool| {
        let mut session = exits(&model, &thresholds, MissingKeys::Computed);
        let root = session.root();
        let start = prompt(1);
        let branch = Branch { parent: root, tokens: &start, logit_ids: LogitIds::None, normalizer: false };
        let begun = session.extend(&[branch], &[]).unwrap().remove(0);
        assert!(begun.logits.is_empty());
        let ids = [3, 1, 200];
        let tokens: Vec<Vec<u32>> = (0..6).map(|token| vec![token * 40, token]).collect();
        let branches: Vec<Branch> = tokens
            .iter()
            .map(|tokens| Branch {
                parent: begun.prefix,
                tokens,
                logit_ids: LogitIds::Only(&ids),
                normalizer: true,
            })
            .collect();
        let found = match together {
            true => session.extend(&branches, &[begun.prefix]).unwrap(),
            false => branches.iter().flat_map(|branch| session.extend(&[*branch], &[]).unwrap()).collect(),
        };
        assert_eq!(session.counts().tokens(), 6);
        found.into_iter().map(|answer| (answer.logits, answer.normalizer)).collect::<Vec<_>>()
    };
    let apart = run(false);
    assert_eq!(run(true), apart);
    assert!(apart.iter().all(|(logits, normalizer)| logits.len() == 3 && normalizer.is_some()));
}

#[test]
fn a_branch_that_is_not_followed_leaves_its_drafts() {
    let model = open("mistral");
    let mut session = model.speculative_session(1, None).unwrap();
    let start = prompt(5);
    let branch = |parent: PrefixId, tokens: &[u32], session: &mut dyn DecodeModel| {
        let branch = Branch { parent, tokens, logit_ids: LogitIds::All, normalizer: false };
        session.extend(&[branch], &[]).unwrap().remove(0)
    };
    let root = session.root();
    let first = branch(root, &start, &mut session);
    // Any continuations of one prefix, drafted or not, in any order, and twice.
    for token in [7, 3, 7, 250] {
        let second = branch(first.prefix, &[token], &mut session);
        let third = branch(second.prefix, &[token + 1, 9], &mut session);
        let mut all = start.clone();
        all.push(token);
        assert_bits(&second.logits, &recomputed(&model, &all, 3), "one token");
        all.extend([token + 1, 9]);
        assert_bits(&third.logits, &recomputed(&model, &all, 3), "two more");
        session.release(&[second.prefix, third.prefix]);
    }
    let held = session.bytes();
    session.release(&[first.prefix]);
    assert!(held > 0 && session.bytes() == 0);
}

#[test]
fn searches_and_constraints_go_over_both() {
    let model = open("llama");
    let bytes = Arc::new(model.tokenizer().bytes().unwrap());
    let text = FreeText::new(bytes, &["zz"], model.tokenizer().ends(), 30).unwrap();
    let options = DecodeOptions { max_tokens: 30, ..DecodeOptions::new(Strategy::Greedy) };
    let prompts = [prompt(1), prompt(2), prompt(8)];
    let run = |session: &mut dyn DecodeModel| {
        let prefix = session.root();
        let request = |prompt| DecodeRequest { prefix, prompt, constraint: &text, index: 0 };
        let requests: Vec<_> = prompts.iter().map(|prompt| request(&prompt[..])).collect();
        let found = decode(session, &requests, &options).unwrap();
        found.into_iter().map(|one| one.unwrap().hypotheses.remove(0).tokens).collect::<Vec<_>>()
    };
    let whole = run(&mut model.session());
    assert_eq!(run(&mut model.speculative_session(2, None).unwrap()), whole);
    assert_eq!(run(&mut exits(&model, &[(2, 1.01)], MissingKeys::Computed)), whole);
}

#[test]
fn a_model_opened_with_a_depth_is_that_depth() {
    for family in FAMILIES {
        let whole = open(family);
        for depth in 1..=3 {
            let options =
                DecoderOptions { depth: Some(depth), threads: Some(2), ..DecoderOptions::default() };
            let cut = open_with(family, &options);
            assert_eq!(cut.info().layers, depth);
            let tokens = prompt(4);
            assert_bits(&recomputed(&cut, &tokens, depth), &recomputed(&whole, &tokens, depth), family);
            let [own, all] = [&cut, &whole].map(|model| model.prefill(&tokens, None).unwrap());
            assert_eq!((own.layers(), own.bytes() * 3), (Some(depth), all.bytes() * depth));
            assert_ne!(cut.fingerprint().unwrap(), whole.fingerprint().unwrap());
            assert!(depth == 3 || cut.info().weight_bytes < whole.info().weight_bytes);
        }
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/decoder/llama");
    for depth in [0, 4] {
        let options = DecoderOptions { depth: Some(depth), ..DecoderOptions::default() };
        let error = DecoderModel::open(&golden, &options).err().unwrap().to_string();
        assert!(error.contains("the model has 3; give a number from 1 to 3"), "{error}");
    }
}

#[test]
fn depths_and_thresholds_that_cannot_be_are_refused() {
    let model = open("llama");
    let said = |exits: &[(usize, f64)]| {
        let exits: Vec<ExitThreshold> = exits
            .iter()
            .map(|(depth, threshold)| ExitThreshold { depth: *depth, threshold: *threshold })
            .collect();
        model.exit_session(&exits, MissingKeys::Computed, None).err().unwrap().to_string()
    };
    assert!(said(&[]).contains("no depth to leave the model at"));
    assert!(said(&[(3, 0.9)]).contains("run through 3 layers; give a number from 1 to 2"));
    assert!(said(&[(2, 0.9), (1, 0.9)]).contains("the depth 2 stands before 1"));
    assert!(said(&[(1, f64::NAN)]).contains("the threshold of depth 1 is NaN"));
    assert!(model.speculative_session(3, None).err().unwrap().to_string().contains("from 1 to 2"));
    let mut session = model.speculative_session(1, None).unwrap();
    let branch = Branch { parent: PrefixId(9), tokens: &[1], logit_ids: LogitIds::All, normalizer: false };
    assert!(session.extend(&[branch], &[]).unwrap_err().to_string().contains("there is no prefix 9"));
    let ids = [275];
    let branch =
        Branch { parent: session.root(), tokens: &[1], logit_ids: LogitIds::Only(&ids), normalizer: false };
    assert!(session.extend(&[branch], &[]).unwrap_err().to_string().contains("token 275"));
}
