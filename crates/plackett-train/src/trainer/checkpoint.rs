//! Checkpoints: what is trained, the states of optimiser and adapter, and how far the training is, in one safetensors file
//! that is there whole or not.

use super::evaluation::Best;
use crate::TrainError;
use crate::files::write_whole;
use crate::optimizer::AdamW;
use crate::tape::Parameters;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of the checkpoint, in the folder of a training.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// The tensor with the state of the adapter.
const ADAPTER: &str = "adapter.state";

/// What names of the best weights begin with, and the entry of what is known of them.
const BEST: &str = "best";

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase, from 1.
    pub phase: usize,
    /// Steps of the phase that are done.
    pub step: usize,
}

impl Progress {
    /// Before the first step.
    pub const START: Progress = Progress { phase: 1, step: 0 };

    /// Whether a step is among those that are done.
    pub fn includes(&self, phase: usize, step: usize) -> bool {
        (phase, step) <= (self.phase, self.step)
    }
}

/// What stands in a checkpoint beside the parameters and the optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// How far the training is.
    pub progress: Progress,
    /// What the adapter needs to go on.
    pub adapter: Vec<u8>,
    /// The best weights of the phase, where it is evaluated.
    pub best: Option<Best>,
}

/// Where the checkpoint of a folder lies.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(CHECKPOINT)
}

/// Saves what is trainable after a step. `identity` is what the training is: another one refuses to go on from it.
///
/// # Errors
/// The file cannot be written.
pub fn save(
    folder: &Path,
    (parameters, optimizer): (&Parameters, &AdamW),
    state: &State,
    identity: &str,
) -> Result<(), TrainError> {
    let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors: Vec<(String, Dtype, Vec<u8>)> = Vec::new();
    for (_, parameter) in parameters.iter().filter(|(_, parameter)| parameter.trainable) {
        tensors.push((format!("value.{}", parameter.name), Dtype::F32, bytes(&parameter.value)));
    }
    for (id, [first, second]) in optimizer.moments() {
        let name = &parameters[id].name;
        tensors.push((format!("mean.{name}"), Dtype::F32, bytes(first)));
        tensors.push((format!("square.{name}"), Dtype::F32, bytes(second)));
    }
    tensors.push((ADAPTER.into(), Dtype::U8, state.adapter.clone()));
    for (id, values) in state.best.iter().flat_map(|best| best.weights.iter()) {
        tensors.push((format!("{BEST}.{}", parameters[*id].name), Dtype::F32, bytes(values)));
    }
    let path = path(folder);
    let failed = |problem: String| TrainError::Form { path: path.clone(), problem };
    let mut views = Vec::new();
    for (name, kind, bytes) in &tensors {
        let count = if *kind == Dtype::F32 { bytes.len() / 4 } else { bytes.len() };
        let view = TensorView::new(*kind, vec![count], bytes).map_err(|error| failed(error.to_string()))?;
        views.push((name.clone(), view));
    }
    let mut metadata = HashMap::from([
        ("phase".to_string(), state.progress.phase.to_string()),
        ("step".to_string(), state.progress.step.to_string()),
        ("identity".to_string(), identity.to_string()),
    ]);
    if let Some(Best { step, value, since, .. }) = &state.best {
        // The bits of the measure, which comes back as it was.
        metadata.insert(BEST.to_string(), format!("{step} {since} {}", value.to_bits()));
    }
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| failed(error.to_string()))?;
    write_whole(&path, &bytes)
}

/// Puts back what [`save`] has written and gives the rest of it; `None` where there is no checkpoint.
///
/// # Errors
/// The file is damaged, or of another training.
pub fn load(
    folder: &Path,
    parameters: &mut Parameters,
    optimizer: &mut AdamW,
    identity: &str,
) -> Result<Option<State>, TrainError> {
    let path = path(folder);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| TrainError::file(&path, error))?,
    };
    let saved = Saved::read(&path, &bytes)?;
    if saved.metadata.get("identity").map(String::as_str) != Some(identity) {
        return Err(saved.failed(
            "this checkpoint is of a training with other settings, data or model; give another folder, or delete it".into(),
        ));
    }
    let progress = Progress { phase: saved.number("phase")?, step: saved.number("step")? };
    for (id, parameter) in parameters.iter_mut().filter(|(_, parameter)| parameter.trainable) {
        let length = parameter.value.len();
        let value = saved.numbers("value", &parameter.name, length)?;
        let value = value.ok_or_else(|| saved.failed(format!("`{}` is missing", parameter.name)))?;
        parameter.values_mut().copy_from_slice(&value);
        let moments = ["mean", "square"].map(|kind| saved.numbers(kind, &parameter.name, length).transpose());
        if let [Some(first), Some(second)] = moments {
            optimizer.set_moments(id, [first?, second?]);
        }
    }
    optimizer.steps = progress.step as u64;
    let adapter = saved.file.tensor(ADAPTER).map(|view| view.data().to_vec()).unwrap_or_default();
    let best = saved.best(parameters)?;
    Ok(Some(State { progress, adapter, best }))
}

/// A checkpoint's file.
struct Saved<'f> {
    path: &'f Path,
    file: SafeTensors<'f>,
    metadata: HashMap<String, String>,
}

impl<'f> Saved<'f> {
    fn read(path: &'f Path, bytes: &'f [u8]) -> Result<Saved<'f>, TrainError> {
        let damaged = |error: safetensors::SafeTensorError| TrainError::Form {
            path: path.into(),
            problem: format!("is damaged ({error}); delete it, and the training begins anew"),
        };
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        Ok(Saved { path, file, metadata: header.metadata().clone().unwrap_or_default() })
    }

    fn failed(&self, problem: String) -> TrainError {
        TrainError::Form { path: self.path.into(), problem }
    }

    fn number(&self, key: &str) -> Result<usize, TrainError> {
        let number = self.metadata.get(key).and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.failed(format!("has no {key}; delete it, and the training begins anew")))
    }

    /// The best weights of the phase; `None` where there was no evaluation yet.
    fn best(&self, parameters: &Parameters) -> Result<Option<Best>, TrainError> {
        let Some(known) = self.metadata.get(BEST) else { return Ok(None) };
        let numbers: Vec<u64> = known.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [step, since, bits] = numbers[..] else {
            let problem = format!("has `{known}` for its best step; delete it, and the training begins anew");
            return Err(self.failed(problem));
        };
        let mut weights = Vec::new();
        for (id, parameter) in parameters.iter().filter(|(_, parameter)| parameter.trainable) {
            let values = self.numbers(BEST, &parameter.name, parameter.value.len())?;
            let values =
                values.ok_or_else(|| self.failed(format!("the best `{}` is missing", parameter.name)))?;
            weights.push((id, values));
        }
        let (step, since) = (step as usize, since as usize);
        Ok(Some(Best { step, since, value: f64::from_bits(bits), weights: Arc::new(weights) }))
    }

    /// The numbers of a kind and parameter; `None` where there are none.
    fn numbers(&self, kind: &str, name: &str, length: usize) -> Result<Option<Vec<f32>>, TrainError> {
        let Ok(view) = self.file.tensor(&format!("{kind}.{name}")) else { return Ok(None) };
        let numbers: Vec<f32> =
            view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match numbers.len() == length {
            true => Ok(Some(numbers)),
            false => {
                Err(self.failed(format!("`{kind}.{name}` has {} numbers instead of {length}", numbers.len())))
            }
        }
    }
}
