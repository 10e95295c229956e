//! Templates from TOML.

use super::pattern::Pattern;
use super::{Labels, Style, Template, TemplateError};
use plackett_lm::sha256;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use toml::Spanned;

/// Placeholders of texts that stand once in a prompt.
pub(super) const COMMON: &[&str] = &["query", "num", "instruction", "example"];
/// Placeholders of the text around a passage.
pub(super) const BODY: &[&str] = &["query", "num", "instruction", "example", "label", "doc", "place"];

type Text = Option<Spanned<String>>;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "source")]
    _source: Option<String>,
    style: Option<Spanned<String>>,
    system: Text,
    prefix: Text,
    prefix_reply: Text,
    body: Text,
    body_reply: Text,
    separator: Option<String>,
    suffix: Text,
    answer: Text,
    continuation: Text,
    mark: Text,
    titled: Text,
    labels: Option<Spanned<RawLabels>>,
    instruction: Option<String>,
    words: Option<Spanned<i64>>,
    tokens: Option<Spanned<i64>>,
    characters: Option<Spanned<i64>>,
    query_words: Option<Spanned<i64>>,
    one_line: Option<bool>,
    rewrite_brackets: Option<bool>,
    #[serde(default)]
    parts: BTreeMap<String, Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawLabels {
    Named(String),
    List(Vec<String>),
}

/// The text of a file, for messages with lines.
pub(super) struct Source<'a> {
    pub origin: &'a str,
    pub text: &'a str,
}

impl Source<'_> {
    /// The file as the keys that it may have.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, TemplateError> {
        if let Err(error) = self.text.parse::<toml::Table>() {
            let problem =
                format!("a prompt is a file of TOML, and this is not TOML: {}", error.message().trim());
            return Err(self.at(error.span().map_or(0, |span| span.start), problem));
        }
        toml::from_str(self.text)
            .map_err(|error| self.at(error.span().map_or(0, |span| span.start), error.message().trim()))
    }

    /// What is wrong at a byte of the file.
    pub fn at(&self, byte: usize, problem: impl Into<String>) -> TemplateError {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        TemplateError::Line { origin: self.origin.to_string(), line, problem: problem.into() }
    }

    /// A text with placeholders, nothing where it is not written.
    pub fn pattern(&self, text: Option<&Spanned<String>>, known: &[&str]) -> Result<Pattern, TemplateError> {
        let Some(text) = text else { return Ok(Pattern::default()) };
        Pattern::read(text.get_ref(), known).map_err(|bad| {
            let span = text.span();
            let within = self.text.get(span.clone()).and_then(|written| written.find(&bad.part));
            self.at(span.start + within.unwrap_or(0), bad.problem)
        })
    }

    fn style(&self, style: Option<&Spanned<String>>) -> Result<Style, TemplateError> {
        match style.map(|style| (style.get_ref().as_str(), style.span().start)) {
            None | Some(("text", _)) => Ok(Style::Text),
            Some(("chat", _)) => Ok(Style::Chat),
            Some((other, start)) => Err(self.at(start, format!("style is `{other}`; use text or chat"))),
        }
    }

    fn labels(&self, labels: Option<&Spanned<RawLabels>>) -> Result<Labels, TemplateError> {
        let Some(labels) = labels else { return Ok(Labels::Numbers) };
        let wrong = |problem: String| Err(self.at(labels.span().start, problem));
        match labels.get_ref() {
            RawLabels::Named(name) if name == "numbers" => Ok(Labels::Numbers),
            RawLabels::Named(name) if name == "letters" => Ok(Labels::Letters),
            RawLabels::Named(other) => {
                wrong(format!("labels is `{other}`; use numbers, letters or a list of texts"))
            }
            RawLabels::List(list) => {
                let mut seen = list.clone();
                seen.sort();
                seen.dedup();
                if list.is_empty() || seen.len() < list.len() || list.iter().any(String::is_empty) {
                    return wrong("labels are a list of different texts, none of them empty".into());
                }
                Ok(Labels::List(list.clone()))
            }
        }
    }

    fn count(&self, value: Option<&Spanned<i64>>, name: &str) -> Result<Option<usize>, TemplateError> {
        let Some(value) = value else { return Ok(None) };
        match usize::try_from(*value.get_ref()) {
            Ok(count) if count > 0 => Ok(Some(count)),
            _ => {
                let found = value.get_ref();
                Err(self
                    .at(value.span().start, format!("{name} is {found}; a whole number from 1 is expected")))
            }
        }
    }
}

impl Template {
    /// Reads a template. `origin` is for messages; `extra` are placeholders beside those of every template.
    ///
    /// # Errors
    /// [`TemplateError::Line`] with the line of what is wrong; [`TemplateError::Lacking`] when query or passages have no
    /// place.
    pub fn parse(name: &str, origin: &str, text: &str, extra: &[&str]) -> Result<Template, TemplateError> {
        let template = Template::read(name, origin, text, extra)?;
        template.check()?;
        Ok(template)
    }

    /// Reads a template of a prompt about the query alone, in which passages have no place.
    ///
    /// # Errors
    /// [`TemplateError::Line`] with the line of what is wrong; [`TemplateError::Lacking`] when the query has no place.
    pub fn parse_question(
        name: &str,
        origin: &str,
        text: &str,
        extra: &[&str],
    ) -> Result<Template, TemplateError> {
        let template = Template::read(name, origin, text, extra)?;
        template.check_query()?;
        Ok(template)
    }

    fn read(name: &str, origin: &str, text: &str, extra: &[&str]) -> Result<Template, TemplateError> {
        let source = Source { origin, text };
        let raw: Raw = source.read()?;
        let with = |known: &[&'static str]| -> Vec<&str> { known.iter().chain(extra).copied().collect() };
        let (common, body) = (with(COMMON), with(BODY));
        let (style, labels) = (source.style(raw.style.as_ref())?, source.labels(raw.labels.as_ref())?);
        let parts =
            raw.parts.iter().map(|(name, text)| Ok((name.clone(), source.pattern(Some(text), &body)?)));
        let template = Template {
            name: name.to_string(),
            origin: origin.to_string(),
            hash: sha256::hex_digest(text),
            text: text.to_string(),
            style,
            system: source.pattern(raw.system.as_ref(), &common)?,
            prefix: source.pattern(raw.prefix.as_ref(), &common)?,
            prefix_reply: source.pattern(raw.prefix_reply.as_ref(), &common)?,
            body: source.pattern(raw.body.as_ref(), &body)?,
            body_reply: source.pattern(raw.body_reply.as_ref(), &["label"])?,
            separator: raw.separator.unwrap_or_default(),
            suffix: source.pattern(raw.suffix.as_ref(), &common)?,
            answer: source.pattern(raw.answer.as_ref(), &common)?,
            continuation: source.pattern(raw.continuation.as_ref(), &["query"])?,
            mark: source.pattern(raw.mark.as_ref(), &["label"])?,
            titled: source.pattern(raw.titled.as_ref(), &["title", "text"])?,
            labels,
            instruction: raw.instruction.unwrap_or_default(),
            words: source.count(raw.words.as_ref(), "words")?,
            tokens: source.count(raw.tokens.as_ref(), "tokens")?,
            characters: source.count(raw.characters.as_ref(), "characters")?,
            query_words: source.count(raw.query_words.as_ref(), "query_words")?,
            one_line: raw.one_line.unwrap_or(false),
            rewrite_brackets: raw.rewrite_brackets.unwrap_or(false),
            validation: None,
            extraction: None,
            parts: parts.collect::<Result<_, TemplateError>>()?,
        };
        Ok(template)
    }

    /// Refuses a template in which passages or query have no place.
    pub(super) fn check(&self) -> Result<(), TemplateError> {
        if !self.body.has("doc") {
            return Err(self.lacks("no passage is shown; write a `body` with {doc} in it"));
        }
        self.check_query()
    }

    fn check_query(&self) -> Result<(), TemplateError> {
        let all = [&self.system, &self.prefix, &self.body, &self.suffix, &self.answer, &self.continuation];
        if !all.iter().copied().chain(self.parts.values()).any(|pattern| pattern.has("query")) {
            return Err(self.lacks("the query is not shown; write {query} in it"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Template::parse("toy", "mine.toml", text, &["rubric"]).unwrap_err().to_string()
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        for (text, parts) in [
            (
                "body = \"{doc}\"\nsuffix = \"\"\"\nOne\n{quary}\"\"\"",
                vec!["mine.toml, line 4", "{quary}", "{query}, {num}"],
            ),
            ("body = \"{doc} {rubrik}\"", vec!["line 1", "did you mean {rubric}?"]),
            ("prefix = \"{doc}\"\nbody = \"{doc}\"", vec!["line 1", "{doc} is not a placeholder here"]),
            ("body = \"{doc} {query}\"\nwords = 0", vec!["line 2", "words is 0"]),
            ("body = \"{doc} {query}\"\ncharacters = -1", vec!["line 2", "characters is -1"]),
            ("body = \"{doc} {query}\"\nstyle = \"talk\"", vec!["line 2", "text or chat"]),
            ("body = \"{doc} {query}\"\nlabels = \"greek\"", vec!["line 2", "numbers, letters"]),
            ("body = \"{doc} {query}\"\nlabels = [\"A\", \"A\"]", vec!["line 2", "different"]),
            ("body = \"{doc} {query}\"\nbodi = \"x\"", vec!["line 2", "bodi"]),
            ("body = \"{doc\"", vec!["line 1", "{{"]),
            ("body = ", vec!["line 1"]),
            ("body = \"{doc}\"", vec!["mine.toml: the query is not shown"]),
            ("suffix = \"{query}\"", vec!["no passage is shown"]),
        ] {
            let message = error(text);
            for part in parts {
                assert!(message.contains(part), "{text:?}: {message}");
            }
        }
    }

    #[test]
    fn the_hash_is_of_the_whole_file() {
        let one = Template::parse("a", "a", "body = \"{doc} {query}\"", &[]).unwrap();
        let other = Template::parse("a", "a", "body = \"{doc} {query}\" # a remark", &[]).unwrap();
        assert!(one.id().starts_with("a@") && one.id().len() == 14);
        assert_ne!(one.id(), other.id());
    }
}
