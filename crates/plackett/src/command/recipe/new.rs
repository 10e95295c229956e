//! `plackett recipe new`.

use crate::command::{Outcome, Output};
use anyhow::bail;
use clap::Args;
use plackett::recipe::{RecipeStore, skeleton::skeleton, systems};
use plackett_core::formats::atomic;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Args)]
#[command(after_help = "Examples:\n  plackett recipe new mine\n  plackett recipe new prp -o drafts/prp.toml")]
pub(super) struct Arguments {
    /// Name of the recipe; a name of recipes/systems.toml for a published system
    name: String,
    /// The file [default: NAME.toml in the folder `recipes` where there is one, else here]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Outcome {
    let name = &arguments.name;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(fits) || name == "systems" {
        return Err(anyhow::anyhow!(
            "`{name}` is no name of a recipe: use small letters, digits and `-`, such as my-system"
        )
        .into());
    }
    let built_in = RecipeStore::default().names().map_err(super::failure)?;
    if arguments.output.is_none() && built_in.contains(name) {
        return Err(anyhow::anyhow!(
            "`{name}` is a recipe that is built in, which `plackett recipe show {name}` shows; choose another name for yours, or \
             another file with -o FILE"
        )
        .into());
    }
    let folder = if Path::new("recipes").is_dir() { "recipes" } else { "" };
    let path = arguments.output.clone().unwrap_or_else(|| Path::new(folder).join(format!("{name}.toml")));
    let known = systems().map_err(super::failure)?;
    let text = skeleton(name, known.iter().find(|system| system.name == *name));
    write(&path, &text)?;
    if output.json {
        return Ok(output.print_json(&json!({"recipe": name, "path": path}))?);
    }
    output.note(&format!("written; try it with `plackett recipe check {}`", shown(&path)));
    Ok(output.print(&format!("{}\n", path.display()))?)
}

/// A path that a shell passes on as it is, and that `recipe check` takes for a file and not for a name.
fn shown(path: &Path) -> String {
    let bare = path.components().count() == 1 && path.file_name().is_some();
    let path = if bare { Path::new(".").join(path) } else { path.to_path_buf() };
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "./\\-_:".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{}: exists; choose another name or remove it", path.display());
    }
    Ok(atomic::write(path, |out| out.write_all(text.as_bytes()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_names_a_file() {
        for (path, said) in [
            ("mine.toml", "./mine.toml"),
            ("recipes/mine.toml", "recipes/mine.toml"),
            ("/drafts/mine.toml", "/drafts/mine.toml"),
            ("my drafts/it's.toml", "'my drafts/it'\\''s.toml'"),
        ] {
            assert_eq!(shown(Path::new(path)), said);
        }
    }
}
