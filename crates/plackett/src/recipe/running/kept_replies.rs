//! What a language model replies to a stage's prompts, kept line by line, so that a killed stage asks only for those that it lacks.

use super::line_log::LineLog;
use crate::recipe::error::StageError;
use crate::recipe::task::Task;
use crate::replies::{Replies, Reply};
use plackett_rank::model::{GenerationOptions, LanguageModel, Prompt};
use serde_json::json;
use std::path::Path;

/// The file in a stage's folder, a reply a line.
const FILE: &str = "replies.jsonl";

/// Replies in a stage's folder.
pub struct KeptReplies<'a> {
    /// The stage's folder.
    pub folder: &'a Path,
    /// How they are asked for.
    pub replies: Replies<'a>,
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
    let replies = Replies { model, options, samples: 1, together, progress: &progress };
    KeptReplies { folder: task.folder, replies }.to(prompts)
}

impl KeptReplies<'_> {
    /// The replies to each prompt; the prompts of a folder have to be the same each time.
    ///
    /// # Errors
    /// The model does not reply (what it had replied before that is kept), or the file is damaged or cannot be written.
    pub fn to(&self, prompts: &[Prompt]) -> Result<Vec<Reply>, StageError> {
        let (mut log, lines) = LineLog::open(self.folder.join(FILE))?;
        let damaged = |problem: String| StageError::Damaged { path: self.folder.join(FILE), problem };
        let count = prompts.len() * self.replies.samples.max(1);
        if lines.len() > count {
            return Err(damaged(format!("{} replies to {count} prompts", lines.len())));
        }
        let read = |line: &Vec<u8>| {
            serde_json::from_slice::<Reply>(line)
                .map_err(|error| damaged(format!("a line is no reply: {error}")))
        };
        let known = lines.iter().map(read).collect::<Result<Vec<Reply>, StageError>>()?;
        let mut next = known.len() as u64;
        let mut keep = |new: &[(u64, Reply)]| {
            // Lines have no numbers: what stands behind a reply that failed is asked for again.
            let whole = new.iter().zip(next..).take_while(|((at, _), place)| at == place);
            let lines: Vec<String> = whole.map(|((_, reply), _)| json!(reply).to_string()).collect();
            next += lines.len() as u64;
            log.add(&lines)
        };
        self.replies.to(prompts, (0..).zip(known).collect(), &mut keep)
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
        let replies = Replies { model, options: &options, samples: 1, together: 2, progress: &|_| {} };
        KeptReplies { folder, replies }.to(&prompts)
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
