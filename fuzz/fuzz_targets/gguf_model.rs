//! GGUF files beyond the header: hyperparameters and tokenizer. What is read is within the bounds that the loader of
//! weights relies on, and texts become ids of the vocabulary.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_lm::gguf::{GgufArchitecture, GgufTokenizer, parse_header};
use std::path::Path;

fuzz_target!(
    // As with tokenizer.json: panics of the tokenizer library become errors in the reader.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        let Ok(header) = parse_header(data) else { return };
        let path = Path::new("model.gguf");
        if let Ok(shape) = GgufArchitecture::from_header(&header, path) {
            assert!(shape.heads.is_multiple_of(shape.kv_heads));
            assert!(shape.head_dim > 0 && shape.head_dim <= 1 << 16 && shape.rope_dimensions <= shape.head_dim);
            assert!(shape.layers <= header.tensors().count());
            for layer in 0..shape.layers {
                assert!(shape.window(layer).is_none_or(|window| window > 0));
                assert!(shape.rope(layer).0 > 0.0);
            }
        }
        let Ok(tokenizer) = GgufTokenizer::from_header(&header, path) else { return };
        for text in ["a text, with Ünïcode and 12 numbers", "", " ", "<s></s>"] {
            for (special, parsed) in [(true, true), (false, false)] {
                let Ok(ids) = tokenizer.encode(text, special, parsed) else { continue };
                assert!(ids.iter().all(|id| tokenizer.token(*id).is_some()), "{ids:?}");
                let _ = tokenizer.decode(&ids, parsed);
            }
        }
        let _ = tokenizer.decode(&[0, u32::MAX], false);
    }
);
