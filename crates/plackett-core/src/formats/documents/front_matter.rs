//! Front matter: fields before the text of a Markdown file, in YAML between lines of `---` or in TOML between lines of `+++`.

use super::single::Source;
use crate::Metadata;
use crate::formats::FormatError;
use serde_json::{Number, Value};

/// What is expected, for messages.
const EXPECTED: &str = "front matter: fields with names, as `title: Words`";

/// Fields, and where the text behind them begins. A text that begins otherwise, or with a line across that is never closed,
/// has none.
pub(super) fn split<'a>(source: &Source<'_>, text: &'a str) -> Result<(Metadata, &'a str), FormatError> {
    let Some((mark, inside, rest)) = blocks(text) else { return Ok((Metadata::new(), text)) };
    let fields = if mark == YAML { yaml(inside) } else { toml(inside) };
    let fields = fields.map_err(|(line, problem)| FormatError::Json {
        file: source.file.into(),
        line: line + 1,
        expected: EXPECTED,
        problem: format!("and found what does not parse ({problem}); mend it, or take the block away"),
    })?;
    Ok((fields, rest))
}

/// The text behind the block at its beginning, whatever that holds.
pub(super) fn behind(text: &str) -> &str {
    blocks(text).map_or(text, |(_, _, rest)| rest)
}

/// A number of the front matter as it stands there: `1.10` is another title than `1.1`. `body` is what is behind it.
pub(super) fn as_written(text: &str, body: &str, field: &str, number: &Number) -> String {
    let block = text.get(..text.len().saturating_sub(body.len())).unwrap_or_default();
    let written = block.lines().find_map(|line| {
        let value = line.strip_prefix(field)?.trim_start().strip_prefix([':', '='])?;
        Some(value.split(" #").next().unwrap_or(value).trim())
    });
    let is_it = |written: &&str| written.parse::<f64>().is_ok();
    written.filter(is_it).map_or_else(|| number.to_string(), str::to_string)
}

const YAML: &str = "---";
const TOML: &str = "+++";

/// The mark, what is between the first line with it and the next one, and what is behind. YAML may end with `...` too.
fn blocks(text: &str) -> Option<(&'static str, &str, &str)> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next()?;
    let mark = [YAML, TOML].into_iter().find(|mark| first.trim_end() == *mark)?;
    let mut at = first.len();
    for line in lines {
        let ended = line.trim_end();
        if ended == mark || (mark == YAML && ended == "...") {
            return Some((mark, text.get(first.len()..at)?, text.get(at + line.len()..)?));
        }
        at += line.len();
    }
    None
}

/// The line inside the block, from 1, and what is wrong.
type Problem = (u64, String);

fn yaml(inside: &str) -> Result<Metadata, Problem> {
    // A line across at the beginning and another one further down: fields there are none, and so is no front matter.
    if inside.trim().is_empty() {
        return Ok(Metadata::new());
    }
    // `y` and `no` are words here, as in YAML 1.2.
    // Numbers that JSON does not have stay texts.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
    };
    let value: Value = serde_saphyr::from_str_with_options(inside, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line()).max(1);
        (line, in_plain_words(&error.to_string()))
    })?;
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Metadata::new()),
        _ => Err((1, "there is a text or a list and no field with a name".into())),
    }
}

fn toml(inside: &str) -> Result<Metadata, Problem> {
    let table = toml::from_str::<toml::Table>(inside).map_err(|error| {
        let before = error.span().and_then(|span| inside.get(..span.start)).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() as u64 + 1;
        (line, first_line(error.message()))
    })?;
    Ok(table.into_iter().map(|(name, value)| (name, json(value))).collect())
}

/// A value of TOML; days and times are texts in JSON.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) if !number.is_finite() => number.to_string().into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(yes) => yes.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}

/// An error of the YAML library without its place, which is that inside the block, and its advice to programmers.
fn in_plain_words(error: &str) -> String {
    let line = first_line(error);
    let placed = line.split_once(" column ").and_then(|(_, rest)| rest.split_once(": "));
    let words = placed.map_or(line.as_str(), |(_, words)| words);
    words.split(", set ").next().unwrap_or(words).to_string()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;

    fn found(text: &str) -> Result<(Metadata, String), String> {
        let tally = Tally::default();
        let source = Source { file: "a.md", bytes: text.as_bytes(), tally: &tally };
        split(&source, text)
            .map(|(fields, rest)| (fields, rest.to_string()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn fields_in_yaml_and_toml_are_taken_off_the_text() {
        let yaml = "---\r\ntitle: \"A: b\"\ntags: [x, y]\nyear: 2020\ndraft: true\nday: 2020-01-02\nnone:\n---\r\nWords.\n";
        let (fields, rest) = found(yaml).unwrap();
        assert_eq!(rest, "Words.\n");
        assert_eq!(
            Value::Object(fields),
            serde_json::json!({"title": "A: b", "tags": ["x", "y"], "year": 2020, "draft": true, "day": "2020-01-02",
                "none": null})
        );
        let (fields, rest) =
            found("+++\ntitle = 'A'\nn = 1.5\nday = 2020-01-02\n[more]\nx = 1\n+++\nWords.").unwrap();
        assert_eq!(rest, "Words.");
        assert_eq!(
            Value::Object(fields),
            serde_json::json!({"title": "A", "n": 1.5, "day": "2020-01-02", "more": {"x": 1}})
        );
        assert_eq!(found("---\na: b\n...\nrest").unwrap().1, "rest");
        for text in ["---\ntitle: .inf\nb: [.nan]\n---\n", "+++\ntitle = inf\nb = [nan]\n+++\n"] {
            let (fields, _) = found(text).unwrap();
            assert!(fields["title"].is_string() && fields["b"][0].is_string(), "{fields:?}");
        }
    }

    #[test]
    fn numbers_are_given_as_they_stand() {
        for (text, expected) in [
            ("---\ntitle: 2024\n---\nWords", "2024"),
            ("---\nid: 3\ntitle: 1.10 # of May\n---\nWords", "1.10"),
            ("+++\ntitle = 007.5\n+++\nWords", "007.5"),
            ("---\ntitle: 0x10\n---\nWords", "16"),
        ] {
            let number = Number::from(16);
            assert_eq!(as_written(text, "Words", "title", &number), expected, "{text}");
        }
    }

    #[test]
    fn a_text_without_front_matter_stays_whole() {
        for text in ["Words.\n---\n", "", "---\nno end\n", "----\na: b\n----\n", " ---\na: b\n---\n"] {
            assert_eq!(found(text).unwrap(), (Metadata::new(), text.to_string()), "{text:?}");
        }
        assert_eq!(found("---\n---\nWords").unwrap(), (Metadata::new(), "Words".into()));
        assert_eq!(found("---\n# only a comment\n---\nWords").unwrap().1, "Words");
    }

    #[test]
    fn what_does_not_parse_is_named_with_its_line() {
        for (text, line) in [
            ("---\ntitle: a\nother: [x\n---\nWords", 0),
            ("---\ntitle: a\ntitle: b\n---\nWords", 3),
            ("---\njust words\n---\nWords", 2),
            ("+++\ntitle = 'a'\nother = \n+++\nWords", 3),
        ] {
            let error = found(text).unwrap_err();
            assert!(error.contains("front matter") && error.contains("mend it"), "{error}");
            assert!(!error.contains("column") && !error.contains("Options"), "{error}");
            assert!(line == 0 || error.starts_with(&format!("a.md, line {line}: ")), "{error}");
        }
    }
}
