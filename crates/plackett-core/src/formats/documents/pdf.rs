//! The text of a PDF, in programs that are built with the feature `pdf`.

use super::single::Reader;

#[cfg(feature = "pdf")]
mod font;
#[cfg(feature = "pdf")]
mod packed;
#[cfg(feature = "pdf")]
mod page;
#[cfg(feature = "pdf")]
mod reader;

/// Reads one, where this program can.
#[cfg(feature = "pdf")]
pub(super) const READER: Option<Reader> = Some(reader::read);
/// Reads one, where this program can.
#[cfg(not(feature = "pdf"))]
pub(super) const READER: Option<Reader> = None;

/// Said of one where it cannot.
pub(super) const ABSENT: &str = "needs a program that is built with the feature `pdf`, which this one was built without; or take \
                                 its text out, for example with `pdftotext`, and give the text";

#[cfg(all(test, feature = "pdf"))]
mod tests;
