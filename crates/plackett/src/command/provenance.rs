//! What a report page was made of and with, so that whoever reads it can make it again.

use plackett::content_hash::{content, is_stream};
use std::path::Path;

/// What is said, in rows of a name and a value.
pub type Provenance = Vec<(String, String)>;

/// When, by which command and by which program.
pub fn of_command() -> Provenance {
    let arguments = std::env::args_os().skip(1).map(|argument| quoted(&argument.to_string_lossy()));
    let command: Vec<String> = std::iter::once("plackett".to_string()).chain(arguments).collect();
    vec![
        ("date".into(), minute(&jiff::Timestamp::now().to_string())),
        ("command".into(), command.join(" ")),
        ("version".into(), env!("CARGO_PKG_VERSION").into()),
    ]
}

/// The name of a file that was read, and a hash of what it holds; a folder and what can be read once only have a name.
pub fn of_file(what: &str, path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let hash = (path.is_file() && !is_stream(path)).then(|| content(path).ok()).flatten();
    let value =
        hash.map_or_else(|| name.to_string(), |content| format!("{name}, SHA-256 {}", content.sha256));
    (what.into(), value)
}

/// A moment such as `2026-12-01T04:05:06.7Z` without its seconds.
fn minute(moment: &str) -> String {
    let digits: String = moment.chars().take(16).collect();
    format!("{} UTC", digits.replace('T', " "))
}

/// An argument as a shell reads it.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument.into(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_given_to_a_shell_again() {
        for (argument, expected) in [
            ("--report=out.html", "--report=out.html"),
            ("nDCG@10 AP", "'nDCG@10 AP'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
            ("a;b", "'a;b'"),
        ] {
            assert_eq!(quoted(argument), expected);
        }
        assert_eq!(minute("2026-12-01T04:05:06.789Z"), "2026-12-01 04:05 UTC");
    }

    #[test]
    fn a_file_is_told_by_its_name_and_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.run");
        std::fs::write(&path, "abc").unwrap();
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file("run", &path), ("run".into(), format!("one.run, SHA-256 {hash}")));
        assert_eq!(of_file("run", Path::new("-")), ("run".into(), "-".into()));
    }
}
