//! What a file is that was read as JSON lines and is none: the answer to "which format did I give you?".

/// What is found and what to do, after "expected a JSON object for each document,". `line` is the first line with content.
pub(super) fn diagnosis(line: &str) -> &'static str {
    let start = line.trim_start();
    let beginning = start.get(..20).unwrap_or(start).to_ascii_lowercase();
    if ["<!doctype html", "<html"].iter().any(|mark| beginning.starts_with(mark)) {
        "and found a page in HTML; --input-format html reads it, and so does a name that ends in .html"
    } else if start.starts_with('<') {
        "and found XML; write its documents as JSON lines"
    } else if line.contains('\t') {
        "and found fields with tabs between them; --input-format tsv reads those"
    } else if is_header(line) {
        "and found what looks like CSV; --input-format csv reads it"
    } else {
        "and found a text that is no JSON; --input-format text reads one document a line, and a file whose name ends in .txt \
         or .md is one document"
    }
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
        for (line, piece) in [
            ("Words, more words", "one document a line"),
            ("<!DOCTYPE html>", "--input-format html"),
            ("<topics>", "XML"),
            ("id,title,text", "--input-format csv"),
            ("1\tsome words", "--input-format tsv"),
            ("words", "no JSON"),
        ] {
            let found = diagnosis(line);
            assert!(found.contains(piece), "{line}: {found}");
        }
    }
}
