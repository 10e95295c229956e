//! What a listwise method shows a decoder and what the decoder would have to write: the examples from which one learns to
//! rank lists (Reddy et al., FIRST, 2024; Liu et al., Sliding Windows Are Not the End, 2025). And what a method of vectors
//! has an encoder read ([`EmbeddingExampleBuilder`]), and monoT5 and RankT5 an encoder–decoder ([`FirstTokenExampleBuilder`]).
//!
//! The prompts are not written again here. The method itself runs, over a model that only records what it is asked
//! (`RecordingModel`), so that what is learned from and what is asked later cannot differ: template, labels, cut passages, rewritten brackets, the
//! chat template and the place where the answer begins are those of the method.

mod embedding;
mod first_token;
mod reasoned_list;
mod recording_model;
#[cfg(test)]
mod tests;

pub use self::embedding::{EmbeddingExample, EmbeddingExampleBuilder, readable};
pub use self::first_token::{
    FirstTokenExample, FirstTokenExampleBuilder, TAUGHT_FIRST_TOKENS, teaches_first_token,
};
pub use self::reasoned_list::{ReasonedList, read_reasoned_lists};

use self::recording_model::{RecordedRequest, RecordingModel};
use crate::method::{MethodError, MethodSpec, OptionKind, OptionValues};
use crate::model::{CallError, LanguageModel};
use crate::{RankError, Ranker, Settings};
use plackett_core::{Document, Query, RankRequest};
use std::sync::Arc;

/// A list as it is taught, in tokens of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListwiseExample {
    /// What is read before the answer.
    pub prompt: Vec<u32>,
    /// The order that is to be written.
    pub answer: Vec<u32>,
    /// For each token of the answer the rank, from 1, of the label that it belongs to, brackets with their label; `None` for
    /// what stands between labels.
    pub ranks: Vec<Option<usize>>,
    /// The token of the label of each passage, in the order in which passages are shown; empty for methods that do not read
    /// the first token.
    pub labels: Vec<u32>,
    /// Tokens of the answer before its first label: those that such a method gives itself.
    pub opening: usize,
    /// Texts that were cut to fit the prompt.
    pub cut: usize,
}

/// Why a list cannot be taught.
#[derive(Debug, thiserror::Error)]
pub enum TrainingExampleError {
    /// The method cannot be made with these options.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// The method gave up on the list.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// What the tokenizer says.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A method that does not write one order of one window.
    #[error("{method}: {problem}")]
    Unsuitable {
        /// The method.
        method: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// Makes examples of lists for one method and one model.
pub struct ListwiseExampleBuilder {
    method: &'static MethodSpec,
    model: Arc<dyn LanguageModel>,
    recorder: Arc<RecordingModel>,
    /// The method as it lets orders be written.
    written: Arc<dyn Ranker>,
    /// The method as it reads the first token, where it does.
    first: Option<Arc<dyn Ranker>>,
}

impl ListwiseExampleBuilder {
    /// For a method with options as in an expression. `mode` is set here: a whole order is taught, and the place of the first
    /// label where the method reads that.
    ///
    /// # Errors
    /// A method without listwise answers, or options that cannot be used.
    pub fn new(
        model: Arc<dyn LanguageModel>,
        method: &'static MethodSpec,
        options: &[(&str, &str)],
    ) -> Result<ListwiseExampleBuilder, TrainingExampleError> {
        let modes = method.options.iter().find_map(|option| match (option.name, option.kind) {
            ("mode", OptionKind::Choice(modes)) => Some(modes),
            _ => None,
        });
        let modes = modes.filter(|modes| modes.contains(&"constrained")).ok_or_else(|| {
            let problem =
                "it does not write an order of several passages; use first, full-rank or listwise".into();
            TrainingExampleError::Unsuitable { method: method.name, problem }
        })?;
        let recorder = Arc::new(RecordingModel::new(model.clone(), None));
        let ranker = |mode: &str| -> Result<Arc<dyn Ranker>, MethodError> {
            let values = with_mode(method, options, mode)?;
            method.ranker(recorder.clone(), values, Settings::default())
        };
        let free = modes.contains(&"free") && options.contains(&("mode", "free"));
        let written = match ranker("constrained") {
            // Only the length of free answers is right with one mode and wrong with the other.
            Err(MethodError::Option(_)) if free && ranker("free").is_ok() => {
                let problem = "training writes constrained answers, which end by themselves; leave out mode=free and the options \
                               of free answers, max-tokens and min-tokens"
                    .into();
                return Err(TrainingExampleError::Unsuitable { method: method.name, problem });
            }
            made => made?,
        };
        let first = modes.contains(&"logits").then(|| ranker("logits")).transpose()?;
        Ok(ListwiseExampleBuilder { method, model, recorder, written, first })
    }

    /// Whether the method reasons before it writes an order, so that a list needs a reasoning to teach one.
    pub fn reasons(&self) -> bool {
        let passages = [Document::new("a", "one"), Document::new("b", "two")];
        let request = RankRequest::new(Query::new("q", "which"), passages);
        self.recorder.reasons(Some("So."));
        let asked = self.record(&self.written, &request, 2);
        self.recorder.reasons(None);
        asked.is_ok()
    }

    /// The example of a request whose candidates stand in the order in which they are shown; `order` are their places, the
    /// best first.
    ///
    /// # Errors
    /// The method shows the list in several windows or not whole, an order that is none of all candidates, or tokens that
    /// cannot be told apart.
    pub fn example(
        &self,
        request: &RankRequest,
        order: &[usize],
    ) -> Result<ListwiseExample, TrainingExampleError> {
        self.example_of(request, order, None)
    }

    /// The same for a method that reasons before it writes an order (`dear`, `reason-rank`): the answer is the reasoning, what the method puts between
    /// both, and the order. Tokens before the order belong to no rank.
    ///
    /// # Errors
    /// As [`ListwiseExampleBuilder::example`]; a method that does not reason, or a reasoning with a tag that ends it.
    pub fn reasoned_example(
        &self,
        request: &RankRequest,
        order: &[usize],
        reasoning: &str,
    ) -> Result<ListwiseExample, TrainingExampleError> {
        if let Some(tag) = ["</think>", "<answer>"].into_iter().find(|tag| reasoning.contains(tag)) {
            return Err(self.unsuitable(format!(
                "the reasoning has `{tag}` in it, where the method ends it; give what stands before the tag"
            )));
        }
        self.recorder.reasons(Some(reasoning));
        let example = self.example_of(request, order, Some(reasoning));
        self.recorder.reasons(None);
        example
    }

    fn example_of(
        &self,
        request: &RankRequest,
        order: &[usize],
        reasoning: Option<&str>,
    ) -> Result<ListwiseExample, TrainingExampleError> {
        let count = request.candidates.len();
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..count) || count < 2 {
            return Err(self.unsuitable(format!(
                "{order:?} is no order of {count} candidates, of which two are needed"
            )));
        }
        let (mut recorded, cut) =
            self.record(&self.written, request, 1 + usize::from(reasoning.is_some()))?;
        let Some(RecordedRequest::Order { prompt, marks, separator }) = recorded.pop() else {
            return Err(self.unsuitable("it asks for no order to be written".into()));
        };
        let (asked, thought) = match recorded.pop() {
            Some(RecordedRequest::Reasoning { prompt: asked }) => {
                // Reasoning and what the method writes behind it stand in the answer that the order goes on with.
                let written = prompt.answer().strip_prefix(asked.answer()).unwrap_or_default();
                let (asked, mut thought) = self.model.tokens_after(&asked, &[written])?;
                (Some(asked), thought.pop().unwrap_or_default())
            }
            _ => (None, Vec::new()),
        };
        self.check_count(marks.len(), count)?;
        let between = separator.trim_end();
        let joined: Vec<String> =
            order[1..].iter().map(|place| format!("{separator}{}", marks[*place])).collect();
        let mut texts: Vec<&str> = vec![marks[order[0]].as_str()];
        texts.extend(joined.iter().map(String::as_str));
        texts.extend((!between.is_empty()).then_some(between));
        let (prompt, mut pieces) = self.model.tokens_after(&prompt, &texts)?;
        let between = if pieces.len() > count { pieces.pop().unwrap_or_default() } else { Vec::new() };
        let mut example = ListwiseExample {
            prompt: asked.unwrap_or(prompt),
            ranks: vec![None; thought.len()],
            answer: thought,
            labels: Vec::new(),
            opening: 0,
            cut,
        };
        for (place, piece) in pieces.iter().enumerate() {
            // A separator that is not a token of its own belongs to the label after it.
            let apart = if place > 0 && piece.starts_with(&between) { between.len() } else { 0 };
            example.ranks.extend((0..piece.len()).map(|at| (at >= apart).then_some(place + 1)));
            example.answer.extend(piece);
        }
        if let Some(first) = &self.first {
            self.add_labels(first, request, order, &mut example)?;
        }
        Ok(example)
    }

    /// The labels of a method that reads the first token, and where in the written order that token stands.
    fn add_labels(
        &self,
        first: &Arc<dyn Ranker>,
        request: &RankRequest,
        order: &[usize],
        example: &mut ListwiseExample,
    ) -> Result<(), TrainingExampleError> {
        let Some(RecordedRequest::Labels { prompt, labels }) = self.record(first, request, 1)?.0.pop() else {
            return Err(self.unsuitable("it asks for no labels".into()));
        };
        self.check_count(labels.len(), order.len())?;
        let texts: Vec<&str> = labels.iter().map(String::as_str).collect();
        let (given, labels) = self.model.tokens_after(&prompt, &texts)?;
        // The recorder has let only labels pass that are one token.
        example.labels = labels.into_iter().flatten().collect();
        let (before, read) = (example.prompt.len(), given.len());
        let whole = example.prompt.iter().chain(&example.answer);
        let begins = read >= before && whole.take(read).eq(given.iter());
        example.opening = read.saturating_sub(before);
        let label = example.answer.get(example.opening);
        match begins && label == example.labels.get(order[0]) && example.labels.len() == order.len() {
            true => Ok(()),
            false => Err(self.unsuitable(
                "the label that is read is not the first label of the written order in this model's tokens; teach another method"
                    .into(),
            )),
        }
    }

    /// What a method asks for a list, all of which has to be in one prompt, so often; and how many texts were cut.
    fn record(
        &self,
        ranker: &Arc<dyn Ranker>,
        request: &RankRequest,
        often: usize,
    ) -> Result<(Vec<RecordedRequest>, usize), TrainingExampleError> {
        self.recorder.forget();
        let ranking = ranker.rank(std::slice::from_ref(request)).pop();
        let cut = ranking.transpose()?.map_or(0, |ranking| ranking.trace.truncated.len());
        let recorded = self.recorder.take();
        match recorded.len() {
            0 => Err(self.unsuitable("it asks the model nothing about this list".into())),
            asked if asked == often => Ok((recorded, cut)),
            asked if asked < often => Err(self
                .unsuitable("it does not reason before it writes an order; leave the reasoning out".into())),
            _ => Err(self.unsuitable(format!(
                "it shows {} candidates in more than one prompt; give shorter lists, or a larger window",
                request.candidates.len()
            ))),
        }
    }

    fn check_count(&self, shown: usize, count: usize) -> Result<(), TrainingExampleError> {
        match shown == count {
            true => Ok(()),
            false => Err(self.unsuitable(format!(
                "it shows {shown} of {count} candidates; those without text and those beyond `depth` or a window are not shown"
            ))),
        }
    }

    fn unsuitable(&self, problem: String) -> TrainingExampleError {
        TrainingExampleError::Unsuitable { method: self.method.name, problem }
    }
}

/// The options of a method with another mode.
fn with_mode(
    method: &'static MethodSpec,
    options: &[(&str, &str)],
    mode: &str,
) -> Result<OptionValues, MethodError> {
    let others = options.iter().copied().filter(|(name, _)| *name != "mode");
    Ok(method.values(others.chain([("mode", mode)]))?)
}
