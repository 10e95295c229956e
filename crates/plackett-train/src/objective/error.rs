//! What can be wrong with the inputs of an objective. Lists, rows and candidates are counted from 0.

/// A loss that cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{objective}: {problem}")]
pub struct ObjectiveError {
    /// The objective, as a training file writes it.
    pub objective: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a batch, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// A batch of another kind.
    #[error(
        "needs {expected}, and was given {given}; choose an objective for {given}, or another source of batches"
    )]
    Batch {
        /// What it works on.
        expected: &'static str,
        /// What came.
        given: &'static str,
    },
    /// An input that the batch does not have.
    #[error("needs {input}; {remedy}")]
    Missing {
        /// The input.
        input: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// An input that would have no effect.
    #[error("has no use for {input}; {remedy}")]
    Unused {
        /// The input.
        input: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Inputs that do not belong together.
    #[error("{given} {what} for {expected} {of}; give one for each")]
    Length {
        /// What there are too many or too few of.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many are needed.
        expected: usize,
        /// What they belong to.
        of: &'static str,
    },
    /// A matrix of another shape.
    #[error("{what} are {rows} × {columns}; {expected}")]
    Shape {
        /// The matrix.
        what: &'static str,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// What is expected.
        expected: String,
    },
    /// A range that goes beyond the end or backwards.
    #[error("{what} {at} covers {start}..{end}, and there are {count} {of}")]
    Range {
        /// What is given by a range.
        what: &'static str,
        /// Which one.
        at: usize,
        /// Its start.
        start: usize,
        /// Its end.
        end: usize,
        /// How many there are.
        count: usize,
        /// What there are.
        of: &'static str,
    },
    /// Something without content.
    #[error("{what} {at} is empty; leave it out of the batch")]
    Empty {
        /// What is empty.
        what: &'static str,
        /// Which one.
        at: usize,
    },
    /// A number that is NaN or infinite.
    #[error("{what} {at} of {of} {within} is {value}; {remedy}")]
    NotFinite {
        /// The number.
        what: &'static str,
        /// Its place.
        at: usize,
        /// What it stands in.
        of: &'static str,
        /// Which one.
        within: usize,
        /// The number.
        value: f32,
        /// What to do.
        remedy: &'static str,
    },
    /// A number that the objective has no meaning for.
    #[error("{what} {at} of {of} {within} is {value}; {expected}")]
    Value {
        /// The number.
        what: &'static str,
        /// Its place.
        at: usize,
        /// What it stands in.
        of: &'static str,
        /// Which one.
        within: usize,
        /// The number.
        value: f32,
        /// What is expected, and what to do.
        expected: String,
    },
    /// A weight of a list, sequence or row that is negative or no number.
    #[error("weight {at} is {value}; weights are numbers from 0")]
    Weight {
        /// Its place.
        at: usize,
        /// The weight.
        value: f32,
    },
    /// A place that does not exist.
    #[error("{what} {place} of row {row} does not exist: there are {count} {of}")]
    Place {
        /// What the place is for.
        what: &'static str,
        /// The place.
        place: usize,
        /// The row that names it.
        row: usize,
        /// How many places there are.
        count: usize,
        /// What they are.
        of: &'static str,
    },
    /// Ranks that are no order.
    #[error("the ranks of group {group} are {ranks:?}; give each of 1..={count} once")]
    Ranks {
        /// The group.
        group: usize,
        /// What was given.
        ranks: Vec<usize>,
        /// How many items it has.
        count: usize,
    },
}

/// Checks that there is one of `what` for each of `of`.
pub(super) fn check_length(
    what: &'static str,
    given: usize,
    of: &'static str,
    expected: usize,
) -> Result<(), Problem> {
    if given == expected { Ok(()) } else { Err(Problem::Length { what, given, expected, of }) }
}

/// Checks that all numbers are finite; `of` and `within` say where they stand.
pub(super) fn check_finite(
    what: &'static str,
    values: &[f32],
    (of, within): (&'static str, usize),
    remedy: &'static str,
) -> Result<(), Problem> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Problem::NotFinite { what, at, of, within, value: values[at], remedy }),
        None => Ok(()),
    }
}

/// Checks that all weights are finite and not negative.
pub(super) fn check_weights(weights: &[f32]) -> Result<(), Problem> {
    match weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite())) {
        Some(at) => Err(Problem::Weight { at, value: weights[at] }),
        None => Ok(()),
    }
}

/// What to do about a score that is no number.
pub(super) const DIVERGED: &str = "the model has diverged: lower the learning rate or clip gradients";

/// What to do about data that is no number.
pub(super) const REPAIR: &str = "repair the data or leave it out";
