//! A PEFT adapter: `adapter_config.json`, a NUL byte, `adapter_model.safetensors`. Every addition of one that opens has
//! the shapes that its tensors have.
#![no_main]

mod common;

use common::Folder;
use libfuzzer_sys::fuzz_target;
use plackett_lm::Adapter;
use std::sync::LazyLock;

static FOLDER: LazyLock<Folder> = LazyLock::new(|| Folder::with(&[]));

fuzz_target!(|data: &[u8]| {
    let (config, weights) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    FOLDER.write("adapter_config.json", config);
    FOLDER.write("adapter_model.safetensors", weights);
    let Ok(adapter) = Adapter::open(FOLDER.path()) else { return };
    let mut numbers = 0;
    for (layer, module, delta) in adapter.modules() {
        assert!(adapter.layer(layer, module).is_some());
        numbers += delta.rank() * (delta.inputs() + delta.outputs());
        assert!(delta.rank() > 0);
    }
    // Two bytes a number at least.
    assert!(2 * numbers <= weights.len(), "{numbers} numbers of {} bytes", weights.len());
    let sizes = |layer: usize, module: &str| adapter.layer(layer, module).map(|d| (d.outputs(), d.inputs()));
    adapter.check(sizes).expect("an adapter fits the model of its own sizes");
});
