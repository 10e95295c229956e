//! The additions of an adapter to the matrices of a decoder.

use crate::adapter::files::{CONFIG, LoraTensor, WEIGHTS};
use crate::adapter::id::AdapterId;
use crate::adapter::settings::Settings;
use crate::error::LmError;
use crate::files::weights::WeightSet;
use plackett_kernel::{Activation, Isa, Linear, LinearScratch};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A LoRA adapter: additions by layer and module.
#[derive(Debug)]
pub struct Adapter {
    id: AdapterId,
    path: PathBuf,
    layers: BTreeMap<usize, BTreeMap<String, LoraDelta>>,
}

/// What is added to the output of one matrix.
pub struct LoraDelta {
    /// `rank × inputs`.
    a: Linear,
    /// `outputs × rank`.
    b: Linear,
    scale: f32,
}

/// Room for the numbers between A and B.
#[derive(Default)]
pub(crate) struct LoraScratch {
    inner: Vec<f32>,
    outer: Vec<f32>,
    linear: LinearScratch,
}

impl Adapter {
    /// Reads `adapter_config.json` and `adapter_model.safetensors` of a directory.
    ///
    /// # Errors
    /// [`LmError::MissingFile`]; [`LmError::Config`] for a configuration that is no LoRA's or asks for something that is
    /// not done, by its name; [`LmError::MissingTensor`] and [`LmError::Shape`] for tensors that do not fit it.
    pub fn open(directory: &Path) -> Result<Adapter, LmError> {
        for file in [CONFIG, WEIGHTS] {
            if !directory.join(file).exists() {
                return Err(LmError::MissingFile {
                    directory: directory.to_path_buf(),
                    file: file.to_string(),
                });
            }
        }
        let id = AdapterId::of(directory)?;
        let settings = Settings::read(&directory.join(CONFIG))?;
        let path = directory.join(WEIGHTS);
        let weights = WeightSet::single(&path)?;
        let mut places = BTreeSet::new();
        for name in weights.names() {
            places.insert(LoraTensor::read(name).ok_or_else(|| LmError::Config {
                path: path.clone(),
                problem: format!(
                    "tensor `{name}` is not a `lora_A.weight` or `lora_B.weight` of a module in `layers.N`; only \
                     adapters of the matrices within layers are read"
                ),
            })?);
        }
        settings.check_targets(&path, &places)?;
        let mut layers: BTreeMap<usize, BTreeMap<String, LoraDelta>> = BTreeMap::new();
        for place in places {
            let delta = delta(&weights, &path, &place, &settings)?;
            if layers.entry(place.layer).or_default().insert(place.module.clone(), delta).is_some() {
                return Err(LmError::Config {
                    path,
                    problem: format!("layer {} has `{}` twice; save one adapter", place.layer, place.module),
                });
            }
        }
        Ok(Adapter { id, path, layers })
    }

    /// What tells it from other adapters.
    pub fn id(&self) -> &AdapterId {
        &self.id
    }

    /// The addition to a module, such as `self_attn.q_proj`, of a layer.
    pub fn layer(&self, layer: usize, module: &str) -> Option<&LoraDelta> {
        self.layers.get(&layer)?.get(module)
    }

    /// Layer, module and addition, in order.
    pub fn modules(&self) -> impl Iterator<Item = (usize, &str, &LoraDelta)> {
        let all = self.layers.iter();
        all.flat_map(|(layer, own)| own.iter().map(|(module, delta)| (*layer, module.as_str(), delta)))
    }

    /// Bytes of weights.
    pub fn bytes(&self) -> usize {
        self.modules().map(|(_, _, delta)| delta.a.bytes() + delta.b.bytes()).sum()
    }

    /// Refuses a model that lacks a module of the adapter, or has it with another shape. `sizes` gives the outputs and
    /// inputs of a module of the model.
    ///
    /// # Errors
    /// [`LmError::Config`] with layer, module and both shapes.
    pub fn check(&self, sizes: impl Fn(usize, &str) -> Option<(usize, usize)>) -> Result<(), LmError> {
        for (layer, module, delta) in self.modules() {
            let own = (delta.outputs(), delta.inputs());
            let problem = match sizes(layer, module) {
                Some(model) if model == own => continue,
                Some((outputs, inputs)) => {
                    format!("is for {} × {} weights, the model has {outputs} × {inputs}", own.0, own.1)
                }
                None => "is in the adapter, the model has no such module".to_string(),
            };
            let problem = format!("layer {layer}, `{module}`: {problem}; the adapter is of another model");
            return Err(LmError::Config { path: self.path.clone(), problem });
        }
        Ok(())
    }
}

impl std::fmt::Debug for LoraDelta {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "LoRA {} × {} × {}, scale {}", self.outputs(), self.rank(), self.inputs(), self.scale)
    }
}

impl LoraDelta {
    /// Length of an output row.
    pub fn outputs(&self) -> usize {
        self.b.outputs()
    }

    /// Length of an input row.
    pub fn inputs(&self) -> usize {
        self.a.inputs()
    }

    /// Length of the rows between.
    pub fn rank(&self) -> usize {
        self.a.outputs()
    }

    /// The factor of B A.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Adds `scale · B (A x)` to `rows` rows of `y`. A row's numbers do not depend on its neighbours, so that a batch
    /// may be cut into groups of rows with an adapter each. `workers` tasks of the current pool share the columns.
    ///
    /// Panics when `x` or `y` do not hold the rows.
    pub(crate) fn add(
        &self,
        (isa, workers): (Isa, usize),
        x: (&[f32], usize),
        rows: usize,
        (y, stride): (&mut [f32], usize),
        scratch: &mut LoraScratch,
    ) {
        let (rank, outputs) = (self.rank(), self.outputs());
        let LoraScratch { inner, outer, linear } = scratch;
        inner.resize(rows * rank, 0.0);
        outer.resize(rows * outputs, 0.0);
        let (none, middle) = (Activation::None, (&mut inner[..], rank));
        self.a.apply_wide(isa, x, rows, middle, none, workers, linear);
        let out = (&mut outer[..], outputs);
        self.b.apply_wide(isa, (&inner[..], rank), rows, out, none, workers, linear);
        for (row, values) in outer.chunks_exact(outputs).take(rows).enumerate() {
            let y = &mut y[row * stride..row * stride + outputs];
            y.iter_mut().zip(values).for_each(|(y, value)| *y += self.scale * value);
        }
    }
}

fn delta(
    weights: &WeightSet,
    path: &Path,
    place: &LoraTensor,
    settings: &Settings,
) -> Result<LoraDelta, LmError> {
    let rank = settings.rank;
    let read = |part: &str| -> Result<(Vec<f32>, Vec<usize>), LmError> {
        let name = format!("{}.lora_{part}.{}", place.stem, place.tail);
        let shape = weights.tensor(&name)?.shape().to_vec();
        let other = |at: usize| shape.get(at).copied().filter(|n| *n > 0).unwrap_or(1);
        let expected = if part == "A" { [rank, other(1)] } else { [other(0), rank] };
        let values = weights.f32(&name, &expected)?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            let problem = format!("tensor `{name}`, number {at}, is {}; train or fetch it again", values[at]);
            return Err(LmError::Config { path: path.to_path_buf(), problem });
        }
        Ok((values, expected.to_vec()))
    };
    let ((a, a_shape), (b, b_shape)) = (read("A")?, read("B")?);
    Ok(LoraDelta {
        a: Linear::from_f32(&a, &[], a_shape[0], a_shape[1]),
        b: Linear::from_f32(&b, &[], b_shape[0], b_shape[1]),
        scale: settings.scale,
    })
}
