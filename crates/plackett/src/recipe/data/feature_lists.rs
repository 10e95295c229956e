//! Lists of documents by their features and grades (LETOR's files), as vectors of one length.

use crate::recipe::error::StageError;
use plackett_core::formats::FeatureList;
use plackett_train::trainer::VectorList;
use std::path::{Path, PathBuf};

/// The file of a part, `train` or `test`.
///
/// # Errors
/// There is none.
pub fn file(folder: &Path, part: &str) -> Result<PathBuf, StageError> {
    let forms = ["svm", "svm.gz", "svm.zst", "txt"].map(|end| folder.join(format!("{part}.{end}")));
    forms.into_iter().find(|path| path.is_file()).ok_or_else(|| StageError::Field {
        field: "collection",
        problem: format!(
            "{} holds no {part}.svm; expected train.svm and test.svm (or .svm.gz)",
            folder.display()
        ),
    })
}

/// The greatest number of a feature.
pub fn widest(lists: &[FeatureList]) -> Option<usize> {
    lists.iter().flat_map(|list| &list.rows).filter_map(|row| row.last()).map(|(at, _)| *at).max()
}

/// A list with all features, zeros too.
pub fn dense(list: FeatureList, features: usize) -> VectorList {
    let mut candidates = vec![0.0; list.rows.len() * features];
    for (row, out) in list.rows.iter().zip(candidates.chunks_mut(features)) {
        row.iter().for_each(|(feature, value)| out[feature - 1] = *value);
    }
    VectorList { name: list.query, query: Vec::new(), candidates, labels: list.labels }
}
