//! A PEFT adapter: `adapter_config.json`, a NUL byte, `adapter_model.safetensors`. Every addition of one that opens has
//! the shapes that its tensors have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_lm::Adapter;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a temporary folder"));

fuzz_target!(|data: &[u8]| {
    let (config, weights) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let write = |name: &str, bytes: &[u8]| std::fs::write(FOLDER.path().join(name), bytes);
    let made =
        write("adapter_config.json", config).and_then(|()| write("adapter_model.safetensors", weights));
    made.expect("the temporary folder can be written");
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
