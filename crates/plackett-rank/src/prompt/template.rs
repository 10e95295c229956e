//! A template: what stands around query and passages.

use super::look_up::{Found, look_up};
use super::pattern::Pattern;
use super::{BuiltinPrompt, Labels, TemplateError};
use crate::method::OptionValues;
use crate::model::{ChatMessage, ChatRole, Prompt, PromptPart, PromptParts, StoredBlockPrompt};
use std::collections::BTreeMap;
use std::path::Path;

/// Whether a prompt is a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain text that the model continues.
    Text,
    /// Messages that go through the model's chat template.
    Chat,
}

/// A passage in a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'a> {
    /// What it is called.
    pub label: &'a str,
    /// Its text, cut already.
    pub text: &'a str,
}

/// The texts of a prompt.
struct Pieces {
    system: String,
    prefix: String,
    bodies: Vec<String>,
    suffix: String,
    answer: String,
    prefix_reply: String,
}

/// A prompt with places for a query and passages. How its file is written is said in `docs/prompts.md`.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) name: String,
    pub(super) origin: String,
    pub(super) hash: String,
    /// The file.
    pub(super) text: String,
    /// Whether it is a conversation.
    pub style: Style,
    pub(super) system: Pattern,
    pub(super) prefix: Pattern,
    pub(super) prefix_reply: Pattern,
    pub(super) body: Pattern,
    pub(super) body_reply: Pattern,
    pub(super) separator: String,
    pub(super) suffix: Pattern,
    pub(super) answer: Pattern,
    pub(super) continuation: Pattern,
    pub(super) mark: Pattern,
    pub(super) labels: Labels,
    pub(super) instruction: String,
    pub(super) parts: BTreeMap<String, Pattern>,
    /// A regular expression of RankLLM's for whole answers.
    pub validation: Option<String>,
    /// A regular expression of RankLLM's for the labels in an answer.
    pub extraction: Option<String>,
    /// Most words of a passage.
    pub words: Option<usize>,
    /// Most tokens of a passage.
    pub tokens: Option<usize>,
    /// Most characters of a passage.
    pub characters: Option<usize>,
    /// Most words of the query.
    pub query_words: Option<usize>,
    /// Whether bracketed labels inside passages and query are rewritten with parentheses, so that labels stay unique.
    pub rewrite_brackets: bool,
    /// Whether line breaks inside passages become blanks, so that each passage is one line.
    pub one_line: bool,
    /// How a passage with a title is written, with `{title}` and `{text}`; empty for title, blank, text.
    pub(super) titled: Pattern,
}

/// How the text of a template is read: its name, where it comes from, the text, and placeholders beyond the usual ones.
type Parse = fn(&str, &str, &str, &[&str]) -> Result<Template, TemplateError>;

impl Template {
    /// The template of `prompt=`: a file, one of the method's own by name, or without it the first of them.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn choose(asked: Option<&str>, own: &[BuiltinPrompt]) -> Result<Template, TemplateError> {
        Template::chosen(asked, own, Template::parse)
    }

    /// The same for a prompt about the query alone, in which passages have no place. RankLLM has none such.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn choose_question(asked: Option<&str>, own: &[BuiltinPrompt]) -> Result<Template, TemplateError> {
        Template::chosen(asked, own, Template::parse_question)
    }

    fn chosen(asked: Option<&str>, own: &[BuiltinPrompt], parse: Parse) -> Result<Template, TemplateError> {
        let first = own.first();
        let asked = asked.or(first.map(|prompt| prompt.name)).unwrap_or_default();
        let text = match look_up(asked, own, Path::new(""))? {
            Found::Own(prompt) => return parse(prompt.name, prompt.name, prompt.text, prompt.placeholders),
            Found::File(text) => text,
        };
        let stem = Path::new(asked).file_stem();
        let name = stem.map_or_else(|| asked.to_string(), |stem| stem.to_string_lossy().into_owned());
        let placeholders = first.map_or(&[][..], |prompt| prompt.placeholders);
        Template::of_file(&name, asked, &text, placeholders, parse)
    }

    /// The template of a file, whose ending says how it is read.
    fn of_file(
        name: &str,
        origin: &str,
        text: &str,
        placeholders: &[&str],
        parse: Parse,
    ) -> Result<Template, TemplateError> {
        match Path::new(origin).extension() {
            Some(extension) if extension == "yaml" || extension == "yml" => {
                Template::parse_rank_llm(name, origin, text)
            }
            _ => parse(name, origin, text, placeholders),
        }
    }

    /// The template with which the blocks of an index were made.
    ///
    /// # Errors
    /// Its text is not that of a template.
    pub fn of_stored(stored: &StoredBlockPrompt) -> Result<Template, TemplateError> {
        let mut template =
            Template::of_file(&stored.name, &stored.origin, &stored.text, &[], Template::parse)?;
        template.words = stored.words;
        template.tokens = stored.tokens;
        template.style = if stored.chat { Style::Chat } else { Style::Text };
        Ok(template)
    }

    /// What an index whose blocks have so many layers keeps of it.
    pub fn stored(&self, layers: usize) -> StoredBlockPrompt {
        StoredBlockPrompt {
            name: self.name.clone(),
            origin: self.origin.clone(),
            text: self.text.clone(),
            words: self.words,
            tokens: self.tokens,
            chat: self.style == Style::Chat,
            layers,
        }
    }

    /// The same with what options say: `words`, `tokens` and `style`, where the method has them.
    pub fn with(mut self, options: &OptionValues) -> Template {
        self.words = options.get_count("words").or(self.words);
        self.tokens = options.get_count("tokens").or(self.tokens);
        // Whoever says how long passages are means all of it.
        self.characters =
            self.characters.filter(|_| !options.is_given("words") && !options.is_given("tokens"));
        self.style = match options.get_choice("style") {
            Some("chat") => Style::Chat,
            Some(_) => Style::Text,
            None => self.style,
        };
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name and the first twelve digits of the SHA-256 of its file: `yes-no@0123456789ab`.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, &self.hash[..12])
    }

    /// The whole SHA-256 of its file, in hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The error that something which a method needs is not in the file.
    pub fn lacks(&self, problem: impl Into<String>) -> TemplateError {
        TemplateError::Lacking { origin: self.origin.clone(), problem: problem.into() }
    }

    /// Labels for so many passages.
    ///
    /// # Errors
    /// [`TemplateError::Labels`] when it has fewer.
    pub fn labels(&self, count: usize) -> Result<Vec<String>, TemplateError> {
        let (origin, known) = (self.origin.clone(), self.labels.most());
        self.labels.first(count).ok_or(TemplateError::Labels { origin, asked: count, known })
    }

    /// The alphabet of its labels.
    pub fn alphabet(&self) -> &Labels {
        &self.labels
    }

    /// A label as it is written in answers: `[3]`.
    pub fn mark(&self, label: &str) -> String {
        if self.mark.is_empty() {
            return label.to_string();
        }
        let mut out = String::new();
        self.mark.write(&mut out, &|name| (name == "label").then_some(label));
        out
    }

    /// What follows the prompt, for methods that ask how probable it is.
    pub fn continuation(&self, query: &str) -> String {
        let mut out = String::new();
        self.continuation.write(&mut out, &|name| (name == "query").then_some(query));
        out
    }

    /// A further text of the file's `[parts]`, with the values of placeholders; `None` when it is not there.
    pub fn part(&self, name: &str, values: &[(&str, &str)]) -> Option<String> {
        let mut out = String::new();
        self.parts.get(name)?.write(&mut out, &|slot| self.value(slot, values));
        Some(out)
    }

    /// Whether a part has a place for a value.
    pub fn part_shows(&self, part: &str, value: &str) -> bool {
        self.parts.get(part).is_some_and(|pattern| pattern.has(value))
    }

    /// Whether passages have a place in it.
    pub fn shows_document(&self) -> bool {
        self.body.has("doc")
    }

    /// A template of one of the file's `[parts]` alone, as plain text with a passage in it; without that part, the passage
    /// itself. Limits stay those of the file.
    pub fn alone(&self, part: &str) -> Template {
        let none = Pattern::default;
        Template {
            style: Style::Text,
            system: none(),
            prefix: none(),
            prefix_reply: none(),
            body: self.parts.get(part).cloned().unwrap_or_else(|| Pattern::slot("doc")),
            body_reply: none(),
            separator: String::new(),
            suffix: none(),
            answer: none(),
            ..self.clone()
        }
    }

    /// A document's text as a passage: title and text joined as the file says, in one line and with brackets rewritten where
    /// it says so. The second is the number of brackets.
    pub fn passage(&self, document: &plackett_core::Document) -> (String, usize) {
        let text = if document.title.is_empty() || self.titled.is_empty() {
            document.model_text().into_owned()
        } else {
            let mut out = String::new();
            self.titled.write(&mut out, &|name| match name {
                "title" => Some(&document.title),
                "text" => Some(&document.text),
                _ => None,
            });
            out
        };
        let text = if self.one_line { one_line(&text) } else { text };
        if self.rewrite_brackets { rewritten(&text) } else { (text, 0) }
    }

    /// A text with bracketed labels rewritten with parentheses.
    pub(crate) fn rewritten(&self, text: &str) -> String {
        rewritten(text).0
    }

    /// The texts of the prompt for a query and passages. `values` are those of placeholders that the method fills itself.
    fn pieces(&self, query: &str, passages: &[Passage<'_>], values: &[(&str, &str)]) -> Pieces {
        let num = passages.len().to_string();
        // A method that reads orders of another form gives an example of its own.
        let given = values.iter().find(|(name, _)| *name == "example").map(|(_, value)| value.to_string());
        let example = given.unwrap_or_else(|| self.example(passages));
        let common = |name: &str| match name {
            "query" => Some(query),
            "num" => Some(num.as_str()),
            "example" => Some(example.as_str()),
            _ => None,
        };
        let written = |pattern: &Pattern| {
            let mut out = String::new();
            pattern.write(&mut out, &|name| common(name).or_else(|| self.value(name, values)));
            out
        };
        let places: Vec<String> = (1..=passages.len()).map(|place| place.to_string()).collect();
        let bodies = passages.iter().zip(&places).map(|(passage, place)| {
            let mut out = String::new();
            self.body.write(&mut out, &|name| match name {
                "label" => Some(passage.label),
                "doc" => Some(passage.text),
                "place" => Some(place.as_str()),
                _ => common(name).or_else(|| self.value(name, values)),
            });
            out
        });
        Pieces {
            system: written(&self.system),
            prefix: written(&self.prefix),
            bodies: bodies.collect(),
            suffix: written(&self.suffix),
            answer: written(&self.answer),
            prefix_reply: written(&self.prefix_reply),
        }
    }

    /// Whether passages are turns of a conversation, so that the prompt has no parts.
    pub fn has_turns(&self) -> bool {
        !self.body_reply.is_empty()
    }

    /// The prompt for a query and passages in parts, with one ending: the suffix. What the suffix shares with the separator
    /// of passages at its beginning is no part of the ending (ICR, step 1).
    pub fn parts(&self, query: &str, passages: &[Passage<'_>], values: &[(&str, &str)]) -> PromptParts {
        let Pieces { system, prefix, bodies, suffix, answer, .. } = self.pieces(query, passages, values);
        let chat = self.style == Style::Chat;
        let (gap, mut ending) = match suffix.strip_prefix(&self.separator) {
            Some(rest) => (self.separator.as_str(), rest),
            None => ("", suffix.as_str()),
        };
        let mut parts = vec![PromptPart::Common(prefix)];
        let count = bodies.len();
        for (n, body) in bodies.into_iter().enumerate() {
            parts.push(PromptPart::Document(body));
            let after = if n + 1 < count { self.separator.as_str() } else { gap };
            parts.push(PromptPart::Common(after.to_string()));
        }
        parts.retain(|part| !matches!(part, PromptPart::Common(text) if text.is_empty()));
        if chat {
            // Chat templates may trim what they write.
            if let Some(PromptPart::Common(text) | PromptPart::Document(text)) = parts.first_mut() {
                *text = text.trim_start().to_string();
            }
            ending = ending.trim_end();
        }
        PromptParts { chat, system, parts, endings: vec![ending.to_string()], answer }
    }

    /// The prompt for a query and passages. `values` are those of placeholders that the method fills itself.
    pub fn render(&self, query: &str, passages: &[Passage<'_>], values: &[(&str, &str)]) -> Prompt {
        let Pieces { system, prefix, bodies, suffix, answer, prefix_reply } =
            self.pieces(query, passages, values);
        if self.style == Style::Text {
            let gap = if system.is_empty() { "" } else { "\n\n" };
            let text = format!("{system}{gap}{prefix}{}{suffix}", bodies.join(&self.separator));
            return Prompt::Text { text, answer };
        }
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(ChatMessage::new(ChatRole::System, system));
        }
        if self.body_reply.is_empty() {
            let content = format!("{prefix}{}{suffix}", bodies.join(&self.separator));
            messages.push(ChatMessage::new(ChatRole::User, content));
            return Prompt::Chat { messages, answer };
        }
        // A turn for every passage, each with a fixed reply.
        if !prefix.is_empty() {
            messages.push(ChatMessage::new(ChatRole::User, prefix));
            messages.push(ChatMessage::new(ChatRole::Assistant, prefix_reply));
        }
        for (passage, body) in passages.iter().zip(bodies) {
            let mut reply = String::new();
            self.body_reply.write(&mut reply, &|name| (name == "label").then_some(passage.label));
            messages.push(ChatMessage::new(ChatRole::User, body));
            messages.push(ChatMessage::new(ChatRole::Assistant, reply));
        }
        messages.push(ChatMessage::new(ChatRole::User, suffix));
        Prompt::Chat { messages, answer }
    }

    /// An ordering of two of the passages, as an answer could begin.
    fn example(&self, passages: &[Passage<'_>]) -> String {
        let places: &[usize] = match passages.len() {
            0 => &[],
            1 => &[0],
            2 | 3 => &[1, 0],
            _ => &[3, 1],
        };
        let marks: Vec<String> = places.iter().map(|place| self.mark(passages[*place].label)).collect();
        marks.join(" > ")
    }

    fn value<'v>(&'v self, name: &str, values: &[(&str, &'v str)]) -> Option<&'v str> {
        let found = values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        found.or_else(|| (name == "instruction").then_some(self.instruction.as_str()))
    }
}

/// A text whose line breaks, however many together, are one blank each.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.split(['\n', '\r']).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// `[12]` and `[A]` as `(12)` and `(A)`, and how many there were.
pub(super) fn rewritten(text: &str) -> (String, usize) {
    let (mut out, mut rest, mut count) = (String::with_capacity(text.len()), text, 0);
    while let Some(at) = rest.find('[') {
        let (before, bracket) = rest.split_at(at);
        out.push_str(before);
        let inner = bracket[1..].split_once(']').filter(|(inner, _)| {
            let digits = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit());
            digits || (inner.len() == 1 && inner.bytes().all(|b| b.is_ascii_uppercase()))
        });
        match inner {
            Some((label, after)) => {
                out.extend(["(", label, ")"]);
                rest = after;
                count += 1;
            }
            None => {
                out.push('[');
                rest = &bracket[1..];
            }
        }
    }
    out.push_str(rest);
    (out, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTWISE: &str = r#"
style = "chat"
system = "You rank."
prefix = "{num} passages for {query}:\n"
body = "[{label}] {doc}"
separator = "\n"
suffix = "\nQuery: {query}."
answer = "["
mark = "[{label}]"
labels = "letters"
"#;

    #[test]
    fn a_conversation_has_system_user_and_the_beginning_of_the_answer() {
        let template = Template::parse("toy", "toy", LISTWISE, &[]).unwrap();
        let passages = [Passage { label: "A", text: "one" }, Passage { label: "B", text: "two {query}" }];
        let prompt = template.render("why", &passages, &[]);
        let Prompt::Chat { messages, answer } = &prompt else { panic!("{prompt:?}") };
        assert_eq!((messages[0].role, messages[0].content.as_str()), (ChatRole::System, "You rank."));
        assert_eq!(messages[1].content, "2 passages for why:\n[A] one\n[B] two {query}\nQuery: why.");
        assert_eq!((answer.as_str(), template.mark("B").as_str()), ("[", "[B]"));
        assert!(template.labels(27).unwrap_err().to_string().contains("27 passages"));
    }

    #[test]
    fn passages_become_one_line_where_the_file_says_so() {
        let document = plackett_core::Document::new("d", "one\r\ntwo\n\n\n three\n");
        let passage = |more: &str| {
            let text = format!("{LISTWISE}{more}");
            Template::parse("toy", "toy", &text, &[]).unwrap().passage(&document).0
        };
        assert_eq!(passage("one_line = true\n"), "one two  three");
        assert_eq!(passage(""), document.text);
    }

    #[test]
    fn brackets_that_look_like_labels_are_rewritten() {
        let (text, count) = rewritten("see [3] and [A], not [b], [], [3a] or [");
        assert_eq!((text.as_str(), count), ("see (3) and (A), not [b], [], [3a] or [", 2));
    }

    #[test]
    fn replies_make_a_turn_of_every_passage() {
        let text = format!("{LISTWISE}body_reply = \"Received [{{label}}].\"\nprefix_reply = \"Go on.\"\n");
        let template = Template::parse("toy", "toy", &text, &[]).unwrap();
        let prompt = template.render("why", &[Passage { label: "A", text: "one" }], &[]);
        let Prompt::Chat { messages, .. } = prompt else { panic!() };
        let roles: Vec<&str> = messages.iter().map(|message| message.role.name()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user", "assistant", "user"]);
        assert_eq!(messages[4].content, "Received [A].");
    }
}
