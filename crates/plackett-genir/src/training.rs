//! The training of a retriever: the docid after each text, and from time to time an auxiliary ranking loss.

use crate::prefix_aware::PrefixAwareTask;
use crate::{GenirError, PrefixAware};
use plackett_train::nn::{Mode, PrefixHead, TokenBatch};
use plackett_train::objective::{Batch, Configured, Lists, parse, parse_sum};
use plackett_train::trainer::{LanguageModel, LanguageTask, Settings, StepLoss, Task};
use plackett_train::{Tape, TrainError};

/// Documents for one query, of which some are better: each as the query and the document in one sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankingGroup {
    /// Query and document as tokens, one sequence a document.
    pub sequences: Vec<Vec<u32>>,
    /// How good each document is: a greater label is better.
    pub labels: Vec<f32>,
}

/// The auxiliary ranking step of ZeroGR's code: the logit of one reserved token after query and document is the score of the document,
/// and RankNet asks that better documents have greater ones.
pub struct Reranking<'g> {
    /// The groups, taken in turn.
    pub groups: &'g [RerankingGroup],
    /// Steps from one ranking step to the next; the paper's code has 8.
    pub every: usize,
    /// What its loss is multiplied with.
    pub weight: f32,
    /// The reserved token.
    pub score_token: u32,
}

/// Pairs of a prompt and a docid to be learned, with or without ranking steps.
pub struct RetrieverTask<'m> {
    model: &'m LanguageModel,
    docids: DocidTask<'m>,
    reranking: Option<(Reranking<'m>, Configured)>,
    /// Batch and seed of the training, from which the number of a step follows.
    steps: (usize, u64),
}

/// What docids are learned by.
enum DocidTask<'m> {
    /// The output matrix of the model.
    Plain(LanguageTask<'m>),
    PrefixAware(PrefixAwareTask<'m>),
}

impl<'m> RetrieverTask<'m> {
    /// The loss is the mean negative log-likelihood of the tokens of docids, the end included; prompts teach nothing.
    ///
    /// # Errors
    /// A pair that is longer than the model has positions or has a token that it does not know; a ranking group whose labels are not
    /// one a sequence; `every` of 0.
    pub fn new(
        model: &'m LanguageModel,
        pairs: Vec<(Vec<u32>, Vec<u32>)>,
        settings: &Settings,
        reranking: Option<Reranking<'m>>,
    ) -> Result<RetrieverTask<'m>, GenirError> {
        let objective = parse_sum("language").map_err(|error| GenirError::Setting(error.to_string()))?;
        let docids = DocidTask::Plain(LanguageTask::of_pairs(model, pairs, objective)?);
        RetrieverTask::with_docids(model, docids, settings, reranking)
    }

    fn with_docids(
        model: &'m LanguageModel,
        docids: DocidTask<'m>,
        settings: &Settings,
        reranking: Option<Reranking<'m>>,
    ) -> Result<RetrieverTask<'m>, GenirError> {
        let reranking = reranking.map(|reranking| checked(reranking, model)).transpose()?;
        Ok(RetrieverTask { model, docids, reranking, steps: (settings.batch, settings.seed) })
    }

    /// The same by the head of a prefix-aware decoder over these docids, whose loss goes over the tokens that may stand at each place.
    ///
    /// # Errors
    /// As [`RetrieverTask::new`].
    pub(crate) fn prefix_aware(
        model: &'m LanguageModel,
        (head, options): (&'m PrefixHead, PrefixAware),
        pairs: Vec<(Vec<u32>, Vec<u32>)>,
        settings: &Settings,
        reranking: Option<Reranking<'m>>,
    ) -> Result<RetrieverTask<'m>, GenirError> {
        LanguageTask::check_pairs(model, &pairs)?;
        let docids = DocidTask::PrefixAware(PrefixAwareTask { model, head, options, pairs });
        RetrieverTask::with_docids(model, docids, settings, reranking)
    }

    /// The same with label smoothing: of what each token of a docid teaches the share `epsilon` goes evenly to the whole vocabulary.
    ///
    /// # Errors
    /// A share that is not from 0 and below 1, or a prefix-aware decoder, to which most of the vocabulary is impossible.
    pub fn with_label_smoothing(self, epsilon: f32) -> Result<RetrieverTask<'m>, GenirError> {
        let DocidTask::Plain(language) = self.docids else {
            let problem = "label smoothing goes over the whole vocabulary, most of which is impossible to a prefix-aware decoder; leave \
                           one of them out";
            return Err(GenirError::Setting(problem.into()));
        };
        Ok(RetrieverTask { docids: DocidTask::Plain(language.with_label_smoothing(epsilon)?), ..self })
    }

    /// The number of the step that a pass belongs to, from 0: the trainer's key counts examples from seed · 2²⁰ on.
    fn step(&self, key: u64) -> u64 {
        let (batch, seed) = self.steps;
        key.wrapping_sub(seed.wrapping_mul(1 << 20)).saturating_sub(1) / batch.max(1) as u64
    }

    /// The ranking loss of the group whose turn it is in this step; `None` in the steps between.
    fn ranking_loss(&self, tape: &Tape, step: u64) -> Result<Option<StepLoss>, TrainError> {
        let Some((reranking, objective)) = &self.reranking else { return Ok(None) };
        let every = reranking.every as u64;
        if reranking.groups.is_empty() || !step.is_multiple_of(every) {
            return Ok(None);
        }
        let group = &reranking.groups[(step / every) as usize % reranking.groups.len()];
        let batch = TokenBatch::new(group.sequences.iter().map(|sequence| &sequence[..]));
        let rows: Vec<usize> = batch.sequences.iter().map(|sequence| sequence.end - 1).collect();
        let llama = &self.model.llama;
        let logits = llama.logits(tape, &llama.hidden(tape, &batch), &rows);
        let at = reranking.score_token as usize;
        let scores = tape.columns(&logits, at..at + 1);
        let whole = 0..rows.len();
        let loss = objective
            .loss(tape, &Batch::Lists(Lists::new(&scores, std::slice::from_ref(&whole), &group.labels)))
            .map_err(|error| TrainError::Model(error.to_string()))?;
        let value = tape.scale(&loss.value, reranking.weight);
        Ok(Some(StepLoss { value, tokens: batch.tokens.len(), used: loss.used, skipped: loss.skipped }))
    }
}

fn checked<'m>(
    reranking: Reranking<'m>,
    model: &LanguageModel,
) -> Result<(Reranking<'m>, Configured), GenirError> {
    let refused = |problem: String| Err(GenirError::Setting(format!("ranking steps: {problem}")));
    if reranking.every == 0 {
        return refused("every 0 steps; a number from 1 is expected".into());
    }
    let vocabulary = model.llama.config.vocab_size;
    if reranking.score_token as usize >= vocabulary {
        return refused(format!("the token {} is beyond the vocabulary", reranking.score_token));
    }
    for (at, group) in reranking.groups.iter().enumerate() {
        let is_wrong = |sequence: &Vec<u32>| {
            sequence.is_empty()
                || sequence.len() > model.context()
                || sequence.iter().any(|token| *token as usize >= vocabulary)
        };
        if group.sequences.len() != group.labels.len() || group.sequences.iter().any(is_wrong) {
            return refused(format!(
                "group {}: a label is expected for each sequence, of 1 to {} tokens of the vocabulary",
                at + 1,
                model.context()
            ));
        }
    }
    let objective = parse("ranknet").map_err(|error| GenirError::Setting(error.to_string()))?;
    Ok((reranking, objective))
}

impl Task for RetrieverTask<'_> {
    fn count(&self) -> usize {
        match &self.docids {
            DocidTask::Plain(language) => language.count(),
            DocidTask::PrefixAware(task) => task.pairs.len(),
        }
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        let mut loss = match &self.docids {
            DocidTask::Plain(language) => language.loss(tape, examples, mode)?,
            DocidTask::PrefixAware(task) => task.loss(tape, examples, mode)?,
        };
        if let Some(ranking) = self.ranking_loss(tape, self.step(mode.key))? {
            loss.value = tape.plus(&loss.value, &ranking.value);
            loss.tokens += ranking.tokens;
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::nn::LlamaConfig;
    use plackett_train::trainer::{WordVocabulary, train};
    use plackett_train::{Compute, Parameters};

    fn model(parameters: &mut Parameters) -> LanguageModel {
        let vocabulary = WordVocabulary::of_texts(["a b c d e f"], 4, 10, 1);
        let config = LlamaConfig::small(0, 1, (16, 32), 2);
        LanguageModel::of_words(&vocabulary, &config, 8, 3, parameters).unwrap()
    }

    fn groups() -> Vec<RerankingGroup> {
        let group = |query: u32| RerankingGroup {
            sequences: vec![vec![query, 7], vec![query, 8], vec![query, 9]],
            labels: vec![0.0, 1.0, 0.0],
        };
        vec![group(10), group(11)]
    }

    #[test]
    fn ranking_steps_come_every_so_often_and_teach_the_order() {
        let mut parameters = Parameters::default();
        let model = model(&mut parameters);
        let settings =
            Settings { batch: 1, steps: 240, rate: 1e-2, seed: 5, checkpoint: 0, ..Settings::default() };
        let groups = groups();
        let reranking = Reranking { groups: &groups, every: 4, weight: 1.0, score_token: 6 };
        let pairs = vec![(vec![10, 0], vec![3, 1])];
        let task = RetrieverTask::new(&model, pairs, &settings, Some(reranking)).unwrap();
        let compute = Compute::new(1);
        let first = |parameters: &Parameters| {
            let tape = Tape::inference(parameters, &compute);
            task.ranking_loss(&tape, 0).unwrap().unwrap().value.item()
        };
        let before = first(&parameters);
        let report =
            train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
        // 2 tokens are the prompt and 2 the docid; 6 more are read in every fourth step.
        let tokens: Vec<usize> = report.steps.iter().take(5).map(|step| step.tokens).collect();
        assert_eq!(tokens, [10, 4, 4, 4, 10]);
        assert!(before > 0.4 && first(&parameters) < 0.1, "{before} {}", first(&parameters));
    }

    #[test]
    fn smoothed_docids_stop_short_of_certainty() {
        // With q = 0.9 + 0.1 / V for the right token and 0.1 / V for each other one the loss is least where p = q: that token has 0.9 + 0.1 / V.
        let mut parameters = Parameters::default();
        let model = model(&mut parameters);
        let vocabulary = model.llama.config.vocab_size as f32;
        let settings =
            Settings { batch: 1, steps: 400, rate: 1e-2, seed: 5, checkpoint: 0, ..Settings::default() };
        let pairs = vec![(vec![10, 0], vec![3])];
        let task = RetrieverTask::new(&model, pairs.clone(), &settings, None).unwrap();
        let smoothed = task.with_label_smoothing(0.1).unwrap();
        let compute = Compute::new(1);
        train(&smoothed, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
        let plain = RetrieverTask::new(&model, pairs, &settings, None).unwrap();
        let tape = Tape::inference(&parameters, &compute);
        let loss = plain.loss(&tape, &[0], Mode::default()).unwrap().value.item();
        let expected = 0.9 + 0.1 / vocabulary;
        assert!(((-loss).exp() - expected).abs() < 0.03, "{} is not {expected}", (-loss).exp());
    }

    #[test]
    fn groups_that_cannot_be_read_are_refused() {
        let mut parameters = Parameters::default();
        let model = model(&mut parameters);
        let settings = Settings::default();
        let pairs = vec![(vec![10, 0], vec![3, 1])];
        let refused = |groups: &[RerankingGroup], every: usize| {
            let reranking = Reranking { groups, every, weight: 1.0, score_token: 6 };
            let task = RetrieverTask::new(&model, pairs.clone(), &settings, Some(reranking));
            task.err().unwrap().to_string()
        };
        assert!(refused(&groups(), 0).contains("every 0 steps"));
        let mut wrong = groups();
        wrong[1].labels.pop();
        assert!(refused(&wrong, 8).contains("group 2"));
        let mut wrong = groups();
        wrong[0].sequences[1] = vec![10; 9];
        assert!(refused(&wrong, 8).contains("1 to 8 tokens"));
    }
}
