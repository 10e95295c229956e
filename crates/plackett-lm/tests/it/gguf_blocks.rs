//! Every block format against the numbers of the Python package `gguf` (tools/golden/gguf_blocks.py).

use plackett_lm::gguf::{BlockFormat, dequantize};
use safetensors::SafeTensors;
use std::path::Path;

#[test]
fn blocks_become_the_same_numbers_as_in_the_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf/blocks.safetensors");
    let bytes = std::fs::read(path).expect("golden blocks");
    let file = SafeTensors::deserialize(&bytes).expect("golden blocks");
    for format in BlockFormat::ALL {
        let blocks = file.tensor(&format!("{format:?}.blocks")).expect("blocks").data();
        let values = file.tensor(&format!("{format:?}.values")).expect("values").data();
        let values: Vec<f32> =
            values.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        assert!(values.len() >= 256 && values.iter().any(|x| *x > 0.0) && values.iter().any(|x| *x < 0.0));
        let mut found = vec![f32::NAN; values.len()];
        assert!(dequantize(format, blocks, &mut found), "{format:?}: size");
        for (i, (a, b)) in found.iter().zip(&values).enumerate() {
            assert!((a - b).abs() <= 1e-6 * b.abs(), "{format:?}, number {i}: {a} instead of {b}");
        }
    }
}

#[test]
fn other_sizes_are_refused() {
    for format in BlockFormat::ALL {
        let (len, size) = (format.block_len(), format.block_bytes());
        let bytes = vec![0; 2 * size];
        let mut out = vec![7.0; 2 * len];
        assert!(!dequantize(format, &bytes[1..], &mut out), "{format:?}");
        assert!(!dequantize(format, &bytes[..size], &mut out), "{format:?}");
        if len > 1 {
            assert!(!dequantize(format, &bytes, &mut out[1..]), "{format:?}");
        }
        assert!(out.iter().all(|x| *x == 7.0), "{format:?}: written to");
        assert!(dequantize(format, &bytes, &mut out), "{format:?}");
        assert_eq!(BlockFormat::from_id(format.id()), Some(format));
    }
}
