//! Why a block index cannot be read or written.

use super::BlocksOf;
use crate::model::{BoxError, CallError};
use crate::prompt::TemplateError;
use plackett_core::formats::FormatError;
use plackett_lm::LmError;
use std::path::{Path, PathBuf};

/// What went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BlockIndexError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The record of the block index is not readable.
    #[error("{path}: the block index is damaged ({problem}); {}", again(.path))]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It was written by a version that this one does not know.
    #[error("{path}: the block index has format version {found}, this program reads {known}; update plackett, or {}", again(.path))]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that is read.
        known: u64,
    },
    /// A file of blocks is cut off, damaged or of another machine's layout.
    #[error("the block index is damaged: {source}: {}", again(.path))]
    Blocks {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which byte.
        source: Box<LmError>,
    },
    /// The blocks are those of another model.
    #[error(
        "{index}: its blocks are those of the model {expected}, and {found} is another one; give the first one, let documents \
         be computed anew with block-rank(blocks=never), or make the block index again: `plackett index -o {index} \
         --drop-blocks`, then `--blocks {}`", .found.name
    )]
    OtherModel {
        /// The index.
        index: String,
        /// The model of the blocks.
        expected: Box<BlocksOf>,
        /// The given model.
        found: Box<BlocksOf>,
    },
    /// There is none to go on with.
    #[error("{index}: it has no block index; make one with `plackett index -o {index} --blocks MODEL`")]
    Missing {
        /// The index.
        index: String,
    },
    /// The blocks were made with another prompt than the one that is asked for.
    #[error(
        "{index}: its blocks were made with other options ({found}) than {asked}; leave --blocks-method out, or remove them first: \
         `plackett index -o {index} --drop-blocks`"
    )]
    OtherPrompt {
        /// The index.
        index: String,
        /// What was asked for.
        asked: String,
        /// What the blocks have.
        found: String,
    },
    /// Another process writes it.
    #[error("{folder}: another process is writing this block index; wait until it has finished")]
    Locked {
        /// The folder of the blocks.
        folder: PathBuf,
    },
    /// The record could not be written.
    #[error(transparent)]
    Unwritten(FormatError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] LmError),
    /// The words around a document cannot be read by the model.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The prompt is not one.
    #[error(transparent)]
    Prompt(#[from] TemplateError),
    /// The documents could not be read.
    #[error(transparent)]
    Documents(BoxError),
}

impl BlockIndexError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> BlockIndexError {
        let path = path.into();
        move |source| BlockIndexError::Io { path, source }
    }

    /// An error of a file of blocks.
    pub(super) fn blocks(path: &Path) -> impl FnOnce(LmError) -> BlockIndexError {
        let path = path.to_path_buf();
        move |source| BlockIndexError::Blocks { path, source: source.into() }
    }
}

/// The index that a folder or file of blocks belongs to, for messages.
pub(super) fn index_of(folder: &Path) -> String {
    folder.parent().unwrap_or(folder).display().to_string()
}

/// How a damaged block index is made again, for a file in its folder.
fn again(path: &Path) -> String {
    let index = path.parent().map(index_of).unwrap_or_default();
    format!("remove it with `plackett index -o {index} --drop-blocks` and make it again with --blocks MODEL")
}
