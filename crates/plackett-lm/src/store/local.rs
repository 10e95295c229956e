//! What a name stands for on this machine when it is a path, and what somebody meant who wrote another one.

use crate::store::builtin::BUILTIN;
use crate::store::error::StoreError;
use std::io::Read;
use std::path::Path;

/// What a model's path leads to.
const EXPECTED: &str =
    "a model is a directory with config.json, tokenizer.json and model.safetensors, or a GGUF file";

/// Names of a folder's entries that are told.
const TOLD: usize = 4;

/// Whether a file is a GGUF file: by its ending, or by its first bytes.
pub(crate) fn is_gguf(file: &Path) -> bool {
    let mut magic = [0; 4];
    let mut read = || std::fs::File::open(file)?.read_exact(&mut magic);
    file.extension().is_some_and(|extension| extension == "gguf") || read().is_ok() && &magic == b"GGUF"
}

/// Whether a folder holds a GGUF file, which may stand there without config.json.
pub(crate) fn holds_gguf(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "gguf"))
}

/// What a path is that leads to no model; `None` for what is no path.
pub(super) fn no_model(name: &str) -> Option<StoreError> {
    let path = Path::new(name);
    let no_model = |problem: String, remedy: &str| {
        Some(StoreError::NoModel { name: name.into(), problem, remedy: remedy.into() })
    };
    if path.is_dir() {
        return no_model(format!("is a folder without a model: {}", holds(path)), EXPECTED);
    }
    if path.is_file() {
        let safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
        let remedy = match safetensors {
            true => "give the directory that it lies in, with config.json and tokenizer.json beside it",
            false => EXPECTED,
        };
        return no_model("is a file, and no GGUF file".into(), remedy);
    }
    if path.exists() {
        return no_model("is a device, a socket or a pipe, and no file".into(), EXPECTED);
    }
    let written_as_path = name.starts_with(['.', '/', '~', '\\'])
        || name.ends_with(['/', '\\'])
        || path.extension().is_some_and(|extension| extension == "gguf" || extension == "safetensors");
    if !written_as_path {
        return None;
    }
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists());
    let problem = match beside {
        Some(parent) => format!("is not there, nor is the folder `{}`", parent.display()),
        None => "is not there".into(),
    };
    no_model(problem, EXPECTED)
}

/// The first entries of a folder.
fn holds(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match names.len() {
        0 => "it is empty".into(),
        count if count > TOLD => format!("it holds {} and {} more", names[..TOLD].join(", "), count - TOLD),
        _ => format!("it holds {}", names.join(", ")),
    }
}

/// The known name that is written nearly like this one.
pub(super) fn alike(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let names = BUILTIN.iter().flat_map(|model| {
        std::iter::once(&model.name).chain(model.aliases).map(move |known| (*known, model.name))
    });
    let near = names.filter_map(|(known, name)| Some((distance(&lower, known)?, name)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The pulled model whose name, with or without its owner, is written nearly like this one.
pub(super) fn similar_name<'n>(name: &str, pulled: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let near = pulled.filter_map(|known| {
        let bare = known.rsplit_once('/').and_then(|(_, bare)| distance(&lower, bare));
        Some((distance(&lower, known).into_iter().chain(bare).min()?, known))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters of a known name are wrong in a lower-case one: at most one in five.
fn distance(lower: &str, known: &str) -> Option<usize> {
    let distance = strsim::damerau_levenshtein(lower, &known.to_lowercase());
    (distance * 5 <= known.len()).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulled_models_are_meant_with_and_without_their_owner() {
        let pulled = ["owner/Ranker-Base", "other/thing"];
        for (written, meant) in [
            ("owner/ranker-bsae", Some("owner/Ranker-Base")),
            ("ranker-base", Some("owner/Ranker-Base")),
            ("thing", Some("other/thing")),
            ("nothing-like-it", None),
        ] {
            assert_eq!(similar_name(written, pulled.into_iter()), meant, "{written}");
        }
    }

    #[test]
    fn typos_of_known_names_are_understood() {
        for (written, meant) in [
            ("all-MiniLM-L6-v2-int9", Some("all-MiniLM-L6-v2-int8")),
            ("all-minilm-l6v2", Some("all-MiniLM-L6-v2")),
            ("SmolLM2-135M-Instrcut", Some("SmolLM2-135M-Instruct")),
            ("smolm2", Some("SmolLM2-135M-Instruct")),
            ("bert", None),
            ("gpt", None),
        ] {
            assert_eq!(alike(written), meant, "{written}");
        }
    }

    #[test]
    fn what_is_no_model_is_said_as_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let said = |name: &str| {
            let path = folder.path().join(name).display().to_string();
            no_model(&path).map(|error| error.to_string()).unwrap_or_default()
        };
        std::fs::create_dir(folder.path().join("kb")).unwrap();
        assert!(said("kb").contains("is a folder without a model: it is empty"), "{}", said("kb"));
        for name in ["a.md", "b.md", "c.md", "d.md", "e.md"] {
            std::fs::write(folder.path().join("kb").join(name), "GGU").unwrap();
        }
        assert!(said("kb").contains("a.md, b.md, c.md, d.md and 1 more"), "{}", said("kb"));
        assert!(said("kb/a.md").contains("is a file, and no GGUF file"), "{}", said("kb/a.md"));
        #[cfg(unix)]
        {
            let _bound = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
            assert!(said("s").contains("is a device, a socket or a pipe"), "{}", said("s"));
        }
        assert!(said("absent").contains("is not there; a model is"), "{}", said("absent"));
        assert!(said("no/such/one").contains("nor is the folder"), "{}", said("no/such/one"));
        assert!(no_model("owner/name").is_none() && no_model("name").is_none());
        std::fs::write(folder.path().join("weights"), "GGUF and so on").unwrap();
        assert!(is_gguf(&folder.path().join("weights")) && !is_gguf(&folder.path().join("kb/a.md")));
    }
}
