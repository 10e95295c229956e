//! A model writes queries.

use super::{QueryPrompt, QuerySynthesisError, kept};
use crate::recipe::running::kept_replies::{KeptReplies, Reply};
use plackett_core::Document;
use plackett_rank::model::{ChatMessage, ChatRole, GenerationOptions, LanguageModel, Prompt, Sampling};
use std::path::Path;

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

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The queries of the first document, those of the second …
    pub texts: Vec<String>,
    /// How many of them an earlier run had left.
    pub resumed: usize,
}

impl QueryWriter<'_> {
    /// What is written for documents. Replies are kept in a folder, so that a killed run asks only for those that it lacks; the folder is of these
    /// documents and this writer alone.
    ///
    /// # Errors
    /// The model does not write, or replies cannot be kept.
    pub fn write(
        &self,
        documents: &[Document],
        folder: &Path,
        progress: &dyn Fn(usize),
    ) -> Result<Written, QuerySynthesisError> {
        let options = GenerationOptions {
            max_tokens: self.tokens,
            stop: vec!["\n".into()],
            sampling: self.sampling,
            ..GenerationOptions::default()
        };
        let prompts: Vec<Prompt> = documents.iter().map(|document| self.asked(document)).collect();
        let replies = KeptReplies {
            folder,
            model: self.model,
            options: &options,
            samples: self.each,
            together: TOGETHER,
            progress,
        };
        let resumed = replies.known().map_err(kept)?;
        let replies = replies.to(&prompts).map_err(kept)?;
        let texts = replies.iter().map(|reply: &Reply| reply.text().to_string()).collect();
        Ok(Written { texts, resumed })
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
    use plackett_rank::testing::ScriptedModel;

    #[test]
    fn each_document_has_as_many_draws_and_those_of_an_earlier_run_are_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let prompt = QueryPrompt::of_text("{document} asks", 1).unwrap();
        let documents = [Document::new("a", "tea leaf"), Document::new("b", "figs")];
        let write = |model: &ScriptedModel| {
            let sampling = Some(Sampling { seed: 1, temperature: 1.0, top_p: None });
            let writer = QueryWriter { model, prompt: &prompt, chat: false, tokens: 9, each: 2, sampling };
            writer.write(&documents, folder.path(), &|_| {}).unwrap()
        };
        let scripted = || ScriptedModel::new().answers(|prompt, _, sample| Ok(format!("{prompt} {sample}")));
        let first = scripted();
        let written = write(&first);
        assert_eq!(written.texts, ["tea asks 0", "tea asks 1", "figs asks 0", "figs asks 1"]);
        assert_eq!((written.resumed, first.prompts()), (0, 4));
        let second = scripted();
        assert_eq!((write(&second).resumed, second.prompts()), (4, 0));
    }
}
