//! docs/walkthrough.md, command by command.

use crate::common::plackett;
use crate::docids::words_of;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const HANDBOOK: &str = "---\ntitle: Handbook of pumps\nyear: 2025\ntags: [pumps, repair]\n---\n# Before you begin\n\nSwitch the pump off and let it cool \
                        down.\n\n# A leaking valve\n\nA valve that leaks needs a new seal. Close the inlet, loosen the four screws and change the seal.\n\n\
                        # Storage\n\nKeep the pump dry in winter.\n";
const PAGE: &str = "<html><head><title>Opening hours</title></head><body><h1>Opening hours</h1><p>The shop is open from nine to five.</p>\
                    <h2>Holidays</h2><p>It is closed in August.</p></body></html>";
const OLD: &str =
    "---\nyear: 1998\ntags: [pumps]\n---\n# Old valves\n\nA valve of lead that leaks is thrown away.\n";
const PARTS: &str = "id,title,text,maker,price\np1,Seal,A seal of rubber for a valve.,Ada,3.5\np2,Screw,A screw of steel.,Ben,0.2\n\
                     p3,Valve,A valve of brass for a pump.,Ada,12\n";

fn prepare(folder: &Path) {
    std::fs::create_dir(folder.join("notes")).unwrap();
    let files: [(&str, &[u8]); 6] = [
        ("notes/handbook.md", HANDBOOK.as_bytes()),
        ("notes/hours.html", PAGE.as_bytes()),
        ("notes/old.md", OLD.as_bytes()),
        ("notes/sheet.pdf", b"%PDF-1.4\n"),
        ("notes/pump.png", b"\x89PNG"),
        ("parts.csv", PARTS.as_bytes()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// The lines of the first block of a language in the page.
fn block(language: &str) -> &'static str {
    let page = include_str!("../../../../docs/walkthrough.md");
    page.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next()).unwrap()
}

#[test]
fn the_commands_of_the_walkthrough_do_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    prepare(at);
    let mut shown = Vec::new();
    for line in block("sh").lines() {
        let (words, to) = words_of(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["rm", file] = words[..] {
            std::fs::remove_file(at.join(file)).unwrap();
            continue;
        }
        assert_eq!(words[0], "plackett", "{line}");
        let done = plackett(at, &words[1..]).expect(0);
        to.into_iter().for_each(|file| std::fs::write(at.join(file), &done.stdout).unwrap());
        shown.push(done);
    }
    let [made, added, fields, filtered, counted, got, synced, deleted, answered] = &shown[..] else {
        panic!("{} commands", shown.len())
    };
    assert!(made.stdout.contains("3 documents in 6 passages"), "{}", made.stdout);
    assert!(made.stderr.contains("1 .png") && made.stderr.contains("pdf"), "{}", made.stderr);
    assert!(added.stdout.contains("6 documents"), "{}", added.stdout);
    for field in ["tags   list of keyword", "year   number", "price  number"] {
        assert!(fields.stdout.contains(field), "{field}: {}", fields.stdout);
    }
    assert!(
        filtered.stdout.contains("loosen the four screws") && !filtered.stdout.contains("lead"),
        "{}",
        filtered.stdout
    );
    assert!(counted.stdout.contains("Ada 2/2"), "{}", counted.stdout);
    assert!(got.stdout.contains("A screw of steel."), "{}", got.stdout);
    assert!(synced.stdout.contains("1 deleted, 2 unchanged"), "{}", synced.stdout);
    assert!(deleted.stdout.contains("4 documents"), "{}", deleted.stdout);
    let answer: Value = serde_json::from_str(&answered.stdout).unwrap();
    let best = &answer["results"][0]["ranking"][0];
    assert_eq!(
        (&best["document"], &best["passage"]["id"]),
        (&"handbook.md".into(), &"handbook.md#2".into()),
        "{best}"
    );
    program(at);
}

/// The program of the page reads the answers; left out where there is no Python.
fn program(at: &Path) {
    match Command::new("python3").args(["-c", block("python")]).current_dir(at).output() {
        Ok(done) => {
            let (out, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            assert!(done.status.success() && out.contains("handbook.md"), "{out}{error}");
        }
        Err(error) => eprintln!("skipped: python3: {error}"),
    }
}
