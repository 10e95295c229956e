//! Numbers against transformers, 1e-3 at most; they are usually 1e-5 apart.

use crate::decoder::golden::*;
use plackett_lm::Precision;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;

const TOLERANCE: f32 = 5e-5;

#[test]
fn logits_hidden_states_and_attention_are_those_of_transformers() {
    for family in FAMILIES {
        let (model, expected) = (open(family), Expected::read(family));
        for n in 0..2 {
            let ids = expected.ids(&format!("ids.{n}"));
            let places = expected.places(&format!("places.{n}"));
            let queries = [ids.len() - 2, ids.len() - 1];
            let keys: Vec<_> = (0..ids.len()).map(|key| key..key + 1).collect();
            let attention = AttentionRequest { layers: &[1], queries: &queries, keys: &keys, summed: false };
            let outputs = OutputRequest {
                logits_at: Positions::At(&places),
                logit_ids: LogitIds::All,
                normalizer: true,
                hidden: Positions::All,
                attention: Some(attention),
                ..OutputRequest::default()
            };
            let answer = model.forward(&[request(&ids, None, outputs.clone())]).expect(family).remove(0);
            let logits = distance(&answer.logits.concat(), &expected.floats(&format!("logits.{n}")));
            let hidden = distance(&answer.hidden, &expected.floats(&format!("hidden.{n}")));
            let weights = distance(&answer.attention, &expected.floats(&format!("attention.{n}")));
            println!("{family} {n}: logits {logits:.1e}, hidden {hidden:.1e}, attention {weights:.1e}");
            assert!(logits < TOLERANCE && hidden < TOLERANCE && weights < TOLERANCE, "{family} {n}");
            for (logits, normalizer) in answer.logits.iter().zip(&answer.normalizers) {
                let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
                assert!((sum.ln() - normalizer).abs() < 1e-5);
            }
            let summed = AttentionRequest { summed: true, ..attention };
            let outputs = OutputRequest { attention: Some(summed), ..OutputRequest::default() };
            let short = model.forward(&[request(&ids, None, outputs)]).expect(family).remove(0);
            let mean = |key: usize| -> f32 {
                answer.attention.iter().skip(key).step_by(ids.len()).sum::<f32>() / queries.len() as f32
            };
            let means: Vec<f32> = (0..ids.len()).map(mean).collect();
            assert!(distance(&short.attention, &means) < 1e-5);
        }
    }
}

#[test]
fn every_token_may_see_every_token() {
    for family in ["llama", "qwen3"] {
        let (model, expected) = (open(family), Expected::read(family));
        let ids = expected.ids("ids.0");
        let outputs = OutputRequest { hidden: Positions::All, ..OutputRequest::default() };
        let request = Request { pattern: AttentionPattern::Bidirectional, ..request(&ids, None, outputs) };
        let answer = model.forward(&[request]).expect(family).remove(0);
        assert!(distance(&answer.hidden, &expected.floats("both.hidden")) < TOLERANCE, "{family}");
    }
}

/// With a window a token sees as many on either side; all its attention is there.
#[test]
fn attention_both_ways_stays_in_the_window() {
    for (family, layer, window) in [("gemma3", 0, 6), ("mistral", 1, 7)] {
        let (model, ids) = (open(family), tokens(60, 2));
        let keys: Vec<_> = (0..60).map(|key| key..key + 1).collect();
        let attention =
            AttentionRequest { layers: &[layer], queries: &[0, 31, 59], keys: &keys, summed: false };
        let outputs = OutputRequest { attention: Some(attention), ..OutputRequest::default() };
        let request = Request { pattern: AttentionPattern::Bidirectional, ..request(&ids, None, outputs) };
        let found = model.forward(&[request]).expect(family).remove(0).attention;
        for (row, weights) in found.chunks_exact(60).enumerate() {
            let query = [0usize, 31, 59][row % 3];
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{family} {query}");
            for (key, weight) in weights.iter().enumerate() {
                assert_eq!(*weight > 0.0, query.abs_diff(key) < window, "{family} {query} {key} {weight}");
            }
        }
    }
}

#[test]
fn chosen_ids_are_the_same_numbers_as_all() {
    for precision in [Precision::F32, Precision::Int8] {
        let model = open_with("llama", &with(precision, CacheFormat::F32, 2));
        let ids = tokens(20, 3);
        let whole = model.forward(&[request(&ids, None, everything())]).expect("all").remove(0);
        let chosen = [7, 274, 7, 0, 33];
        let outputs = OutputRequest {
            logits_at: Positions::All,
            logit_ids: LogitIds::Only(&chosen),
            ..OutputRequest::default()
        };
        let some = model.forward(&[request(&ids, None, outputs)]).expect("some").remove(0);
        for (whole, some) in whole.logits.iter().zip(&some.logits) {
            assert_eq!(some, &chosen.map(|id| whole[id as usize]));
        }
    }
}

#[test]
fn int8_weights_stay_near_f32() {
    for family in FAMILIES {
        let ids = Expected::read(family).ids("ids.0");
        let run = |precision| {
            let model = open_with(family, &with(precision, CacheFormat::F32, 1));
            model.forward(&[request(&ids, None, everything())]).expect(family).remove(0).logits.concat()
        };
        let (exact, rounded) = (run(Precision::F32), run(Precision::Int8));
        let error: f64 = exact.iter().zip(&rounded).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let size: f64 = exact.iter().map(|a| f64::from(*a).powi(2)).sum();
        println!("{family}: relative error of int8 {:.4}", (error / size).sqrt());
        assert!((error / size).sqrt() < 0.1 && error > 0.0, "{family}");
    }
}
