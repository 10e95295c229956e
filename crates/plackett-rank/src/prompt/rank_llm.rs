//! Templates of RankLLM, in its YAML.

use super::pattern::Pattern;
use super::read::{BODY, COMMON};
use super::{Labels, Style, Template, TemplateError};
use plackett_lm::sha256;
use serde::Deserialize;
use std::collections::BTreeMap;

/// RankLLM's names of placeholders, and ours.
const NAMES: [(&str, &str); 4] =
    [("rank", "label"), ("candidate", "doc"), ("doc_content", "doc"), ("example_ordering", "example")];

/// The file as RankLLM writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    method: String,
    system_message: Option<String>,
    prefix: Option<String>,
    body: Option<String>,
    suffix: Option<String>,
    prefix_user: Option<String>,
    prefix_assistant: Option<String>,
    body_user: Option<String>,
    body_assistant: Option<String>,
    suffix_user: Option<String>,
    output_validation_regex: Option<String>,
    output_extraction_regex: Option<String>,
}

impl Template {
    /// Reads a template of RankLLM. `origin` is for messages.
    ///
    /// # Errors
    /// [`TemplateError::Line`] with the line of what is wrong; [`TemplateError::Lacking`] when query or passages have no
    /// place.
    pub fn parse_rank_llm(name: &str, origin: &str, text: &str) -> Result<Template, TemplateError> {
        let at =
            |line: usize, problem: String| TemplateError::Line { origin: origin.to_string(), line, problem };
        let raw: Raw = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
            let problem = error.to_string();
            at(line.max(1), problem.lines().next().unwrap_or_default().to_string())
        })?;
        let multi = raw.method.starts_with("multiturn");
        let single = [&raw.prefix, &raw.body, &raw.suffix];
        let turns =
            [&raw.prefix_user, &raw.prefix_assistant, &raw.body_user, &raw.body_assistant, &raw.suffix_user];
        let stray = if multi {
            single.iter().any(|part| part.is_some())
        } else {
            turns.iter().any(|part| part.is_some())
        };
        if stray {
            let problem = "its method is a conversation of many turns if and only if its parts are called …_user and \
                           …_assistant";
            return Err(TemplateError::Lacking { origin: origin.to_string(), problem: problem.into() });
        }
        let pattern = |part: &Option<String>, known: &[&str]| {
            let Some(part) = part else { return Ok(Pattern::default()) };
            let ours = NAMES.iter().fold(part.clone(), |text, (theirs, ours)| {
                text.replace(&format!("{{{theirs}}}"), &format!("{{{ours}}}"))
            });
            Pattern::read(&ours, known).map_err(|bad| {
                let place = text.find(&bad.part).unwrap_or(0);
                at(text[..place].matches('\n').count() + 1, bad.problem)
            })
        };
        let template = Template {
            name: name.to_string(),
            origin: origin.to_string(),
            hash: sha256::hex_digest(text),
            text: text.to_string(),
            style: Style::Chat,
            system: pattern(&raw.system_message, COMMON)?,
            prefix: pattern(if multi { &raw.prefix_user } else { &raw.prefix }, COMMON)?,
            prefix_reply: pattern(&raw.prefix_assistant, COMMON)?,
            body: pattern(if multi { &raw.body_user } else { &raw.body }, BODY)?,
            body_reply: pattern(&raw.body_assistant, &["label"])?,
            separator: String::new(),
            suffix: pattern(if multi { &raw.suffix_user } else { &raw.suffix }, COMMON)?,
            answer: Pattern::default(),
            continuation: Pattern::default(),
            mark: Pattern::read("[{label}]", &["label"]).unwrap_or_default(),
            titled: Pattern::read("Title: {title} Content: {text}", &["title", "text"]).unwrap_or_default(),
            labels: Labels::Numbers,
            instruction: String::new(),
            words: Some(300),
            tokens: None,
            characters: None,
            query_words: None,
            one_line: false,
            rewrite_brackets: true,
            validation: raw.output_validation_regex.as_deref().map(bare),
            extraction: raw.output_extraction_regex.as_deref().map(bare),
            parts: BTreeMap::new(),
        };
        template.check()?;
        Ok(template)
    }
}

/// A regular expression without the `r"…"` that Python writes around it.
fn bare(written: &str) -> String {
    let text = written.trim();
    let inner = text.strip_prefix('r').unwrap_or(text);
    let quoted = |quote: char| inner.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Passage;
    use super::*;
    use crate::model::Prompt;

    const SINGLE: &str = "method: \"singleturn_listwise\"\nsystem_message: \"You rank.\"\n\
                          prefix: \"{num} passages for {query}:\\n\"\nbody: \"[{rank}] {candidate}\\n\"\n\
                          suffix: |\n  Query: {query}. Write {example_ordering}.\n\
                          output_validation_regex: r\"^\\[\\d+\\]( > \\[\\d+\\])*$\"\noutput_extraction_regex: r\"\\[(\\d+)\\]\"\n";

    #[test]
    fn their_placeholders_and_regular_expressions_are_read() {
        let template = Template::parse_rank_llm("their", "their.yaml", SINGLE).unwrap();
        let passages = [Passage { label: "1", text: "one" }, Passage { label: "2", text: "two" }];
        let Prompt::Chat { messages, .. } = template.render("why", &passages, &[]) else { panic!() };
        assert_eq!(messages[0].content, "You rank.");
        assert_eq!(
            messages[1].content,
            "2 passages for why:\n[1] one\n[2] two\nQuery: why. Write [2] > [1].\n"
        );
        assert_eq!(template.extraction.as_deref(), Some(r"\[(\d+)\]"));
        assert_eq!(template.validation.as_deref(), Some(r"^\[\d+\]( > \[\d+\])*$"));
        assert_eq!((template.words, template.rewrite_brackets), (Some(300), true));
    }

    #[test]
    fn many_turns_have_a_reply_each() {
        let text = "method: multiturn_listwise\nsystem_message: s\nprefix_user: \"{num} passages for {query}\"\n\
                    prefix_assistant: Go on.\nbody_user: \"[{rank}] {candidate}\"\nbody_assistant: \"Received [{rank}].\"\n\
                    suffix_user: \"Rank for {query}\"\n";
        let template = Template::parse_rank_llm("their", "their.yaml", text).unwrap();
        let Prompt::Chat { messages, .. } =
            template.render("why", &[Passage { label: "1", text: "one" }], &[])
        else {
            panic!()
        };
        let contents: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(
            contents,
            ["s", "1 passages for why", "Go on.", "[1] one", "Received [1].", "Rank for why"]
        );
    }

    #[test]
    fn mistakes_have_lines() {
        for (text, parts) in [
            (SINGLE.replace("{query}. Write", "{quary}. Write"), vec!["line 6", "did you mean {query}?"]),
            (SINGLE.replace("suffix", "sufix"), vec!["sufix"]),
            ("method: [".to_string(), vec!["their.yaml, line"]),
            (SINGLE.replace("singleturn", "multiturn"), vec!["many turns"]),
            (SINGLE.replace("{candidate}", "x"), vec!["no passage is shown"]),
        ] {
            let message = Template::parse_rank_llm("their", "their.yaml", &text).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{message}");
            }
        }
    }
}
