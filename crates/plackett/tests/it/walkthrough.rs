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
/// The same page a season later.
const LATER: &str = "<html><head><title>Opening hours</title></head><body><h1>Opening hours</h1><p>The shop is open from ten to six.</p>\
                     <h2>Holidays</h2><p>It is closed in July.</p></body></html>";
const OLD: &str =
    "---\nyear: 1998\ntags: [pumps]\n---\n# Old valves\n\nA valve of lead that leaks is thrown away.\n";
const PARTS: &str = "id,title,text,maker,price\np1,Seal,A seal of rubber for a valve.,Ada,3.5\np2,Screw,A screw of steel.,Ben,0.2\n\
                     p3,Valve,A valve of brass for a pump.,Ada,12\n";

/// Whether this program reads PDF files.
const READS_PDF: bool = cfg!(feature = "pdf");

/// A data sheet of one page, written by hand, object by object.
fn sheet() -> Vec<u8> {
    let content = "BT /F1 12 Tf 50 700 Td (Data sheet of the pump) Tj 0 -20 Td (It weighs nine kilograms and takes 60 watts.) Tj ET";
    let objects = [
        "<</Type /Catalog /Pages 2 0 R>>".to_string(),
        "<</Type /Pages /Kids [4 0 R] /Count 1>>".to_string(),
        "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding>>".to_string(),
        "<</Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 5 0 R /Resources <</Font <</F1 3 0 R>>>>>>"
            .to_string(),
        format!("<</Length {}>>\nstream\n{content}\nendstream", content.len()),
        "<</Title (Pump 60)>>".to_string(),
    ];
    let (mut text, mut places) = ("%PDF-1.7\n".to_string(), String::new());
    for (number, object) in (1..).zip(&objects) {
        places.push_str(&format!("{:010} 00000 n \n", text.len()));
        text.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let (size, start) = (objects.len() + 1, text.len());
    text.push_str(&format!("xref\n0 {size}\n0000000000 65535 f \n{places}"));
    text.push_str(&format!("trailer\n<</Size {size} /Root 1 0 R /Info 6 0 R>>\nstartxref\n{start}\n%%EOF\n"));
    text.into_bytes()
}

fn prepare(folder: &Path) {
    std::fs::create_dir(folder.join("notes")).unwrap();
    let sheet = sheet();
    let files: [(&str, &[u8]); 7] = [
        ("notes/handbook.md", HANDBOOK.as_bytes()),
        ("notes/hours.html", PAGE.as_bytes()),
        ("notes/old.md", OLD.as_bytes()),
        ("hours.html", LATER.as_bytes()),
        ("notes/sheet.pdf", &sheet),
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
        match words[..] {
            ["rm", file] => std::fs::remove_file(at.join(file)).unwrap(),
            ["cp", from, to] => {
                std::fs::copy(at.join(from), at.join(to)).unwrap();
            }
            _ => {}
        }
        if ["rm", "cp"].contains(&words[0]) {
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
    // The data sheet is a document of one passage where the program reads it.
    let sheets = usize::from(READS_PDF);
    let all = format!("{} documents in {} passages", 3 + sheets, 6 + sheets);
    assert!(made.stdout.contains(&all), "{}", made.stdout);
    assert!(made.stderr.contains("1 .png"), "{}", made.stderr);
    assert_eq!(made.stderr.contains("1 .pdf"), !READS_PDF, "{}", made.stderr);
    assert!(added.stdout.contains(&format!("{} documents", 6 + sheets)), "{}", added.stdout);
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
    let changes = format!("0 added, 1 replaced, 1 deleted, {} unchanged", 1 + sheets);
    assert!(synced.stdout.contains(&changes), "{}", synced.stdout);
    assert!(deleted.stdout.contains(&format!("{} documents", 4 + sheets)), "{}", deleted.stdout);
    let answer: Value = serde_json::from_str(&answered.stdout).unwrap();
    let best = &answer["results"][0]["ranking"][0];
    assert_eq!(
        (&best["document"], &best["passage"]["id"]),
        (&"handbook.md".into(), &"handbook.md#2".into()),
        "{best}"
    );
    program(at);
    let hours = plackett(at, &["get", "shop.index", "hours.html"]).expect(0).stdout;
    assert!(hours.contains("from ten to six") && !hours.contains("nine"), "{hours}");
    let sheet = plackett(at, &["get", "shop.index", "sheet.pdf", "--json"]);
    if !READS_PDF {
        sheet.expect(1);
        return;
    }
    let sheet = sheet.expect(0).stdout;
    for part in ["Pump 60", "It weighs nine kilograms and takes 60 watts."] {
        assert!(sheet.contains(part), "{part}: {sheet}");
    }
    let search = ["search", "shop.index", "-p", "bm25", "--json", "how many watts"];
    let found = plackett(at, &search).expect(0).json();
    assert_eq!(found["results"][0]["ranking"][0]["document"], "sheet.pdf", "{found}");
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
