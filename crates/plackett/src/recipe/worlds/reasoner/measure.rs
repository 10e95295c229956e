//! Lists that were held out: how the answers of a decoder order them.

use super::language::ReasonLanguage;
use super::showing::{Format, Shape, Showing};
use super::world::JudgedList;
use crate::recipe::error::StageError;
use plackett_core::aggregation::GroupScores;
use plackett_core::parse::{LabelStyle, OrderFormat, parse_choice, parse_order, parse_scores};
use plackett_core::permutation::Permutation;
use plackett_core::plackett_luce::policy::{Measure, MeasureKind, Utility};
use plackett_eval::reward::CrossDocument;
use plackett_train::nn::TokenBatch;
use plackett_train::rl::{Form, Rollouts, Sampled};
use plackett_train::trainer::{END_TOKEN, LanguageModel};
use plackett_train::{Compute, Parameters, Tape};

/// Prompts of one call of the engine.
const TOGETHER: usize = 128;
/// Ranks that nDCG looks at.
const DEPTH: usize = 10;
/// Tokens beyond those of the form that an answer may have which is not held to it.
const SLACK: usize = 8;

/// What is asked about some lists.
pub struct Asked<'a> {
    /// The shape of the lists.
    pub shape: &'a Shape,
    /// The tokens.
    pub language: &'a ReasonLanguage,
    /// What answers look like.
    pub form: &'a Form,
    /// Whether answers are held to it.
    pub constrained: bool,
    /// The lists.
    pub lists: &'a [JudgedList],
    /// What is shown of them, list after list.
    pub showings: &'a [Showing],
}

/// What greedy answers are worth.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// nDCG@10 of each list. Relevant documents have a gain of 1; where documents mention numbers, gains are grades.
    pub ndcg: Vec<f64>,
    /// 1 for each list whose first document is relevant.
    pub right: Vec<f64>,
    /// The share of the answers that have the form.
    pub well_formed: f64,
}

impl Asked<'_> {
    /// The most tokens of an answer.
    pub fn most(&self) -> usize {
        self.form.len() + if self.constrained { 0 } else { SLACK }
    }

    /// The tokens of each showing.
    pub fn prompts(&self) -> Vec<Vec<u32>> {
        let prompt = |showing: &Showing| self.language.prompt(&self.lists[showing.list], &showing.documents);
        self.showings.iter().map(prompt).collect()
    }

    /// Greedy answers to prompts.
    ///
    /// # Errors
    /// The engine refuses a prompt.
    pub fn answers(&self, engine: &Rollouts, prompts: &[Vec<u32>]) -> Result<Vec<Sampled>, StageError> {
        let mut answers = Vec::with_capacity(prompts.len());
        for prompts in prompts.chunks(TOGETHER) {
            let prompts: Vec<&[u32]> = prompts.iter().map(|prompt| &prompt[..]).collect();
            answers.extend(match self.constrained {
                true => engine.greedy_form(&prompts, self.form)?,
                false => engine.greedy(&prompts, (END_TOKEN, self.most()))?,
            });
        }
        Ok(answers)
    }

    /// The grades of answers about one document each; 0 for those without one.
    pub fn grades(&self, answers: &[Sampled]) -> Vec<f64> {
        let reader = CrossDocument::default();
        let grade = |answer: &Sampled| reader.grade(&self.language.text(&answer.tokens)).unwrap_or(0.0);
        answers.iter().map(grade).collect()
    }

    /// What a decoder's greedy answers are worth.
    ///
    /// # Errors
    /// The engine refuses a prompt.
    pub fn measure(
        &self,
        engine: &Rollouts,
        (model, parameters): (&LanguageModel, &Parameters),
    ) -> Result<Measured, StageError> {
        let prompts = self.prompts();
        let answers = self.answers(engine, &prompts)?;
        let formed = answers.iter().filter(|answer| self.form.fits(&answer.tokens)).count();
        let scores = match self.shape.format {
            Format::Pointwise => self.graded_scores((model, parameters), &prompts, &answers),
            _ => Vec::new(),
        };
        let mut measured =
            Measured { well_formed: formed as f64 / answers.len().max(1) as f64, ..Measured::default() };
        let each = self.shape.showings_of_list();
        for (at, list) in self.lists.iter().enumerate() {
            let own = at * each..(at + 1) * each;
            let order = match self.shape.format {
                Format::Pointwise => Permutation::by_descending(&scores[own]).items().to_vec(),
                _ => self.order(list, &self.showings[own.clone()], &answers[own])?,
            };
            measured.ndcg.push(self.ndcg(list, &order));
            let is_right = order.first().is_some_and(|first| list.is_relevant(*first));
            measured.right.push(f64::from(u8::from(is_right)));
        }
        Ok(measured)
    }

    /// The order of a list's documents by the answers about it. Where nothing can be read, the order shown stays.
    fn order(
        &self,
        list: &JudgedList,
        showings: &[Showing],
        answers: &[Sampled],
    ) -> Result<Vec<usize>, StageError> {
        let mut scores = GroupScores::new(list.documents.len());
        for (showing, answer) in showings.iter().zip(answers) {
            let (text, documents) = (self.language.text(&answer.tokens), &showing.documents);
            let count = documents.len();
            let given: Vec<Option<f64>> = match self.shape.format {
                Format::Groups => parse_scores(&text, count, 0.0, 10.0).scores,
                Format::Listwise => {
                    let format = OrderFormat { needs_answer_tag: true, ..OrderFormat::default() };
                    let mut given = vec![None; count];
                    for (rank, label) in parse_order(&text, count, &format).order.items().iter().enumerate() {
                        given[*label] = Some(-(rank as f64));
                    }
                    given
                }
                _ => {
                    let chosen = parse_choice(&text, count, LabelStyle::Numbers);
                    (0..count).map(|label| Some(f64::from(u8::from(chosen == Some(label))))).collect()
                }
            };
            for (at, score) in documents.iter().zip(given) {
                if let Some(score) = score {
                    let added = scores.add(*at, score);
                    added.map_err(|error| StageError::Work(error.to_string()))?;
                }
            }
        }
        Ok(scores.order().items().to_vec())
    }

    /// Grades, equal ones by the probability of their token; 0 for answers without a grade. ERank orders by the product of both, which is not
    /// monotone: a sure 8 stands above an unsure 10, as long as a policy is on its way.
    fn graded_scores(
        &self,
        (model, parameters): (&LanguageModel, &Parameters),
        prompts: &[Vec<u32>],
        answers: &[Sampled],
    ) -> Vec<f64> {
        let compute = Compute::new(rayon::current_num_threads());
        let mut scores = self.grades(answers);
        let graded: Vec<(usize, usize)> = answers
            .iter()
            .enumerate()
            .filter(|(at, _)| scores[*at] > 0.0)
            .filter_map(|(at, answer)| Some((at, self.language.grade_place(&answer.tokens)?)))
            .collect();
        for graded in graded.chunks(TOGETHER) {
            // What stands before the grade, and the grade.
            let before = |(at, place): &(usize, usize)| -> Vec<u32> {
                prompts[*at].iter().chain(&answers[*at].tokens[..*place]).copied().collect()
            };
            let sequences: Vec<Vec<u32>> = graded.iter().map(before).collect();
            let batch = TokenBatch::new(sequences.iter().map(|sequence| &sequence[..]));
            let targets: Vec<(usize, u32)> = batch
                .sequences
                .iter()
                .zip(graded)
                .map(|(sequence, (at, place))| (sequence.end - 1, answers[*at].tokens[*place]))
                .collect();
            let tape = Tape::inference(parameters, &compute);
            let hidden = model.llama.hidden(&tape, &batch);
            let logs = model.llama.log_probabilities(&tape, &hidden, &targets);
            for ((at, _), log) in graded.iter().zip(logs.value.iter()) {
                // Grades are whole: less than one between them.
                scores[*at] += 0.5 * f64::from(*log).exp();
            }
        }
        scores
    }

    fn ndcg(&self, list: &JudgedList, order: &[usize]) -> f64 {
        let gain = |at: usize| match self.shape.format {
            Format::Groups => list.grades[at] as f64,
            _ => f64::from(u8::from(list.is_relevant(at))),
        };
        let gains = (0..list.documents.len()).map(gain).collect();
        let measure = Measure::new(MeasureKind::Ndcg, gains, DEPTH);
        measure.map_or(0.0, |measure| measure.parts(order).iter().sum())
    }
}
