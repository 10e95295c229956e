//! A copy of a model with an adapter added to its matrices: W + scale · B A, for programs that read no adapters.

use crate::adapter::files::{CONFIG, LoraTensor, WEIGHTS};
use crate::adapter::lora::Adapter;
use crate::error::LmError;
use crate::files::int8_format::FORMAT_KEY;
use crate::files::model_copy::{check_target, copy_model};
use crate::files::stored_tensors::{StoredTensor, write_tensors};
use crate::files::weights::WeightSet;
use crate::store::local::{holds_gguf, is_gguf};
use safetensors::tensor::Dtype;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Matrices that the adapter was added to, written as f32.
    pub matrices: usize,
    /// Tensors that are as they were.
    pub others: usize,
    /// Bytes of the adapter's numbers.
    pub adapter_bytes: usize,
}

/// Writes a copy of a decoder with a LoRA adapter merged. Merged matrices are written as f32, so that nothing of the addition is rounded away;
/// all other tensors stay as they are.
///
/// The target is made beside its place and renamed, so that a directory of this name is always whole.
///
/// # Errors
/// The adapter does not open, or is of another model; the model is quantised, factorised or in GGUF; the target exists; the disk.
pub fn merge_adapter(source: &Path, adapter: &Path, target: &Path) -> Result<Merged, LmError> {
    check_target(target)?;
    let opened = Adapter::open(adapter)?;
    check_safetensors(source, adapter)?;
    let weights = WeightSet::open(source)?;
    if weights.metadata(FORMAT_KEY).is_some() {
        let problem = format!(
            "{}: is quantised, and what is merged into rounded numbers would be lost; merge into the model that it was made of",
            source.display()
        );
        return Err(LmError::Argument(problem));
    }
    if !weights.factorized().is_empty() {
        let problem = format!(
            "{}: is factorised, and two thin layers have no whole weight to merge into; merge into the model that it was made of, and \
             factorise the result",
            source.display()
        );
        return Err(LmError::Argument(problem));
    }
    let additions = additions(&opened, adapter, &weights)?;
    copy_model(source, target, |file| write(&weights, &additions, file)).map(|(matrices, others)| Merged {
        matrices,
        others,
        adapter_bytes: opened.bytes(),
    })
}

/// Refuses a model in GGUF, whose matrices are rounded to blocks, and says which one to take.
fn check_safetensors(source: &Path, adapter: &Path) -> Result<(), LmError> {
    let has = |name: &str| source.join(name).is_file();
    let has_others = has("model.safetensors") || has("model.safetensors.index.json");
    let is_in_gguf = if source.is_file() { is_gguf(source) } else { holds_gguf(source) && !has_others };
    if !is_in_gguf {
        return Ok(());
    }
    let base = match learned_on(adapter) {
        Some(name) => format!("`plackett model pull {name}`, which the adapter says that it was learned on"),
        None => "`plackett model pull OWNER/NAME`, as HuggingFaceTB/SmolLM2-135M-Instruct".into(),
    };
    Err(LmError::Argument(format!(
        "{}: is in GGUF, and an adapter is merged into weights in safetensors; pull the model that the file was made of and name that \
         ({base}), or leave the adapter beside the file: `plackett generate --adapter {}`",
        source.display(),
        adapter.display()
    )))
}

/// The model of the hub that an adapter names as its base; `None` where it names a folder, or none.
fn learned_on(adapter: &Path) -> Option<String> {
    let config = std::fs::read(adapter.join(CONFIG)).ok()?;
    let config: Value = serde_json::from_slice(&config).ok()?;
    let name = config["base_model_name_or_path"].as_str()?;
    let (owner, model) = name.split_once('/')?;
    let is_id = !owner.is_empty() && !owner.starts_with(['.', '~']) && !model.is_empty();
    (is_id && !model.contains('/') && !Path::new(name).exists()).then(|| name.to_string())
}

/// What is added to each tensor of the model, by its name.
fn additions(
    adapter: &Adapter,
    folder: &Path,
    model: &WeightSet,
) -> Result<HashMap<String, Vec<f32>>, LmError> {
    let path = folder.join(WEIGHTS);
    let wrong = |problem: String| LmError::Config { path: path.clone(), problem };
    let own = WeightSet::single(&path)?;
    let mut places: Vec<LoraTensor> = own.names().into_iter().filter_map(LoraTensor::read).collect();
    places.sort();
    places.dedup();
    let mut additions = HashMap::new();
    for place in places {
        let Some(delta) = adapter.layer(place.layer, &place.module) else { continue };
        let (outputs, inputs, rank) = (delta.outputs(), delta.inputs(), delta.rank());
        let end = format!("layers.{}.{}.weight", place.layer, place.module);
        let names = model.names();
        let name = names.iter().find(|name| name.strip_suffix(&end).is_some_and(is_prefix));
        let place_of = || format!("layer {}, `{}`", place.layer, place.module);
        let Some(name) = name else {
            return Err(wrong(format!(
                "{}: the model has no such module; the adapter is of another model",
                place_of()
            )));
        };
        if model.tensor(name)?.shape() != [outputs, inputs] {
            return Err(wrong(format!(
                "{}: is for {outputs} × {inputs} weights, the model has {:?}; the adapter is of another model",
                place_of(),
                model.tensor(name)?.shape()
            )));
        }
        let read = |part: &str, shape: [usize; 2]| {
            own.f32(&format!("{}.lora_{part}.{}", place.stem, place.tail), &shape)
        };
        let (a, b) = (read("A", [rank, inputs])?, read("B", [outputs, rank])?);
        additions.insert(name.to_string(), product(&b, &a, (rank, inputs), delta.scale()));
    }
    Ok(additions)
}

fn is_prefix(before: &str) -> bool {
    before.is_empty() || before.ends_with('.')
}

/// scale · B A, each sum in double precision.
fn product(b: &[f32], a: &[f32], (rank, inputs): (usize, usize), scale: f32) -> Vec<f32> {
    let mut sum = vec![0.0f64; inputs];
    let mut product = Vec::with_capacity(b.len() / rank * inputs);
    for row in b.chunks_exact(rank) {
        sum.fill(0.0);
        for (b, a) in row.iter().zip(a.chunks_exact(inputs)) {
            sum.iter_mut().zip(a).for_each(|(sum, a)| *sum += f64::from(*b) * f64::from(*a));
        }
        product.extend(sum.iter().map(|sum| (f64::from(scale) * sum) as f32));
    }
    product
}

fn write(
    weights: &WeightSet,
    additions: &HashMap<String, Vec<f32>>,
    path: &Path,
) -> Result<(usize, usize), LmError> {
    let mut stored: Vec<StoredTensor<'_>> = Vec::new();
    for name in weights.names() {
        let tensor = weights.tensor(name)?;
        let shape = tensor.shape().to_vec();
        let (dtype, bytes) = match additions.get(name) {
            Some(addition) => {
                let merged: Vec<f32> =
                    tensor.to_f32()?.into_iter().zip(addition).map(|(w, more)| w + more).collect();
                if merged.iter().any(|w| !w.is_finite()) {
                    let problem = format!(
                        "merged, `{name}` has numbers that are infinite or none; the adapter's numbers or its `lora_alpha` are too large"
                    );
                    return Err(LmError::Argument(problem));
                }
                (Dtype::F32, Cow::Owned(merged.into_iter().flat_map(f32::to_le_bytes).collect()))
            }
            None => {
                let (dtype, bytes) = tensor.stored();
                (dtype, Cow::Borrowed(bytes))
            }
        };
        stored.push(StoredTensor { name: name.to_string(), dtype, shape, bytes });
    }
    write_tensors(&stored, &[], path)?;
    Ok((additions.len(), stored.len() - additions.len()))
}
