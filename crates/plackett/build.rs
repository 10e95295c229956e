//! Puts the recipes into the program: every `recipes/*.toml` and `recipes/results/*.toml`, so that a new recipe is one file.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Asked for at run time: what was compiled in another folder would list that folder's recipes.
    let package =
        env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let recipes = Path::new(&package).join("../../recipes");
    let mut code = list("RECIPES", &recipes, &["systems"])?;
    code.push_str(&list("RESULTS", &recipes.join("results"), &[])?);
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("recipes.rs"), code)
}

fn list(name: &str, folder: &Path, others: &[&str]) -> io::Result<String> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(format!("static {name}: &[(&str, &str)] = &[];\n"));
        }
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "toml") && !others.contains(&stem.as_str()) {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push((stem, path.canonicalize()?));
        }
    }
    files.sort();
    let mut code = format!("static {name}: &[(&str, &str)] = &[\n");
    for (stem, path) in files {
        let _ = writeln!(code, "    ({stem:?}, include_str!({path:?})),");
    }
    code.push_str("];\n");
    Ok(code)
}
