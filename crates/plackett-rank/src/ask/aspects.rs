//! The sides of a question: written by a model, or given.

use super::error::AspectFileError;
use super::{ASPECT_PROMPTS, AskError, Asker};
use crate::model::{AnswerForm, CallError, Finish, GenerationOptions, GenerationRequest};
use crate::prompt::Template;
use crate::prompting::RankContext;
use plackett_core::formats::json_problem;
use plackett_core::parse::parse_list;
use plackett_core::{Query, RankRequest, Trace};
use serde::Deserialize;
use std::collections::HashSet;

/// A side of a question, as a question or a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aspect {
    /// The words with which it is searched, together with the question.
    pub text: String,
    /// What is known to answer it; where there is none, coverage is that of the aspect's own words.
    pub answer: Option<String>,
    /// The ids of the passages that are known to answer it, each once; none where that is not known.
    pub answered_by: Vec<String>,
}

impl Aspect {
    /// An aspect of which nothing more is known.
    pub fn new(text: impl Into<String>) -> Aspect {
        Aspect { text: text.into(), answer: None, answered_by: Vec::new() }
    }

    /// What a passage that covers it should say.
    pub fn target(&self) -> &str {
        self.answer.as_deref().unwrap_or(&self.text)
    }
}

/// How aspects are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AspectOptions {
    /// Most aspects (8 in RichRAG).
    pub most: usize,
    /// Most tokens of the model's answer.
    pub max_tokens: usize,
    /// The prompt: a file, or one of [`ASPECT_PROMPTS`] by name.
    pub prompt: Option<String>,
}

impl Default for AspectOptions {
    fn default() -> AspectOptions {
        AspectOptions { most: 8, max_tokens: 300, prompt: None }
    }
}

/// Aspects that a model wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Explored {
    /// The aspects, in the order in which they were written. There may be none.
    pub aspects: Vec<Aspect>,
    /// What was wrong with the model's list and what was made of it, in sentences.
    pub repairs: Vec<String>,
    /// What it cost.
    pub trace: Trace,
}

/// The model's list, read.
struct List {
    aspects: Vec<Aspect>,
    repairs: Vec<String>,
}

impl Asker {
    /// Asks the model for the sides of a question. Its answer is free text, read line by line; whatever had to be left out
    /// is said, and no answer is an error.
    ///
    /// # Errors
    /// An empty question, a prompt that cannot be used, a model that fails.
    pub fn aspects(&self, question: &str, options: &AspectOptions) -> Result<Explored, AskError> {
        if question.trim().is_empty() {
            return Err(AskError::NoQuestion);
        }
        let template = Template::choose_question(options.prompt.as_deref(), ASPECT_PROMPTS)?;
        let request = RankRequest { query: Query::new("question", question), candidates: Vec::new() };
        let (list, trace) =
            self.step("ask-aspects", &request, |context| written(context, &template, options))?;
        Ok(Explored { aspects: list.aspects, repairs: list.repairs, trace })
    }
}

fn written(
    context: &mut RankContext<'_>,
    template: &Template,
    options: &AspectOptions,
) -> Result<List, CallError> {
    let max_tokens = context.answer_limit("max-tokens", options.max_tokens);
    let most = options.most.to_string();
    let prompt = context.prompt(template, &[], &[("most", &most)], max_tokens)?;
    let asked = GenerationRequest { prompt: &prompt, form: &AnswerForm::Text, sample: 0 };
    let limits = GenerationOptions { max_tokens, ..GenerationOptions::default() };
    let mut answers = context.generate(&[asked], &limits)?;
    let Some(answer) = answers.pop() else {
        return Err(CallError::Argument("the model gave no answer to its prompt".into()));
    };
    let list = read(&answer.text, answer.finish == Finish::Length, context.query(), options.most);
    context.parsed(0, &list.aspects.iter().map(|aspect| aspect.text.as_str()).collect::<Vec<_>>());
    for repair in &list.repairs {
        context.repaired(repair.clone());
    }
    Ok(list)
}

/// Reads a list that a model wrote. `cut` says that it ends where the model's tokens did.
fn read(reply: &str, cut: bool, question: &str, most: usize) -> List {
    let mut repairs = Vec::new();
    let written = reply.lines().filter(|line| !line.trim().is_empty()).count();
    let (mut items, _) = parse_list(reply, usize::MAX);
    let read = items.len();
    if cut && items.len() > 1 {
        let half = items.pop().unwrap_or_default();
        repairs.push(format!(
            "the list was cut at the limit of tokens, and its last line was dropped: {half:?}"
        ));
    }
    if cut && read == 1 {
        repairs.push("the list was cut at the limit of tokens; its only line may be half of one".into());
    }
    let same = |one: &str, other: &str| words(one) == words(other);
    items.retain(|item| item.chars().any(char::is_alphanumeric) && !same(item, question));
    let kept = items.len() + usize::from(cut && read > 1);
    if kept < written {
        let lines = if written - kept == 1 { "line was" } else { "lines were" };
        repairs.push(format!(
            "{} {lines} dropped: introductions, repetitions and what is no aspect",
            written - kept
        ));
    }
    if items.len() > most {
        let beyond = items.len() - most;
        let aspects = if beyond == 1 { "aspect" } else { "aspects" };
        repairs.push(format!("{beyond} {aspects} beyond the first {most} dropped"));
        items.truncate(most);
    }
    if items.is_empty() {
        repairs.push("the model named no aspect; the question stands alone".into());
    }
    List { aspects: items.into_iter().map(Aspect::new).collect(), repairs }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The first id that stands a second time.
fn twice(ids: &[String]) -> Option<&str> {
    let mut seen = HashSet::new();
    ids.iter().map(String::as_str).find(|id| !seen.insert(*id))
}

/// A line of a list in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    aspect: String,
    answer: Option<String>,
    answered_by: Option<Vec<String>>,
}

/// Reads a list of aspects, one a line: words, or `{"aspect": …, "answer": …, "answered_by": […]}` where it is known what
/// answers it, in words and as ids of passages. Blank lines are passed over; nothing is taken off the others.
///
/// # Errors
/// [`AspectFileError`]: a line in JSON that is wrong, an aspect or an id of one that stands twice, no aspect at all.
pub fn read_aspects<'t>(lines: impl IntoIterator<Item = &'t str>) -> Result<Vec<Aspect>, AspectFileError> {
    let (mut aspects, mut seen) = (Vec::new(), HashSet::new());
    for (at, line) in lines.into_iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |problem: String| AspectFileError::Line { line: at + 1, problem };
        let aspect = if line.trim_start().starts_with('{') {
            let read: Line = serde_json::from_str(line).map_err(|error| {
                let problem = json_problem(line, &error);
                wrong(format!(
                    "{problem}; an object {{\"aspect\": …, \"answer\": …, \"answered_by\": […]}} is expected"
                ))
            })?;
            if read.answered_by.as_ref().is_some_and(Vec::is_empty) {
                return Err(wrong("answered_by names no passage; name one, or leave it out".into()));
            }
            let answered_by = read.answered_by.unwrap_or_default();
            if let Some(id) = twice(&answered_by) {
                return Err(wrong(format!("answered_by has {id:?} twice; remove one")));
            }
            let answer = read.answer.filter(|answer| !answer.trim().is_empty());
            Aspect { text: read.aspect.trim().to_string(), answer, answered_by }
        } else {
            Aspect::new(line.trim())
        };
        if !aspect.text.chars().any(char::is_alphanumeric) {
            return Err(wrong(format!("the aspect {:?} has no word", aspect.text)));
        }
        if !seen.insert(words(&aspect.text)) {
            return Err(wrong(format!("the aspect {:?} stands twice; remove one", aspect.text)));
        }
        aspects.push(aspect);
    }
    if aspects.is_empty() { Err(AspectFileError::Empty) } else { Ok(aspects) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &List) -> Vec<&str> {
        list.aspects.iter().map(|aspect| aspect.text.as_str()).collect()
    }

    #[test]
    fn a_clean_list_needs_no_repair() {
        let list = read("- Where does it come from?\n- Who made it?\n", false, "Rap?", 8);
        assert_eq!(texts(&list), ["Where does it come from?", "Who made it?"]);
        assert!(list.repairs.is_empty());
    }

    #[test]
    fn what_had_to_be_left_out_is_said() {
        let reply = "Here are the sides:\n1. Origins\n2. **origins**\n3. Tell me about rap!\n4. Styles\n5. Sales\n6. Crit";
        let list = read(reply, true, "Tell me about rap", 2);
        assert_eq!(texts(&list), ["Origins", "Styles"]);
        assert_eq!(
            list.repairs,
            [
                "the list was cut at the limit of tokens, and its last line was dropped: \"Crit\"",
                "3 lines were dropped: introductions, repetitions and what is no aspect",
                "1 aspect beyond the first 2 dropped",
            ]
        );
        for nothing in ["", "\n\n", "- \n- ?", "rap?"] {
            let list = read(nothing, false, "Rap", 8);
            assert!(list.aspects.is_empty(), "{nothing:?}");
            assert!(list.repairs.iter().any(|repair| repair.contains("named no aspect")), "{nothing:?}");
        }
    }

    #[test]
    fn given_aspects_are_words_or_objects() {
        let lines = [
            "",
            " origins of rap ",
            "{\"aspect\": \"styles\", \"answer\": \"Trap.\"}",
            "{\"aspect\": \"x\", \"answer\": \"\", \"answered_by\": [\"d1\", \"d2\"]}",
        ];
        let found = read_aspects(lines).unwrap();
        assert_eq!(found[0], Aspect::new("origins of rap"));
        assert_eq!((found[1].target(), found[2].target()), ("Trap.", "x"));
        assert!(found[1].answered_by.is_empty());
        assert_eq!(found[2].answered_by, ["d1", "d2"]);
        let problem = |lines: &[&str]| read_aspects(lines.iter().copied()).unwrap_err().to_string();
        assert!(problem(&["a", "{\"aspekt\": \"b\"}"]).starts_with("line 2: unknown field `aspekt`"));
        assert!(problem(&["a", "", "A!"]).starts_with("line 3: the aspect \"A!\" stands twice"));
        assert!(problem(&["--"]).contains("no word"));
        let again = "{\"aspect\": \"a\", \"answered_by\": [\"d\", \"e\", \"d\"]}";
        assert!(problem(&[again]).starts_with("line 1: answered_by has \"d\" twice"));
        assert_eq!(read_aspects([" ", ""]), Err(AspectFileError::Empty));
    }
}
