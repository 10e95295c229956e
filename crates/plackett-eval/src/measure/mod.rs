//! Measures by the field's spelling: `nDCG@10`, `AP(rel=2)`, `nDCG(gains='exp')@10`.

mod binary;
mod counts;
mod declaration;
mod dialect;
mod diversity;
mod evidence;
mod gain_curve;
mod graded;
mod groups;
mod listing;
mod parse;
mod pooled;
mod preference;
mod registry;
mod similarity;
mod trec_eval;

pub use declaration::{Aggregate, CutoffKind, Declaration, Kind, Needs, Parameter, Range, TrecName};
pub use listing::{listing, listing_json, markdown};
pub use parse::{ParseError, parse_list, parse_trec_list};
pub use registry::MEASURES;
pub use trec_eval::{RUN_ID, Spelling, asks_for_run_id};

use crate::judged::JudgedRanking;
use std::fmt;
use std::str::FromStr;

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not given, and no default: the measure's description says what that means.
    Absent,
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// `True` or `False`.
    Switch(bool),
    /// Gain of a grade is the grade itself; grades up to 0 gain nothing.
    Linear,
    /// Gain of a grade is 2^grade − 1.
    Exponential,
    /// Gain by grade; grades that are not listed gain what [`Value::Linear`] says.
    Gains(Vec<(i32, f64)>),
    /// A list of numbers.
    Numbers(Vec<f64>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Absent => f.write_str("absent"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Switch(value) => f.write_str(if *value { "True" } else { "False" }),
            Value::Linear => f.write_str("'linear'"),
            Value::Exponential => f.write_str("'exp'"),
            Value::Gains(table) => {
                f.write_str("{")?;
                for (place, (grade, gain)) in table.iter().enumerate() {
                    write!(f, "{}{grade}:{gain}", if place == 0 { "" } else { "," })?;
                }
                f.write_str("}")
            }
            Value::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
                write!(f, "{{{}}}", numbers.join(","))
            }
        }
    }
}

/// What follows `@`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cutoff {
    /// The last rank that counts, from 1.
    Rank(usize),
    /// A recall from 0 to 1.
    Recall(f64),
    /// A multiple of the number of relevant documents.
    Multiple(f64),
}

/// A measure with its parameters: what `nDCG(gains='exp')@10` means.
#[derive(Clone)]
pub struct Measure {
    declaration: &'static Declaration,
    /// One per declared parameter; `None` where nothing was said.
    given: Vec<Option<Value>>,
    cutoff: Option<Cutoff>,
    /// How trec_eval prints it, where it was asked for by a name of trec_eval.
    spelling: Option<Spelling>,
}

impl Measure {
    /// The registry's entry.
    pub fn declaration(&self) -> &'static Declaration {
        self.declaration
    }

    /// What follows `@`.
    pub fn cutoff(&self) -> Option<Cutoff> {
        self.cutoff
    }

    /// The rank after which nothing counts, if there is one.
    pub fn rank_cutoff(&self) -> Option<usize> {
        match self.cutoff {
            Some(Cutoff::Rank(rank)) => Some(rank),
            _ => None,
        }
    }

    /// The same measure at another rank; `None` when it takes no rank.
    pub fn at_rank(&self, rank: usize) -> Option<Measure> {
        let takes = matches!(self.declaration.cutoff, CutoffKind::OptionalRank | CutoffKind::Rank);
        (takes && rank > 0).then(|| Measure {
            cutoff: Some(Cutoff::Rank(rank)),
            spelling: None,
            ..self.clone()
        })
    }

    /// The value of a parameter, given or by default.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let place = self.declaration.parameters.iter().position(|p| p.name == name)?;
        Some(self.given.get(place)?.as_ref().unwrap_or(&self.declaration.parameters[place].default))
    }

    /// The value for one query.
    pub fn compute(&self, query: &JudgedRanking) -> f64 {
        // A sum of nothing is -0.0, which nobody means.
        (self.declaration.compute)(query, &Arguments { measure: self, level: query.level }) + 0.0
    }

    /// How trec_eval spells it, where trec_eval has it with these parameters.
    pub fn trec_name(&self) -> Option<String> {
        dialect::trec_name(self)
    }

    /// Its place in trec_eval's output, where it was asked for by a name of trec_eval.
    pub fn trec_place(&self) -> Option<usize> {
        self.spelling.as_ref().map(|spelling| spelling.place)
    }

    /// The text that a query has in place of a value, for the measures that have such.
    pub fn text(&self, query: &JudgedRanking) -> Option<String> {
        let text = self.declaration.text?;
        Some(text(query, &Arguments { measure: self, level: query.level }))
    }

    /// Whether the smallest relevant grade of the policy matters for it.
    pub fn reads_level(&self) -> bool {
        let rel = self.declaration.parameters.iter().zip(&self.given).find(|(p, _)| p.name == "rel");
        rel.is_some_and(|(parameter, given)| given.is_none() && parameter.default != Value::Absent)
            || self.declaration.name == "nDCGLevels"
    }

    /// Whether the measure asks for a share of the relevant documents that need not be a whole number of them, which
    /// [`crate::RecallCut`] rounds.
    pub fn reads_recall_cut(&self) -> bool {
        matches!(self.declaration.name, "IPrec" | "IPrec11")
    }

    /// The same measure with a parameter set; `None` when it has none of that name.
    pub fn with(&self, name: &str, value: Value) -> Option<Measure> {
        let place = self.declaration.parameters.iter().position(|p| p.name == name)?;
        let mut measure = self.clone();
        measure.given[place] = Some(value);
        Some(measure)
    }

    fn effective(&self) -> impl Iterator<Item = &Value> {
        self.given.iter().zip(self.declaration.parameters).map(|(g, p)| g.as_ref().unwrap_or(&p.default))
    }
}

impl PartialEq for Measure {
    fn eq(&self, other: &Measure) -> bool {
        std::ptr::eq(self.declaration, other.declaration)
            && self.cutoff == other.cutoff
            && self.effective().eq(other.effective())
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.declaration.name)?;
        let mut separator = '(';
        for (parameter, value) in self.declaration.parameters.iter().zip(&self.given) {
            if let Some(value) = value {
                write!(f, "{separator}{}={value}", parameter.name)?;
                separator = ',';
            }
        }
        if separator == ',' {
            f.write_str(")")?;
        }
        match self.cutoff {
            Some(Cutoff::Rank(rank)) => write!(f, "@{rank}"),
            Some(Cutoff::Recall(at) | Cutoff::Multiple(at)) => write!(f, "@{at}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Measure {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Measure, ParseError> {
        parse::parse(text)
    }
}

impl serde::Serialize for Measure {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Typed access to parameters for the functions that compute.
pub struct Arguments<'a> {
    measure: &'a Measure,
    level: i32,
}

impl Arguments<'_> {
    /// The smallest relevant grade: the `rel` parameter when given, else the policy's level.
    pub fn rel(&self) -> i32 {
        let place = self.measure.declaration.parameters.iter().position(|p| p.name == "rel");
        match place.and_then(|place| self.measure.given[place].as_ref()) {
            Some(Value::Integer(rel)) => *rel as i32,
            _ => self.level,
        }
    }

    /// A whole-number parameter that may be absent.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.measure.value(name) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// A number parameter; 0 when the measure has none of that name.
    pub fn number(&self, name: &str) -> f64 {
        match self.measure.value(name) {
            Some(Value::Number(value)) => *value,
            Some(Value::Integer(value)) => *value as f64,
            _ => 0.0,
        }
    }

    /// A switch; off when the measure has none of that name.
    pub fn switch(&self, name: &str) -> bool {
        matches!(self.measure.value(name), Some(Value::Switch(true)))
    }

    /// The last rank that counts.
    pub fn cutoff(&self) -> Option<usize> {
        self.measure.rank_cutoff()
    }

    /// A list of numbers that may be absent.
    pub fn numbers(&self, name: &str) -> Option<&[f64]> {
        match self.measure.value(name) {
            Some(Value::Numbers(numbers)) => Some(numbers),
            _ => None,
        }
    }

    /// The multiple after `@`; 0 when there is none.
    pub fn multiple(&self) -> f64 {
        match self.measure.cutoff {
            Some(Cutoff::Multiple(multiple)) => multiple,
            _ => 0.0,
        }
    }

    /// The recall after `@`; 0 when there is none.
    pub fn recall(&self) -> f64 {
        match self.measure.cutoff {
            Some(Cutoff::Recall(recall)) => recall,
            _ => 0.0,
        }
    }

    /// The gain of a grade under the `gains` parameter. Never negative.
    pub fn gain(&self, grade: i32) -> f64 {
        match self.measure.value("gains") {
            // Above 1000 the power would be infinite, and infinity over infinity is no number.
            Some(Value::Exponential) if grade > 0 => f64::from(grade.min(1000)).exp2() - 1.0,
            Some(Value::Gains(table)) => match table.iter().find(|(listed, _)| *listed == grade) {
                Some((_, gain)) => *gain,
                None => f64::from(grade.max(0)),
            },
            Some(Value::Exponential) => 0.0,
            _ => f64::from(grade.max(0)),
        }
    }

    /// The list cut at the measure's rank.
    pub fn head<'l>(&self, list: &'l [Option<i32>]) -> &'l [Option<i32>] {
        &list[..self.cutoff().map_or(list.len(), |k| k.min(list.len()))]
    }
}
