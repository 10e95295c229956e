//! `plackett train` of a decoder with `method = "cross-encoder"`: it gets a score head and learns to score pairs.

use super::base::Base;
use super::cross_encoder::{PairTraining, fill, job};
use super::file::TrainingFile;
use super::keys::{
    DEPTHS, LAYERS, NEGATIVES, NO_ORDERS_WITHOUT_LISTS, NO_WINDOW_WITHOUT_LISTS, TOKENS, TRAINED,
};
use super::kind::{Form, Kind, Prepared, Shared, Source, Training};
use anyhow::bail;
use plackett_lm::decoder::PairPrompt;
use plackett_train::TrainError;

/// The name of the method whose model gives each pair a score.
pub const METHOD: &str = "cross-encoder";

/// The option of the method that says in which prompt pairs are read.
const PROMPT: &str = "prompt";

/// Why a part of a decoder is refused.
const WHOLE: &str = "a score head reads the last layer of a whole decoder; leave it out";

/// The kind.
pub const KIND: Kind = Kind {
    help: "With a Llama as base and method = \"cross-encoder\" it gets a score head (RankLLaMA) and learns to\n\
           score queries with candidates; negatives, objectives and tokens are those of a cross-encoder.",
    form: Form::Shared(Shared {
        takes: &[NEGATIVES, TOKENS, TRAINED],
        refuses: &[NO_WINDOW_WITHOUT_LISTS, NO_ORDERS_WITHOUT_LISTS, (DEPTHS, WHOLE), (LAYERS, WHOLE)],
        own: &[],
        keeps_memory_budget: false,
        training: &ScoreHeadTraining,
    }),
};

struct ScoreHeadTraining;

/// The name of the prompt in which pairs are read.
fn prompt(file: &TrainingFile) -> String {
    let chosen = file.method_options().into_iter().find(|(name, _)| name == PROMPT);
    chosen.map_or_else(|| PairPrompt::of_score_heads().name.to_string(), |(_, prompt)| prompt)
}

impl Training for ScoreHeadTraining {
    fn is_asked(&self, file: &TrainingFile, _base: Option<Base>) -> bool {
        file.method_spec().is_some_and(|method| method.name == METHOD)
    }

    fn check_method(&self, file: &TrainingFile, base: Base) -> anyhow::Result<()> {
        if base != Base::Decoder {
            bail!(
                "method: {METHOD} is named for decoders alone, which get a score head then, and {} is none; leave `method` out: \
                 an encoder becomes a cross-encoder without it",
                file.base
            );
        }
        if let Some((name, _)) = file.method_options().iter().find(|(name, _)| name != PROMPT) {
            bail!(
                "method: the option `{name}` changes nothing while a score head is trained; leave it out, `tokens` cuts pairs"
            );
        }
        Ok(())
    }

    fn fill(&self, file: &mut TrainingFile) {
        fill(file);
    }

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file, Some(prompt(file))).check()
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        Ok(Box::new(PairTraining::read(job(source.file, Some(prompt(source.file))), source)?))
    }
}
