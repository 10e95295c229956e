//! Prompts about what somebody did, in several templates: a recommender that writes items learns from some of them, and is asked with others
//! that it has never read (Geng and others, Recommendation as Language Processing, 2022; Hua and others, How to Index Item IDs, 2023).

use super::look_up::{Found, look_up};
use super::pattern::{Pattern, Piece};
use super::read::Source;
use super::{BuiltinPrompt, TemplateError, builtin_prompt};
use plackett_lm::sha256;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use toml::Spanned;

/// The files of templates that come with Plackett; the first is the usual one.
pub static HISTORY_PROMPTS: &[BuiltinPrompt] = &[builtin_prompt!("next-item")];

/// The placeholder of whoever is asked about.
const USER: &str = "user";
/// The placeholder of what they did, the oldest first.
const HISTORY: &str = "history";
/// What stands between two items, where the file does not say.
const SEPARATOR: &str = ", ";

/// What a template is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryPart<'t> {
    /// Text as it stands.
    Text(&'t str),
    /// The place of whoever is asked about.
    User,
    /// The place of what they did, the oldest first.
    History,
}

/// One way to ask for the next item.
#[derive(Clone, Debug)]
pub struct HistoryTemplate {
    name: String,
    text: Pattern,
}

impl HistoryTemplate {
    /// Its name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its texts and places, in their order, for models whose items are tokens and not texts.
    pub fn parts(&self) -> impl Iterator<Item = HistoryPart<'_>> {
        self.text.pieces().iter().map(|piece| match piece {
            Piece::Literal(text) => HistoryPart::Text(text),
            Piece::Slot(name) if name == USER => HistoryPart::User,
            Piece::Slot(_) => HistoryPart::History,
        })
    }

    /// Whether it says who is asked about.
    pub fn shows_user(&self) -> bool {
        self.text.has(USER)
    }

    /// The prompt as a text.
    pub fn write(&self, user: &str, history: &str) -> String {
        let mut out = String::new();
        self.text.write(&mut out, &|name| Some(if name == USER { user } else { history }));
        out
    }
}

/// A file of templates: those that a model learns from, and those that are kept for the test.
#[derive(Clone, Debug)]
pub struct HistoryTemplates {
    hash: String,
    separator: String,
    seen: Vec<HistoryTemplate>,
    unseen: Vec<HistoryTemplate>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "source")]
    _source: Option<String>,
    separator: Option<String>,
    #[serde(default)]
    seen: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    unseen: BTreeMap<String, Spanned<String>>,
}

impl HistoryTemplates {
    /// Those of [`HISTORY_PROMPTS`] with this name, or of a file; a relative path goes out from `folder`.
    ///
    /// # Errors
    /// [`TemplateError`]: there is neither, or the file is as [`HistoryTemplates::parse`] refuses it.
    pub fn choose(asked: &str, folder: &Path) -> Result<HistoryTemplates, TemplateError> {
        match look_up(asked, HISTORY_PROMPTS, folder)? {
            Found::Own(own) => HistoryTemplates::parse(own.name, own.text),
            Found::File(text) => HistoryTemplates::parse(&folder.join(asked).display().to_string(), &text),
        }
    }

    /// Reads a file; `origin` is for messages.
    ///
    /// # Errors
    /// [`TemplateError::Line`] with the line of what is wrong: no TOML, an unknown placeholder, a template without the history or that stands
    /// twice, an unseen one that says who is asked about where no seen one does. [`TemplateError::Lacking`] when there is no seen or no unseen one.
    pub fn parse(origin: &str, text: &str) -> Result<HistoryTemplates, TemplateError> {
        let source = Source { origin, text };
        let raw: Raw = source.read()?;
        for (table, templates) in [("seen", &raw.seen), ("unseen", &raw.unseen)] {
            if templates.is_empty() {
                let problem =
                    format!("no template stands under [{table}]; write one, as NAME = \"… {{history}} …\"");
                return Err(TemplateError::Lacking { origin: origin.to_string(), problem });
            }
        }
        refuse_twins(&source, raw.seen.values().chain(raw.unseen.values()))?;
        let seen = templates(&source, &raw.seen)?;
        let unseen = templates(&source, &raw.unseen)?;
        let knows_user = seen.iter().any(HistoryTemplate::shows_user);
        if let Some(template) = unseen.iter().find(|template| template.shows_user() && !knows_user) {
            let start = raw.unseen.get(&template.name).map_or(0, |text| text.span().start);
            let problem = "{user} stands in no seen template; write it in one, or leave it out here";
            return Err(source.at(start, problem));
        }
        let separator = raw.separator.unwrap_or_else(|| SEPARATOR.to_string());
        Ok(HistoryTemplates { hash: sha256::hex_digest(text), separator, seen, unseen })
    }

    /// The SHA-256 of the file, in hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What stands between two items of a history.
    pub fn separator(&self) -> &str {
        &self.separator
    }

    /// The templates to learn from, by their names; there is one at least.
    pub fn seen(&self) -> &[HistoryTemplate] {
        &self.seen
    }

    /// The templates that are kept for the test, by their names; there is one at least.
    pub fn unseen(&self) -> &[HistoryTemplate] {
        &self.unseen
    }
}

/// Refuses a text that stands twice: an unseen template would be a seen one.
fn refuse_twins<'r>(
    source: &Source<'_>,
    texts: impl Iterator<Item = &'r Spanned<String>>,
) -> Result<(), TemplateError> {
    let mut known = HashSet::new();
    for text in texts {
        if !known.insert(text.get_ref().trim()) {
            let problem = "another template has the same text; write it in other words, or leave it out";
            return Err(source.at(text.span().start, problem));
        }
    }
    Ok(())
}

fn templates(
    source: &Source<'_>,
    raw: &BTreeMap<String, Spanned<String>>,
) -> Result<Vec<HistoryTemplate>, TemplateError> {
    let template = |(name, written): (&String, &Spanned<String>)| {
        let text = source.pattern(Some(written), &[USER, HISTORY])?;
        if !text.has(HISTORY) {
            let problem = format!("the template `{name}` does not show the history; write {{history}} in it");
            return Err(source.at(written.span().start, problem));
        }
        Ok(HistoryTemplate { name: name.clone(), text })
    };
    raw.iter().map(template).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "separator = \" ; \"\n[seen]\nb = \"{user} had {history}, then\"\na = \"After {history}:\"\n[unseen]\nc = \"{history} and\"\n";

    #[test]
    fn templates_are_texts_and_places_in_the_order_of_their_names() {
        let file = HistoryTemplates::parse("mine.toml", FILE).unwrap();
        let names: Vec<&str> = file.seen().iter().map(HistoryTemplate::name).collect();
        assert_eq!((names, file.unseen().len(), file.separator()), (vec!["a", "b"], 1, " ; "));
        let parts: Vec<HistoryPart<'_>> = file.seen()[1].parts().collect();
        let text = HistoryPart::Text;
        assert_eq!(parts, [HistoryPart::User, text(" had "), HistoryPart::History, text(", then")]);
        assert_eq!(file.seen()[1].write("ann", "x ; {user}"), "ann had x ; {user}, then");
        assert_eq!(file.unseen()[0].write("ann", "x"), "x and");
        assert!(file.seen()[1].shows_user() && !file.seen()[0].shows_user());
        let other = HistoryTemplates::parse("mine.toml", &format!("{FILE}# a remark")).unwrap();
        assert_ne!(file.hash(), other.hash());
    }

    #[test]
    fn our_own_are_ten_and_one_that_is_kept() {
        let own = HistoryTemplates::choose("next-item", Path::new("")).unwrap();
        assert_eq!((own.seen().len(), own.unseen().len()), (10, 1));
        assert!(own.seen().iter().chain(own.unseen()).all(HistoryTemplate::shows_user));
        let error = HistoryTemplates::choose("nowhere.toml", Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("nowhere.toml") && error.contains("next-item"), "{error}");
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        for (text, parts) in [
            ("[seen]\na = \"{history}\"\n", vec!["mine.toml: ", "[unseen]"]),
            ("[unseen]\na = \"{history}\"\n", vec!["mine.toml: ", "[seen]"]),
            ("[seen]\na = \"no\"\n[unseen]\nb = \"{history}\"", vec!["line 2", "`a`", "{history}"]),
            ("[seen]\na = \"{history}\"\n[unseen]\nb = \"{history} \"", vec!["line 4", "the same text"]),
            ("[seen]\na = \"{history}\"\n[unseen]\nb = \"{histori}\"", vec!["line 4", "mean {history}?"]),
            ("[seen]\na = \"{history}\"\n[unseen]\nb = \"{user} {history}\"", vec!["line 4", "no seen"]),
            ("sean = 1\n", vec!["line 1", "sean"]),
            ("[seen", vec!["line 1", "not TOML"]),
        ] {
            let error = HistoryTemplates::parse("mine.toml", text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text:?}: {error}");
            }
        }
    }

    #[test]
    fn a_file_goes_out_from_the_folder_of_whoever_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.toml"), FILE).unwrap();
        let file = HistoryTemplates::choose("mine.toml", folder.path()).unwrap();
        assert_eq!(file.seen().len(), 2);
    }
}
