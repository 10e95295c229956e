//! Constraints from what was asked, and what their outputs mean.

use super::asked::{Asked, Language};
use super::engine::{Engine, Prepared};
use super::report::{Generated, Score, Written};
use super::stream::Streamed;
use crate::command::Output;
use plackett_lm::decode::{
    Bytewise, Choices, DecodeError, FreeText, Hypothesis, Permutation, ScoreRange, ScoreSheet, SheetOrder,
    Text, TextEnd,
};

/// Between identifiers.
const SEPARATOR: &str = " > ";

/// Some prompts whose outputs begin alike and are as long at most.
pub(super) struct Languages<'a> {
    pub engine: &'a Engine,
    pub asked: &'a Asked,
    pub prompts: &'a [&'a Prepared],
    pub most: usize,
    /// What stands before an answer.
    pub lead: &'static str,
}

impl Languages<'_> {
    /// Decodes under the constraint that was asked for.
    pub(super) fn run(&self, streamed: Option<&Output>) -> anyhow::Result<Vec<Generated>> {
        let made = match &self.asked.language {
            Language::Text(stops) => self.text(stops, streamed),
            Language::OneOf(texts) => self.one_of(texts),
            Language::Permutation(count) => self.permutation(*count),
            Language::Scores(count, highest) => self.scores(*count, *highest),
        };
        // What cannot be constrained is said of the flag that asked for it.
        made.map_err(|error| match (error.downcast_ref::<DecodeError>(), &self.asked.flag) {
            (Some(DecodeError::Constraint(_) | DecodeError::Sequence { .. }), Some(flag)) => {
                error.context(flag.clone())
            }
            _ => error,
        })
    }

    fn end(&self) -> Option<u32> {
        self.engine.ends().first().copied()
    }

    fn decode<C: plackett_lm::decode::Constraint>(
        &self,
        constraint: &C,
        streamed: Option<&mut Streamed>,
        read: impl Fn(&Hypothesis<C::Output>) -> Written,
    ) -> anyhow::Result<Vec<Generated>> {
        self.engine.decode(self.asked, self.prompts, self.most, constraint, streamed, read)
    }

    fn text(&self, stops: &[String], streamed: Option<&Output>) -> anyhow::Result<Vec<Generated>> {
        let bytes = self.engine.bytes();
        let constraint = FreeText::new(bytes.clone(), stops, self.engine.ends(), self.most)?;
        let trim = self.engine.leading_blank();
        let mut streamed = streamed.map(|output| Streamed::new(output, bytes.clone(), stops, trim));
        let made = self.decode(&constraint, streamed.as_mut(), |found: &Hypothesis<Text>| {
            let text = &found.output.text;
            let text = if trim { text.strip_prefix(' ').unwrap_or(text) } else { text };
            let end = match found.output.end {
                TextEnd::Stop(_) => "stop",
                TextEnd::Token(_) => "token",
                TextEnd::Budget => "max-tokens",
            };
            Written { end: Some(end), ..Written::text(text) }
        })?;
        if let (Some(streamed), Some(text)) = (streamed, made.first().and_then(Generated::best)) {
            streamed.finish(text)?;
        }
        Ok(made)
    }

    fn one_of(&self, texts: &[String]) -> anyhow::Result<Vec<Generated>> {
        let tokenize = |text: &str| self.engine.spell(&format!("{}{text}", self.lead));
        let each: Vec<&[String]> = texts.iter().map(std::slice::from_ref).collect();
        let constraint = Choices::new(&each, tokenize, self.end())?;
        self.decode(&constraint, None, |found| Written {
            choice: Some(found.output),
            ..Written::text(&texts[found.output])
        })
    }

    fn permutation(&self, count: usize) -> anyhow::Result<Vec<Generated>> {
        let names: Vec<String> = (1..=count).map(|n| format!("[{n}]")).collect();
        let tokenize = |text: &str| match text.starts_with('[') {
            true => self.engine.spell(&format!("{}{text}", self.lead)),
            false => self.engine.spell(text),
        };
        let constraint = Permutation::new(&names, SEPARATOR, None, tokenize, self.end())?;
        self.decode(&constraint, None, |found: &Hypothesis<Vec<usize>>| {
            let spelled: Vec<&str> = found.output.iter().map(|at| names[*at].as_str()).collect();
            let order = found.output.iter().map(|at| at + 1).collect();
            Written { order: Some(order), ..Written::text(&spelled.join(SEPARATOR)) }
        })
    }

    fn scores(&self, count: usize, highest: i64) -> anyhow::Result<Vec<Generated>> {
        let names: Vec<String> = (1..=count).map(|n| n.to_string()).collect();
        let sheet = ScoreSheet::new(&names, ScoreRange::integers(0, highest)?, SheetOrder::Given)?;
        let bytes = self.engine.bytes();
        let constraint = Bytewise::new(sheet, bytes.clone())?;
        self.decode(&constraint, None, |found| {
            let scores = found.output.iter().map(|line| Score { id: line.candidate + 1, score: line.units });
            let text = String::from_utf8_lossy(&bytes.concat(&found.tokens)).into_owned();
            Written { scores: Some(scores.collect()), ..Written::text(&text) }
        })
    }
}
