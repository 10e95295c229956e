//! A model writes queries.

use super::QueryPrompt;
use crate::replies::Replies;
use plackett_core::Document;
use plackett_rank::model::{ChatMessage, ChatRole, GenerationOptions, LanguageModel, Prompt, Sampling};

/// Replies of one call of the model: a killed run has lost as many at most.
const TOGETHER: usize = 16;

/// How a model writes queries for documents: a line each.
pub struct QueryWriter<'m> {
    /// Who writes.
    pub model: &'m dyn LanguageModel,
    /// What it continues.
    pub prompt: &'m QueryPrompt,
    /// Whether the prompt is what a user says, written out with the model's chat template.
    pub chat: bool,
    /// Most tokens of a query.
    pub tokens: usize,
    /// Queries for each document.
    pub each: usize,
    /// Draws in place of the most probable tokens; without them all queries of a document are the same.
    pub sampling: Option<Sampling>,
}

impl QueryWriter<'_> {
    /// What the model continues for each document. Its replies are the queries of the first document, those of the second …
    pub fn prompts(&self, documents: &[Document]) -> Vec<Prompt> {
        documents.iter().map(|document| self.asked(document)).collect()
    }

    /// How a query is written: a line.
    pub fn options(&self) -> GenerationOptions {
        GenerationOptions {
            max_tokens: self.tokens,
            stop: vec!["\n".into()],
            sampling: self.sampling,
            ..GenerationOptions::default()
        }
    }

    /// How queries are asked for, with these [`QueryWriter::options`]; `progress` is told how many are written.
    pub fn replies<'a>(&'a self, options: &'a GenerationOptions, progress: &'a dyn Fn(usize)) -> Replies<'a> {
        Replies { model: self.model, options, samples: self.each, together: TOGETHER, progress }
    }

    fn asked(&self, document: &Document) -> Prompt {
        let text = self.prompt.text(document);
        match self.chat {
            true => Prompt::chat(vec![ChatMessage::new(ChatRole::User, text)]),
            false => Prompt::text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replies::Reply;
    use plackett_rank::model::CallError;
    use plackett_rank::testing::ScriptedModel;
    use std::collections::BTreeMap;

    #[test]
    fn each_document_has_as_many_draws_and_those_of_an_earlier_run_are_not_asked_for() {
        let prompt = QueryPrompt::of_text("{document} asks", 1).unwrap();
        let documents = [Document::new("a", "tea leaf"), Document::new("b", "figs")];
        let write = |model: &ScriptedModel, known: BTreeMap<u64, Reply>| {
            let sampling = Some(Sampling { seed: 1, temperature: 1.0, top_p: None });
            let writer = QueryWriter { model, prompt: &prompt, chat: false, tokens: 9, each: 2, sampling };
            let (options, progress) = (writer.options(), |_: usize| {});
            let replies = writer.replies(&options, &progress);
            let mut keep = |_: &[(u64, Reply)]| -> Result<(), CallError> { Ok(()) };
            replies.to(&writer.prompts(&documents), known, &mut keep).unwrap()
        };
        let scripted = || ScriptedModel::new().answers(|prompt, _, sample| Ok(format!("{prompt} {sample}")));
        let first = scripted();
        let written = write(&first, BTreeMap::new());
        let texts: Vec<&str> = written.iter().map(Reply::text).collect();
        assert_eq!(texts, ["tea asks 0", "tea asks 1", "figs asks 0", "figs asks 1"]);
        assert_eq!(first.prompts(), 4);
        let second = scripted();
        let known: BTreeMap<u64, Reply> = (0..).zip(written.clone()).filter(|(at, _)| *at != 1).collect();
        assert_eq!((write(&second, known), second.prompts()), (written, 1));
    }
}
