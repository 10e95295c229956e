//! Headers of GGUF files. Every tensor lies inside the file and is as long as its shape and format say.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(header) = plackett_lm::gguf::parse_header(data) else { return };
    for (name, tensor) in header.tensors() {
        let elements: usize = tensor.shape.iter().product();
        assert_eq!(tensor.format.bytes_of(elements), Some(tensor.length), "`{name}`");
        let end = tensor.start.checked_add(tensor.length).expect("an end");
        assert!(
            tensor.start as u64 >= header.data_start && end <= data.len(),
            "`{name}` lies outside the file"
        );
    }
});
