//! The real SmolLM2-135M-Instruct GGUF as a decoder: what it writes, what it ranks, and that caches change nothing.
//!
//! The file is pulled once into the model cache; without it the tests say that they were skipped.

use plackett_lm::Precision;
use plackett_lm::decode::*;
use plackett_lm::decoder::*;
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

use crate::support::smollm2;

fn open(precision: Precision, threads: usize) -> Option<DecoderModel> {
    let options = DecoderOptions { precision, threads: Some(threads), ..DecoderOptions::default() };
    Some(DecoderModel::open(smollm2::gguf_file()?, &options).expect("SmolLM2"))
}

/// Prompts with the answers of llama.cpp.
fn golden() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/smollm2_logits.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).expect("golden logits")).expect("JSON");
    cases.as_array().expect("cases").clone()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("id") as u32).collect()
}

fn last_logits(model: &DecoderModel, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let outputs =
        OutputRequest { logits_at: Positions::Last, logit_ids: LogitIds::All, ..OutputRequest::default() };
    let request = |tokens| Request {
        tokens,
        cache: None,
        pattern: AttentionPattern::Causal,
        adapter: None,
        outputs: outputs.clone(),
    };
    let requests: Vec<Request> = prompts.iter().map(|tokens| request(tokens)).collect();
    let answers = model.forward(&requests).expect("logits");
    answers.into_iter().map(|mut answer| answer.logits.remove(0)).collect()
}

fn top(logits: &[f32], count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]));
    order.truncate(count);
    order
}

/// Among the 20 most probable: how many are the same, and whether the first is.
fn agreement(logits: &[Vec<f32>], cases: &[Value], key: &str) -> Vec<(usize, bool)> {
    let pairs = logits.iter().zip(cases);
    pairs
        .map(|(logits, case)| {
            let (ours, theirs) = (top(logits, 20), ids(&case[key]));
            (ours.iter().filter(|id| theirs.contains(id)).count(), ours[0] == theirs[0])
        })
        .collect()
}

/// Without rounding, both compute the same; with weights in blocks, both round activations, each in its own way, and
/// agree as well as llama.cpp does with itself without rounding.
#[test]
fn next_tokens_are_those_of_llama_cpp() {
    let Some(model) = open(Precision::F32, 2) else { return };
    let cases = golden();
    let prompts: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["ids"])).collect();
    for (case, prompt) in cases.iter().zip(&prompts) {
        let text = case["text"].as_str().expect("text");
        assert_eq!(&model.tokenizer().encode(text, true, true).expect("ids"), prompt);
    }
    let exact = agreement(&last_logits(&model, &prompts), &cases, "exact");
    println!("f32: {exact:?}");
    assert!(exact.len() >= 50 && exact.iter().all(|(overlap, first)| *overlap >= 19 && *first), "{exact:?}");

    let Some(model) = open(Precision::Auto, 2) else { return };
    let packed = agreement(&last_logits(&model, &prompts), &cases, "top");
    let mean = packed.iter().map(|(overlap, _)| *overlap as f64).sum::<f64>() / packed.len() as f64;
    let first = packed.iter().filter(|(_, first)| *first).count();
    println!("packed: {mean:.2} of 20 on average, {first} of {} firsts", packed.len());
    assert!(mean >= 19.0 && packed.iter().all(|(overlap, _)| *overlap >= 17), "{packed:?}");
    let clear = packed.iter().zip(&cases).filter(|(_, case)| case["gap"].as_f64().expect("gap") >= 0.25);
    assert!(clear.clone().count() >= 40 && clear.into_iter().all(|((_, first), _)| *first), "{packed:?}");
}

#[test]
fn greedy_text_is_that_of_llama_cpp() {
    let Some(model) = open(Precision::F32, 2) else { return };
    for case in golden().iter().filter(|case| case.get("greedy").is_some()) {
        let (prompt, expected) = (ids(&case["ids"]), ids(&case["greedy"]));
        let mut session = model.session();
        let (mut handle, mut next, mut found) = (session.root(), prompt, Vec::new());
        while found.len() < expected.len() {
            let branch =
                Branch { parent: handle, tokens: &next, logit_ids: LogitIds::All, normalizer: false };
            let answer = session.extend(&[branch], &[handle]).expect("a step").remove(0);
            handle = answer.prefix;
            found.push(top(&answer.logits, 1)[0]);
            next = found[found.len() - 1..].to_vec();
        }
        assert_eq!(session.live_prefixes(), 1);
        let text = |ids: &[u32]| model.tokenizer().decode(ids, false).expect("text");
        println!("{}{}", case["text"].as_str().expect("text"), text(&found));
        assert_eq!(text(&found), text(&expected));
    }
}

/// Sums of log-probabilities of a beam are those of the sequences run alone, and no better member was overlooked.
#[test]
fn a_beam_over_a_trie_finds_the_best_members() {
    let Some(model) = open(Precision::Auto, 2) else { return };
    let encode = |text: &str| model.tokenizer().encode(text, false, false).expect("ids");
    let names = [
        " Paris",
        " London",
        " Rome",
        " Berlin",
        " New York City",
        " New Delhi",
        " San Francisco",
        " Buenos Aires",
    ];
    let sequences: Vec<Vec<u32>> = names.iter().map(|name| encode(name)).collect();
    let built = TokenTrie::build(&sequences).expect("trie");
    let end = model.tokenizer().ends()[0];
    let member = TrieConstraint::new(built.trie, Some(end)).expect("members");
    let prompt = encode("The capital of France is");
    let mut session = model.session();
    let request = DecodeRequest { prefix: session.root(), prompt: &prompt, constraint: &member, index: 0 };
    let mut options = DecodeOptions::new(Strategy::Beam(Beam::new(8)));
    options.normalize = Normalize::Vocabulary;
    options.score_forced = true;
    let decoded = decode(&mut session, &[request], &options).expect("a decode").remove(0).expect("members");
    assert_eq!((decoded.hypotheses.len(), session.live_prefixes()), (8, 0));
    assert_eq!(model.tokenizer().decode(&decoded.hypotheses[0].tokens, true).expect("text"), " Paris");
    for hypothesis in &decoded.hypotheses {
        assert!(sequences.contains(&hypothesis.tokens), "{:?}", hypothesis.tokens);
        let whole = [&prompt[..], &hypothesis.tokens].concat();
        let places: Vec<usize> = (prompt.len() - 1..whole.len() - 1).collect();
        let (logits_at, logit_ids) = (Positions::At(&places), LogitIds::All);
        let outputs = OutputRequest { logits_at, logit_ids, normalizer: true, ..OutputRequest::default() };
        let request = Request {
            tokens: &whole,
            cache: None,
            pattern: AttentionPattern::Causal,
            adapter: None,
            outputs,
        };
        let answer = model.forward(&[request]).expect("logits").remove(0);
        let rows = answer.logits.iter().zip(&answer.normalizers).zip(&hypothesis.tokens);
        let sum: f64 = rows.map(|((logits, total), id)| f64::from(logits[*id as usize]) - total).sum();
        assert!((sum - hypothesis.log_prob).abs() < 1e-3, "{sum} {}", hypothesis.log_prob);
    }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    for precision in [Precision::Auto, Precision::F32] {
        let Some(model) = open(precision, 2) else { return };
        println!("{precision:?}: {} MiB of weights", model.info().weight_bytes >> 20);
        for length in [512usize, 2048] {
            let prompt: Vec<u32> = (0..length as u32).map(|i| 1000 + i * 7919 % 40000).collect();
            last_logits(&model, &[prompt[..64].to_vec()]);
            let best = (0..4).map(|_| {
                let start = Instant::now();
                last_logits(&model, std::slice::from_ref(&prompt));
                start.elapsed().as_secs_f64()
            });
            let best = best.fold(f64::INFINITY, f64::min);
            println!("{precision:?} prefill of {length}: {:.0} tokens/s", length as f64 / best);
        }
        let mut session = model.session();
        let prompt: Vec<u32> = (0..16).map(|i| 1000 + i * 7919 % 40000).collect();
        let (mut handle, mut next) = (session.root(), prompt);
        let mut times = Vec::new();
        for _ in 0..128 {
            let start = Instant::now();
            let branch =
                Branch { parent: handle, tokens: &next, logit_ids: LogitIds::All, normalizer: false };
            let answer = session.extend(&[branch], &[handle]).expect("a step").remove(0);
            (handle, next) = (answer.prefix, top(&answer.logits, 1));
            times.push(start.elapsed().as_secs_f64());
        }
        let mean = times[1..].iter().sum::<f64>() / 127.0;
        println!("{precision:?} generation: {:.0} tokens/s", 1.0 / mean);
    }
}
