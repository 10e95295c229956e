//! The files of an adapter, and the names of the tensors in them.

pub(crate) const CONFIG: &str = "adapter_config.json";
pub(crate) const WEIGHTS: &str = "adapter_model.safetensors";

/// A matrix of the model that has an addition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LoraTensor {
    pub layer: usize,
    pub module: String,
    /// Name of the tensors up to `lora_A` or `lora_B`.
    pub stem: String,
    /// What follows.
    pub tail: String,
}

impl LoraTensor {
    /// `….layers.3.self_attn.q_proj.lora_A.weight`, also with the adapter's name before `weight`.
    pub(crate) fn read(name: &str) -> Option<LoraTensor> {
        let (stem, tail) = [".lora_A.", ".lora_B."].iter().find_map(|mark| name.split_once(mark))?;
        if tail != "weight" && tail != "default.weight" {
            return None;
        }
        let at = if stem.starts_with("layers.") { 0 } else { stem.find(".layers.")? + 1 };
        let (layer, module) = stem[at + "layers.".len()..].split_once('.')?;
        Some(LoraTensor {
            layer: layer.parse().ok()?,
            module: module.to_string(),
            stem: stem.to_string(),
            tail: tail.to_string(),
        })
    }

    pub(crate) fn is(&self, target: &str) -> bool {
        let rest = self.stem.strip_suffix(target);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}
