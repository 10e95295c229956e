//! JSON objects of outside files: no field twice, identifiers digit by digit, and problems in the words of their user.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Deserializer as Parser, Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// The object of a text. Numbers under one of `exact` that a double cannot hold, or holds otherwise than they stand (`1e3`,
/// `1.0`, 2⁶⁴), become strings of their digits, down to `depth` objects inside the first: identifiers are no quantities.
pub(super) fn object(text: &str, exact: &[&str], depth: usize) -> Result<Map<String, Value>, String> {
    let Fields(fields) = serde_json::from_str(text).map_err(|error| problem(text, &error))?;
    let mut value = Value::Object(fields);
    if has_inexact(&value, exact, depth) {
        restore(&mut value, text, exact, depth);
    }
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

/// A line, from 1, and what is wrong there.
pub(super) type Broken = (u64, String);

/// The items of an array, with the lines on which they begin, from 1.
pub(super) fn items(text: &str) -> Result<Vec<(u64, Range<usize>)>, Broken> {
    serde_json::from_str::<Vec<IgnoredAny>>(text).map_err(|error| {
        let line = (error.line() as u64).max(1);
        (line, format!("and the array is broken: {}", words(&error)))
    })?;
    let (mut line, mut before) = (1, 0);
    let numbered = |place: Range<usize>| {
        let passed = text.as_bytes().get(before..place.start).unwrap_or_default();
        line += memchr::memchr_iter(b'\n', passed).count() as u64;
        before = place.start;
        (line, place)
    };
    Ok(places(text).into_iter().map(numbered).collect())
}

/// Where the items of an array stand in its text, which is known to be one.
fn places(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let Some(mut at) = text.find('[').map(|at| at + 1) else { return places };
    while let Some((start, end, IgnoredAny)) = next_value(text, at, &[',']) {
        places.push(start..end);
        at = end;
    }
    places
}

/// The values of an object's fields as they stand in its text, which is known to be one.
fn entries(text: &str) -> HashMap<String, &str> {
    let mut entries = HashMap::new();
    let Some(mut at) = text.find('{').map(|at| at + 1) else { return entries };
    while let Some((_, after, name)) = next_value::<String>(text, at, &[',']) {
        let Some((start, end, IgnoredAny)) = next_value(text, after, &[':']) else { break };
        entries.insert(name, text.get(start..end).unwrap_or_default());
        at = end;
    }
    entries
}

/// The next value from a place on, behind blanks and separators: where it begins and ends, and itself.
fn next_value<T: DeserializeOwned>(text: &str, at: usize, separators: &[char]) -> Option<(usize, usize, T)> {
    let rest = text.get(at..)?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || separators.contains(&c));
    let start = text.len() - rest.len();
    let mut values = Parser::from_str(rest).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((start, start + values.byte_offset(), value))
}

/// Items as texts of their own, for readers that give one after another.
pub(super) fn texts(bytes: Vec<u8>) -> Result<Vec<(u64, String)>, Broken> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = memchr::memchr_iter(b'\n', before).count() as u64 + 1;
        (line, "and found bytes that are not UTF-8; convert the file, for example with iconv".to_string())
    })?;
    let places = items(&text)?;
    Ok(places
        .into_iter()
        .map(|(line, place)| (line, text.get(place).unwrap_or_default().to_string()))
        .collect())
}

/// What is wrong with an item, after "expected …,".
pub(super) fn wrong(problem: &str) -> String {
    match problem.strip_prefix("found ") {
        Some(_) => format!("and {problem}"),
        None if problem.starts_with("ends") => format!("and it {problem}"),
        None => format!("and it is broken: {problem}"),
    }
}

/// What is wrong with a text that is not the object that was expected, in a user's words.
pub fn problem(text: &str, error: &serde_json::Error) -> String {
    let kind = match text.trim_start().bytes().next() {
        Some(b'{') => return words(error),
        Some(b'[') => "a list",
        Some(b'"') => "a text in quotation marks",
        Some(b'0'..=b'9' | b'-') if error.is_data() => "a number",
        _ if error.is_data() => "another value",
        _ => "no JSON",
    };
    format!("found {kind}")
}

/// The problem of an error of serde_json in a user's words: within one line only the column says where.
pub(super) fn words(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return format!("ends too early, at column {}", error.column());
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(head, _)| head);
    let text = in_plain_words(text);
    match error.column() {
        0 => text,
        column => format!("{text}, at column {column}"),
    }
}

/// The names of the data model of serde, and what they are to those who write JSON.
const KINDS: [(&str, &str); 7] = [
    ("sequence", "a list"),
    ("map", "an object"),
    ("string ", "the text "),
    ("floating point ", "the number "),
    ("integer ", "the number "),
    ("boolean ", ""),
    ("null", "null"),
];

/// What is expected, as serde says it.
const EXPECTED: [(&str, &str); 9] = [
    ("f64", "a number"),
    ("f32", "a number"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("u64", "a whole number from 0"),
    ("usize", "a whole number from 0"),
    ("a string", "a text"),
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
];

/// What serde says of a value of another type, in other words than those of the library.
pub fn in_plain_words(text: &str) -> String {
    let Some((found, expected)) =
        text.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return text.to_string();
    };
    let kind = KINDS.iter().find_map(|(kind, plain)| Some((found.strip_prefix(kind)?, plain)));
    let found = kind.map_or_else(|| found.to_string(), |(value, plain)| format!("{plain}{value}"));
    let expected = match expected.strip_prefix("struct ") {
        Some(_) => "an object",
        None => EXPECTED.iter().find(|(name, _)| *name == expected).map_or(expected, |(_, plain)| plain),
    };
    format!("found {found} where there must be {expected}")
}

/// The entries of an object; one that is there twice is an error, since all but one would be lost.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        let name = super::error::shown(&name);
                        return Err(A::Error::custom(format!("the field `{name}` is there twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }
        input.deserialize_map(Reader)
    }
}

fn is_inexact(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.is_f64())
}

fn has_inexact(value: &Value, exact: &[&str], depth: usize) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, inner)| {
            (exact.contains(&name.as_str()) && is_inexact(inner))
                || (depth > 0 && has_inexact(inner, exact, depth - 1))
        }),
        Value::Array(items) => items.iter().any(|item| has_inexact(item, exact, depth)),
        _ => false,
    }
}

/// Puts the digits of the text in the place of rounded numbers. Both are of the same text, so that nothing is missing.
fn restore(value: &mut Value, raw: &str, exact: &[&str], depth: usize) {
    match value {
        Value::Object(fields) => {
            let raws = entries(raw);
            for (name, inner) in fields {
                let Some(raw) = raws.get(name) else { continue };
                if exact.contains(&name.as_str()) && is_inexact(inner) {
                    *inner = Value::String(raw.to_string());
                } else if depth > 0 {
                    restore(inner, raw, exact, depth - 1);
                }
            }
        }
        Value::Array(items) => {
            for (item, place) in items.iter_mut().zip(places(raw)) {
                restore(item, raw.get(place).unwrap_or_default(), exact, depth);
            }
        }
        _ => {}
    }
}

/// A number that a double holds otherwise than it stands: the name of its field, and its digits.
pub(super) type Rounded = (String, String);

/// The first number of an object of which digits are lost, at any depth. `raw` is the text of the object.
pub(super) fn rounded(fields: &Map<String, Value>, raw: &str) -> Option<Rounded> {
    if !fields.values().any(has_double) {
        return None;
    }
    let raws = entries(raw);
    fields.iter().find_map(|(name, value)| rounded_in(name, value, raws.get(name)?))
}

fn rounded_in(name: &str, value: &Value, raw: &str) -> Option<Rounded> {
    match value {
        Value::Number(number) if is_inexact(value) => {
            let same = decimal(raw).is_some_and(|digits| Some(digits) == decimal(&number.to_string()));
            (!same).then(|| (name.to_string(), raw.to_string()))
        }
        Value::Object(fields) => rounded(fields, raw),
        Value::Array(items) if has_double(value) => {
            items.iter().zip(places(raw)).find_map(|(item, place)| rounded_in(name, item, raw.get(place)?))
        }
        _ => None,
    }
}

fn has_double(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(has_double),
        Value::Array(items) => items.iter().any(has_double),
        value => is_inexact(value),
    }
}

/// A number as its sign, the digits that count and the power of ten behind the last of them: one form for each value.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, power) = match text.trim().split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (text.trim(), 0),
    };
    let positive = mantissa.trim_start_matches('-');
    let (whole, part) = positive.split_once('.').unwrap_or((positive, ""));
    let digits = format!("{whole}{part}");
    let digits = digits.trim_start_matches('0');
    let counting = digits.trim_end_matches('0');
    if counting.is_empty() {
        return Some((false, String::new(), 0));
    }
    let power = power.checked_sub(part.len() as i64)?.checked_add((digits.len() - counting.len()) as i64)?;
    Some((mantissa.starts_with('-'), counting.to_string(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_their_digits_and_other_numbers_stay_numbers() {
        for digits in ["18446744073709551616", "1.0", "1e3", "-0", "1.10", "123456789012345678901234567890"] {
            let text = format!(r#"{{"id": {digits}, "n": 1.5, "list": [{{"doc": {{"id": {digits}}}}}]}}"#);
            let fields = object(&text, &["id"], 3).unwrap();
            assert_eq!(fields["id"], digits);
            assert_eq!(fields["n"], 1.5);
            assert_eq!(fields["list"][0]["doc"]["id"], digits);
            let outer = object(&text, &["id"], 0).unwrap();
            assert!(outer["list"][0]["doc"]["id"].is_number(), "{digits}");
        }
        for digits in ["7", "-7", "18446744073709551615"] {
            let fields = object(&format!(r#"{{"id": {digits}}}"#), &["id"], 0).unwrap();
            assert_eq!(fields["id"].to_string(), digits);
        }
    }

    #[test]
    fn lost_digits_are_found_and_other_spellings_are_none() {
        let lost = |text: &str| rounded(&object(text, &["id"], 3).unwrap(), text);
        for number in [
            "1",
            "1e5",
            "2.50",
            "0.1",
            "-0",
            "1E-7",
            "100000000000000000000",
            "1.5e300",
            "0.30000000000000004",
        ] {
            assert_eq!(lost(&format!("{{\"n\": {number}}}")), None, "{number}");
        }
        for number in ["18446744073709551617", "0.12345678901234567890", "-123456789012345678901"] {
            let expected = Some(("n".to_string(), number.to_string()));
            for text in [
                format!("{{\"n\": {number}}}"),
                format!("{{\"a\": 1.5, \"m\": {{\"n\": {number}}}}}"),
                format!("{{\"a\": [[], {{\"n\": [1.5, {number}]}}]}}"),
            ] {
                assert_eq!(lost(&text), expected, "{text}");
            }
            assert_eq!(lost(&format!("{{\"id\": {number}}}")), None);
        }
    }

    #[test]
    fn problems_are_said_in_plain_words() {
        let said = |text: &str| object(text, &[], 0).unwrap_err();
        assert_eq!(said("[1]"), "found a list");
        assert_eq!(said("17"), "found a number");
        assert_eq!(said("words"), "found no JSON");
        assert!(said(r#"{"a": 1, "a": 2}"#).starts_with("the field `a` is there twice"));
        assert_eq!(said(r#"{"a": "#), "ends too early, at column 6");
        assert!(said(r#"{"a" 1}"#).contains("at column 6"), "{}", said(r#"{"a" 1}"#));
    }

    #[test]
    fn items_of_an_array_are_found_where_they_stand() {
        let text = "[ {\"a\": 1},\n 7, \"x\" ]";
        let found: Vec<_> = items(text).unwrap().into_iter().map(|(line, at)| (line, &text[at])).collect();
        assert_eq!(found, [(1, "{\"a\": 1}"), (2, "7"), (2, "\"x\"")]);
        assert_eq!(items("[1,\n}").unwrap_err().0, 2);
    }
}
