//! Adapters in a form of their own, which hold what was learned and the seed of everything else, put into the weights of the base that they
//! were learned on.

use super::{CrossEncoder, EncoderDecoderModel, LanguageModel, PHASE_ADAPTER};
use crate::TrainError;
use crate::adapter::{self, AdapterHeader};
use crate::tape::Parameters;
use std::path::Path;

/// Writes a copy of a base (a BERT, Llama, Qwen2 or T5) with the adapter merged that lies as [`PHASE_ADAPTER`] in a folder. Of a BERT it is
/// a cross-encoder. Gives how many layers have the adapter.
///
/// # Errors
/// The target exists; the adapter cannot be read, comes without the head of a cross-encoder or with one that a decoder has not, or was
/// learned on another base; the base cannot be opened; a file cannot be written.
pub fn merge_saved_adapter(base: &Path, folder: &Path, target: &Path) -> Result<usize, TrainError> {
    if target.symlink_metadata().is_ok() {
        let problem = "exists; choose another name or remove it".into();
        return Err(TrainError::Form { path: target.into(), problem });
    }
    let path = folder.join(PHASE_ADAPTER);
    let header = AdapterHeader::read(&path)?;
    let mut parameters = Parameters::default();
    if EncoderDecoderModel::check_base(base).is_ok() {
        let mut model = EncoderDecoderModel::open(base, &mut parameters)?;
        adapter::open(&path, &mut parameters, &mut model.t5)?;
        model.save(target, &parameters)?;
    } else if LanguageModel::check_base(base).is_ok() {
        let mut model = LanguageModel::open(base, &mut parameters)?;
        adapter::open(&path, &mut parameters, &mut model.llama)?;
        model.save(target, &parameters)?;
    } else {
        if !header.heads.iter().any(|head| head.starts_with("classifier.")) {
            let problem = "has no head of a cross-encoder; give an adapter that was trained with one".into();
            return Err(TrainError::Form { path, problem });
        }
        let mut model = CrossEncoder::open(base, &mut parameters, usize::MAX, 0)?;
        adapter::open(&path, &mut parameters, &mut model.bert)?;
        model.save(target, &parameters)?;
    }
    Ok(header.layers.len())
}
