//! Golden outputs: what a model gave once, and whether it still gives that.
//!
//! [`record`] writes down what a [`Subject`] gives for some texts, [`compare`] runs it again and measures the distance;
//! other programs may write the same file (`docs/golden.md` has the format). For the models that Plackett knows by name,
//! [`known`] has the outputs of the programs that everyone uses.

mod compare;
mod error;
mod file;
mod known;
mod record;
mod subject;

pub use compare::{Comparison, Measure, Promise, compare};
pub use error::GoldenError;
pub use file::{Case, Golden, Kind, beside};
pub use known::{known, texts};
pub use record::record;
pub use subject::{Given, Subject};
