//! Encoder–decoders learn to rank by the first token of an answer: the probability of the right word (Nogueira et al., Document ranking
//! with a pretrained sequence-to-sequence model, 2020), or a ranking loss on what is the score (Zhuang et al., RankT5: fine-tuning T5 for
//! text ranking with ranking losses, 2022).

use super::encoder_decoder::{EncoderDecoderModel, FirstToken};
use super::examples::RankingExample;
use super::labelled_lists::{LabelledList, check_lists, lists_loss};
use super::list_ndcg::ScoredLists;
use super::{StepLoss, Task, weighted_sum};
use crate::TrainError;
use crate::nn::Mode;
use crate::objective::{Batch, Input, Term, Tokens};
use crate::tape::{Tape, Var};
use std::ops::Range;

/// A query with its candidates, each as the prompt that a method shows of both.
#[derive(Clone, Debug)]
pub struct PromptedList {
    labelled: LabelledList,
    prompts: Vec<Vec<u32>>,
}

impl PromptedList {
    /// The labels of an example, with a prompt for each of its candidates, in their order.
    ///
    /// # Errors
    /// There are more or fewer prompts, or none.
    pub fn new(example: &RankingExample, prompts: Vec<Vec<u32>>) -> Result<PromptedList, TrainError> {
        let (labelled, count) = (LabelledList::new(example), prompts.len());
        match count == labelled.labels.len() && count > 0 {
            true => Ok(PromptedList { labelled, prompts }),
            false => Err(TrainError::Setting(format!(
                "the query {} has {} candidates and {count} prompts; one for each is expected",
                labelled.describe(),
                labelled.labels.len()
            ))),
        }
    }

    /// The prompts, as tokens.
    pub fn prompts(&self) -> &[Vec<u32>] {
        &self.prompts
    }
}

/// Lists by which an [`EncoderDecoderModel`] learns what the first token of an answer says.
pub struct FirstTokenTask<'m> {
    model: &'m EncoderDecoderModel,
    lists: &'m [PromptedList],
    read: FirstToken,
    /// What is minimised of the words: their probability among all tokens.
    of_words: Vec<Term>,
    /// What is minimised of the scores.
    of_scores: Vec<Term>,
}

/// Whether an objective is about the words that are written; else it is about scores.
fn is_of_words(term: &Term) -> bool {
    term.objective.spec().name == "language"
}

/// Checks that first tokens can teach objectives.
///
/// # Errors
/// One that needs more than scores, labels and the scores of a teacher, and is not the language loss.
pub(super) fn check_objective(objective: &[Term]) -> Result<(), TrainError> {
    let known = [Input::Scores, Input::Labels, Input::Teacher];
    let is_known = |term: &Term| {
        is_of_words(term) || term.objective.spec().takes.iter().all(|input| known.contains(input))
    };
    match objective.iter().find(|term| !is_known(term)) {
        None => Ok(()),
        Some(term) => Err(TrainError::Setting(format!(
            "objective: `{}` needs more than scores and labels of candidates; choose `language` for words, or an objective of scores, as \
             `softmax-cross-entropy`",
            term.objective
        ))),
    }
}

impl<'m> FirstTokenTask<'m> {
    /// Lists and what is minimised over them, tried on each.
    ///
    /// # Errors
    /// An objective that they cannot teach, a list that lacks what it needs, or a token that the model does not have.
    pub fn new(
        model: &'m EncoderDecoderModel,
        lists: &'m [PromptedList],
        read: FirstToken,
        objective: Vec<Term>,
    ) -> Result<FirstTokenTask<'m>, TrainError> {
        check_objective(&objective)?;
        let (of_words, of_scores): (Vec<Term>, Vec<Term>) = objective.into_iter().partition(is_of_words);
        if let (FirstToken::Logit(_), Some(term)) = (read, of_words.first()) {
            return Err(TrainError::Setting(format!(
                "objective: `{}` teaches which of two words is written, and this method reads the logit of one token, which is the \
                 score; choose an objective of scores, as `softmax-cross-entropy`",
                term.objective
            )));
        }
        model.check_tokens(&read.tokens())?;
        for list in lists {
            let checked = list.prompts.iter().try_for_each(|prompt| model.check_tokens(prompt));
            checked.map_err(|error| {
                TrainError::Setting(format!("the query {}: {error}", list.labelled.describe()))
            })?;
        }
        if !of_scores.is_empty() {
            let labelled: Vec<&LabelledList> = lists.iter().map(|list| &list.labelled).collect();
            check_lists(&of_scores, &labelled)?;
        }
        Ok(FirstTokenTask { model, lists, read, of_words, of_scores })
    }

    /// The loss of the right words: that of what is relevant where the label is above 0, else the other one.
    fn loss_of_words(
        &self,
        tape: &Tape,
        states: &Var,
        (good, bad): (u32, u32),
        (lists, tokens): (&[&LabelledList], usize),
    ) -> Result<StepLoss, TrainError> {
        let labels = lists.iter().flat_map(|list| &list.labels);
        let targets: Vec<(usize, u32)> =
            labels.map(|label| if *label > 0.0 { good } else { bad }).enumerate().collect();
        let answers: Vec<Range<usize>> = (0..targets.len()).map(|at| at..at + 1).collect();
        let logs = self.model.t5.log_probabilities(tape, states, &targets);
        weighted_sum(tape, &self.of_words, &Batch::Tokens(Tokens::new(&logs, &answers)), tokens)
    }
}

impl Task for FirstTokenTask<'_> {
    fn count(&self) -> usize {
        self.lists.len()
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn describe(&self, example: usize) -> String {
        self.lists[example].labelled.describe()
    }

    /// One pass for all objectives.
    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let lists: Vec<&PromptedList> = examples.iter().map(|at| &self.lists[*at]).collect();
        let prompts: Vec<&[u32]> =
            lists.iter().flat_map(|list| list.prompts.iter().map(Vec::as_slice)).collect();
        let labelled: Vec<&LabelledList> = lists.iter().map(|list| &list.labelled).collect();
        let (states, tokens) = self.model.first_states(tape, &prompts, mode);
        let mut losses = Vec::new();
        if let (FirstToken::Words { good, bad }, false) = (self.read, self.of_words.is_empty()) {
            losses.push(self.loss_of_words(tape, &states, (good, bad), (&labelled, tokens))?);
        }
        if !self.of_scores.is_empty() {
            let scores = self.model.scores_of(tape, &states, self.read);
            losses.push(lists_loss(tape, &self.of_scores, &scores, (&labelled, tokens))?);
        }
        let mut sum = StepLoss { value: tape.constant((1, 1), &[0.0]), tokens, used: 0, skipped: 0 };
        for loss in losses {
            sum.value = tape.plus(&sum.value, &loss.value);
            sum.used = sum.used.max(loss.used);
            sum.skipped = sum.skipped.max(loss.skipped);
        }
        Ok(sum)
    }
}

impl ScoredLists for FirstTokenTask<'_> {
    fn labelled(&self, example: usize) -> &LabelledList {
        &self.lists[example].labelled
    }

    fn scores(&self, tape: &Tape, examples: &[usize]) -> Vec<f32> {
        let lists = examples.iter().map(|at| &self.lists[*at]);
        let prompts: Vec<&[u32]> = lists.flat_map(|list| list.prompts.iter().map(Vec::as_slice)).collect();
        let (states, _) = self.model.first_states(tape, &prompts, Mode::default());
        self.model.scores_of(tape, &states, self.read).value.to_vec()
    }
}
