//! What a language model replies to a stage's prompts, kept line by line, so that a killed stage asks only for those that it lacks.

use super::line_log::LineLog;
use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use plackett_rank::model::{
    AnswerForm, Finish, Generated, GenerationOptions, GenerationRequest, LanguageModel, Prompt,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::Path;

/// The file in a stage's folder, a reply a line.
const FILE: &str = "replies.jsonl";

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// It ended by itself, or before a text that it is to end at.
    Whole(String),
    /// It has as many tokens as it may.
    Cut {
        /// What was written.
        cut: String,
    },
}

impl Reply {
    fn of(made: Generated) -> Reply {
        match made.finish {
            Finish::Length => Reply::Cut { cut: made.text },
            Finish::Stop(_) | Finish::End => Reply::Whole(made.text),
        }
    }

    /// What was written.
    pub fn text(&self) -> &str {
        match self {
            Reply::Whole(text) | Reply::Cut { cut: text } => text,
        }
    }

    /// Whether it ends only because it has as many tokens as it may.
    pub fn is_cut(&self) -> bool {
        matches!(self, Reply::Cut { .. })
    }
}

/// How replies are asked for.
pub struct KeptReplies<'a> {
    /// The stage's folder.
    pub folder: &'a Path,
    /// Who replies.
    pub model: &'a dyn LanguageModel,
    /// How replies are written.
    pub options: &'a GenerationOptions,
    /// Replies to each prompt, one behind another; without sampling they are all the same.
    pub samples: usize,
    /// Replies of one call; a killed stage has lost those of one call at most.
    pub together: usize,
    /// Told how many replies there are.
    pub progress: &'a dyn Fn(usize),
}

/// The reply to each prompt of a stage, so many in one call.
///
/// # Errors
/// As [`KeptReplies::to`].
pub fn replies(
    task: &Task<'_>,
    model: &dyn LanguageModel,
    options: &GenerationOptions,
    together: usize,
    prompts: &[Prompt],
) -> Result<Vec<Reply>, StageError> {
    let progress = |done: usize| (task.progress)(task.name, done as u64, prompts.len() as u64);
    KeptReplies { folder: task.folder, model, options, samples: 1, together, progress: &progress }.to(prompts)
}

impl KeptReplies<'_> {
    /// How many replies an earlier run has left.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn known(&self) -> Result<usize, StageError> {
        Ok(LineLog::open(self.folder.join(FILE))?.1.len())
    }

    /// The replies to each prompt; the prompts of a folder have to be the same each time.
    ///
    /// # Errors
    /// The model does not reply (what it had replied before that is kept), or the file is damaged or cannot be written.
    pub fn to(&self, prompts: &[Prompt]) -> Result<Vec<Reply>, StageError> {
        let (mut log, lines) = LineLog::open(self.folder.join(FILE))?;
        let damaged = |problem: String| StageError::Damaged { path: self.folder.join(FILE), problem };
        let samples = self.samples.max(1);
        let count = prompts.len() * samples;
        if lines.len() > count {
            return Err(damaged(format!("{} replies to {count} prompts", lines.len())));
        }
        let read = |line: &Vec<u8>| {
            serde_json::from_slice::<Reply>(line)
                .map_err(|error| damaged(format!("a line is no reply: {error}")))
        };
        let mut replies = lines.iter().map(read).collect::<Result<Vec<Reply>, StageError>>()?;
        let together = self.together.max(1);
        for start in (replies.len()..count).step_by(together) {
            (self.progress)(start);
            let request = |at: usize| GenerationRequest {
                prompt: &prompts[at / samples],
                form: &AnswerForm::Text,
                sample: (at % samples) as u64,
            };
            let end = count.min(start + together);
            let requests: Vec<GenerationRequest<'_>> = (start..end).map(request).collect();
            let (mut new, mut failure) = (Vec::with_capacity(requests.len()), None);
            for reply in self.model.generate(&requests, self.options) {
                match reply {
                    Ok(made) => new.push(Reply::of(made)),
                    Err(error) => {
                        failure = Some(StageError::Call(error));
                        break;
                    }
                }
            }
            log.add(&new.iter().map(|reply| json!(reply).to_string()).collect::<Vec<_>>())?;
            if let Some(failure) = failure {
                return Err(failure);
            }
            replies.extend(new);
        }
        Ok(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_rank::model::CallError;
    use plackett_rank::testing::ScriptedModel;

    /// Repeats the last word of a prompt thrice; does not reply where it is `stop`.
    fn model(stop: &'static str) -> ScriptedModel {
        ScriptedModel::new().answers(move |prompt, _, _| {
            let word = prompt.split(' ').next_back().unwrap_or_default();
            match word == stop {
                true => Err(CallError::Argument("enough".into())),
                false => Ok(vec![word; if word == "long" { 9 } else { 3 }].join(" ")),
            }
        })
    }

    fn ask(folder: &Path, model: &ScriptedModel, words: &[&str]) -> Result<Vec<Reply>, StageError> {
        let prompts: Vec<Prompt> = words.iter().map(|word| Prompt::text(format!("say {word}"))).collect();
        let options = GenerationOptions { max_tokens: 4, ..GenerationOptions::default() };
        let kept =
            KeptReplies { folder, model, options: &options, samples: 1, together: 2, progress: &|_| {} };
        kept.to(&prompts)
    }

    #[test]
    fn a_killed_stage_asks_only_for_what_it_lacks_and_keeps_the_same_bytes() {
        let words = ["a", "long", "b", "c", "d"];
        let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let replies = ask(whole.path(), &model(""), &words).unwrap();
        assert_eq!(replies[0], Reply::Whole("a a a".into()));
        assert!(replies[1].is_cut() && replies[1].text().starts_with("long long long long"));
        // It stops in the midst of the second call.
        let error = ask(killed.path(), &model("c"), &words).unwrap_err().to_string();
        assert!(error.contains("enough"), "{error}");
        let bytes = |folder: &Path| std::fs::read(folder.join(FILE)).unwrap();
        assert_eq!(bytes(killed.path()).iter().filter(|byte| **byte == b'\n').count(), 3);
        let second = model("");
        assert_eq!(ask(killed.path(), &second, &words).unwrap(), replies);
        assert_eq!(second.prompts(), 2);
        assert_eq!(bytes(killed.path()), bytes(whole.path()));
        let error = ask(killed.path(), &second, &words[..2]).unwrap_err().to_string();
        assert!(error.contains("5 replies to 2 prompts"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_reply_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "\"a\"\n7\n").unwrap();
        let error = ask(folder.path(), &model(""), &["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("a line is no reply"), "{error}");
    }
}
