//! The reader: an answer from passages, with citations that point at them.

use super::citations::check_citations;
use super::{ANSWER_PROMPTS, AskError, Asker, Aspect};
use crate::model::{AnswerForm, CallError, Finish, GenerationOptions, GenerationRequest};
use crate::prompt::{Labels, Template};
use crate::prompting::RankContext;
use plackett_core::{Candidate, Document, Query, RankRequest, Trace};
use serde::Serialize;

/// How an answer is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerOptions {
    /// Most tokens of the answer (500 in RichRAG for WikiPassageQA).
    pub max_tokens: usize,
    /// The prompt: a file, or one of [`ANSWER_PROMPTS`] by name.
    pub prompt: Option<String>,
}

impl Default for AnswerOptions {
    fn default() -> AnswerOptions {
        AnswerOptions { max_tokens: 500, prompt: None }
    }
}

/// A source that an answer cites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Citation {
    /// Its number in the answer, from 1.
    pub source: usize,
    /// The document's identifier.
    pub id: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What the model wrote, without citations of sources that are not there.
    pub text: String,
    /// The identifier of each source that stood in the prompt, in the order of their numbers.
    pub sources: Vec<String>,
    /// The sources that are cited, in the order in which they come.
    pub citations: Vec<Citation>,
    /// Citations that were taken out, as they were written.
    pub dropped: Vec<String>,
    /// Why the answer ended.
    pub finish: Finish,
    /// What has to be known of it, in sentences.
    pub remarks: Vec<String>,
    /// What it cost.
    pub trace: Trace,
}

impl Asker {
    /// Writes an answer from passages, best first. Passages without a word are left out; numbers of sources are those of
    /// the others.
    ///
    /// # Errors
    /// An empty question, a prompt that cannot be used, a model that fails. No passage at all is one too: there is nothing
    /// to answer from.
    pub fn answer(
        &self,
        question: &str,
        aspects: &[Aspect],
        passages: &[&Document],
        options: &AnswerOptions,
    ) -> Result<Answer, AskError> {
        if question.trim().is_empty() {
            return Err(AskError::NoQuestion);
        }
        let template = answer_template(options)?;
        let with_words = |document: &&&Document| document.model_text().chars().any(char::is_alphanumeric);
        let shown: Vec<&Document> = passages.iter().filter(with_words).copied().collect();
        if shown.is_empty() {
            let problem = "there is no passage to answer from".to_string();
            return Err(AskError::Call { step: "ask-answer", source: CallError::Argument(problem) });
        }
        let candidates = shown.iter().map(|document| Candidate::from((*document).clone())).collect();
        let request = RankRequest { query: Query::new("question", question), candidates };
        let (mut answer, trace) =
            self.step("ask-answer", &request, |context| written(context, &template, aspects, options))?;
        if shown.len() < passages.len() {
            let empty = passages.len() - shown.len();
            answer.remarks.push(format!("passages without a word were not shown to the reader: {empty}"));
        }
        answer.trace = trace;
        Ok(answer)
    }
}

/// The prompt of the reader. Its passages have numbers: that is how citations are read.
pub(super) fn answer_template(options: &AnswerOptions) -> Result<Template, AskError> {
    let template = Template::choose(options.prompt.as_deref(), ANSWER_PROMPTS)?;
    match template.alphabet() {
        Labels::Numbers => Ok(template),
        _ => Err(template.lacks("citations are numbers; write labels = \"numbers\"").into()),
    }
}

fn written(
    context: &mut RankContext<'_>,
    template: &Template,
    aspects: &[Aspect],
    options: &AnswerOptions,
) -> Result<Answer, CallError> {
    let max_tokens = context.answer_limit("max-tokens", options.max_tokens);
    let listed: Vec<&str> = aspects.iter().map(|aspect| aspect.text.as_str()).collect();
    let listed = listed.join("\n");
    // What speaks of aspects stands in the prompt only where there are some.
    let part = |name: &str| match aspects {
        [] => String::new(),
        _ => template.part(name, &[("aspects", listed.as_str())]).unwrap_or_default(),
    };
    let (with, list) = (part("with_aspects"), part("list_of_aspects"));
    let values =
        [("aspects", listed.as_str()), ("with_aspects", with.as_str()), ("list_of_aspects", list.as_str())];
    let labels = template.labels(context.len()).map_err(|error| CallError::Argument(error.to_string()))?;
    let passages: Vec<(&str, usize)> = labels.iter().map(String::as_str).zip(0..).collect();
    let prompt = context.prompt(template, &passages, &values, max_tokens)?;
    let asked = GenerationRequest { prompt: &prompt, form: &AnswerForm::Text, sample: 0 };
    let limits = GenerationOptions { max_tokens, ..GenerationOptions::default() };
    let Some(generated) = context.generate(&[asked], &limits)?.pop() else {
        return Err(CallError::Argument("the model gave no answer to its prompt".into()));
    };
    let checked = check_citations(generated.text.trim(), labels.len());
    context.parsed(0, &checked.cited);
    let sources: Vec<String> =
        context.request().candidates.iter().map(|candidate| candidate.document.id.clone()).collect();
    let citations: Vec<Citation> = checked
        .cited
        .iter()
        .map(|source| Citation { source: *source, id: sources[source - 1].clone() })
        .collect();
    let mut remarks = Vec::new();
    if !checked.dropped.is_empty() {
        let what = format!(
            "citations of passages that are not there were taken out of the answer: {}",
            checked.dropped.join(" ")
        );
        context.repaired(what.clone());
        remarks.push(what);
    }
    match (checked.text.is_empty(), citations.is_empty()) {
        (true, _) => remarks.push("the model wrote no answer".into()),
        (false, true) => {
            remarks.push("the answer cites no passage, so nothing says where it comes from".into())
        }
        _ => {}
    }
    if generated.finish == Finish::Length {
        remarks.push(format!("the answer ends where its {max_tokens} tokens did"));
    }
    Ok(Answer {
        text: checked.text,
        sources,
        citations,
        dropped: checked.dropped,
        finish: generated.finish,
        remarks,
        trace: Trace::default(),
    })
}
