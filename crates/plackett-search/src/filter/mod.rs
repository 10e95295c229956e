//! Filters: which documents a search may find, by their metadata.
//!
//! ```text
//! filter     = all { "or" all }
//! all        = part { "and" part }
//! part       = "not" part | "(" filter ")" | comparison
//! comparison = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//!            | field [ "not" ] "in" "(" value { "," value } ")"
//!            | "exists" "(" field ")"
//! field      = letter or _ or @ or $ { letter | digit | _ | - | . | : | / | @ | $ } | text in `backticks`
//! value      = text in "…" or '…', with \ before a quote or a \ | number | date | true | false
//! ```
//! Words of the grammar may be written in capitals. `a.b` is the field `b` of the object `a`. `docs/filters.md` says what
//! each comparison means.
//!
//! ```
//! use plackett_search::Filter;
//! let filter: Filter = "tags = 'pod' and not (year < 2024 or draft = true)".parse()?;
//! assert_eq!(filter.to_string(), "tags = \"pod\" and not (year < 2024 or draft = true)");
//! # Ok::<(), plackett_core::pipeline::ParseError>(())
//! ```

mod allowed;
mod bits;
mod date;
mod facets;
mod fields;
mod number;
mod parse;
mod terms;
mod value;

pub(crate) use allowed::{Allowed, Evaluation, FilterCache, documents_among, living};
pub(crate) use bits::Bits;
pub use facets::{FacetValue, Facets};
pub use fields::{Field, FieldType};
pub use number::Number;
pub(crate) use terms::terms;
pub use value::{IsoDate, Value};

use std::fmt;

/// A condition on the metadata of documents. Read with [`str::parse`].
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Some value of the field compares so with a value.
    Compare {
        /// Path of the field.
        field: String,
        /// How.
        comparison: Comparison,
        /// With what.
        value: Value,
    },
    /// Some value of the field is one of these.
    In {
        /// Path of the field.
        field: String,
        /// At least one.
        values: Vec<Value>,
    },
    /// The field has a value.
    Exists(String),
    /// What does not pass.
    Not(Box<Filter>),
    /// What passes all.
    All(Vec<Filter>),
    /// What passes any.
    Any(Vec<Filter>),
}

/// How a value of a document compares with a value of the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`: some value of the field is the same.
    Equal,
    /// `!=`: none is. Documents without the field pass.
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Whether it asks which of two comes first, which texts do not say.
    pub(crate) fn is_order(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::Greater => ">",
            Comparison::AtLeast => ">=",
        })
    }
}

impl Filter {
    /// What passes both.
    pub fn and(self, other: Filter) -> Filter {
        let mut all = match self {
            Filter::All(all) => all,
            one => vec![one],
        };
        match other {
            Filter::All(more) => all.extend(more),
            one => all.push(one),
        }
        Filter::All(all)
    }

    /// Writes a part of a larger filter, in parentheses where it would be read otherwise.
    fn write_part(&self, f: &mut fmt::Formatter<'_>, in_all: bool) -> fmt::Result {
        let grouped = match self {
            Filter::Any(parts) => in_all && parts.len() != 1,
            Filter::All(parts) => parts.len() != 1,
            _ => false,
        };
        if grouped { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Compare { field, comparison, value } => {
                write!(f, "{} {comparison} {value}", parse::quoted_field(field))
            }
            Filter::In { field, values } => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "{} in ({})", parse::quoted_field(field), values.join(", "))
            }
            Filter::Exists(field) => write!(f, "exists({})", parse::quoted_field(field)),
            Filter::Not(inner) => {
                f.write_str("not ")?;
                inner.write_part(f, true)
            }
            Filter::All(parts) => joined(parts, " and ", true, f),
            Filter::Any(parts) => joined(parts, " or ", true, f),
        }
    }
}

fn joined(parts: &[Filter], word: &str, in_all: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        f.write_str(if place > 0 { word } else { "" })?;
        part.write_part(f, in_all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
