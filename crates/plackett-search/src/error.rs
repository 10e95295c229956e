//! Why an index cannot be made, opened, changed or searched.

use std::path::PathBuf;

/// What went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The system refused.
    #[error("{path}: {}", plackett_core::formats::plain(.source))]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder is not an index of ours.
    #[error("{path}: {problem}")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What it is instead and what to do.
        problem: String,
    },
    /// The index was written by a version that this one does not know.
    #[error(
        "{path}: the index has format version {found}, this program reads up to {known}; update plackett, or index again"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Version in the manifest.
        found: u64,
        /// Newest version that is read.
        known: u64,
    },
    /// Files of the index are missing or damaged.
    #[error("{path}: the index is damaged ({problem}); index the collection again")]
    Corrupt {
        /// File or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A new index that is not whole.
    #[error(
        "{path}: the index is unfinished: {}", if *.running {
            format!("another process is building it in {}; wait until it is done", .folder.display())
        } else {
            format!("its build was interrupted and left {}, which cannot be searched; run `plackett index` with the whole collection again, which removes that folder", .folder.display())
        }
    )]
    Unfinished {
        /// The index.
        path: PathBuf,
        /// Where it is built.
        folder: PathBuf,
        /// Whether the build goes on.
        running: bool,
    },
    /// The files are another user's and private.
    #[error("{path}: {}; the owner of the index can let others read it: chmod -R a+rX {index}", plackett_core::formats::plain(.source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The index.
        index: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The place of an index cannot be written to.
    #[error(
        "{index}: the index cannot be written: {} (`{path}`); name a folder where you may write, or let its owner give you the right to",
        plackett_core::formats::plain(.source)
    )]
    Unwritable {
        /// The index, as it was named.
        index: PathBuf,
        /// What the system refused.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A worker of the writer ended, which is what a full disk looks like from the others.
    #[error(
        "{path}: a worker could not write the index, which is at its last commit; make room on the disk and index again"
    )]
    Unwritten {
        /// The folder.
        path: PathBuf,
    },
    /// Another writer has the index.
    #[error("{path}: another process is writing this index; wait until it has finished")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Another index, with other settings, has taken the place of the one that was opened.
    #[error("{path}: the index was written over meanwhile; run the command again")]
    WrittenOver {
        /// The folder.
        path: PathBuf,
    },
    /// Vectors of different models do not compare.
    #[error(
        "{index}: its vectors are those of the model {expected}, and {found} is another one; give the first one, or index the collection again with the second"
    )]
    OtherModel {
        /// The index.
        index: PathBuf,
        /// The model of its vectors.
        expected: String,
        /// The given model.
        found: String,
    },
    /// Approximate search is asked for in a program that lacks it.
    #[error(
        "this program was built without approximate search: build it with `--features usearch` (which needs a C++ compiler), or search with search=exact or search=auto"
    )]
    WithoutUsearch,
    /// Approximate search is not possible.
    #[error(
        "{path}: no approximate search, {problem}; `plackett index -o DIR --graph always` makes its graph, search=exact and search=auto do without"
    )]
    NoGraph {
        /// The index.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The graph of committed documents cannot be made.
    #[error(
        "{path}: the graph for approximate search was not made ({problem}); the documents are committed and can be searched exactly"
    )]
    Graph {
        /// The file it would be.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A commit is done, and what follows it to save room or time is not.
    #[error(
        "{path}: the documents are committed; what a commit does after that failed ({source}), and the next one tries again"
    )]
    AfterCommit {
        /// The index.
        path: PathBuf,
        /// Why.
        source: Box<SearchError>,
    },
    /// A filter that does not fit the documents of the index.
    #[error("{0}")]
    Filter(String),
    /// A name or number that cannot be used.
    #[error("{0}")]
    Argument(String),
    /// The embedding model failed.
    #[error("the embedding model: {0}")]
    Embedder(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SearchError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> SearchError {
        let path = path.into();
        move |source| SearchError::Io { path, source }
    }

    /// The same error with what lets an index be read, where that is not allowed.
    pub(crate) fn for_reader(self, index: &std::path::Path) -> SearchError {
        match self {
            SearchError::Io { path, source } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                SearchError::Unreadable { path, index: index.into(), source }
            }
            other => other,
        }
    }

    /// The same error with what lets an index be written, where that is not allowed.
    pub(crate) fn for_writer(self, index: &std::path::Path) -> SearchError {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            SearchError::Io { path, source }
                if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
            {
                SearchError::Unwritable { index: index.into(), path, source }
            }
            other => other,
        }
    }

    /// Whether the documents are committed and what failed comes after that.
    pub fn is_after_commit(&self) -> bool {
        matches!(self, SearchError::Graph { .. } | SearchError::AfterCommit { .. })
    }

    /// An error of the inverted index, told apart by what the user can do.
    pub(crate) fn from_tantivy(
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(tantivy::TantivyError) -> SearchError {
        use tantivy::TantivyError as E;
        use tantivy::directory::error::{LockError, OpenReadError};
        let path: PathBuf = path.into();
        let same = |path: PathBuf, source: &std::io::Error| {
            let source = std::io::Error::new(source.kind(), source.to_string());
            SearchError::Io { path, source }
        };
        move |error| match error {
            E::LockFailure(LockError::LockBusy, _) => SearchError::Locked { path },
            E::LockFailure(LockError::IoError(source), _) | E::IoError(source) => same(path, &source),
            E::OpenReadError(OpenReadError::IoError { io_error, filepath }) if is_refusal(&io_error) => {
                same(path.join(filepath), &io_error)
            }
            E::ErrorInThread(_) => SearchError::Unwritten { path },
            other => SearchError::Corrupt { path, problem: other.to_string() },
        }
    }
}

/// Whether the system refused; a file that is too short is one that it gave.
fn is_refusal(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    !matches!(error.kind(), UnexpectedEof | InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_may_not_be_written_is_named_as_the_user_named_it() {
        let refused = || SearchError::io("a/i.unfinished")(std::io::ErrorKind::PermissionDenied.into());
        let said = refused().for_writer(Path::new("a/i")).to_string();
        assert!(
            said.starts_with("a/i: the index cannot be written") && said.contains("where you may write"),
            "{said}"
        );
        assert!(!said.contains("os error") && said.contains("`a/i.unfinished`"), "{said}");
        let other =
            SearchError::io("a/i")(std::io::ErrorKind::StorageFull.into()).for_writer(Path::new("a/i"));
        assert_eq!(other.to_string(), "a/i: no space is left on the disk");
    }
}
