//! After which layers a decoder is read out (Sorted LLaMA: Unlocking the Potential of Intermediate Layers, 2023).
//!
//! The read-out after layer n is the output matrix times the last norm of the residual stream there. In sorted fine-tuning all
//! of them share norm and matrix with the whole model; in SFT+ICT each shallower one has a copy of the matrix of its own.

use super::LanguageModel;
use crate::TrainError;
use crate::tape::{ParameterId, Parameters};

/// What the names of output matrices begin with that belong to one depth.
const OWN_HEAD: &str = "exit_heads.";

/// Depths with their output matrices, ascending.
#[derive(Clone, Debug)]
pub struct ReadOuts {
    all: Vec<(usize, ParameterId)>,
}

impl ReadOuts {
    /// After the last layer alone: plain fine-tuning.
    pub fn last(model: &LanguageModel) -> ReadOuts {
        ReadOuts { all: vec![(model.llama.layers.len(), model.llama.head)] }
    }

    /// After the layers of `depths`, counted from 1, all with the model's own output matrix.
    ///
    /// # Errors
    /// No depth, one that the model does not have, or one that is not above the one before it.
    pub fn shared(model: &LanguageModel, depths: &[usize]) -> Result<ReadOuts, TrainError> {
        check_depths(depths, model.llama.layers.len())?;
        Ok(ReadOuts { all: depths.iter().map(|depth| (*depth, model.llama.head)).collect() })
    }

    /// The same, each depth but the last layer with a copy of the output matrix of its own, and nothing else of the model
    /// to be trained (SFT+ICT). The last layer keeps the model's.
    ///
    /// # Errors
    /// As [`ReadOuts::shared`]; there is no depth but the last layer.
    pub fn own_heads(
        model: &LanguageModel,
        depths: &[usize],
        parameters: &mut Parameters,
    ) -> Result<ReadOuts, TrainError> {
        let layers = model.llama.layers.len();
        check_depths(depths, layers)?;
        if depths == [layers] {
            return Err(TrainError::Setting(format!(
                "depths: output matrices of their own are for layers before the last, {layers}; name at least one"
            )));
        }
        let mut all = Vec::with_capacity(depths.len());
        for depth in depths {
            let head = match *depth == layers {
                true => model.llama.head,
                false => {
                    let whole = &parameters[model.llama.head];
                    let (shape, value) = ((whole.rows, whole.columns), whole.value.to_vec());
                    parameters.add(format!("{OWN_HEAD}{depth}.weight"), shape, value)
                }
            };
            all.push((*depth, head));
        }
        parameters.train_only(|parameter| parameter.name.starts_with(OWN_HEAD));
        Ok(ReadOuts { all })
    }

    /// Those that a training of the output matrices reads: without the last layer, which it leaves as it is.
    #[must_use]
    pub fn trained(&self, parameters: &Parameters) -> ReadOuts {
        let own = |(_, head): &&(usize, ParameterId)| parameters[*head].trainable;
        ReadOuts { all: self.all.iter().filter(own).copied().collect() }
    }

    /// The depths.
    pub fn depths(&self) -> impl Iterator<Item = usize> + '_ {
        self.all.iter().map(|(depth, _)| *depth)
    }

    /// The greatest depth; layers beyond it need not be run.
    pub fn deepest(&self) -> usize {
        self.all.last().map_or(0, |(depth, _)| *depth)
    }

    /// The output matrix after so many layers; `None` where nothing is read.
    pub fn head(&self, depth: usize) -> Option<ParameterId> {
        self.all.iter().find(|(own, _)| *own == depth).map(|(_, head)| *head)
    }

    /// Whether a parameter is the output matrix of one depth.
    pub(super) fn is_own_head(parameter: &str) -> bool {
        parameter.starts_with(OWN_HEAD)
    }
}

/// Checks depths against the layers of a model.
///
/// # Errors
/// No depth, one that the model does not have, or one that is not above the one before it.
pub fn check_depths(depths: &[usize], layers: usize) -> Result<(), TrainError> {
    let refused = |problem: String| Err(TrainError::Setting(format!("depths: {problem}")));
    if depths.is_empty() {
        return refused(format!("none is given; name layers from 1 to {layers}, as [{layers}]"));
    }
    if let Some(depth) = depths.iter().find(|depth| !(1..=layers).contains(*depth)) {
        return refused(format!("{depth} is none of the model's layers, which are 1 to {layers}"));
    }
    if let Some(pair) = depths.windows(2).find(|pair| pair[0] >= pair[1]) {
        return refused(format!("{} stands before {}; write them ascending, each once", pair[0], pair[1]));
    }
    Ok(())
}
