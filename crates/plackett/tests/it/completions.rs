//! `plackett completions` and `plackett man`: scripts that shells take, and pages that are there.

use crate::common::plackett;
use std::path::Path;
use std::process::Command;

/// Runs a script; `None` where there is no bash.
fn bash(folder: &Path, arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("bash").args(arguments).current_dir(folder).output() {
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
            Some((done.status.success(), said.trim().to_string()))
        }
        Err(error) => {
            eprintln!("skipped: bash: {error}");
            None
        }
    }
}

#[test]
fn every_shell_gets_a_script_and_bash_completes_by_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = plackett(folder.path(), &["completions", shell]).expect(0).stdout;
        for word in ["search", "--overwrite", "recommend"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell}: {word}");
        }
        std::fs::write(folder.path().join(shell), script).unwrap();
    }
    assert!(plackett(folder.path(), &["completions", "tcsh"]).expect(2).stderr.contains("bash"));
    let Some(checked) = bash(folder.path(), &["-n", "./bash"]) else { return };
    assert_eq!(checked, (true, String::new()), "its syntax");
    for (line, expected) in [("plackett sea", "search"), ("plackett index --overw", "--overwrite")] {
        let words: Vec<&str> = line.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let script = format!(
            "source ./bash; COMP_WORDS=({line}); COMP_CWORD={}; _plackett plackett {last} {before}; echo \"${{COMPREPLY[*]}}\"",
            words.len() - 1
        );
        let (done, said) = bash(folder.path(), &["-c", &script]).unwrap();
        assert!(done && said == expected, "{line}: {said}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let made = plackett(folder.path(), &["man", "-o", "man/man1", "--json"]).expect(0).json();
    let pages: Vec<&str> =
        made["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    for page in &pages {
        let text = std::fs::read_to_string(folder.path().join("man/man1").join(page)).unwrap();
        for section in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH ENVIRONMENT"] {
            assert!(text.contains(section), "{page} lacks {section}");
        }
    }
    let there = std::fs::read_dir(folder.path().join("man/man1")).unwrap().count();
    assert_eq!(there, pages.len());
    for page in ["plackett.1", "plackett-search.1", "plackett-index.1", "plackett-model-pull.1"] {
        assert!(pages.contains(&page), "{page}: {pages:?}");
    }
}
