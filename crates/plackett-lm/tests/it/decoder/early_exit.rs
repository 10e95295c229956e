//! Passes that end after some of the layers: their states, their logits, and caches that are as short.

use crate::decoder::golden::*;
use plackett_lm::decode::{Branch, DecodeModel, LogitIds};
use plackett_lm::decoder::*;
use safetensors::SafeTensors;

const TOKENS: usize = 30;
const HIDDEN: usize = 32;

/// States after 0, 1, 2 and 3 layers, from one pass through all of them.
fn states(model: &DecoderModel, ids: &[u32]) -> Vec<Vec<f32>> {
    let outputs =
        OutputRequest { hidden: Positions::All, hidden_after: &[0, 1, 2, 3], ..OutputRequest::default() };
    let whole = model.forward(&[request(ids, None, outputs)]).expect("all layers").remove(0).hidden;
    whole.chunks_exact(ids.len() * HIDDEN).map(<[f32]>::to_vec).collect()
}

/// Final normalisation and output matrix, read from the file and multiplied by hand.
fn head(family: &str, state: &[f32]) -> Vec<f32> {
    let bytes = std::fs::read(directory(family).join("model.safetensors")).expect("weights");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let read = |name: &str| -> Option<Vec<f64>> {
        // bfloat16 is the upper half of f32.
        let wide = |b: &[u8]| f64::from(f32::from_le_bytes([0, 0, b[0], b[1]]));
        Some(file.tensor(name).ok()?.data().chunks_exact(2).map(wide).collect())
    };
    let norm = read("model.norm.weight").expect("a norm");
    let matrix = read("lm_head.weight").or_else(|| read("model.embed_tokens.weight")).expect("a matrix");
    let mut logits = Vec::new();
    for row in state.chunks_exact(HIDDEN) {
        let square = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / HIDDEN as f64;
        let scale = 1.0 / (square + 1e-6).sqrt();
        let normal: Vec<f64> = row.iter().zip(&norm).map(|(x, w)| f64::from(*x) * scale * w).collect();
        for outputs in matrix.chunks_exact(HIDDEN) {
            logits.push(outputs.iter().zip(&normal).map(|(w, x)| w * x).sum::<f64>() as f32);
        }
    }
    logits
}

#[test]
fn the_states_are_those_after_that_layer() {
    let model = open("qwen3");
    let ids = tokens(TOKENS, 5);
    let states = states(&model, &ids);
    assert!(states.len() == 4 && states.windows(2).all(|pair| pair[0] != pair[1]));
    for layers in 0..4 {
        let last = [layers];
        let outputs = OutputRequest {
            hidden: Positions::At(&[29, 4]),
            hidden_after: &last,
            ..OutputRequest::default()
        };
        let answer =
            model.forward_until(&[request(&ids, None, outputs)], layers).expect("some layers").remove(0);
        let of = |place: usize| &states[layers][place * HIDDEN..][..HIDDEN];
        assert_eq!(answer.hidden, [of(29), of(4)].concat(), "{layers} layers");
    }
}

#[test]
fn the_logits_are_the_head_of_that_state() {
    for family in ["llama", "qwen2", "qwen3"] {
        let model = open(family);
        let ids = tokens(TOKENS, 5);
        for (layers, state) in states(&model, &ids).iter().enumerate() {
            let answer =
                model.forward_until(&[request(&ids, None, everything())], layers).expect(family).remove(0);
            let expected = head(family, state);
            let far = distance(&answer.logits.concat(), &expected);
            assert!(far < 1e-4, "{family} after {layers}: {far}");
            let outputs = OutputRequest {
                logits_at: Positions::Last,
                logit_ids: LogitIds::All,
                normalizer: true,
                ..OutputRequest::default()
            };
            let last = model.forward_until(&[request(&ids, None, outputs)], layers).expect(family).remove(0);
            assert_eq!(last.logits[0], answer.logits[TOKENS - 1], "{family} after {layers}");
            let sum: f64 = last.logits[0].iter().map(|x| f64::from(*x).exp()).sum();
            assert!((sum.ln() - last.normalizers[0]).abs() < 1e-5, "{family} after {layers}");
        }
    }
}

/// A model whose configuration has fewer layers is the same thing, to the bit.
#[test]
fn it_is_a_model_with_fewer_layers() {
    let (whole, ids) = (open("llama"), tokens(TOKENS, 6));
    for layers in 1..3 {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["tokenizer.json", "model.safetensors"] {
            std::fs::copy(directory("llama").join(name), folder.path().join(name)).expect("copy");
        }
        let config = std::fs::read(directory("llama").join("config.json")).expect("config");
        let mut config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
        config["num_hidden_layers"] = layers.into();
        std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
        let cut = DecoderModel::open(folder.path(), &DecoderOptions::default()).expect("a shorter model");
        let expected = cut.forward(&[request(&ids, None, everything())]).expect("whole").remove(0);
        let answer = whole.forward_until(&[request(&ids, None, everything())], layers).expect("some");
        assert_eq!((&answer[0].logits, &answer[0].hidden), (&expected.logits, &expected.hidden), "{layers}");
    }
}

#[test]
fn a_short_cache_continues_as_short() {
    let ids = tokens(TOKENS, 7);
    for family in FAMILIES {
        let model = open(family);
        let short = |ids: &[u32], cache: Option<&KvCache>, layers| {
            let outputs = OutputRequest { cache: true, ..everything() };
            model.forward_until(&[request(ids, cache, outputs)], layers).expect(family).remove(0)
        };
        for layers in 1..3 {
            let whole = short(&ids, None, layers);
            let first = short(&ids[..17], None, layers).cache.expect("a cache");
            assert_eq!((first.layers(), first.tokens()), (Some(layers), 17));
            // Twice, so that a cache of two segments is continued too.
            let second = short(&ids[17..22], Some(&first), layers);
            let cache = second.cache.expect("a cache");
            let third = short(&ids[22..], Some(&cache), layers);
            assert_eq!(third.cache.expect("a cache").layers(), Some(layers));
            let logits = [second.logits.concat(), third.logits.concat()].concat();
            assert!(distance(&logits, &whole.logits[17..].concat()) < 1e-4, "{family} after {layers}");
            let hidden = [second.hidden, third.hidden].concat();
            let size = whole.hidden.len() / TOKENS;
            assert!(distance(&hidden, &whole.hidden[17 * size..]) < 1e-4, "{family} after {layers}");
            // Fewer layers than a cache has are enough for a shorter pass.
            let one = short(&ids[17..], Some(&first), 1);
            let alone = short(&ids, None, 1);
            assert!(distance(&one.logits.concat(), &alone.logits[17..].concat()) < 1e-4, "{family}");
        }
    }
}

#[test]
fn a_short_cache_is_refused_by_more_layers() {
    let (model, ids) = (open("llama"), tokens(TOKENS, 8));
    let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
    let cache = model.forward_until(&[request(&ids, None, outputs)], 2).expect("two layers").remove(0).cache;
    let cache = cache.expect("a cache");
    let said = |error: plackett_lm::LmError| {
        let message = error.to_string();
        assert!(message.contains("its cache has 2 layers, 3 are to be run"), "{message}");
    };
    said(model.forward(&[request(&ids, Some(&cache), OutputRequest::default())]).expect_err("all layers"));
    said(
        model.forward_until(&[request(&ids, Some(&cache), OutputRequest::default())], 3).expect_err("three"),
    );
    said(model.prefill(&ids, Some(&cache)).expect_err("a prefix"));
    // So does a search, which runs all layers.
    let mut session = model.session();
    let parent = session.adopt(cache);
    let branch = Branch { parent, tokens: &ids, logit_ids: LogitIds::All, normalizer: false };
    said(session.extend(&[branch], &[]).expect_err("a step"));
    assert_eq!(session.live_prefixes(), 1, "a refused step changes nothing");
    // What lies behind the last layer that is run cannot be asked for.
    let beyond = OutputRequest { hidden: Positions::Last, hidden_after: &[2], ..OutputRequest::default() };
    let message = model.forward_until(&[request(&ids, None, beyond)], 1).expect_err("layer 2").to_string();
    assert!(message.contains("layer 2") && message.contains("1 layer is run"), "{message}");
}
