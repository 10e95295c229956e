//! Which label comes next, where a label may be one token only with or without its leading blank, or not at all.
//!
//! Vocabularies differ: after `Passage` most models have ` A` as one token, some only `A`, and a few write labels with
//! several. Scores are then those of the other spelling, or log-probabilities of the whole label; the trace says which.

use crate::model::{CallError, ContinuationRequest, LabelRequest, Need, Prompt};
use crate::prompting::RankContext;

/// A prompt and the labels that may follow it, as the template writes them.
pub(crate) struct LabelQuestion {
    pub prompt: Prompt,
    pub labels: Vec<String>,
}

/// How labels are read. What was found for one prompt of a request is kept for its others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// The next token, labels as they are written.
    #[default]
    Written,
    /// The next token, without the leading blank where there is one, and with one where there is none.
    Respaced,
    /// The log-probability of all tokens of the label.
    Likelihood,
}

/// Reads labels for the prompts of one request.
#[derive(Debug, Default)]
pub(crate) struct NextLabel {
    reading: Reading,
    /// Why labels are not read as they are written.
    refused: Option<CallError>,
    noted: bool,
}

impl NextLabel {
    /// Scores of the labels of each prompt; greater is more probable. Scores of one prompt compare with each other only.
    ///
    /// # Errors
    /// [`CallError::Label`] when a label is not one token in either spelling and the model gives no log-probabilities of
    /// texts; what the model says.
    pub fn scores(
        &mut self,
        context: &mut RankContext<'_>,
        questions: &[LabelQuestion],
    ) -> Result<Vec<Vec<f64>>, CallError> {
        loop {
            let found = match self.reading {
                Reading::Likelihood => likelihoods(context, questions),
                _ => self.logits(context, questions),
            };
            match found {
                Err(error @ CallError::Label { .. }) => self.next(context, error)?,
                found => {
                    self.note(context);
                    return found;
                }
            }
        }
    }

    /// Goes on to the next way of reading, or gives up with the first reason.
    fn next(&mut self, context: &RankContext<'_>, error: CallError) -> Result<(), CallError> {
        let first = self.refused.get_or_insert(error).clone();
        self.reading = match self.reading {
            Reading::Written => Reading::Respaced,
            Reading::Respaced if context.model().can(Need::Likelihoods).is_ok() => Reading::Likelihood,
            _ => return Err(first),
        };
        Ok(())
    }

    fn note(&mut self, context: &mut RankContext<'_>) {
        let how = match self.reading {
            Reading::Written => return,
            Reading::Respaced => "read with the other spelling of their leading blank",
            Reading::Likelihood => "read by the log-probability of all their tokens",
        };
        if let (false, Some(why)) = (self.noted, &self.refused) {
            context.note("labels", format!("{how}; {why}"));
            self.noted = true;
        }
    }

    fn logits(
        &self,
        context: &mut RankContext<'_>,
        questions: &[LabelQuestion],
    ) -> Result<Vec<Vec<f64>>, CallError> {
        let spelled = |label: &String| match self.reading {
            Reading::Respaced => label.strip_prefix(' ').map_or_else(|| format!(" {label}"), str::to_string),
            _ => label.clone(),
        };
        let labels: Vec<Vec<String>> =
            questions.iter().map(|question| question.labels.iter().map(spelled).collect()).collect();
        let requests: Vec<LabelRequest<'_>> = questions
            .iter()
            .zip(&labels)
            .map(|(question, labels)| LabelRequest { prompt: &question.prompt, labels, normalizer: false })
            .collect();
        let found = context.label_logits(&requests)?;
        let untold: u64 = found.iter().map(|reply| reply.untold() as u64).sum();
        if untold > 0 {
            context.count("labels-not-told", untold);
        }
        Ok(found.iter().map(|reply| (0..reply.logits.len()).map(|at| reply.bounded(at)).collect()).collect())
    }
}

fn likelihoods(
    context: &mut RankContext<'_>,
    questions: &[LabelQuestion],
) -> Result<Vec<Vec<f64>>, CallError> {
    let requests: Vec<ContinuationRequest<'_>> = questions
        .iter()
        .flat_map(|question| {
            let prompt = &question.prompt;
            question.labels.iter().map(move |label| ContinuationRequest { prompt, continuation: label })
        })
        .collect();
    let mut found = context.log_likelihoods(&requests)?.into_iter().map(|reply| reply.log_prob);
    Ok(questions.iter().map(|question| found.by_ref().take(question.labels.len()).collect()).collect())
}

/// The beginning of the answer that was given and what the model wrote after it, as one text. Servers may begin their
/// answer anew; a word is then not glued to the one before.
pub(crate) fn whole_answer(prompt: &Prompt, written: &str) -> String {
    let given = prompt.answer();
    let glued = given.ends_with(char::is_alphanumeric) && written.starts_with(char::is_alphanumeric);
    format!("{given}{}{written}", if glued { " " } else { "" })
}
