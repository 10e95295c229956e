//! Tests of `plackett-core` over real data; those whose data is not there say "skipped".

mod answers;
mod sorting;

use std::path::PathBuf;

/// A folder of `PLACKETT_DATA`, or of `shared/data` beside the repository, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = std::env::var_os("PLACKETT_DATA").map_or_else(beside, PathBuf::from).join(name);
    if folder.exists() {
        return Some(folder);
    }
    println!("skipped: {name} is not there (set PLACKETT_DATA)");
    None
}
