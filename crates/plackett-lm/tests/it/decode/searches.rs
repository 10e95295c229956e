//! Searches against enumeration and against plain re-implementations; repetition bit for bit.

use plackett_lm::LmError;
use plackett_lm::decode::*;
use std::collections::{BTreeMap, BTreeSet};

const VOCABULARY: usize = 50;
const PROMPT: [u32; 3] = [4, 5, 6];

fn trie(count: u64, depth: u64, tokens: u64) -> TokenTrie {
    let mut state = 99u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % tokens
    };
    let rows: Vec<Vec<u32>> = (0..count).map(|_| (0..depth).map(|_| next() as u32).collect()).collect();
    TokenTrie::build(&rows).expect("sequences").trie
}

/// ln of the probability of each sequence, from the model's own logits.
fn enumerated(model: &RandomModel, trie: &TokenTrie, normalize: Normalize) -> Vec<(Vec<u32>, f64)> {
    let mut all: Vec<(Vec<u32>, f64)> = (0..trie.len())
        .map(|rank| {
            let (sequence, mut sum) = (trie.sequence(rank), 0.0);
            for at in 0..sequence.len() {
                let prefix = [&PROMPT, &sequence[..at]].concat();
                let node = trie.descend(&sequence[..at]).expect("a prefix");
                let over: Vec<u32> = match normalize {
                    Normalize::Allowed => trie.children(node).map(|(token, _)| token).collect(),
                    Normalize::Vocabulary => (0..VOCABULARY as u32).collect(),
                };
                let logit = |token: u32| f64::from(model.logit(&prefix, token));
                sum += logit(sequence[at]) - over.iter().map(|t| logit(*t).exp()).sum::<f64>().ln();
            }
            (sequence, sum)
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn run<C: Constraint>(
    model: &mut RandomModel,
    constraint: &C,
    options: &DecodeOptions,
) -> Decoded<C::Output> {
    let request = DecodeRequest { prefix: model.root(), prompt: &PROMPT, constraint, index: 0 };
    let decoded = decode(model, &[request], options).expect("a run").remove(0).expect("no dead end");
    assert_eq!(model.live_prefixes(), 0);
    decoded
}

#[test]
fn a_wide_beam_is_the_enumeration_under_both_normalisations() {
    let trie = trie(300, 4, 8);
    for (normalize, score_forced) in [(Normalize::Allowed, false), (Normalize::Vocabulary, true)] {
        let mut model = RandomModel::new(VOCABULARY, 3);
        let expected = enumerated(&model, &trie, normalize);
        let member = TrieConstraint::new(&trie, None).expect("equal lengths");
        let beam = DecodeOptions::new(Strategy::Beam(Beam::new(trie.len())));
        let decoded = run(&mut model, &member, &DecodeOptions { normalize, score_forced, ..beam });
        assert_eq!(decoded.hypotheses.len(), trie.len());
        for (found, (sequence, sum)) in decoded.hypotheses.iter().zip(&expected) {
            assert!((found.log_prob - sum).abs() < 1e-9, "{} {sum}", found.log_prob);
            assert_eq!((&found.tokens, trie.find(sequence)), (sequence, Some(found.output)));
        }
        if normalize == Normalize::Allowed {
            let total: f64 = decoded.hypotheses.iter().map(|h| h.log_prob.exp()).sum();
            assert!((total - 1.0).abs() < 1e-9, "{total}");
        }
        assert_eq!(model.counts().calls, 4);
    }
}

/// Beam search over sequences of equal length, written plainly.
fn plain_beam(model: &RandomModel, trie: &TokenTrie, width: usize, depth: usize) -> Vec<(Vec<u32>, f64)> {
    let mut live = vec![(Vec::<u32>::new(), 0.0f64)];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (sequence, sum) in &live {
            let node = trie.descend(sequence).expect("a prefix");
            let tokens: Vec<u32> = trie.children(node).map(|(token, _)| token).collect();
            let prefix = [&PROMPT, sequence.as_slice()].concat();
            let logit = |token: u32| f64::from(model.logit(&prefix, token));
            let whole = tokens.iter().map(|t| logit(*t).exp()).sum::<f64>().ln();
            next.extend(
                tokens.iter().map(|t| ([sequence.as_slice(), &[*t]].concat(), sum + logit(*t) - whole)),
            );
        }
        next.sort_by(|a, b| b.1.total_cmp(&a.1));
        next.truncate(width);
        live = next;
    }
    live
}

#[test]
fn narrow_beams_are_those_of_a_plain_search() {
    let trie = trie(3000, 5, 12);
    let member = TrieConstraint::new(&trie, None).expect("equal lengths");
    for seed in 0..20 {
        for width in [1, 2, 7, 40] {
            let mut model = RandomModel::new(VOCABULARY, seed);
            let expected = plain_beam(&model, &trie, width, 5);
            let decoded = run(&mut model, &member, &DecodeOptions::new(Strategy::Beam(Beam::new(width))));
            let found: Vec<&[u32]> = decoded.hypotheses.iter().map(|h| h.tokens.as_slice()).collect();
            assert_eq!(found, expected.iter().map(|e| e.0.as_slice()).collect::<Vec<_>>());
            if width == 1 {
                let greedy = run(&mut model, &member, &DecodeOptions::new(Strategy::Greedy));
                assert_eq!(greedy.hypotheses, decoded.hypotheses);
            }
        }
    }
}

#[test]
fn a_step_of_512_beams_is_one_call_and_forced_tokens_are_none() {
    let trie = trie(20_000, 6, 40);
    let member = TrieConstraint::new(&trie, None).expect("equal lengths");
    let mut model = RandomModel::new(VOCABULARY, 1);
    let decoded = run(&mut model, &member, &DecodeOptions::new(Strategy::Beam(Beam::new(512))));
    let counts = model.counts();
    assert_eq!(decoded.hypotheses.len(), 512);
    assert!(counts.calls <= 6 && counts.widest <= 512 && counts.branches == decoded.branches, "{counts:?}");
    // 20,000 sequences of 40 symbols: past the third token nearly nothing is left to choose.
    let forced: usize = decoded.hypotheses.iter().map(|h| h.forced).sum();
    assert!(forced > 512 && counts.branches < 6 * 512, "{forced} {counts:?}");
    assert!(counts.logits < 3 * 512 * 40, "only allowed tokens have logits: {counts:?}");
    // One sequence alone asks the model nothing, unless its probability is wanted.
    let one = TokenTrie::build([[1u32, 2, 3]]).expect("a sequence").trie;
    let member = TrieConstraint::new(&one, None).expect("one");
    for strategy in [Strategy::Greedy, Strategy::Sample(Sampling::new(1)), Strategy::Beam(Beam::new(4))] {
        let mut model = RandomModel::new(VOCABULARY, 1);
        let options = DecodeOptions::new(strategy);
        let decoded = run(&mut model, &member, &options);
        assert_eq!((decoded.hypotheses[0].log_prob, decoded.hypotheses[0].forced), (0.0, 3));
        assert_eq!(model.counts().calls, 0);
        let whole = DecodeOptions { normalize: Normalize::Vocabulary, score_forced: true, ..options };
        let decoded = run(&mut model, &member, &whole);
        let expected = enumerated(&model, &one, Normalize::Vocabulary)[0].1;
        assert!((decoded.hypotheses[0].log_prob - expected).abs() < 1e-9);
        assert_eq!((model.counts().calls, model.counts().tokens), (3, 5));
    }
}

#[test]
fn samples_follow_the_distribution() {
    let lists: [&[&str]; 4] = [&["a"], &["b"], &["c"], &["d", "e"]];
    let bytes = |text: &str| Ok(text.bytes().map(|b| u32::from(b - b'a')).collect());
    let answers = Choices::new(&lists, bytes, None).expect("answers");
    let mut model = RandomModel::with_spread(VOCABULARY, 8, 1.5);
    let share = |weight: &dyn Fn(u32) -> f64| {
        let weights: Vec<f64> = (0..5).map(weight).collect();
        let total: f64 = weights.iter().sum();
        [weights[0], weights[1], weights[2], weights[3] + weights[4]].map(|w| w / total)
    };
    let logits: Vec<f64> = (0..5).map(|t| f64::from(model.logit(&PROMPT, t))).collect();
    let mut sorted = logits.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let best_two = |t: u32| if logits[t as usize] >= sorted[1] { logits[t as usize].exp() } else { 0.0 };
    let base = Sampling { samples: 20_000, ..Sampling::new(5) };
    for (sampling, expected) in [
        (base, share(&|t| logits[t as usize].exp())),
        (Sampling { temperature: 0.5, ..base }, share(&|t| (logits[t as usize] / 0.5).exp())),
        (Sampling { top_k: Some(2), ..base }, share(&best_two)),
        (Sampling { top_p: Some(1e-9), ..base }, share(&|t| f64::from(logits[t as usize] >= sorted[0]))),
    ] {
        let decoded = run(&mut model, &answers, &DecodeOptions::new(Strategy::Sample(sampling)));
        assert_eq!(decoded.branches, 1, "samples share what they have in common");
        let mut counts = [0.0; 4];
        decoded.hypotheses.iter().for_each(|h| counts[h.output] += 1.0 / 20_000.0);
        for (found, expected) in counts.iter().zip(expected) {
            // Four standard deviations of a share of 20,000.
            let slack = 4.0 * (expected * (1.0 - expected) / 20_000.0).sqrt() + 1e-12;
            assert!((found - expected).abs() <= slack, "{counts:?} {expected:?} {sampling:?}");
        }
    }
}

fn all_bits<O>(decoded: &[Result<Decoded<O>, DecodeError>]) -> Vec<Vec<(Vec<u32>, u64)>> {
    let one = |d: &Result<Decoded<O>, DecodeError>| {
        let d = d.as_ref().expect("no dead end");
        d.hypotheses.iter().map(|h| (h.tokens.clone(), h.log_prob.to_bits())).collect()
    };
    decoded.iter().map(one).collect()
}

#[test]
fn runs_repeat_bit_for_bit_for_any_threads_and_batch_order() {
    let words: Vec<Vec<u8>> =
        (0..VOCABULARY as u8).map(|b| if b == 49 { vec![] } else { vec![b'0' + b] }).collect();
    let tokens = std::sync::Arc::new(TokenBytes::new(words).expect("bytes"));
    let free = FreeText::new(tokens, &["7", "ab"], &[49], 30).expect("a text");
    let sampling = Sampling { samples: 9, temperature: 0.8, top_p: Some(0.95), ..Sampling::new(77) };
    let beam = Beam { length: LengthNorm::Power(0.7), ..Beam::new(8) };
    let prompts: Vec<Vec<u32>> = (0..12).map(|n| (0..=n).collect()).collect();
    for strategy in [
        Strategy::Sample(sampling),
        Strategy::Beam(beam),
        Strategy::DiverseBeam { beam, groups: 4, penalty: 0.7 },
        Strategy::Greedy,
    ] {
        let options = DecodeOptions::new(strategy);
        let run = |order: &[usize], threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let mut model = RandomModel::new(VOCABULARY, 5);
                let prefix = model.root();
                let request = |n: &usize| DecodeRequest {
                    prefix,
                    prompt: &prompts[*n],
                    constraint: &free,
                    index: *n as u64,
                };
                let requests: Vec<_> = order.iter().map(request).collect();
                let decoded = decode(&mut model, &requests, &options).expect("a run");
                assert_eq!(model.live_prefixes(), 0);
                order.iter().copied().zip(all_bits(&decoded)).collect::<BTreeMap<_, _>>()
            })
        };
        let forward: Vec<usize> = (0..12).collect();
        let first = run(&forward, 1);
        for threads in [2, 8] {
            assert_eq!(run(&forward, threads), first, "{threads} threads, {options:?}");
        }
        assert_eq!(run(&forward.iter().rev().copied().collect::<Vec<_>>(), 8), first, "reversed");
        let alone: BTreeMap<_, _> = forward.iter().flat_map(|n| run(&[*n], 2)).collect();
        assert_eq!(alone, first, "alone");
        let outputs: BTreeSet<_> = first.values().flatten().map(|(tokens, _)| tokens).collect();
        assert!(outputs.len() >= 12, "prompts and samples differ");
    }
}

#[test]
fn groups_of_a_diverse_beam_avoid_each_others_tokens() {
    let trie = trie(4000, 3, 20);
    let member = TrieConstraint::new(&trie, None).expect("equal lengths");
    let beam = Beam::new(6);
    let mut model = RandomModel::new(VOCABULARY, 2);
    let mut diverse = |penalty: f64| {
        let strategy = Strategy::DiverseBeam { beam, groups: 3, penalty };
        run(&mut model, &member, &DecodeOptions::new(strategy)).hypotheses
    };
    let (none, strong) = (diverse(0.0), diverse(1e6));
    let of = |list: &[Hypothesis<usize>], group| {
        list.iter().filter(|h| h.group == group).map(|h| h.tokens.clone()).collect::<Vec<_>>()
    };
    let plain: Vec<_> =
        run(&mut model, &member, &DecodeOptions::new(Strategy::Beam(Beam::new(2)))).hypotheses;
    let plain: Vec<_> = plain.into_iter().map(|h| h.tokens).collect();
    // Without a penalty every group is the plain beam of its width; the first group always is.
    assert!((0..3).all(|group| of(&none, group) == plain) && of(&strong, 0) == plain);
    for depth in 0..3 {
        let used: Vec<BTreeSet<u32>> =
            (0..3).map(|group| of(&strong, group).iter().map(|tokens| tokens[depth]).collect()).collect();
        // Hand-made from the rule: at the first step 20 tokens are free, so no token is shared.
        if depth == 0 {
            assert!(used[0].is_disjoint(&used[1]) && used[1].is_disjoint(&used[2]), "{used:?}");
            assert!(used[0].is_disjoint(&used[2]), "{used:?}");
        }
    }
    // Sums are the model's own, without the penalty.
    let expected: BTreeMap<Vec<u32>, f64> =
        enumerated(&model, &trie, Normalize::Allowed).into_iter().collect();
    assert!(strong.iter().all(|h| (h.log_prob - expected[&h.tokens]).abs() < 1e-9));
}

#[test]
fn length_normalisation_and_early_stops() {
    assert_eq!(LengthNorm::Power(1.0).score(-6.0, 3), -2.0);
    assert_eq!(LengthNorm::Gnmt(1.0).score(-6.0, 7), -3.0);
    assert_eq!(LengthNorm::None.score(-6.0, 7), -6.0);
    let rows: Vec<Vec<u32>> =
        (0..400u32).map(|n| (0..1 + n % 5).map(|d| (n >> (2 * d)) % 7).collect()).collect();
    let trie = TokenTrie::build(&rows).expect("sequences").trie;
    let member = TrieConstraint::new(&trie, Some(40)).expect("an end");
    for seed in 0..30 {
        for length in [LengthNorm::None, LengthNorm::Power(1.0), LengthNorm::Gnmt(0.6)] {
            let mut model = RandomModel::new(VOCABULARY, seed);
            let mut found = |stop| {
                let beam = Beam { width: 5, length, stop };
                let options = DecodeOptions { max_tokens: 8, ..DecodeOptions::new(Strategy::Beam(beam)) };
                let decoded = run(&mut model, &member, &options);
                let calls = model.counts().calls;
                (decoded.hypotheses, decoded.steps, calls)
            };
            let (never, steps, _) = found(EarlyStop::Never);
            let (exact, fewer, _) = found(EarlyStop::Exact);
            assert_eq!(never, exact);
            assert!(fewer <= steps);
            assert!(never.windows(2).all(|pair| pair[0].score >= pair[1].score));
            let of = |h: &Hypothesis<usize>| length.score(h.log_prob, h.tokens.len());
            assert!(never.iter().all(|h| of(h) == h.score));
        }
    }
    // What is not finished in time is counted and not returned.
    let mut model = RandomModel::new(VOCABULARY, 0);
    let beam = DecodeOptions::new(Strategy::Beam(Beam { stop: EarlyStop::Never, ..Beam::new(5) }));
    let decoded = run(&mut model, &member, &DecodeOptions { max_tokens: 1, ..beam });
    assert!(decoded.unfinished > 0 && decoded.hypotheses.iter().all(|h| h.tokens.len() == 1));
}

#[test]
fn equal_candidates_are_ordered_by_token_id() {
    let member = TrieConstraint::new(trie(500, 2, 9), None).expect("equal lengths");
    let mut model = RandomModel::with_spread(VOCABULARY, 1, 0.0);
    let greedy = run(&mut model, &member, &DecodeOptions::new(Strategy::Greedy));
    assert_eq!(greedy.hypotheses[0].tokens, [0, 0]);
    let beam = run(&mut model, &member, &DecodeOptions::new(Strategy::Beam(Beam::new(3))));
    let found: Vec<&[u32]> = beam.hypotheses.iter().map(|h| h.tokens.as_slice()).collect();
    assert_eq!(found, [[0, 0], [1, 0], [2, 0]]);
}

/// Breaks at some call: refuses, or answers nonsense.
struct Broken(RandomModel, usize, fn(Vec<BranchOutput>) -> Result<Vec<BranchOutput>, LmError>);

impl DecodeModel for Broken {
    fn vocabulary(&self) -> usize {
        self.0.vocabulary()
    }
    fn root(&self) -> PrefixId {
        self.0.root()
    }
    fn extend(
        &mut self,
        branches: &[Branch<'_>],
        last_use: &[PrefixId],
    ) -> Result<Vec<BranchOutput>, LmError> {
        if self.0.counts().calls + 1 == self.1 && (self.2)(Vec::new()).is_err() {
            return (self.2)(Vec::new());
        }
        let answers = self.0.extend(branches, last_use)?;
        if self.0.counts().calls == self.1 { (self.2)(answers) } else { Ok(answers) }
    }
    fn release(&mut self, prefixes: &[PrefixId]) {
        self.0.release(prefixes);
    }
}

#[test]
fn a_broken_model_is_reported_and_nothing_stays_behind() {
    let trie = trie(2000, 5, 10);
    let member = TrieConstraint::new(&trie, None).expect("equal lengths");
    let refuse: fn(Vec<BranchOutput>) -> _ = |_| Err(LmError::Argument("out of memory".into()));
    let shorten: fn(Vec<BranchOutput>) -> _ = |mut answers: Vec<BranchOutput>| {
        answers.iter_mut().for_each(|answer| answer.logits.truncate(1));
        Ok(answers)
    };
    let poison: fn(Vec<BranchOutput>) -> _ = |mut answers: Vec<BranchOutput>| {
        answers.iter_mut().for_each(|answer| answer.logits.fill(f32::NAN));
        Ok(answers)
    };
    let kill: fn(Vec<BranchOutput>) -> _ = |mut answers: Vec<BranchOutput>| {
        answers.iter_mut().for_each(|answer| answer.logits.fill(f32::NEG_INFINITY));
        Ok(answers)
    };
    for (breaks, message) in
        [(refuse, "out of memory"), (shorten, "logits instead of"), (poison, "NaN"), (kill, "probability 0")]
    {
        for strategy in [Strategy::Beam(Beam::new(10)), Strategy::Sample(Sampling::new(4))] {
            let mut model = Broken(RandomModel::new(VOCABULARY, 4), 2, breaks);
            let request =
                DecodeRequest { prefix: model.root(), prompt: &PROMPT, constraint: &member, index: 0 };
            let error = match decode(&mut model, &[request], &DecodeOptions::new(strategy)) {
                Ok(mut decoded) => decoded.remove(0).expect_err("broken").to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(message), "{error}");
            assert_eq!(model.0.live_prefixes(), 0);
        }
    }
    // A request whose constraint needs more tokens than the model has fails alone.
    let (mut model, wide) = (RandomModel::new(5, 1), TokenTrie::build([[1u32], [9]]).expect("two").trie);
    let narrow = TokenTrie::build([[1u32], [4]]).expect("two").trie;
    let members = [&wide, &narrow].map(|trie| TrieConstraint::new(trie, None).expect("members"));
    let prefix = model.root();
    let request = |constraint| DecodeRequest { prefix, prompt: &[0], constraint, index: 0 };
    let requests = [request(&members[0]), request(&members[1])];
    let decoded = decode(&mut model, &requests, &DecodeOptions::new(Strategy::Greedy)).expect("a run");
    assert!(matches!(decoded[0], Err(DecodeError::DeadEnd { request: 0, .. })) && decoded[1].is_ok());
}

#[test]
fn options_that_cannot_be_used_are_refused() {
    let member = TrieConstraint::new(trie(5, 2, 9), None).expect("members");
    let sampling = Sampling::new(1);
    let beam = Beam::new(4);
    for strategy in [
        Strategy::Beam(Beam::new(0)),
        Strategy::Beam(Beam { length: LengthNorm::Power(-1.0), ..beam }),
        Strategy::DiverseBeam { beam, groups: 3, penalty: 1.0 },
        Strategy::DiverseBeam { beam, groups: 0, penalty: 1.0 },
        Strategy::DiverseBeam { beam, groups: 2, penalty: f64::NAN },
        Strategy::Sample(Sampling { temperature: 0.0, ..sampling }),
        Strategy::Sample(Sampling { top_k: Some(0), ..sampling }),
        Strategy::Sample(Sampling { top_p: Some(1.5), ..sampling }),
        Strategy::Sample(Sampling { samples: 0, ..sampling }),
    ] {
        let mut model = RandomModel::new(VOCABULARY, 1);
        let request = DecodeRequest { prefix: model.root(), prompt: &PROMPT, constraint: &member, index: 0 };
        let error = decode(&mut model, &[request], &DecodeOptions::new(strategy.clone()));
        assert!(matches!(error, Err(LmError::Decode(DecodeError::Argument(_)))), "{strategy:?}");
        let empty = DecodeRequest { prompt: &[], ..request };
        assert!(decode(&mut model, &[empty], &DecodeOptions::new(Strategy::Greedy)).is_err());
    }
}
