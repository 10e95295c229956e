//! The shape of a measure's declaration: one entry per measure, from which parser, help and documentation are made.

use super::{Arguments, Value};
use crate::judged::JudgedRanking;

/// Everything there is to say about a measure.
#[derive(Clone, Copy)]
pub struct Declaration {
    /// The spelling that Plackett prints.
    pub name: &'static str,
    /// Other spellings that are understood. Case, blanks, `-` and `_` never matter.
    pub aliases: &'static [&'static str],
    /// The name in a sentence.
    pub pretty: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// What can be set in parentheses.
    pub parameters: &'static [Parameter],
    /// What may or must follow `@`.
    pub cutoff: CutoffKind,
    /// Where it was defined.
    pub citation: &'static str,
    /// Its name in trec_eval's output.
    pub trec_eval: TrecName,
    /// How the values of queries become one number.
    pub aggregate: Aggregate,
    /// Where values lie.
    pub range: Range,
    /// What has to be looked up beside grades.
    pub needs: Needs,
    /// The value for one query.
    pub compute: fn(&JudgedRanking, &Arguments<'_>) -> f64,
    /// Where a query has a text in place of a value (and nothing has a mean): what makes it.
    pub text: Option<fn(&JudgedRanking, &Arguments<'_>) -> String>,
}

/// A parameter of a measure.
pub struct Parameter {
    /// Its name before the equals sign.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// What it holds when nothing is said.
    pub default: Value,
    /// One clause.
    pub help: &'static str,
}

/// What a parameter may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number from the first to the second bound.
    Integer(i64, i64),
    /// A number from the first to the second bound.
    Number(f64, f64),
    /// `True` or `False`.
    Switch,
    /// `'linear'`, `'exp'` or a table `{grade: gain, …}`.
    Gains,
    /// A list `{0.2,0.5}` of numbers from the first to the second bound.
    Numbers(f64, f64),
}

/// What may follow `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutoffKind {
    /// Nothing.
    None,
    /// A rank, or nothing for the whole list.
    OptionalRank,
    /// A rank.
    Rank,
    /// A recall from 0 to 1.
    Recall,
    /// A multiple of the number of relevant documents.
    Multiple,
}

/// A measure's name in trec_eval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrecName {
    /// trec_eval has no such measure.
    None,
    /// The name of the measure without a cut-off.
    Whole(&'static str),
    /// The prefix before the cut-off.
    Cut(&'static str),
    /// The name without a cut-off, and the prefix before one.
    Both(&'static str, &'static str),
}

/// How the values of queries become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Arithmetic mean.
    Mean,
    /// Sum over queries.
    Sum,
    /// Geometric mean of the values, each raised to at least 0.00001.
    GeometricMean,
}

/// Where the value of a query lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// From 0 to 1.
    Unit,
    /// A count.
    Count,
    /// Anywhere.
    Any,
}

/// What has to be looked up beside the grades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Grades,
    /// The subtopics in the second column of the judgments.
    Subtopics,
    /// The sets of evidence in the second column of the judgments.
    EvidenceSets,
    /// The judgment groups in the second column of the judgments.
    Groups,
    /// The ideal order of the judged documents.
    IdealOrder,
    /// Preferences between documents, in place of judgments.
    Preferences,
    /// Neither judgments nor preferences.
    Nothing,
}
