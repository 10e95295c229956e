//! Cached = uncached, batched = alone, any number of threads, any memory budget.

use crate::decoder::golden::*;
use plackett_lm::decode::*;
use plackett_lm::decoder::*;
use plackett_lm::{LmError, Precision};

/// Formats of caches that hold what is computed with.
const EXACT: [(Precision, CacheFormat); 3] = [
    (Precision::F32, CacheFormat::F32),
    (Precision::Int8, CacheFormat::F32),
    (Precision::Int8, CacheFormat::Int16),
];

/// A text cut into pieces, each continuing the cache of those before it.
fn in_pieces(model: &DecoderModel, ids: &[u32], pieces: &[usize]) -> Vec<f32> {
    let (mut cache, mut start, mut logits) = (KvCache::default(), 0, Vec::new());
    for piece in pieces {
        let outputs = OutputRequest { cache: true, ..everything() };
        let own = &ids[start..start + piece];
        let mut answer = model.forward(&[request(own, Some(&cache), outputs)]).expect("a piece").remove(0);
        logits.extend(answer.logits.concat());
        cache = answer.cache.take().expect("a cache");
        start += piece;
        assert_eq!((cache.tokens(), cache.position() as usize, cache.layers()), (start, start, Some(3)));
    }
    assert_eq!(start, ids.len());
    logits
}

#[test]
fn cached_is_uncached() {
    let ids = tokens(97, 1);
    for family in FAMILIES {
        for (precision, format) in EXACT {
            let model = open_with(family, &with(precision, format, 2));
            let whole = model.forward(&[request(&ids, None, everything())]).expect(family).remove(0);
            let whole = whole.logits.concat();
            for pieces in [vec![40, 57], vec![1, 1, 33, 2, 60], vec![96, 1], vec![1; 97]] {
                let far = distance(&in_pieces(&model, &ids, &pieces), &whole);
                assert!(far < 1e-4, "{family} {precision:?} {format:?} {pieces:?}: {far}");
            }
        }
    }
}

/// Where products are made in integers, those of attention are too: caches of these integers are the default, and hold
/// what caches in f32 give, in half their room.
#[test]
fn caches_of_integers_lose_nothing_where_attention_is_done_in_them() {
    let ids = tokens(97, 3);
    for family in FAMILIES {
        let numbers = |cache: Option<CacheFormat>| {
            let model =
                open_with(family, &DecoderOptions { cache, ..with(Precision::Int8, CacheFormat::F32, 2) });
            let cut: Vec<Vec<f32>> = [vec![97], vec![33, 1, 1, 62], vec![64, 33]]
                .iter()
                .map(|cut| in_pieces(&model, &ids, cut))
                .collect();
            let cache = model.prefill(&ids, None).expect(family);
            let blocks: Vec<KvCache> = [&ids[..40], &ids[40..45]]
                .map(|own| model.prefill(own, Some(&cache)).expect(family))
                .to_vec();
            // Blocks have no place in a window of tokens.
            let all = if !["llama", "qwen3"].contains(&family) {
                blocks[1].clone()
            } else {
                cache.followed_by(&blocks).expect("blocks").at(180)
            };
            let asked =
                model.forward(&[request(&ids[..50], Some(&all), everything())]).expect(family).remove(0);
            (cut, asked.logits, asked.hidden, cache.bytes())
        };
        let (floats, integers) = (numbers(Some(CacheFormat::F32)), numbers(None));
        assert!(floats.0 == integers.0 && floats.1 == integers.1 && floats.2 == integers.2, "{family}");
        // Heads of the test models are so small that the scales count; their values are padded.
        assert!(integers.3 < floats.3 * 3 / 5, "{family}: {} for {}", integers.3, floats.3);
    }
}

/// Rounded caches are read rounded even by the pass that makes them, so that cutting a text changes nothing there either.
#[test]
fn rounded_caches_are_near_and_do_not_depend_on_the_cut() {
    let ids = tokens(97, 2);
    for family in FAMILIES {
        let exact = open(family).forward(&[request(&ids, None, everything())]).expect(family).remove(0);
        for (format, most) in [(CacheFormat::F16, 0.02), (CacheFormat::Int16, 0.02), (CacheFormat::Int8, 0.6)]
        {
            let model = open_with(family, &with(Precision::F32, format, 2));
            let whole = model.forward(&[request(&ids, None, everything())]).expect(family).remove(0);
            let far = distance(&whole.logits.concat(), &exact.logits.concat());
            println!("{family} {format:?}: {far:.4}");
            assert!(far > 0.0 && far < most, "{family} {format:?}: {far}");
            let pieces = in_pieces(&model, &ids, &[1, 30, 2, 64]);
            assert!(distance(&pieces, &whole.logits.concat()) < 1e-4, "{family} {format:?}");
        }
    }
    let bytes = |format| {
        let model = open_with("llama", &with(Precision::F32, format, 1));
        model.prefill(&ids, None).expect("a cache").bytes()
    };
    let (whole, half, quarter) = (bytes(CacheFormat::F32), bytes(CacheFormat::F16), bytes(CacheFormat::Int8));
    assert!(2 * half == whole && 3 * quarter < whole, "{whole} {half} {quarter}");
}

/// Logits and hidden states.
type Numbers = (Vec<f32>, Vec<f32>);

#[test]
fn answers_do_not_depend_on_batch_threads_or_memory() {
    let lengths = [3, 17, 150, 1, 2, 12, 13, 40, 150, 50, 31, 1, 1];
    let texts: Vec<Vec<u32>> = lengths.iter().map(|n| tokens(*n, *n as u32)).collect();
    let prefix = tokens(37, 9);
    for family in FAMILIES {
        for (precision, format) in EXACT {
            let run = |threads, memory_budget, alone: bool| -> Result<Vec<Numbers>, LmError> {
                let options = DecoderOptions { memory_budget, ..with(precision, format, threads) };
                let model = open_with(family, &options);
                let cache = model.prefill(&prefix, None)?;
                let before = |n: usize| (n % 2 == 1).then_some(&cache);
                let requests: Vec<Request> =
                    texts.iter().enumerate().map(|(n, ids)| request(ids, before(n), everything())).collect();
                let mut answers = Vec::new();
                for batch in requests.chunks(if alone { 1 } else { requests.len() }) {
                    answers.extend(model.forward(batch)?);
                }
                Ok(answers.into_iter().map(|a| (a.logits.concat(), a.hidden)).collect())
            };
            let expected = run(2, None, false).expect(family);
            for (threads, alone) in [(1, false), (3, false), (1, true), (2, true), (3, true)] {
                assert!(run(threads, None, alone).expect(family) == expected, "{family} {threads} {alone}");
            }
            let message = run(2, Some(1000), false).unwrap_err().to_string();
            assert!(message.contains("budget is 1000"), "{message}");
            let enough = (1..).map(|k| k * 100_000).find(|budget| run(2, Some(*budget), false).is_ok());
            assert!(run(2, enough, false).expect(family) == expected, "{family} with little memory");
        }
    }
}

/// The same with rounded caches, for a text alone, one after a prefix, and one after blocks: each path of a cache.
#[test]
fn every_cache_path_gives_the_same_in_a_batch_and_alone() {
    let (prefix, others) = (tokens(37, 9), [tokens(50, 2), tokens(3, 4), tokens(33, 6)]);
    let texts: Vec<Vec<u32>> = [40, 1, 13, 25, 2, 31].iter().map(|n| tokens(*n, *n as u32)).collect();
    for family in ["llama", "qwen3"] {
        let formats = [CacheFormat::F32, CacheFormat::F16, CacheFormat::Int16, CacheFormat::Int8];
        let floats = formats.map(|format| (Precision::F32, format));
        for (precision, format) in floats.into_iter().chain(formats.map(|format| (Precision::Int8, format))) {
            let model = open_with(family, &with(precision, format, 2));
            let first = model.prefill(&prefix, None).expect(family);
            let blocks: Vec<KvCache> =
                others.iter().map(|text| model.prefill(text, Some(&first)).expect(family)).collect();
            let all = first.followed_by(&blocks).expect("blocks").at(120);
            let befores = [None, Some(&first), Some(&all)];
            let outputs = || OutputRequest { cache: true, ..everything() };
            let requests: Vec<Request> =
                texts.iter().enumerate().map(|(n, ids)| request(ids, befores[n % 3], outputs())).collect();
            let together = model.forward(&requests).expect(family);
            for (index, (one, answer)) in requests.iter().zip(&together).enumerate() {
                let alone = model.forward(std::slice::from_ref(one)).expect(family).remove(0);
                assert_eq!(alone.logits, answer.logits, "{family} {format:?} request {index}");
                assert_eq!(alone.hidden, answer.hidden, "{family} {format:?} request {index}");
                // What they leave behind is the same too: the next token tells.
                let next = |cache: &Option<KvCache>| {
                    let answer = model.forward(&[request(&[7], cache.as_ref(), everything())]).expect(family);
                    answer[0].logits.concat()
                };
                assert_eq!(next(&alone.cache), next(&answer.cache), "{family} {format:?} request {index}");
            }
        }
    }
}

fn branch(parent: PrefixId, tokens: &[u32]) -> Branch<'_> {
    Branch { parent, tokens, logit_ids: LogitIds::All, normalizer: true }
}

/// Branches of a search give what the same tokens give in one piece, whatever was moved, shared or dropped between.
#[test]
fn sessions_share_move_and_drop_prefixes() {
    let others = [
        ("llama", Precision::F32, CacheFormat::F16),
        ("qwen3", Precision::F32, CacheFormat::Int8),
        ("llama", Precision::F32, CacheFormat::Int16),
        ("qwen3", Precision::Int8, CacheFormat::Int16),
        ("gemma3", Precision::Int8, CacheFormat::F16),
    ];
    let all = FAMILIES.map(|family| (family, Precision::F32, CacheFormat::F32)).into_iter().chain(others);
    for (family, precision, format) in all {
        let model = open_with(family, &with(precision, format, 2));
        let mut session = model.session();
        let prompt = tokens(70, 4);
        let start = session.extend(&[branch(session.root(), &prompt)], &[]).expect("a prompt").remove(0);
        let mut live: Vec<(PrefixId, Vec<u32>)> = vec![(start.prefix, prompt.clone())];
        for step in 0..8u32 {
            // Two children of the first, one of each other; the last is dropped once there are many.
            let mut next: Vec<(PrefixId, Vec<u32>)> = Vec::new();
            for (index, (handle, _)) in live.iter().enumerate() {
                next.push((*handle, vec![5 + step, 6 + index as u32]));
            }
            next.push((live[0].0, vec![90 + step]));
            next.truncate(5);
            let branches: Vec<Branch> = next.iter().map(|(parent, own)| branch(*parent, own)).collect();
            let last_use: Vec<PrefixId> = live.iter().map(|(handle, _)| *handle).collect();
            let answers = session.extend(&branches, &last_use).expect("a step");
            let mut children = Vec::new();
            for (answer, (parent, own)) in answers.iter().zip(&next) {
                let before = &live.iter().find(|(handle, _)| handle == parent).expect("parent").1;
                let whole = [&before[..], own].concat();
                let outputs = OutputRequest {
                    logits_at: Positions::Last,
                    logit_ids: LogitIds::All,
                    normalizer: true,
                    ..OutputRequest::default()
                };
                let alone = model.forward(&[request(&whole, None, outputs)]).expect("alone").remove(0);
                assert!(distance(&answer.logits, &alone.logits[0]) < 1e-4, "{family} step {step}");
                assert!((answer.normalizer.expect("a sum") - alone.normalizers[0]).abs() < 1e-4);
                children.push((answer.prefix, whole));
            }
            assert_eq!(session.live_prefixes(), children.len());
            live = children;
        }
        assert!(session.extend(&[branch(PrefixId(1 << 40), &[3])], &[]).is_err());
        let held: Vec<PrefixId> = live.iter().map(|(handle, _)| *handle).collect();
        session.release(&held);
        assert_eq!((session.live_prefixes(), session.bytes()), (0, 0));
    }
}

/// A chain of single tokens becomes one segment, which grows by doubling.
#[test]
fn generated_tokens_move_together() {
    for format in [CacheFormat::F32, CacheFormat::F16, CacheFormat::Int16, CacheFormat::Int8] {
        let model = open_with("llama", &with(Precision::F32, format, 1));
        let mut session = model.session();
        let ids = tokens(150, 8);
        let whole = model.forward(&[request(&ids, None, everything())]).expect("whole").remove(0).logits;
        let mut handle = session.root();
        for (id, expected) in ids.iter().zip(&whole) {
            let branch =
                Branch { parent: handle, tokens: &[*id], logit_ids: LogitIds::All, normalizer: false };
            let answer = session.extend(&[branch], &[handle]).expect("a token").remove(0);
            assert!(distance(&answer.logits, expected) < 1e-4, "{format:?}");
            handle = answer.prefix;
        }
        let one = model.prefill(&ids, None).expect("one piece").bytes();
        assert!(session.bytes() <= 2 * one, "{format:?}: {} for {one}", session.bytes());
    }
}

#[test]
fn a_seeded_search_is_the_same_for_any_number_of_threads() {
    let names: Vec<Vec<u32>> = (0..40).map(|n| tokens(1 + n % 4, n as u32 + 50)).collect();
    let built = TokenTrie::build(&names).expect("trie");
    let member = TrieConstraint::new(built.trie, Some(2)).expect("members");
    let prompt = tokens(21, 6);
    let run = |threads, strategy: &Strategy| {
        let model = open_with("mistral", &with(Precision::F32, CacheFormat::F32, threads));
        let mut session = model.session();
        let request =
            DecodeRequest { prefix: session.root(), prompt: &prompt, constraint: &member, index: 3 };
        let options = DecodeOptions::new(strategy.clone());
        let decoded =
            decode(&mut session, &[request], &options).expect("a decode").remove(0).expect("members");
        assert_eq!(session.live_prefixes(), 0);
        decoded
    };
    for strategy in
        [Strategy::Beam(Beam::new(16)), Strategy::Sample(Sampling { samples: 9, ..Sampling::new(4) })]
    {
        let one = run(1, &strategy);
        assert!(
            one.hypotheses.len() >= 9
                && one.hypotheses.iter().all(|h| names.iter().any(|n| h.tokens.starts_with(n)))
        );
        assert_eq!(run(2, &strategy), one);
        assert_eq!(run(3, &strategy), one);
    }
}
