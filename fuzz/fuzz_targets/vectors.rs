//! Headers of vector files. The vectors that a header promises, and in a compacted file their addresses, are exactly the
//! bytes behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_search::{VectorFormat, parse_vector_header};
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Ok(header) = parse_vector_header(data, Path::new("vectors")) else { return };
    let vector = match header.format {
        VectorFormat::F32 => 4 * header.dim as u128,
        VectorFormat::Int8 => 4 + header.dim as u128,
    };
    let address = if header.compacted { 8 } else { 0 };
    assert!(header.dim > 0, "vectors without numbers");
    assert_eq!(header.count as u128 * (vector + address) + 32, data.len() as u128);
});
