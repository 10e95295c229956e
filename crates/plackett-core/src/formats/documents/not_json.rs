//! What a file is that was read as JSON lines and is none: the answer to "which format did I give you?".

/// What is found and what to do, after "expected a JSON object for each document,". `line` is the first line with content.
pub(super) fn diagnosis(file: &str, line: &str) -> String {
    let name = file.to_ascii_lowercase();
    let bare = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let ends = |endings: &[&str]| endings.iter().any(|ending| bare.ends_with(ending));
    let start = line.trim_start();
    let beginning = start.get(..20).unwrap_or(start).to_ascii_lowercase();
    let found = if ends(&[".html", ".htm", ".xhtml"])
        || ["<!doctype html", "<html"].iter().any(|s| beginning.starts_with(s))
    {
        return "and found a page in HTML; take its text out, into a .txt file in a folder, and name the folder".into();
    } else if start.starts_with('<') {
        return "and found XML; write its documents as JSON lines".into();
    } else if ends(&[".md", ".markdown"]) {
        "a Markdown text"
    } else if line.contains('\t') {
        return "and found fields with tabs between them; --input-format tsv reads those".into();
    } else if ends(&[".txt"]) {
        "a plain text"
    } else if is_header(line) {
        return "and found what looks like CSV; --input-format csv reads it".into();
    } else {
        "a text that is no JSON"
    };
    format!(
        "and found {found}; --input-format text reads one document a line, and a folder of .txt and .md files has one a file"
    )
}

/// Names with commas between them.
fn is_header(line: &str) -> bool {
    let names: Vec<&str> = line.split(',').map(|name| name.trim().trim_matches('"')).collect();
    names.len() > 1 && names.iter().all(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::diagnosis;

    #[test]
    fn what_stands_there_is_named_with_what_to_do() {
        for (file, line, piece) in [
            ("a.md", "# Title", "Markdown"),
            ("a.md.gz", "Words, more words", "one document a line"),
            ("notes.txt", "some words, and more", "plain text"),
            ("page.html", "<p>", "HTML"),
            ("page", "<!DOCTYPE html>", "HTML"),
            ("topics.xml", "<topics>", "XML"),
            ("table", "id,title,text", "--input-format csv"),
            ("table", "1\tsome words", "--input-format tsv"),
            ("standard input", "words", "no JSON"),
        ] {
            let found = diagnosis(file, line);
            assert!(found.contains(piece), "{file}: {found}");
        }
    }
}
