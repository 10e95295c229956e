//! Values of flags: parsers whose errors name the flag, or the variable of the environment, and what it expects.

use clap::builder::{TypedValueParser, ValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Command};
use std::any::TypeId;
use std::ffi::OsStr;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// Reads the value of a flag, or says what is expected.
type Read<T> = dyn Fn(&str) -> Result<T, String> + Send + Sync;

/// The parser of a flag.
#[derive(Clone)]
pub struct FlagParser<T>(Arc<Read<T>>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for FlagParser<T> {
    type Value = T;

    fn parse_ref(&self, cmd: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        self.parse_ref_(cmd, arg, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        cmd: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<T, clap::Error> {
        let text = value.to_string_lossy();
        self.0(&text).map_err(|expected| refused(cmd, arg, &text, source, &expected))
    }
}

impl<T> FlagParser<T> {
    /// Checks a value that a file has in the place of a flag's, as if it had been typed.
    pub fn check(&self, flag: &str, text: &str) -> anyhow::Result<()> {
        self.0(text).map(drop).map_err(|expected| anyhow::anyhow!("{flag} {text}: {expected}"))
    }
}

/// Values that a function reads; its error says what is expected.
pub fn by<T: 'static>(read: fn(&str) -> Result<T, String>) -> FlagParser<T> {
    FlagParser(Arc::new(read))
}

/// A switch of the environment, in all the ways in which people write them; an empty one is off.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Ok(true),
        "" | "0" | "false" | "no" | "off" | "n" | "f" => Ok(false),
        _ => Err("1, true, yes or on is expected, or 0, false, no, off or nothing".into()),
    }
}

/// Whole numbers of a range; without ends, all that `T` holds.
pub fn whole<T: TryFrom<i128> + 'static>(range: impl RangeBounds<i128>) -> FlagParser<T> {
    let end = |bound: Bound<&i128>, inside: i128| match bound {
        Bound::Included(number) => Some(*number),
        Bound::Excluded(number) => Some(number + inside),
        Bound::Unbounded => None,
    };
    let (least, most) = (end(range.start_bound(), 1), end(range.end_bound(), -1));
    FlagParser(Arc::new(move |text| {
        let number = text.parse::<i128>().ok();
        let inside = |number: &i128| {
            least.is_none_or(|least| *number >= least) && most.is_none_or(|most| *number <= most)
        };
        let read = number.filter(inside).and_then(|number| T::try_from(number).ok());
        let digits = text.trim_start_matches(['-', '+']);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let far = is_whole && number.is_none_or(|number| inside(&number));
        read.ok_or_else(|| match (least, most) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most} is expected"),
            (Some(least), None) if far => {
                format!("a whole number from {least} is expected, and this one is too large")
            }
            (Some(least), None) => format!("a whole number from {least} is expected"),
            (None, Some(most)) => format!("a whole number up to {most} is expected"),
            (None, None) if far => "a whole number is expected, and this one is beyond all limits".into(),
            (None, None) => "a whole number is expected".into(),
        })
    }))
}

/// Numbers with a fraction for which something holds; `expected` says what, after "a number".
pub fn real(expected: &'static str, holds: fn(f64) -> bool) -> FlagParser<f64> {
    FlagParser(Arc::new(move |text| {
        let read = text.parse().ok().filter(|number: &f64| number.is_finite() && holds(*number));
        read.ok_or_else(|| format!("a number{expected} is expected, such as 0.5"))
    }))
}

/// The error of a value, which begins with the flag or the variable of the environment that has it.
fn refused(cmd: &Command, arg: Option<&Arg>, text: &str, source: ValueSource, expected: &str) -> clap::Error {
    let text = if text.is_empty() { "''".into() } else { super::terminal::brief(text) };
    let flag = arg.and_then(Arg::get_long).map(|long| format!("--{long} {text}"));
    let variable = arg.filter(|_| source == ValueSource::EnvVariable).and_then(Arg::get_env);
    let variable = variable.map(|name| format!("{}={text}", name.to_string_lossy()));
    let place = variable.or(flag).unwrap_or_else(|| text.to_string());
    clap::Error::raw(ErrorKind::ValueValidation, format!("{place}: {expected}\n")).with_cmd(cmd)
}

/// Lets every flag that takes a number take one below 0: what the flag expects is for its own parser to say.
pub fn with_signs(command: Command) -> Command {
    let signed =
        |arg: Arg| if is_number(arg.get_value_parser()) { arg.allow_negative_numbers(true) } else { arg };
    command.mut_args(signed).mut_subcommands(with_signs)
}

fn is_number(parser: &ValueParser) -> bool {
    let kinds = [
        TypeId::of::<usize>(),
        TypeId::of::<u64>(),
        TypeId::of::<u32>(),
        TypeId::of::<i64>(),
        TypeId::of::<i32>(),
        TypeId::of::<f64>(),
        TypeId::of::<f32>(),
    ];
    kinds.iter().any(|kind| parser.type_id() == *kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Every flag of every command that takes a number, with the words before it.
    fn numbers(command: &Command, words: &[String], found: &mut Vec<(Vec<String>, String)>) {
        for arg in command.get_arguments().filter(|arg| is_number(arg.get_value_parser())) {
            let long = arg.get_long().unwrap_or_else(|| panic!("{}: a number without a flag", arg.get_id()));
            found.push((words.to_vec(), format!("--{long}")));
        }
        for below in command.get_subcommands() {
            numbers(below, &[words, &[below.get_name().to_string()]].concat(), found);
        }
    }

    #[test]
    fn every_number_is_refused_by_its_flag_and_in_plain_words() {
        let mut found = Vec::new();
        numbers(&super::super::Cli::command(), &["plackett".to_string()], &mut found);
        assert!(found.len() > 20, "{found:?}");
        for (words, flag) in found {
            for value in ["x", "-1", "1e999", "99999999999999999999999", "1.5.2", ""] {
                let line = words.iter().chain([&flag]).cloned().chain([value.to_string()]);
                let command = with_signs(super::super::Cli::command());
                // What holds for the value stands below; other faults of the line come after it.
                let Err(error) = command.try_get_matches_from(line) else { continue };
                let said = error.to_string();
                let about_it = error.kind() == ErrorKind::ValueValidation;
                assert!(
                    about_it || ["-1", "99999999999999999999999"].contains(&value),
                    "{words:?} {flag} {value}: {said}"
                );
                for library in
                    ["invalid digit", "invalid float", "is not in", "too large to fit", "unexpected argument"]
                {
                    assert!(!said.contains(library), "{words:?} {flag} {value}: {said}");
                }
                if about_it {
                    assert!(
                        said.contains(&flag)
                            && ["number", "a time"].iter().any(|expected| said.contains(expected)),
                        "{said}"
                    );
                }
            }
        }
    }

    #[test]
    fn switches_are_read_as_people_write_them() {
        for text in ["1", "true", "Yes", "ON"] {
            assert_eq!(switch(text), Ok(true), "{text}");
        }
        for text in ["", "0", "False", "no", "off"] {
            assert_eq!(switch(text), Ok(false), "{text}");
        }
        assert!(switch("maybe").is_err());
    }

    #[test]
    fn ranges_are_said_as_they_hold() {
        let command = Command::new("c")
            .arg(Arg::new("n").long("n").value_parser(whole::<u32>(1..)))
            .arg(Arg::new("m").long("m").value_parser(whole::<usize>(1..=9)))
            .arg(Arg::new("u").long("u").value_parser(whole::<i32>(..=5)))
            .arg(Arg::new("i").long("i").value_parser(whole::<i32>(..)))
            .arg(Arg::new("x").long("x").value_parser(real(" above 0 and below 1", |x| x > 0.0 && x < 1.0)));
        let command = with_signs(command);
        let said = |flag: &str, value: &str| {
            let matches = command.clone().try_get_matches_from(["c", flag, value]);
            matches
                .map(|_| ())
                .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_string())
        };
        let expected = |text: &str| Err(format!("error: {text}"));
        assert_eq!(said("--n", "0"), expected("--n 0: a whole number from 1 is expected"));
        assert_eq!(said("--n", "-1"), expected("--n -1: a whole number from 1 is expected"));
        let large = "--n 4294967296: a whole number from 1 is expected, and this one is too large";
        assert_eq!(said("--n", "4294967296"), expected(large));
        assert_eq!(said("--m", "10"), expected("--m 10: a whole number from 1 to 9 is expected"));
        assert_eq!(said("--u", "6"), expected("--u 6: a whole number up to 5 is expected"));
        assert_eq!(said("--i", "1.5"), expected("--i 1.5: a whole number is expected"));
        assert_eq!(
            said("--x", "nan"),
            expected("--x nan: a number above 0 and below 1 is expected, such as 0.5")
        );
        let last = command.clone().try_get_matches_from(["c", "--n", "0"]).unwrap_err().to_string();
        assert!(last.ends_with("expected\n"), "{last:?}");
        for (flag, value) in [("--n", "1"), ("--m", "9"), ("--i", "-7"), ("--x", "1e-3")] {
            assert_eq!(said(flag, value), Ok(()));
        }
    }
}
