//! Headers of safetensors files. Every tensor lies inside the file and is as long as its shape says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    let Ok(header) = plackett_lm::read_header(data, Path::new("model.safetensors")) else { return };
    let body = data.len().checked_sub(header.data_start).expect("the data begin inside the file");
    for (name, tensor) in &header.tensors {
        let (start, end) = tensor.data_offsets;
        assert!(start <= end && end <= body, "`{name}` lies outside the file");
        let bits = tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize();
        assert_eq!(bits, 8 * (end - start), "`{name}`");
    }
});
