//! Where adapters go: the linear layers and blocks of a model, chosen by name.

use super::OptionValues;
use crate::TrainError;
use crate::nn::{Bert, BertLayer, Linear, Llama, T5};
use crate::tape::{ParameterId, Parameters};
use plackett_core::declaration::{nearest, suggestion};
use plackett_lm::sha256::Sha256;

/// A model that adapters can be attached to.
pub trait Adaptable {
    /// The linear layers of its blocks, in order.
    fn linears(&mut self) -> Vec<&mut Linear>;

    /// The linear layers that can be factorised: those of the blocks and, where there is one, the pooler.
    fn factorizable(&mut self) -> Vec<&mut Linear> {
        self.linears()
    }

    /// The encoder, for adapters that stand between its layers; `None` for models that have no place for them.
    fn encoder(&mut self) -> Option<&mut Bert> {
        None
    }
}

impl Adaptable for Bert {
    fn linears(&mut self) -> Vec<&mut Linear> {
        self.linears_mut().collect()
    }

    fn factorizable(&mut self) -> Vec<&mut Linear> {
        let pooler = self.pooler.as_mut();
        self.layers.iter_mut().flat_map(BertLayer::linears_mut).chain(pooler).collect()
    }

    fn encoder(&mut self) -> Option<&mut Bert> {
        Some(self)
    }
}

impl Adaptable for BertLayer {
    fn linears(&mut self) -> Vec<&mut Linear> {
        self.linears_mut().collect()
    }
}

impl Adaptable for Llama {
    fn linears(&mut self) -> Vec<&mut Linear> {
        self.linears_mut().collect()
    }
}

impl Adaptable for T5 {
    fn linears(&mut self) -> Vec<&mut Linear> {
        self.linears_mut().collect()
    }
}

impl Adaptable for Vec<Linear> {
    fn linears(&mut self) -> Vec<&mut Linear> {
        self.iter_mut().collect()
    }
}

/// Which linear layers get an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Every one.
    All,
    /// Those whose names end with one of these, at a dot: `query`, `self_attn.q_proj`; without those that end with one behind a
    /// `!`: `output.dense,!attention.output.dense` is the second layer of BERT's feed-forward networks alone.
    Names(Vec<String>),
}

impl Targets {
    /// Reads `all`, or ends of names with commas between them.
    pub fn parse(text: &str) -> Targets {
        let names: Vec<String> =
            text.split(',').map(|name| name.trim().to_string()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() || names == ["all"] { Targets::All } else { Targets::Names(names) }
    }

    /// Whether a layer of this name is meant.
    pub fn include(&self, name: &str) -> bool {
        match self {
            Targets::All => true,
            Targets::Names(ends) => {
                let is_left_out = |end: &str| end.strip_prefix('!').is_some_and(|end| ends_at_dot(name, end));
                ends.iter().any(|end| ends_at_dot(name, end)) && !ends.iter().any(|end| is_left_out(end))
            }
        }
    }

    /// Checks that every end is that of some layer.
    pub(super) fn check(&self, names: &[&str]) -> Result<(), TrainError> {
        let Targets::Names(ends) = self else { return Ok(()) };
        for end in ends.iter().map(|end| end.trim_start_matches('!')) {
            if !names.iter().any(|name| ends_at_dot(name, end)) {
                let mut last: Vec<&str> = names.iter().filter_map(|name| name.rsplit('.').next()).collect();
                last.sort_unstable();
                last.dedup();
                return Err(TrainError::Setting(format!(
                    "no layer's name ends with `{end}`{}; the layers of this model end with {}",
                    suggestion(&nearest(end, last.iter().copied())),
                    last.join(", ")
                )));
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Targets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Targets::All => write!(f, "all"),
            Targets::Names(names) => write!(f, "{}", names.join(",")),
        }
    }
}

/// Whether a name is this end, or has it behind a dot.
pub(super) fn ends_at_dot(name: &str, end: &str) -> bool {
    name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A linear layer with an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The layer's name.
    pub name: String,
    /// Its weight: outputs × inputs.
    pub weight: ParameterId,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in.
    pub inputs: usize,
}

impl Site {
    pub(super) fn of(linear: &Linear) -> Site {
        Site {
            name: linear.name.clone(),
            weight: linear.weight,
            outputs: linear.outputs,
            inputs: linear.inputs,
        }
    }
}

/// The layers that are meant, in the order of the model.
///
/// # Errors
/// A target is no layer, or a layer has an adapter already.
pub(super) fn choose<'m>(
    model: &'m mut dyn Adaptable,
    targets: &Targets,
) -> Result<Vec<&'m mut Linear>, TrainError> {
    let linears = model.linears();
    targets.check(&linears.iter().map(|linear| linear.name.as_str()).collect::<Vec<_>>())?;
    let chosen: Vec<&mut Linear> =
        linears.into_iter().filter(|linear| targets.include(&linear.name)).collect();
    if chosen.is_empty() {
        return Err(TrainError::Setting("the model has no linear layer for an adapter".into()));
    }
    match chosen.iter().find(|linear| linear.adapter.is_some()) {
        Some(linear) => Err(TrainError::Setting(format!(
            "`{}` has an adapter already; merge or detach that one first",
            linear.name
        ))),
        None => Ok(chosen),
    }
}

/// Checks that no layer is factorised, for adapters that read or change whole weights.
///
/// # Errors
/// One is; the message has its name.
pub(super) fn check_whole(
    sites: &[Site],
    parameters: &Parameters,
    options: &OptionValues,
) -> Result<(), TrainError> {
    match sites.iter().find(|site| parameters[site.weight].columns != site.inputs) {
        Some(site) => Err(options
            .problem(format!("needs the whole weight of `{}`, which is factorised", site.name))
            .into()),
        None => Ok(()),
    }
}

/// SHA-256 over names and shapes, in hexadecimal: what an adapter was made for.
pub(super) fn fingerprint<'s>(shapes: impl IntoIterator<Item = (&'s str, usize, usize)>) -> String {
    let mut hasher = Sha256::new();
    for (name, rows, columns) in shapes {
        hasher.update(format!("{name} {rows} {columns}\n"));
    }
    hasher.hex_digest()
}

/// Numbers that are hashed at a time.
const HASHED: usize = 16 * 1024;

/// SHA-256 over names and numbers, in hexadecimal: which weights something was made from.
pub(super) fn weights_hash<'w>(weights: impl IntoIterator<Item = (&'w str, &'w [f32])>) -> String {
    let mut hasher = Sha256::new();
    for (name, numbers) in weights {
        hasher.update_part(name);
        hasher.update((numbers.len() as u64).to_le_bytes());
        for part in numbers.chunks(HASHED) {
            hasher.update(part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    hasher.hex_digest()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Toy;
    use super::*;

    #[test]
    fn targets_are_ends_of_names_and_what_is_left_out_of_them() {
        let mut toy = Toy::bert();
        let mut names = |text: &str| -> Result<Vec<String>, TrainError> {
            let chosen = choose(&mut toy.bert, &Targets::parse(text))?;
            Ok(chosen.iter().map(|linear| linear.name.replace("bert.encoder.layer.", "")).collect())
        };
        assert_eq!(names("query , value").unwrap().len(), 4);
        assert_eq!(names("all").unwrap().len(), 12);
        assert_eq!(names("0.output.dense").unwrap(), ["0.output.dense"]);
        let second = names("output.dense,!attention.output.dense").unwrap();
        assert_eq!(second, ["0.output.dense", "1.output.dense"]);
        let error = names("query,vale").unwrap_err().to_string();
        assert!(error.contains("`vale`") && error.contains("did you mean `value`?"), "{error}");
        assert!(names("query,!qury").unwrap_err().to_string().contains("`qury`"));
        assert!(names("uery").is_err());
        let text = "output.dense,!attention.output.dense";
        assert_eq!(Targets::parse(text).to_string(), text);
    }
}
