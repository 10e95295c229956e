//! Where a template that a user names is found: among those that come with Plackett, or in a file.

use super::{BuiltinPrompt, TemplateError};
use plackett_core::formats::read_text;
use std::io::ErrorKind;
use std::path::Path;

/// What was found.
pub(super) enum Found<'o> {
    /// One of those that come with Plackett.
    Own(&'o BuiltinPrompt),
    /// The text of a file.
    File(String),
}

/// The template of a name among `own`, or the file of this path; a relative one goes out from `folder`.
///
/// # Errors
/// [`TemplateError::Unknown`] when there is neither, [`TemplateError::Unreadable`] for a file that cannot be read.
pub(super) fn look_up<'o>(
    asked: &str,
    own: &'o [BuiltinPrompt],
    folder: &Path,
) -> Result<Found<'o>, TemplateError> {
    if let Some(prompt) = own.iter().find(|prompt| prompt.name == asked) {
        return Ok(Found::Own(prompt));
    }
    let path = folder.join(asked);
    // A link that leads nowhere is there, and the reader says what is wrong with it.
    if asked.is_empty() || path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        let known = own.iter().map(|prompt| prompt.name).collect::<Vec<_>>().join(", ");
        return Err(TemplateError::Unknown { asked: asked.to_string(), known });
    }
    let text = read_text(&path).map_err(|error| TemplateError::Unreadable(error.to_string()))?;
    Ok(Found::File(text))
}
