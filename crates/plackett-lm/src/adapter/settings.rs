//! What `adapter_config.json` says, and what of it is refused.

use crate::adapter::files::{CONFIG, LoraTensor};
use crate::error::LmError;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Fields that change what an adapter computes in ways that are not done here. Absent, null, false and empty are fine.
const REFUSED: &[&str] = &[
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
];

/// What the configuration says, as far as it matters.
pub(super) struct Settings {
    pub rank: usize,
    pub scale: f32,
    /// `None` for a pattern, which is not checked.
    targets: Option<Vec<String>>,
}

impl Settings {
    pub(super) fn read(path: &Path) -> Result<Settings, LmError> {
        let bad = |problem: String| LmError::Config { path: path.to_path_buf(), problem };
        let text = std::fs::read_to_string(path).map_err(LmError::io(path))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| bad(format!("not JSON: {e}")))?;
        let kind = value.get("peft_type").and_then(Value::as_str).unwrap_or("absent");
        if kind != "LORA" {
            return Err(bad(format!("`peft_type` is {kind}; LORA is read")));
        }
        for key in REFUSED {
            if value.get(key).is_some_and(|v| !is_empty(v)) {
                return Err(bad(format!(
                    "`{key}` is set, which is not done here; merge the adapter into its model instead"
                )));
            }
        }
        match value.get("bias").and_then(Value::as_str) {
            None | Some("none") => {}
            Some(bias) => {
                return Err(bad(format!("`bias` is {bias}; adapters without trained biases are read")));
            }
        }
        // These take something away from the model's own weights when training starts.
        let start = value.get("init_lora_weights").and_then(Value::as_str).unwrap_or_default();
        if ["pissa", "olora", "corda", "loftq", "lora_ga"].iter().any(|changing| start.starts_with(changing))
        {
            return Err(bad(format!(
                "`init_lora_weights` is {start}, which changes the model's own weights; save the adapter as plain LoRA"
            )));
        }
        let rank = value.get("r").and_then(Value::as_u64).filter(|r| (1..=1 << 16).contains(r));
        let rank = rank.ok_or_else(|| bad("`r` is not a number from 1 to 65536".into()))? as usize;
        let alpha = value.get("lora_alpha").and_then(Value::as_f64).filter(|alpha| alpha.is_finite());
        let alpha = alpha.ok_or_else(|| bad("`lora_alpha` is not a number".into()))?;
        let root = value.get("use_rslora").and_then(Value::as_bool).unwrap_or(false);
        let scale = (alpha / if root { (rank as f64).sqrt() } else { rank as f64 }) as f32;
        if !scale.is_finite() {
            return Err(bad("`lora_alpha` is too large".into()));
        }
        let targets = match value.get("target_modules") {
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_string));
                let names: Option<Vec<String>> = names.collect();
                Some(names.ok_or_else(|| bad("`target_modules` holds something other than names".into()))?)
            }
            Some(Value::String(_)) | Some(Value::Null) | None => None,
            Some(_) => return Err(bad("`target_modules` is neither names nor a pattern".into())),
        };
        Ok(Settings { rank, scale, targets })
    }

    /// Targets without tensors, and tensors without a target, mean that files of two adapters were mixed.
    pub(super) fn check_targets(&self, path: &Path, places: &BTreeSet<LoraTensor>) -> Result<(), LmError> {
        let bad = |problem: String| LmError::Config { path: path.to_path_buf(), problem };
        let Some(targets) = &self.targets else {
            let empty = places.is_empty();
            return if empty { Err(bad("holds no tensors".into())) } else { Ok(()) };
        };
        if let Some(target) = targets.iter().find(|target| !places.iter().any(|p| p.is(target))) {
            return Err(bad(format!("no tensors for `{target}`, a target module of {CONFIG}")));
        }
        match places.iter().find(|place| !targets.iter().any(|target| place.is(target))) {
            Some(place) => Err(bad(format!(
                "layer {} has `{}`, no target module of {CONFIG}",
                place.layer, place.module
            ))),
            None if places.is_empty() => Err(bad("holds no tensors".into())),
            None => Ok(()),
        }
    }
}

/// Whether a field says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
