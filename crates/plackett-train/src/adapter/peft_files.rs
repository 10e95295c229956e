//! The two files of an adapter's directory as PEFT saves it: settings in `adapter_config.json`, tensors in
//! `adapter_model.safetensors`.

use super::site::ends_at_dot;
use crate::TrainError;
use crate::files::write_whole;
use crate::tape::{ParameterId, Parameters};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// The file of settings.
pub(super) const CONFIG: &str = "adapter_config.json";

/// The file of tensors.
pub(super) const WEIGHTS: &str = "adapter_model.safetensors";

/// What names of a model's modules begin with there.
pub(super) const PREFIX: &str = "base_model.model.";

/// An adapter as PEFT saves it.
#[derive(Clone, Debug)]
pub struct PeftFiles {
    /// What the file of settings says, an object.
    config: Value,
    tensors: Vec<PeftTensor>,
    /// Names of the layers that have an adapter, in the order of the model.
    layers: Vec<String>,
}

/// A tensor under its name in the file.
#[derive(Clone, Debug)]
struct PeftTensor {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl PeftFiles {
    /// An adapter of a `peft_type` on these layers, with the settings that this type alone has.
    pub(super) fn new(kind: &str, layers: Vec<String>, own: Value) -> PeftFiles {
        let mut config = json!({
            "peft_type": kind, "task_type": null, "bias": "none", "fan_in_fan_out": false, "inference_mode": true,
            "modules_to_save": null, "target_modules": ends(&layers),
        });
        for (key, value) in own.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        PeftFiles { config, tensors: Vec::new(), layers }
    }

    /// Sets a setting.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.config[key] = value;
    }

    /// Adds a tensor of the model, `LAYER.PART`.
    pub(super) fn push(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) {
        self.push_shared(format!("{PREFIX}{name}"), shape, values);
    }

    /// Adds a tensor that belongs to no layer, under its whole name.
    pub(super) fn push_shared(&mut self, name: String, shape: Vec<usize>, values: Vec<f32>) {
        self.tensors.push(PeftTensor { name, shape, values });
    }

    /// Names whole layers as targets where ends of names would be those of other ones of `model` too: PEFT would add to these
    /// what does nothing, and say that its tensors are missing.
    pub(super) fn without_others(mut self, model: &[String]) -> PeftFiles {
        let ends = ends(&self.layers);
        let mut others = model.iter().filter(|name| !self.layers.contains(name));
        if others.any(|name| ends.iter().any(|end| ends_at_dot(name, end))) {
            let mut whole = self.layers.clone();
            whole.sort_unstable();
            self.config["target_modules"] = json!(whole);
        }
        self
    }

    /// The same with parameters of the model that are trained whole beside the adapter, such as a classifier.
    #[must_use]
    pub fn with_heads(mut self, parameters: &Parameters, heads: &[ParameterId]) -> PeftFiles {
        let mut modules: Vec<String> = Vec::new();
        for head in heads.iter().map(|id| &parameters[*id]) {
            let shape = match head.is_vector() {
                true => vec![head.columns],
                false => vec![head.rows, head.columns],
            };
            self.push(&head.name, shape, head.value.to_vec());
            modules.extend(head.name.rsplit_once('.').map(|(module, _)| module.to_string()));
        }
        modules.sort_unstable();
        modules.dedup();
        if !modules.is_empty() {
            self.config["modules_to_save"] = json!(modules);
        }
        self
    }

    /// The same for a kind of task, of which PEFT makes a class of model: `CAUSAL_LM`, `SEQ_2_SEQ_LM`, `SEQ_CLS`.
    #[must_use]
    pub fn for_task(mut self, task: &str) -> PeftFiles {
        self.config["task_type"] = json!(task);
        self
    }

    /// Writes a directory for a base model of this name or place.
    ///
    /// # Errors
    /// A file cannot be written, no layer has an adapter, or a number is none.
    pub fn save(&self, directory: &Path, base: &str) -> Result<(), TrainError> {
        if self.layers.is_empty() {
            return Err(TrainError::Setting("no layer has an adapter: nothing to save".into()));
        }
        std::fs::create_dir_all(directory).map_err(|source| TrainError::file(directory, source))?;
        let path = directory.join(WEIGHTS);
        let bytes = self.serialize().map_err(|problem| form(&path, problem))?;
        write_whole(&path, &bytes)?;
        let path = directory.join(CONFIG);
        let mut config = self.config.clone();
        config["base_model_name_or_path"] = json!(base);
        let text = serde_json::to_vec_pretty(&config).map_err(|error| form(&path, error.to_string()))?;
        write_whole(&path, &text)
    }

    fn serialize(&self) -> Result<Vec<u8>, String> {
        let mut stored: Vec<(&PeftTensor, Vec<u8>)> = Vec::new();
        for tensor in &self.tensors {
            if let Some(value) = tensor.values.iter().find(|value| !value.is_finite()) {
                return Err(format!(
                    "`{}` holds {value}, which no model can use; lower the learning rate and train anew",
                    tensor.name
                ));
            }
            stored.push((tensor, tensor.values.iter().flat_map(|x| x.to_le_bytes()).collect()));
        }
        let views = stored.iter().map(|(tensor, bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
            view.map(|view| (tensor.name.clone(), view)).map_err(|error| error.to_string())
        });
        let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
        safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, Some(metadata))
            .map_err(|error| error.to_string())
    }
}

/// A file that is not what it should be.
pub(super) fn form(path: &Path, problem: String) -> TrainError {
    TrainError::Form { path: path.into(), problem }
}

/// What PEFT calls target modules, sorted, each once: the names after the layers' numbers.
fn ends(layers: &[String]) -> Vec<String> {
    let mut ends: Vec<String> = layers.iter().map(|layer| end(layer).to_string()).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// The name after the last number in it, or all of it.
fn end(name: &str) -> &str {
    let number = |(at, part): (usize, &str)| part.parse::<usize>().ok().map(|_| at + part.len() + 1);
    let mut at = 0;
    let parts: Vec<(usize, &str)> = name
        .split('.')
        .map(|part| {
            let own = at;
            at += part.len() + 1;
            (own, part)
        })
        .collect();
    let end = parts.into_iter().filter_map(number).next_back();
    end.and_then(|end| name.get(end..)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(layers: &[&str]) -> Vec<String> {
        layers.iter().map(|layer| layer.to_string()).collect()
    }

    #[test]
    fn targets_are_ends_of_names_where_no_other_layer_has_them() {
        let layers = names(&["bert.encoder.layer.0.output.dense", "bert.encoder.layer.1.output.dense"]);
        let targets = |model: &[&str]| {
            let all: Vec<String> = layers.iter().cloned().chain(names(model)).collect();
            let files = PeftFiles::new("LORA", layers.clone(), json!({"r": 2})).without_others(&all);
            assert_eq!(files.config["r"], 2);
            files.config["target_modules"].clone()
        };
        assert_eq!(targets(&[]), json!(["output.dense"]));
        assert_eq!(targets(&["bert.encoder.layer.0.intermediate.dense"]), json!(["output.dense"]));
        assert_eq!(targets(&["bert.encoder.layer.0.attention.output.dense"]), json!(layers));
        assert_eq!(targets(&["bert.encoder.layer.2.output.dense"]), json!(layers));
        assert_eq!(end("layer"), "layer");
    }

    #[test]
    fn heads_are_modules_with_tensors_of_their_own_shapes() {
        let mut parameters = Parameters::default();
        let weight = parameters.add("classifier.weight", (1, 3), vec![1.0, 2.0, 3.0]);
        let bias = parameters.add("classifier.bias", (1, 1), vec![4.0]);
        let files = PeftFiles::new("LORA", names(&["layer"]), json!({}));
        let files = files.with_heads(&parameters, &[weight, bias]).for_task("SEQ_CLS");
        assert_eq!(files.config["modules_to_save"], json!(["classifier"]));
        let shapes: Vec<(&str, &[usize])> =
            files.tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.shape[..])).collect();
        assert_eq!(
            shapes,
            [
                ("base_model.model.classifier.weight", &[1, 3][..]),
                ("base_model.model.classifier.bias", &[1][..])
            ]
        );
    }

    #[test]
    fn what_is_no_number_is_not_saved() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = PeftFiles::new("LORA", names(&["layer"]), json!({}));
        files.push("layer.lora_A.weight", vec![1, 2], vec![0.0, f32::NAN]);
        let error = files.save(folder.path(), "toy").unwrap_err().to_string();
        assert!(error.contains("`base_model.model.layer.lora_A.weight` holds NaN"), "{error}");
        let none = PeftFiles::new("LORA", Vec::new(), json!({}));
        assert!(none.save(folder.path(), "toy").unwrap_err().to_string().contains("nothing to save"));
    }
}
