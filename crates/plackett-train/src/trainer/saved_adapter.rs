//! Adapters in a form of their own, put into the weights of the base that they were learned on: what was learned and the seed of everything
//! else, or the sparse differences of LT-SFT, of which several add up.

use super::{CrossEncoder, EncoderDecoderModel, LanguageModel, PHASE_ADAPTER};
use crate::TrainError;
use crate::adapter::{self, Adaptable, AdapterHeader, SparseDifference};
use crate::tape::Parameters;
use plackett_lm::write_folder;
use std::path::{Path, PathBuf};

/// What has become of adapters that were merged into a base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergedAdapters {
    /// How many layers have the adapter, or how many weights the differences change.
    pub matrices: usize,
    /// What each sparse difference has brought, in their order; empty for another adapter.
    pub differences: Vec<MergedDifference>,
}

/// What a sparse difference has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedDifference {
    /// Its file.
    pub path: PathBuf,
    /// How many numbers it changes.
    pub numbers: usize,
    /// How many of them one before it changes too: there the differences are added up.
    pub shared: usize,
    /// Its heads of which one before it has brought others: they are left out.
    pub left_out: Vec<String>,
}

/// The file of an adapter, which is named by itself or by its folder.
pub fn saved_adapter_file(adapter: &Path) -> PathBuf {
    match adapter.is_file() {
        true => adapter.into(),
        false => adapter.join(PHASE_ADAPTER),
    }
}

/// Writes a copy of a base (a BERT, Llama, Qwen2 or T5) with an adapter merged that lies as [`PHASE_ADAPTER`] in its folder, or with the sum of
/// several sparse differences (Litschko and others, 2022: θ = θ₀ + φ₁ + φ₂). Heads are those of the first one that has them. Of a BERT it is a
/// cross-encoder. It is written beside its place: a folder of this name is always whole.
///
/// # Errors
/// The target exists; an adapter cannot be read, comes without the head of a cross-encoder or with one that a decoder has not, or was
/// learned on another base; one of several is no sparse difference or stands twice; the base cannot be opened; a file cannot be written.
pub fn merge_saved_adapters(
    base: &Path,
    adapters: &[&Path],
    target: &Path,
) -> Result<MergedAdapters, TrainError> {
    if target.symlink_metadata().is_ok() {
        let problem = "exists; choose another name or remove it".into();
        return Err(TrainError::Form { path: target.into(), problem });
    }
    let learned = Learned::read(adapters)?;
    let mut parameters = Parameters::default();
    if EncoderDecoderModel::check_base(base).is_ok() {
        let mut model = EncoderDecoderModel::open(base, &mut parameters)?;
        let merged = learned.put_into(&mut parameters, &mut model.t5)?;
        write_folder(target, |folder| model.save(folder, &parameters), TrainError::file)?;
        Ok(merged)
    } else if LanguageModel::check_base(base).is_ok() {
        let mut model = LanguageModel::open(base, &mut parameters)?;
        let merged = learned.put_into(&mut parameters, &mut model.llama)?;
        write_folder(target, |folder| model.save(folder, &parameters), TrainError::file)?;
        Ok(merged)
    } else {
        learned.check_classifier()?;
        let mut model = CrossEncoder::open(base, &mut parameters, usize::MAX, 0)?;
        let merged = learned.put_into(&mut parameters, &mut model.bert)?;
        write_folder(target, |folder| model.save(folder, &parameters), TrainError::file)?;
        Ok(merged)
    }
}

/// What files hold.
enum Learned {
    /// One adapter.
    Adapter { path: PathBuf, layers: usize, heads: Vec<String> },
    /// Differences, each with its file.
    Differences(Vec<(PathBuf, SparseDifference)>),
}

impl Learned {
    fn read(adapters: &[&Path]) -> Result<Learned, TrainError> {
        let mut differences: Vec<(PathBuf, SparseDifference)> = Vec::new();
        for path in adapters.iter().map(|adapter| saved_adapter_file(adapter)) {
            if SparseDifference::is_one(&path)? {
                let difference = SparseDifference::open(&path)?;
                // What is added twice is twice as far from the base, which is nothing that was learned.
                if differences.iter().any(|(_, own)| *own == difference) {
                    let problem = "is named twice, or holds the same as another one; name each once".into();
                    return Err(TrainError::Form { path, problem });
                }
                differences.push((path, difference));
                continue;
            }
            let AdapterHeader { adapter, layers, heads, .. } = AdapterHeader::read(&path)?;
            if adapters.len() > 1 {
                let problem = format!(
                    "holds `{adapter}`, and only differences of `lt-sft` add up; merge it alone, or into the model that the others were \
                     merged into if it was learned on that"
                );
                return Err(TrainError::Form { path, problem });
            }
            return Ok(Learned::Adapter { path, layers: layers.len(), heads });
        }
        match differences.is_empty() {
            true => Err(TrainError::Setting("no adapter is named that could be merged".into())),
            false => Ok(Learned::Differences(differences)),
        }
    }

    /// Checks that what is put into an encoder makes it a cross-encoder.
    fn check_classifier(&self) -> Result<(), TrainError> {
        let is_part = |head: &str| head.starts_with("classifier.");
        let (path, has_one) = match self {
            Learned::Adapter { path, heads, .. } => (Some(path), heads.iter().any(|head| is_part(head))),
            Learned::Differences(all) => (
                all.first().map(|(path, _)| path),
                all.iter().any(|(_, difference)| difference.heads().any(is_part)),
            ),
        };
        match (path, has_one) {
            (Some(path), false) => Err(TrainError::Form {
                path: path.clone(),
                problem: "has no head of a cross-encoder; give an adapter that was trained with one".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Puts it on a model that has the weights of the base.
    fn put_into(
        &self,
        parameters: &mut Parameters,
        model: &mut dyn Adaptable,
    ) -> Result<MergedAdapters, TrainError> {
        match self {
            Learned::Adapter { path, layers, .. } => {
                adapter::open(path, parameters, model)?;
                Ok(MergedAdapters { matrices: *layers, differences: Vec::new() })
            }
            Learned::Differences(all) => add_up(all, parameters),
        }
    }
}

/// Adds differences to the weights, from which each of them was made.
fn add_up(
    all: &[(PathBuf, SparseDifference)],
    parameters: &mut Parameters,
) -> Result<MergedAdapters, TrainError> {
    let (mut sum, mut differences) = (SparseDifference::default(), Vec::new());
    for (path, difference) in all {
        let checked = difference.check(parameters, true).and_then(|()| difference.check_base(parameters));
        checked.map_err(|error| TrainError::Form { path: path.clone(), problem: error.to_string() })?;
        let left_out = difference.heads().filter(|head| sum.heads().any(|own| own == *head));
        differences.push(MergedDifference {
            path: path.clone(),
            numbers: difference.count(),
            shared: sum.shared_with(difference),
            left_out: left_out.map(String::from).collect(),
        });
        sum = sum.plus(difference);
    }
    sum.apply(parameters, true)?;
    Ok(MergedAdapters { matrices: sum.weights(), differences })
}
