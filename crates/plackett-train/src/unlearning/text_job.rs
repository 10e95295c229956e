//! A whole unlearning, from a base model and texts to a directory of a model.

use super::answers::TokenPair;
use super::job::{Course, UnlearningJob};
use super::measure::measure_answers;
use super::task::token_objectives;
use crate::TrainError;
use crate::nn::Llama;
use crate::objective::Input;
use crate::tape::{Compute, Parameters};
use crate::trainer::{CutTexts, LanguageModel, LanguageTask, Outcome, StepRecord, TextExample, ranks_of};
use std::path::Path;
use std::sync::Arc;

/// Unlearning of texts by a decoder in a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct TextUnlearningJob {
    /// What is minimised and trained, how long and how fast.
    pub job: UnlearningJob,
    /// Most tokens of a text with its prompt.
    pub tokens: usize,
}

/// The texts of an unlearning: targets after prompts, of which the targets alone count.
#[derive(Clone, Copy, Debug)]
pub struct UnlearningTexts<'t> {
    /// What is to be forgotten.
    pub forget: &'t [TextExample],
    /// What is to be kept.
    pub retain: &'t [TextExample],
    /// What is measured alone; may be empty.
    pub validation: &'t [TextExample],
}

/// How well texts are known, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownTexts {
    /// Which ones: `forget`, `retain` or `validation`.
    pub texts: &'static str,
    /// How many there are.
    pub count: usize,
    /// e to the mean −ln p of a token that is to be written.
    pub perplexity: [f64; 2],
    /// The share of these tokens that are the likeliest ones where they stand, after the right ones (memorisation accuracy).
    pub accuracy: [f64; 2],
}

impl TextUnlearningJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// An objective, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        let refused = |problem: &str| Err(TrainError::Setting(problem.into()));
        self.job.check()?;
        self.job.trained.check_beside_forgotten(&["full"])?;
        self.job.settings.check_decoder(false)?;
        let terms = token_objectives(&self.job.objective)?;
        if terms.iter().any(|term| term.objective.spec().takes.contains(&Input::Refusals)) {
            return refused(
                "objective: `refusal` needs answers that refuse, which a recipe's stage of the kind `unlearn` has and texts have not; \
                 choose inverted-hinge, gradient-difference or npo",
            );
        }
        if self.job.settings.evaluate > 0 {
            return refused(
                "evaluate: what is forgotten is measured before and after alone, and no evaluation says which weights are left; leave it out",
            );
        }
        match self.tokens < 2 {
            true => refused("tokens: a whole number from 2 is expected"),
            false => Ok(()),
        }
    }

    /// Trains the decoder of `base` to forget and writes it to `output`, with its adapter merged. In `work` lie the log and checkpoints,
    /// from which a run that was killed goes on; `identity` tells this training from others. Gives beside the outcome how well each
    /// kind of texts is known before and after.
    ///
    /// # Errors
    /// A setting that cannot be, nothing to forget or to keep, a text without a token that stands after another one, a model or file that
    /// cannot be read or written, or a loss that is no number.
    pub fn run(
        &self,
        base: &Path,
        texts: UnlearningTexts<'_>,
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<(Outcome, Vec<KnownTexts>), TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let mut model = LanguageModel::open(base, &mut parameters)?;
        let count = parameters.count();
        let tokens = self.tokens.min(model.context());
        let mut cut = CutTexts { tokens, what: "texts with their prompts", ..CutTexts::default() };
        let mut of = |name: &'static str, examples: &[TextExample]| -> Result<TextSet, TrainError> {
            Ok(TextSet { name, pairs: pairs_of(&model, (name, examples), &mut cut)? })
        };
        let forget = of("forget", texts.forget)?;
        let retain = of("retain", texts.retain)?;
        let sets = [forget, retain, of("validation", texts.validation)?];
        let measure = |llama: &Llama, parameters: &Parameters| {
            sets.each_ref().map(|set| set.known(llama, parameters, compute))
        };
        let before = measure(&model.llama, &parameters);
        let mut observe = |_: usize, _: &Llama, _: &Parameters| false;
        let course = Course { place: (Some(work), identity), compute, observe: &mut observe, progress };
        let pairs = (&sets[0].pairs[..], &sets[1].pairs[..]);
        let done = self.job.learn(&mut model.llama, &mut parameters, pairs, &[], course)?;
        let after = measure(&model.llama, &parameters);
        let known: Vec<KnownTexts> = sets
            .iter()
            .zip(before.into_iter().zip(after))
            .filter(|(set, _)| !set.pairs.is_empty())
            .map(|(set, (before, after))| set.compared(before, after))
            .collect();
        let attached = done.attached.as_ref();
        model.save(output, &parameters)?;
        self.job.trained.save(attached, (&parameters, &[]), "CAUSAL_LM", (base, output))?;
        let held_out = known.iter().find(|known| known.texts == sets[2].name);
        let outcome = Outcome {
            trainable: done.trainable,
            parameters: count,
            validation: held_out.map(|known| known.perplexity.map(f64::ln)),
            ranks: ranks_of(attached, &parameters),
            cut,
            report: done.report,
            ..Outcome::default()
        };
        Ok((outcome, known))
    }
}

/// Texts of one kind as tokens.
struct TextSet {
    name: &'static str,
    pairs: Vec<TokenPair>,
}

impl TextSet {
    /// The mean −ln p of a token, and the share of tokens that are the likeliest ones.
    fn known(&self, llama: &Llama, parameters: &Parameters, compute: &Arc<Compute>) -> (f64, f64) {
        let measured = measure_answers(llama, parameters, &self.pairs, compute);
        let tokens = measured.iter().map(|answer| answer.tokens).sum::<usize>().max(1) as f64;
        let nll = measured.iter().map(|answer| answer.nll * answer.tokens as f64).sum::<f64>();
        let right = measured.iter().map(|answer| answer.right).sum::<usize>() as f64;
        (nll / tokens, right / tokens)
    }

    fn compared(&self, before: (f64, f64), after: (f64, f64)) -> KnownTexts {
        KnownTexts {
            texts: self.name,
            count: self.pairs.len(),
            perplexity: [before.0.exp(), after.0.exp()],
            accuracy: [before.1, after.1],
        }
    }
}

/// Texts as tokens, cut to as many as `cut` says; what was cut is counted there.
fn pairs_of(
    model: &LanguageModel,
    (name, examples): (&str, &[TextExample]),
    cut: &mut CutTexts,
) -> Result<Vec<TokenPair>, TrainError> {
    let task = LanguageTask::new(model, examples, Vec::new(), cut.tokens)?;
    let (lost, all) = task.cut();
    (cut.pairs, cut.of) = (cut.pairs + lost, cut.of + all);
    let pairs: Vec<TokenPair> =
        task.pairs().into_iter().map(|(prompt, answer)| TokenPair { prompt, answer }).collect();
    match pairs.iter().position(|pair| pair.supervised() == 0) {
        Some(at) => Err(TrainError::Setting(format!(
            "{name}: text {} has a single token without a prompt, and a token is learned and forgotten after another one; give it a \
             prompt, or leave it out",
            at + 1
        ))),
        None => Ok(pairs),
    }
}
