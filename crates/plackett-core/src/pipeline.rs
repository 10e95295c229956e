//! Pipeline expressions, such as `rrf(bm25:1000, dense:1000, k=60):100 >> cross-encoder(model=PATH, long=max):10`.
//!
//! ```text
//! pipeline = stage { ">>" stage }
//! stage    = name [ "(" [ argument { "," argument } ] ")" ] [ ":" depth ]
//! argument = key "=" value | pipeline
//! name,key = letter { letter | digit | "-" | "_" | "." }
//! value    = text without , ( ) " or blanks at its ends | quoted text, with \" and \\ for the two signs
//! depth    = whole number from 1
//! ```
//! Blanks between the parts mean nothing. An argument without `=` is an input of a fusion. Names are not resolved here.
//!
//! ```
//! let pipeline: plackett_core::pipeline::Pipeline = "bm25:1000 >> cross-encoder( long=max ):10".parse()?;
//! assert_eq!(pipeline.stages[0].depth, Some(1000));
//! assert_eq!(pipeline.to_string(), "bm25:1000 >> cross-encoder(long=max):10");
//! # Ok::<(), plackett_core::pipeline::ParseError>(())
//! ```

use std::fmt;
use std::str::FromStr;

/// How deep inputs may stand inside each other.
const NESTING: usize = 32;

/// Stages from first to last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// At least one stage.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name, not resolved.
    pub name: String,
    /// Its settings in order of writing; no key stands twice.
    pub options: Vec<(String, String)>,
    /// What a fusion joins; empty for other stages.
    pub inputs: Vec<Pipeline>,
    /// How many documents it passes on, at least 1; `None` when nothing was written.
    pub depth: Option<usize>,
}

impl Stage {
    /// The value of an option.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// An expression that is not written by the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}, found {found}\n  {expression}\n  {}^", " ".repeat(column.saturating_sub(1)))]
pub struct ParseError {
    /// The whole expression.
    pub expression: String,
    /// The place in characters, from 1.
    pub column: usize,
    /// What could stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl FromStr for Pipeline {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Pipeline, ParseError> {
        let mut parser = Parser { text, at: 0 };
        let pipeline = parser.pipeline(0)?;
        parser.blanks();
        match parser.peek() {
            None => Ok(pipeline),
            Some(_) => Err(parser.error("`>>` or the end")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        self.blanks();
        let there = self.rest().starts_with(sign);
        self.at += if there { sign.len() } else { 0 };
        there
    }

    fn error(&self, expected: &str) -> ParseError {
        let found = match self.peek() {
            None => "the end".to_string(),
            Some(c @ ('"' | '\'' | '\\')) => format!("`{c}`"),
            Some(c) => format!("`{}`", c.escape_default()),
        };
        let column = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        ParseError { expression: self.text.to_string(), column, expected: expected.to_string(), found }
    }

    fn run(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn name(&mut self, expected: &str) -> Result<&'a str, ParseError> {
        self.blanks();
        if !self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            return Err(self.error(expected));
        }
        Ok(self.run(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
    }

    fn pipeline(&mut self, nesting: usize) -> Result<Pipeline, ParseError> {
        let mut stages = vec![self.stage(nesting)?];
        while self.take(">>") {
            stages.push(self.stage(nesting)?);
        }
        Ok(Pipeline { stages })
    }

    fn stage(&mut self, nesting: usize) -> Result<Stage, ParseError> {
        if nesting > NESTING {
            return Err(self.error("at most 32 fusions inside each other"));
        }
        let name = self.name("the name of a stage")?.to_string();
        let mut stage = Stage { name, options: Vec::new(), inputs: Vec::new(), depth: None };
        if self.take("(") && !self.take(")") {
            loop {
                self.argument(&mut stage, nesting)?;
                if self.take(")") {
                    break;
                }
                if !self.take(",") {
                    return Err(self.error("`,` or `)`"));
                }
            }
        }
        if self.take(":") {
            self.blanks();
            let start = self.at;
            match self.run(|c| c.is_ascii_digit()).parse() {
                Ok(depth) if depth > 0 => stage.depth = Some(depth),
                _ => {
                    self.at = start;
                    return Err(self.error("a whole number from 1"));
                }
            }
        }
        Ok(stage)
    }

    fn argument(&mut self, stage: &mut Stage, nesting: usize) -> Result<(), ParseError> {
        self.blanks();
        let start = self.at;
        let key = self.name("`key=value` or a stage")?;
        if !self.take("=") {
            self.at = start;
            stage.inputs.push(self.pipeline(nesting + 1)?);
            return Ok(());
        }
        if stage.option(key).is_some() {
            self.at = start;
            return Err(self.error(&format!("every option once (`{key}` stands here again)")));
        }
        let value = self.value()?;
        stage.options.push((key.to_string(), value));
        Ok(())
    }

    fn value(&mut self) -> Result<String, ParseError> {
        if !self.take("\"") {
            let bare = self.run(|c| !matches!(c, ',' | '(' | ')' | '"')).trim_end();
            return if bare.is_empty() { Err(self.error("a value")) } else { Ok(bare.to_string()) };
        }
        let mut value = String::new();
        loop {
            let Some(sign) = self.peek() else { return Err(self.error("`\"` behind the value")) };
            self.at += sign.len_utf8();
            match sign {
                '"' => return Ok(value),
                '\\' => match self.peek() {
                    Some(escaped @ ('"' | '\\')) => {
                        value.push(escaped);
                        self.at += 1;
                    }
                    _ => return Err(self.error("`\"` or `\\` behind `\\`")),
                },
                other => value.push(other),
            }
        }
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, stage) in self.stages.iter().enumerate() {
            write!(f, "{}{stage}", if place > 0 { " >> " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let inputs = self.inputs.iter().map(ToString::to_string);
        let options = self.options.iter().map(|(key, value)| format!("{key}={}", quoted(value)));
        let arguments: Vec<String> = inputs.chain(options).collect();
        if !arguments.is_empty() {
            write!(f, "({})", arguments.join(", "))?;
        }
        self.depth.map_or(Ok(()), |depth| write!(f, ":{depth}"))
    }
}

fn quoted(value: &str) -> String {
    let bare = !value.is_empty() && value.trim() == value && !value.contains([',', '(', ')', '"']);
    if bare { value.to_string() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stage() -> impl Strategy<Value = Stage> {
        let name = "[a-z][a-z0-9_.-]{0,8}";
        let options = proptest::collection::vec((name, any::<String>()), 0..3).prop_map(|mut options| {
            options.sort();
            options.dedup_by(|a, b| a.0 == b.0);
            options
        });
        let depth = proptest::option::of(1usize..5000);
        let leaf = (name, options.clone(), depth.clone()).prop_map(|(name, options, depth)| Stage {
            name,
            options,
            inputs: Vec::new(),
            depth,
        });
        leaf.prop_recursive(3, 12, 3, move |inner| {
            let chain = proptest::collection::vec(inner, 1..3).prop_map(|stages| Pipeline { stages });
            (name, options.clone(), proptest::collection::vec(chain, 0..3), depth.clone())
                .prop_map(|(name, options, inputs, depth)| Stage { name, options, inputs, depth })
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(stages in proptest::collection::vec(stage(), 1..4)) {
            let pipeline = Pipeline { stages };
            prop_assert_eq!(pipeline.to_string().parse::<Pipeline>(), Ok(pipeline));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = text.parse::<Pipeline>();
        }
    }

    #[test]
    fn fusions_have_inputs_and_options() {
        let text = "rrf(bm25:1000 >> late:5, dense(path=/a b/c:d):1000, k=60):100>>cross-encoder:10";
        let pipeline: Pipeline = text.parse().unwrap();
        let fusion = &pipeline.stages[0];
        assert_eq!((fusion.inputs.len(), fusion.option("k"), fusion.depth), (2, Some("60"), Some(100)));
        assert_eq!(fusion.inputs[1].stages[0].option("path"), Some("/a b/c:d"));
    }

    #[test]
    fn errors_point_at_the_column() {
        let column = |text: &str| text.parse::<Pipeline>().unwrap_err().column;
        assert_eq!(column(""), 1);
        assert_eq!(column("bm25:0"), 6);
        assert_eq!(column("bm25 >> "), 9);
        assert_eq!(column("a(k=1, k=2)"), 8);
        assert_eq!(column("a(b"), 4);
        assert_eq!(column("bm25 dense"), 6);
        assert!("a(".repeat(100_000).parse::<Pipeline>().is_err());
    }
}
