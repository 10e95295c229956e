//! The tiny models of every family as GGUF files: the numbers and the token ids of their directories.

use crate::decoder::golden::*;
use crate::support::gguf_file::*;
use plackett_lm::Precision;
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::*;

fn opened(gguf: &Gguf, precision: Precision) -> DecoderModel {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("tiny.gguf"), gguf.bytes()).expect("written");
    DecoderModel::open(folder.path(), &with(precision, CacheFormat::F32, 2)).expect("a model")
}

/// Logits at the places of a golden sequence.
fn logits(model: &DecoderModel, expected: &Expected, n: usize) -> Vec<f32> {
    let (ids, places) = (expected.ids(&format!("ids.{n}")), expected.places(&format!("places.{n}")));
    let outputs = OutputRequest {
        logits_at: Positions::At(&places),
        logit_ids: LogitIds::All,
        ..OutputRequest::default()
    };
    model.forward(&[request(&ids, None, outputs)]).expect("logits").remove(0).logits.concat()
}

#[test]
fn logits_are_those_of_transformers() {
    for family in FAMILIES {
        let gguf = converted(family);
        // For a look at them with other programs.
        if let Some(folder) = std::env::var_os("PLACKETT_KEEP_GGUF") {
            let path = std::path::Path::new(&folder).join(format!("{family}.gguf"));
            std::fs::write(path, gguf.bytes()).expect("written");
        }
        let (model, expected) = (opened(&gguf, Precision::Auto), Expected::read(family));
        for n in 0..2 {
            let error = distance(&logits(&model, &expected, n), &expected.floats(&format!("logits.{n}")));
            println!("{family} {n}: {error:.1e}");
            assert!(error < 1e-4, "{family} {n}: {error}");
        }
        let (own, info) = (open(family), model.info());
        assert_eq!((info.layers, info.vocabulary, info.positions), (3, 275, 256), "{family}");
        for text in ["the cat's 12 hats", " a<s>b", "", "Zürich\n\n 世界"] {
            for special in [false, true] {
                let ids = |model: &DecoderModel| model.tokenizer().encode(text, false, special).expect("ids");
                assert_eq!(ids(&model), ids(&own), "{family}: {text:?}");
            }
        }
        assert_eq!(model.tokenizer().ends(), own.tokenizer().ends(), "{family}");
    }
}

/// Blocks whose rows are put in another order while they are packed, against the numbers that they stand for.
#[test]
fn blocks_give_the_numbers_of_what_they_stand_for() {
    for family in FAMILIES {
        let expected = Expected::read(family);
        let gguf = in_blocks(converted(family));
        let exact = logits(&opened(&gguf, Precision::F32), &expected, 0);
        let packed = logits(&opened(&gguf, Precision::Auto), &expected, 0);
        let original = expected.floats("logits.0");
        let apart = |a: &[f32], b: &[f32]| {
            let error: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            (error / b.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>()).sqrt()
        };
        let (rounding, packing) = (apart(&exact, &original), apart(&packed, &exact));
        println!("{family}: Q8_0 from f32 {rounding:.4}, packed from Q8_0 {packing:.4}");
        assert!(rounding > 0.0 && rounding < 0.05, "{family}: {rounding}");
        assert!(packing > 0.0 && packing < 0.05, "{family}: {packing}");
    }
}

/// A pattern by number says the same as one by layers.
#[test]
fn a_pattern_of_windows_may_be_a_number() {
    let mut gguf = converted("gemma3");
    let expected = Expected::read("gemma3");
    gguf.set("gemma3.attention.sliding_window_pattern", Value::U32(2));
    let error =
        distance(&logits(&opened(&gguf, Precision::Auto), &expected, 0), &expected.floats("logits.0"));
    assert!(error < 1e-4, "{error}");
    // Without a pattern five of six layers have the window, which changes the one in the middle.
    gguf.entries.retain(|(key, _)| !key.ends_with("pattern"));
    let error =
        distance(&logits(&opened(&gguf, Precision::Auto), &expected, 0), &expected.floats("logits.0"));
    assert!(error > 1e-2, "{error}");
}
