//! What a language model replies to prompts, a few in one call, so that whoever keeps replies loses none that was finished.

use plackett_rank::model::{
    AnswerForm, CallError, Finish, Generated, GenerationOptions, GenerationRequest, LanguageModel, Prompt,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
pub struct Replies<'a> {
    /// Who replies.
    pub model: &'a dyn LanguageModel,
    /// How replies are written.
    pub options: &'a GenerationOptions,
    /// Replies to each prompt, one behind another; without sampling they are all the same.
    pub samples: usize,
    /// Replies of one call; a run that is killed has lost those of one call at most.
    pub together: usize,
    /// Told how many replies there are.
    pub progress: &'a dyn Fn(usize),
}

impl Replies<'_> {
    /// The replies to each prompt: the `known` ones by their numbers, and those that are asked for, which go to `keep` call by call.
    ///
    /// # Errors
    /// The model does not reply; what it replies in the same call is kept. Or `keep` fails.
    pub fn to<E: From<CallError>>(
        &self,
        prompts: &[Prompt],
        mut known: BTreeMap<u64, Reply>,
        mut keep: impl FnMut(&[(u64, Reply)]) -> Result<(), E>,
    ) -> Result<Vec<Reply>, E> {
        let (samples, together) = (self.samples.max(1), self.together.max(1));
        let count = prompts.len() * samples;
        let open: Vec<usize> = (0..count).filter(|at| !known.contains_key(&(*at as u64))).collect();
        let mut done = count - open.len();
        for part in open.chunks(together) {
            (self.progress)(done);
            let request = |at: &usize| GenerationRequest {
                prompt: &prompts[*at / samples],
                form: &AnswerForm::Text,
                sample: (*at % samples) as u64,
            };
            let requests: Vec<GenerationRequest<'_>> = part.iter().map(request).collect();
            let (mut new, mut failure) = (Vec::with_capacity(part.len()), None);
            for (at, reply) in part.iter().zip(self.model.generate(&requests, self.options)) {
                match reply {
                    Ok(made) => new.push((*at as u64, Reply::of(made))),
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
            }
            keep(&new)?;
            if let Some(failure) = failure {
                return Err(failure.into());
            }
            done += part.len();
            known.extend(new);
        }
        Ok(known.into_values().take(count).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_rank::testing::ScriptedModel;

    #[test]
    fn replies_of_a_call_that_fails_in_part_are_kept_and_the_others_asked_for_alone() {
        let model = |stop: &'static str| {
            ScriptedModel::new().answers(move |prompt, _, _| match prompt == stop {
                true => Err(CallError::Argument("enough".into())),
                false => Ok(prompt.to_uppercase()),
            })
        };
        let prompts = ["a", "b", "c"].map(Prompt::text);
        let options = GenerationOptions::default();
        let mut kept = BTreeMap::new();
        let mut ask = |model: &ScriptedModel, known: BTreeMap<u64, Reply>| {
            let replies = Replies { model, options: &options, samples: 1, together: 3, progress: &|_| {} };
            let mut keep = |new: &[(u64, Reply)]| -> Result<(), CallError> {
                kept.extend(new.iter().cloned());
                Ok(())
            };
            let replies = replies.to(&prompts, known, &mut keep);
            (replies, kept.clone())
        };
        let (failed, left) = ask(&model("b"), BTreeMap::new());
        assert!(failed.is_err());
        assert_eq!(left.keys().copied().collect::<Vec<u64>>(), [0, 2]);
        let whole = model("");
        let (replies, _) = ask(&whole, left);
        assert_eq!(replies.unwrap(), ["A", "B", "C"].map(|text| Reply::Whole(text.into())));
        assert_eq!(whole.prompts(), 1);
    }
}
