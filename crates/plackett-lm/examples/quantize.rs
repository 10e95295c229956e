//! `quantize SOURCE TARGET` writes the int8 copy of a model directory: what `plackett model quantize` does, for scripts
//! that have only this crate.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, source, target] = &arguments[..] else {
        return Err("usage: quantize SOURCE TARGET".into());
    };
    let written = plackett_lm::quantize(Path::new(source), Path::new(target))?;
    println!("{} matrices, {} bytes became {}", written.matrices, written.bytes_before, written.bytes_after);
    Ok(())
}
