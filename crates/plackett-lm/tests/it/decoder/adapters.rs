//! Adapters: parity with PEFT, each for its own request, and never two in one cache.

use crate::decoder::golden::*;
use plackett_lm::decode::*;
use plackett_lm::decoder::*;
use plackett_lm::{Adapter, LmError, Precision};
use std::path::{Path, PathBuf};

/// Model and kind (`tools/golden/make_lora_golden.py`).
const ADAPTERS: [(&str, &str); 5] =
    [("llama", "all"), ("llama", "some"), ("mistral", "all"), ("qwen3", "attention"), ("gemma3", "all")];

fn folder(model: &str, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/adapter").join(format!("{model}-{kind}"))
}

pub fn adapter(model: &str, kind: &str) -> Adapter {
    Adapter::open(&folder(model, kind)).expect(kind)
}

fn adapted<'a>(tokens: &'a [u32], adapter: Option<&'a Adapter>, cache: Option<&'a KvCache>) -> Request<'a> {
    Request { adapter, ..request(tokens, cache, OutputRequest { cache: true, ..everything() }) }
}

/// Logits and hidden states.
fn numbers(answer: &SequenceOutput) -> (Vec<f32>, Vec<f32>) {
    (answer.logits.concat(), answer.hidden.clone())
}

#[test]
fn adapters_agree_with_peft() {
    for (name, kind) in ADAPTERS {
        let expected = Expected::at(&folder(name, kind).join("expected.safetensors"));
        let (model, adapter) = (open(name), adapter(name, kind));
        for n in 0..2 {
            let ids = expected.ids(&format!("ids.{n}"));
            let answer = model.forward(&[adapted(&ids, Some(&adapter), None)]).expect(name).remove(0);
            let logits =
                distance(&answer.logits[ids.len() - 5..].concat(), &expected.floats(&format!("logits.{n}")));
            let hidden = distance(&answer.hidden, &expected.floats(&format!("hidden.{n}")));
            println!("{name} {kind} {n}: logits {logits:.1e}, hidden {hidden:.1e}");
            assert!(logits < 1e-4 && hidden < 1e-4, "{name} {kind} {n}: {logits} {hidden}");
        }
    }
}

/// The same files with B of nothing but zeros.
fn zero(model: &str, kind: &str) -> Adapter {
    let new = tempfile::tempdir().expect("a folder");
    let old = folder(model, kind);
    std::fs::copy(old.join("adapter_config.json"), new.path().join("adapter_config.json")).expect("copy");
    let bytes = std::fs::read(old.join("adapter_model.safetensors")).expect("tensors");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let zeros = vec![0u8; bytes.len()];
    let views = file.tensors().into_iter().map(|(name, view)| {
        let data = if name.contains("lora_B") { &zeros[..view.data().len()] } else { view.data() };
        let data = data.to_vec();
        (name, view.dtype(), view.shape().to_vec(), data)
    });
    let owned: Vec<_> = views.collect();
    let views = owned.iter().map(|(name, kind, shape, data)| {
        (name.clone(), safetensors::tensor::TensorView::new(*kind, shape.clone(), data).expect("a view"))
    });
    let written = safetensors::serialize(views, None).expect("a file");
    std::fs::write(new.path().join("adapter_model.safetensors"), written).expect("written");
    Adapter::open(new.path()).expect("zeros")
}

#[test]
fn an_adapter_of_zeros_changes_nothing() {
    let ids = tokens(61, 3);
    for (name, kind) in ADAPTERS {
        let (model, nothing) = (open(name), zero(name, kind));
        let answers = model.forward(&[adapted(&ids, Some(&nothing), None), adapted(&ids, None, None)]);
        let answers = answers.expect(name);
        assert_eq!(numbers(&answers[0]), numbers(&answers[1]), "{name} {kind}");
    }
}

/// Requests of every length with two adapters or none, in one batch and alone, for any number of threads and with little
/// memory: the same numbers bit for bit.
#[test]
fn a_mixed_batch_is_every_request_alone() {
    let adapters = [adapter("llama", "all"), adapter("llama", "some")];
    let lengths = [3, 17, 150, 1, 2, 12, 13, 40, 150, 50, 31, 1, 1, 1];
    let texts: Vec<Vec<u32>> = lengths.iter().map(|n| tokens(*n, *n as u32)).collect();
    let prefix = tokens(37, 9);
    let run = |precision, threads, memory_budget, alone: bool| -> Result<Vec<_>, LmError> {
        let options = DecoderOptions { memory_budget, ..with(precision, CacheFormat::F32, threads) };
        let model = open_with("llama", &options);
        let own = |n: usize| adapters.get(n % 3);
        let mut caches = Vec::new();
        for n in 0..3 {
            let request = adapted(&prefix, own(n), None);
            caches.push(model.forward(&[request])?.remove(0).cache.expect("a cache"));
        }
        let requests = texts.iter().enumerate().map(|(n, ids)| {
            let cache = (n % 2 == 1).then_some(&caches[n % 3]);
            adapted(ids, own(n), cache)
        });
        let requests: Vec<Request> = requests.collect();
        let mut answers = Vec::new();
        for batch in requests.chunks(if alone { 1 } else { requests.len() }) {
            answers.extend(model.forward(batch)?);
        }
        Ok(answers.iter().map(numbers).collect())
    };
    for precision in [Precision::F32, Precision::Int8] {
        let expected = run(precision, 2, None, false).expect("a batch");
        for (threads, alone) in [(1, false), (3, false), (1, true), (2, true), (3, true)] {
            assert!(run(precision, threads, None, alone).expect("batch") == expected, "{threads} {alone}");
        }
        let fits = |budget: &usize| run(precision, 2, Some(*budget), false).is_ok();
        let enough = (1..).map(|k| k * 100_000).find(fits);
        assert!(run(precision, 2, enough, false).expect("batch") == expected, "with little memory");
    }
    // Texts 0 and 2 have an adapter, text 5 has none: that they differ at all is what makes the above a test.
    let model = open("llama");
    let plain = model.forward(&[request(&texts[0], None, everything())]).expect("plain").remove(0);
    let some = model.forward(&[adapted(&texts[0], Some(&adapters[0]), None)]).expect("adapted").remove(0);
    assert!(distance(&plain.logits.concat(), &some.logits.concat()) > 0.1);
}

#[test]
fn a_cache_goes_on_with_its_own_adapter_only() {
    let (all, some) = (adapter("llama", "all"), adapter("llama", "some"));
    let (model, ids) = (open("llama"), tokens(21, 5));
    let cache = |adapter| {
        model.forward(&[adapted(&ids, adapter, None)]).expect("a pass").remove(0).cache.expect("a cache")
    };
    let with_all = cache(Some(&all));
    assert_eq!(with_all.adapter(), Some(all.id()));
    assert_eq!(cache(None).adapter(), None);
    let message = |request: Request| model.forward(&[request]).expect_err("refused").to_string();
    let other = message(adapted(&ids, Some(&some), Some(&with_all)));
    assert!(other.contains("`llama-all`") && other.contains("`llama-some`"), "{other}");
    let none = message(adapted(&ids, None, Some(&with_all)));
    assert!(none.contains("`llama-all`") && none.contains("no adapter"), "{none}");
    let plain = message(adapted(&ids, Some(&some), Some(&cache(None))));
    assert!(plain.contains("no adapter") && plain.contains("`llama-some`"), "{plain}");
    // Read again, it is the same adapter; nothing was computed in an empty cache.
    let again = adapter("llama", "all");
    assert!(model.forward(&[adapted(&ids, Some(&again), Some(&with_all))]).is_ok());
    assert!(model.forward(&[adapted(&ids, Some(&again), Some(&KvCache::default()))]).is_ok());
    let blocks = [with_all.clone(), cache(Some(&some))];
    let mixed = KvCache::default().followed_by(&blocks).expect_err("two adapters").to_string();
    assert!(mixed.contains("block 1") && mixed.contains("`llama-some`"), "{mixed}");
    let alike = KvCache::default().followed_by(&[with_all.clone(), with_all]).expect("one adapter");
    assert_eq!(alike.adapter(), Some(all.id()));
}

#[test]
fn sessions_have_an_adapter() {
    let all = adapter("llama", "all");
    let (model, ids) = (open("llama"), tokens(30, 7));
    let whole = model.forward(&[adapted(&ids, Some(&all), None)]).expect("whole").remove(0).logits;
    let mut session = model.session_with(&all).expect("a session");
    let mut handle = session.root();
    for (place, piece) in [(12, &ids[..13]), (13, &ids[13..14]), (29, &ids[14..])] {
        let branch = Branch { parent: handle, tokens: piece, logit_ids: LogitIds::All, normalizer: false };
        let answer = session.extend(&[branch], &[handle]).expect("a step").remove(0);
        assert!(distance(&answer.logits, &whole[place]) < 1e-4, "{place}");
        handle = answer.prefix;
    }
    let stray = session.adopt(model.prefill(&ids, None).expect("a cache"));
    let branch = Branch { parent: stray, tokens: &ids, logit_ids: LogitIds::All, normalizer: false };
    let message = session.extend(&[branch], &[]).expect_err("refused").to_string();
    assert!(message.contains("no adapter") && message.contains("`llama-all`"), "{message}");
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let (model, other) = (open("llama"), adapter("mistral", "all"));
    let ids = tokens(3, 1);
    let request = adapted(&ids, Some(&other), None);
    let opened = model.open_adapter(folder("qwen3", "attention")).expect_err("refused").to_string();
    assert!(opened.contains("layer 0, `self_attn.") && opened.contains("32 × 32"), "{opened}");
    assert!(model.open_adapter(folder("llama", "some")).is_ok());
    for message in [
        model.forward(&[request]).expect_err("refused").to_string(),
        model.session_with(&other).err().expect("refused").to_string(),
    ] {
        assert!(message.contains("layer 0, `self_attn."), "{message}");
    }
}
