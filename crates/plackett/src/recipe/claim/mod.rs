//! Kinds of claims, one file each; this is the one list of them.

mod equal;
mod not_worse;
mod order;
mod ratio;
mod statistics;
mod trend;
mod within;

use super::error::RecipeError;
use super::field::{FieldKind, FieldSpec, Values};
use super::quantity::{PairError, Quantity};
use serde_json::{Map, Value};

/// Every kind of claim.
pub static CLAIM_KINDS: &[&ClaimKind] =
    &[&order::ORDER, &ratio::RATIO, &equal::EQUAL, &not_worse::NOT_WORSE, &within::WITHIN, &trend::TREND];

/// A kind of claim.
pub struct ClaimKind {
    /// Its name in recipes.
    pub name: &'static str,
    /// Grows whenever the kind judges otherwise; recorded results of a recipe that uses it are of an older one from then on.
    pub version: u32,
    /// When it holds, in a sentence.
    pub help: &'static str,
    /// Its fields.
    pub fields: &'static [FieldSpec],
    /// Looks at values before anything runs.
    pub check: fn(&Values) -> Result<(), RecipeError>,
    /// Says whether it holds.
    pub judge: fn(&Values, &Quantities<'_>) -> Result<Verdict, JudgeError>,
}

impl std::fmt::Debug for ClaimKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl ClaimKind {
    /// The quantities that a claim of this kind is about.
    pub fn quantities<'v>(&self, values: &'v Values) -> Vec<&'v str> {
        let fields = self
            .fields
            .iter()
            .filter(|spec| matches!(spec.kind, FieldKind::Quantity | FieldKind::Quantities));
        fields.flat_map(|spec| values.texts(spec.name)).collect()
    }
}

/// Why a claim cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// A quantity that was not measured.
    #[error("`{0}` was not measured")]
    Unmeasured(String),
    /// Quantities that cannot be compared.
    #[error(transparent)]
    Pairs(#[from] PairError),
    /// Too few values for what is asked.
    #[error("{0}")]
    Values(String),
}

/// Measured quantities by `STAGE/NUMBER`.
pub struct Quantities<'a> {
    find: &'a dyn Fn(&str) -> Option<&'a Quantity>,
}

impl<'a> Quantities<'a> {
    /// Over whatever finds them.
    pub fn new(find: &'a dyn Fn(&str) -> Option<&'a Quantity>) -> Quantities<'a> {
        Quantities { find }
    }

    /// The quantity of a name.
    ///
    /// # Errors
    /// It was not measured.
    pub fn get(&self, name: &str) -> Result<&'a Quantity, JudgeError> {
        let found = (self.find)(name).ok_or_else(|| JudgeError::Unmeasured(name.to_string()))?;
        match found.values.is_empty() {
            false => Ok(found),
            // A claim about nothing neither holds nor fails.
            true => Err(JudgeError::Values(format!("`{name}` has no values: nothing was measured"))),
        }
    }
}

/// Whether a claim holds, and the numbers behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether it holds.
    pub held: bool,
    /// Means, differences, intervals, p-values.
    pub numbers: Map<String, Value>,
    /// The same in a line.
    pub summary: String,
}

/// A number as a person reads it: four digits that matter.
fn shown(number: f64) -> String {
    let size = number.abs();
    match size {
        _ if number == number.trunc() && size < 1e9 => format!("{number:.0}"),
        _ if size >= 1000.0 => format!("{number:.1}"),
        _ if size >= 10.0 => format!("{number:.2}"),
        _ if size >= 0.001 => format!("{number:.4}"),
        _ => format!("{number:.2e}"),
    }
}

/// An interval as a person reads it.
fn shown_interval(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(|| "no interval".into(), |[low, high]| format!("{} – {}", shown(low), shown(high)))
}

/// A p-value as a person reads it.
fn shown_p(p: Option<f64>) -> String {
    match p {
        None => "untested".into(),
        Some(p) if p < 0.0001 => "p < 0.0001".into(),
        Some(p) => format!("p = {p:.4}"),
    }
}
