//! Options of what a registry declares (methods, adapters, objectives): declared once, parsed and checked once.

use super::nearest::{nearest, suggestion};
use std::collections::BTreeMap;
use std::fmt;

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptionKind {
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// A number greater than 0: a temperature, a slope.
    Positive,
    /// Numbers from 0 that rise, separated by `/`.
    Rising,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// Any text; the word says what it stands for, such as `FILE`.
    Text(&'static str),
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionKind::Integer(low, i64::MAX) => write!(f, "a whole number from {low}"),
            OptionKind::Integer(low, high) => write!(f, "a whole number from {low} to {high}"),
            OptionKind::Number(f64::MIN, f64::MAX) => write!(f, "a number"),
            OptionKind::Number(low, f64::MAX) => write!(f, "a number from {low}"),
            OptionKind::Number(low, high) => write!(f, "a number from {low} to {high}"),
            OptionKind::Positive => write!(f, "a number greater than 0"),
            OptionKind::Rising => write!(f, "numbers from 0 that rise, with / between them"),
            OptionKind::Choice(words) => write!(f, "one of {}", words.join(", ")),
            OptionKind::Switch => write!(f, "true or false"),
            OptionKind::Text(what) => write!(f, "{what}"),
        }
    }
}

/// An option of what a registry declares.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name in expressions: `words` in `yes-no(words=80)`. In those `-` and `_` are the same.
    pub name: &'static str,
    /// What values it takes.
    pub kind: OptionKind,
    /// The value when nothing is written, as it would be written; `None` when it then has none, which `help` explains.
    pub default: Option<&'static str>,
    /// What it does, in one sentence without a full stop.
    pub help: &'static str,
}

impl OptionSpec {
    /// What values it takes and the value when nothing is written, for help and pages.
    pub fn expects(&self) -> String {
        let default = self.default.map(|default| format!("; default {default}"));
        format!("{}{}", self.kind, default.unwrap_or_default())
    }

    fn read(&self, owner: &'static str, text: &str) -> Result<OptionValue, OptionError> {
        let value = match self.kind {
            OptionKind::Integer(low, high) => {
                text.parse().ok().filter(|value| (low..=high).contains(value)).map(OptionValue::Integer)
            }
            OptionKind::Number(low, high) => {
                text.parse().ok().filter(|value| (low..=high).contains(value)).map(OptionValue::Number)
            }
            OptionKind::Positive => text
                .parse()
                .ok()
                .filter(|value: &f64| *value > 0.0 && value.is_finite())
                .map(OptionValue::Number),
            OptionKind::Rising => rising(text).map(OptionValue::Rising),
            OptionKind::Choice(words) => {
                words.iter().find(|word| **word == text).map(|word| OptionValue::Choice(word))
            }
            OptionKind::Switch => text.parse().ok().map(OptionValue::Switch),
            OptionKind::Text(_) => Some(OptionValue::Text(text.to_string())),
        };
        value.ok_or_else(|| OptionError::Value {
            owner,
            option: self.name,
            value: text.to_string(),
            allowed: self.kind.to_string(),
            nearest: match self.kind {
                OptionKind::Choice(words) => nearest(text, words.iter().copied()),
                _ => None,
            },
        })
    }
}

/// Why options cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// An option that is not declared.
    #[error("`{option}` is not one of the options of {owner} ({known}){}", suggestion(.nearest))]
    Unknown {
        /// What has the options.
        owner: &'static str,
        /// What was written.
        option: String,
        /// The options there are.
        known: String,
        /// The one that is written most alike.
        nearest: Option<&'static str>,
    },
    /// A value that is not allowed.
    #[error("{option} is `{value}`; {owner} expects {allowed}{}", suggestion(.nearest))]
    Value {
        /// What has the options.
        owner: &'static str,
        /// The option.
        option: &'static str,
        /// What was written.
        value: String,
        /// What may be written.
        allowed: String,
        /// The word that is written most alike.
        nearest: Option<&'static str>,
    },
    /// An option that stands twice.
    #[error("`{option}` of {owner} stands twice; write it once")]
    Twice {
        /// What has the options.
        owner: &'static str,
        /// The option.
        option: &'static str,
    },
    /// Options that do not go together.
    #[error("{owner}: {problem}")]
    Together {
        /// What has the options.
        owner: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// Whether two names of options are the same but for `-` and `_`.
fn is_same(declared: &str, written: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    declared.bytes().map(plain).eq(written.bytes().map(plain))
}

/// Numbers from 0 that rise.
fn rising(text: &str) -> Option<Vec<f32>> {
    let values: Vec<f32> = text.split('/').map(|word| word.trim().parse().ok()).collect::<Option<_>>()?;
    let valid = values.iter().all(|value| *value >= 0.0 && value.is_finite())
        && values.windows(2).all(|pair| pair[0] < pair[1]);
    valid.then_some(values)
}

#[derive(Clone, Debug, PartialEq)]
enum OptionValue {
    Integer(i64),
    Number(f64),
    Rising(Vec<f32>),
    Choice(&'static str),
    Switch(bool),
    Text(String),
}

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Integer(value) => write!(f, "{value}"),
            OptionValue::Number(value) => write!(f, "{value}"),
            OptionValue::Rising(values) => {
                let words: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "{}", words.join("/"))
            }
            OptionValue::Choice(word) => write!(f, "{word}"),
            OptionValue::Switch(value) => write!(f, "{value}"),
            OptionValue::Text(text) => write!(f, "{text}"),
        }
    }
}

/// Options with their values, each of its declared kind. `count` and its like read an option that has a default, `get_count`
/// and its like one that may have no value.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValues {
    owner: &'static str,
    values: BTreeMap<&'static str, OptionValue>,
    given: Vec<(&'static str, String)>,
}

impl OptionValues {
    /// Reads what was written; everything else has its default.
    ///
    /// # Errors
    /// [`OptionError`] for an option that is unknown or stands twice, or a value that is not allowed.
    pub fn parse<'a>(
        owner: &'static str,
        specs: &[OptionSpec],
        written: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<OptionValues, OptionError> {
        let mut values = OptionValues { owner, values: BTreeMap::new(), given: Vec::new() };
        for (name, text) in written {
            let Some(spec) = specs.iter().find(|spec| is_same(spec.name, name)) else {
                let known: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
                let known = if known.is_empty() { "it has none".into() } else { known.join(", ") };
                let nearest = nearest(name, specs.iter().map(|spec| spec.name));
                return Err(OptionError::Unknown { owner, option: name.to_string(), known, nearest });
            };
            if values.values.insert(spec.name, spec.read(owner, text)?).is_some() {
                return Err(OptionError::Twice { owner, option: spec.name });
            }
            values.given.push((spec.name, text.to_string()));
        }
        for spec in specs {
            if let (Some(default), false) = (spec.default, values.values.contains_key(spec.name)) {
                values.values.insert(spec.name, spec.read(owner, default)?);
            }
        }
        Ok(values)
    }

    /// Options that were written, as they were, in the order of writing.
    pub fn given(&self) -> &[(&'static str, String)] {
        &self.given
    }

    /// Whether an option was written, and not left to its default.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// All options that have a value, defaults too, as they would be written.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.values.iter().map(|(name, value)| (*name, value.to_string()))
    }

    /// Whether an option has a value.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A value of [`OptionKind::Integer`]; `None` when there is none.
    pub fn get_integer(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(OptionValue::Integer(value)) => Some(*value),
            other => self.absent(name, other),
        }
    }

    /// The same as a number of things; negative ones are none.
    pub fn get_count(&self, name: &str) -> Option<usize> {
        self.get_integer(name).map(|value| usize::try_from(value).unwrap_or(0))
    }

    /// A value of [`OptionKind::Number`] or [`OptionKind::Positive`]; `None` when there is none.
    pub fn get_number(&self, name: &str) -> Option<f64> {
        match self.values.get(name) {
            Some(OptionValue::Number(value)) => Some(*value),
            other => self.absent(name, other),
        }
    }

    /// A value of [`OptionKind::Choice`]; `None` when there is none.
    pub fn get_choice(&self, name: &str) -> Option<&'static str> {
        match self.values.get(name) {
            Some(OptionValue::Choice(word)) => Some(word),
            other => self.absent(name, other),
        }
    }

    /// A value of [`OptionKind::Text`]; `None` when there is none.
    pub fn get_text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(OptionValue::Text(text)) => Some(text),
            other => self.absent(name, other),
        }
    }

    /// A value of [`OptionKind::Switch`]; `false` when there is none.
    pub fn switch(&self, name: &str) -> bool {
        match self.values.get(name) {
            Some(OptionValue::Switch(value)) => *value,
            other => self.absent(name, other).unwrap_or(false),
        }
    }

    /// A number of things that has a default.
    ///
    /// # Panics
    /// The option is not declared so: a mistake of the owner's code, which making it once shows.
    pub fn count(&self, name: &str) -> usize {
        self.get_count(name).unwrap_or_else(|| self.undeclared(name))
    }

    /// A number that has a default.
    ///
    /// # Panics
    /// As [`OptionValues::count`].
    pub fn number(&self, name: &str) -> f64 {
        self.get_number(name).unwrap_or_else(|| self.undeclared(name))
    }

    /// A word that has a default.
    ///
    /// # Panics
    /// As [`OptionValues::count`].
    pub fn choice(&self, name: &str) -> &'static str {
        self.get_choice(name).unwrap_or_else(|| self.undeclared(name))
    }

    /// A value of [`OptionKind::Rising`] that has a default.
    ///
    /// # Panics
    /// As [`OptionValues::count`].
    pub fn rising(&self, name: &str) -> &[f32] {
        match self.values.get(name) {
            Some(OptionValue::Rising(values)) => values,
            _ => self.undeclared(name),
        }
    }

    /// Options that do not go together.
    pub fn problem(&self, problem: impl fmt::Display) -> OptionError {
        OptionError::Together { owner: self.owner, problem: problem.to_string() }
    }

    fn undeclared(&self, name: &str) -> ! {
        panic!("{} reads its option `{name}`, which has no default of that kind", self.owner)
    }

    /// A mistake of the owner's code, not of its user.
    fn absent<T>(&self, name: &str, value: Option<&OptionValue>) -> Option<T> {
        debug_assert!(
            value.is_none(),
            "{} reads its option `{name}` as another kind than declared",
            self.owner
        );
        None
    }
}

/// What stands behind the name in an expression: `(rank=4, alpha=8)`, and nothing where nothing was written.
impl fmt::Display for OptionValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<String> = self.given.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if given.is_empty() { Ok(()) } else { write!(f, "({})", given.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[OptionSpec] = &[
        OptionSpec { name: "cutoff", kind: OptionKind::Integer(0, 100), default: Some("20"), help: "" },
        OptionSpec { name: "alpha", kind: OptionKind::Number(0.0, 1.0), default: Some("0.5"), help: "" },
        OptionSpec { name: "temperature", kind: OptionKind::Positive, default: Some("1"), help: "" },
        OptionSpec {
            name: "target",
            kind: OptionKind::Choice(&["labels", "teacher"]),
            default: Some("labels"),
            help: "",
        },
        OptionSpec { name: "xi", kind: OptionKind::Rising, default: Some("0/1"), help: "" },
        OptionSpec { name: "k", kind: OptionKind::Integer(1, i64::MAX), default: None, help: "" },
        OptionSpec { name: "file", kind: OptionKind::Text("FILE"), default: None, help: "" },
        OptionSpec { name: "symmetric", kind: OptionKind::Switch, default: Some("false"), help: "" },
    ];

    fn parse(written: &[(&str, &str)]) -> Result<OptionValues, OptionError> {
        OptionValues::parse("toy", SPECS, written.iter().copied())
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let values = parse(&[("cutoff", "7"), ("symmetric", "true")]).unwrap();
        assert_eq!((values.count("cutoff"), values.number("alpha")), (7, 0.5));
        assert_eq!((values.choice("target"), values.switch("symmetric")), ("labels", true));
        assert_eq!(values.given(), [("cutoff", "7".into()), ("symmetric", "true".into())]);
        assert!(values.is_given("cutoff") && !values.is_given("alpha"));
        assert_eq!((values.get_count("k"), values.get_text("file")), (None, None));
        assert_eq!(values.all().count(), 6);
        assert!(values.rising("xi") == [0.0, 1.0] && !values.has("k"));
        assert_eq!(values.to_string(), "(cutoff=7, symmetric=true)");
    }

    #[test]
    fn hyphens_and_underscores_in_names_are_the_same() {
        const SPECS: &[OptionSpec] = &[
            OptionSpec { name: "max-tokens", kind: OptionKind::Integer(1, 9), default: Some("8"), help: "" },
            OptionSpec { name: "by_rank", kind: OptionKind::Switch, default: Some("false"), help: "" },
        ];
        let parse = |written: &[(&str, &str)]| OptionValues::parse("toy", SPECS, written.iter().copied());
        let values = parse(&[("max_tokens", "3"), ("by-rank", "true")]).unwrap();
        assert_eq!((values.count("max-tokens"), values.switch("by_rank")), (3, true));
        assert_eq!(values.given(), [("max-tokens", "3".into()), ("by_rank", "true".into())]);
        assert!(values.is_given("max-tokens"));
        let twice = parse(&[("max-tokens", "3"), ("max_tokens", "4")]).unwrap_err().to_string();
        assert!(twice.contains("`max-tokens` of toy stands twice"), "{twice}");
        assert!(parse(&[("maxtokens", "3")]).is_err());
    }

    #[test]
    fn errors_name_option_value_and_what_is_allowed() {
        for (written, parts) in [
            (vec![("cutof", "1")], vec!["`cutof`", "toy", "cutoff, alpha", "did you mean `cutoff`?"]),
            (vec![("cutoff", "-1")], vec!["cutoff is `-1`", "a whole number from 0 to 100"]),
            (vec![("alpha", "NaN")], vec!["alpha is `NaN`", "a number from 0 to 1"]),
            (vec![("temperature", "0")], vec!["temperature is `0`", "greater than 0"]),
            (vec![("temperature", "inf")], vec!["greater than 0"]),
            (vec![("target", "techer")], vec!["one of labels, teacher", "did you mean `teacher`?"]),
            (vec![("xi", "3/2")], vec!["xi is `3/2`", "that rise"]),
            (vec![("symmetric", "yes")], vec!["true or false"]),
            (vec![("alpha", "1"), ("alpha", "1")], vec!["stands twice"]),
        ] {
            let message = parse(&written).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
    }
}
