//! The docids of a corpus in recipes: which scheme, and what it is given.

use super::dataset::Dataset;
use crate::recipe::error::StageError;
use crate::recipe::task::Progress;
use plackett_core::Document;
use plackett_genir::learning::{catalogue_of, items_of};
use plackett_genir::{AutoencoderTrainer, GenirError};
use plackett_ids::scheme::{Reads, parse};
use plackett_ids::{Catalogue, CatalogueItem, QuantizerTrainer, VectorTable};
use plackett_search::Index;
use plackett_train::Compute;
use std::collections::HashMap;

/// What a field that names a scheme says.
pub const SCHEME_HELP: &str =
    "a scheme of docids, as in `plackett ids build`, such as `atomic` or `pq(parts=4)`";

/// The documents of a collection by place and by id.
pub struct Corpus {
    /// All documents, in the order of their file.
    pub documents: Vec<Document>,
    places: HashMap<String, usize>,
}

impl Corpus {
    /// Reads all documents of a collection.
    ///
    /// # Errors
    /// The corpus cannot be read.
    pub fn read(dataset: &Dataset) -> Result<Corpus, StageError> {
        let documents = dataset.corpus()?.collect::<Result<Vec<Document>, _>>()?;
        let places = documents.iter().enumerate().map(|(at, document)| (document.id.clone(), at)).collect();
        Ok(Corpus { documents, places })
    }

    /// The vector of each document.
    ///
    /// # Errors
    /// A document has none, or the index cannot be read.
    pub fn vectors(&self, index: &Index) -> Result<Vec<Vec<f64>>, StageError> {
        let vector = |document: &Document| {
            let problem = || format!("it has no vector of `{}`; ask for `vectors` there", document.id);
            let vector = index.vector(&document.id)?;
            let vector = vector.ok_or_else(|| StageError::Field { field: "index", problem: problem() })?;
            Ok(vector.into_iter().map(f64::from).collect())
        };
        self.documents.iter().map(vector).collect()
    }

    /// The place of the document of an id.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }
}

/// The docids of a corpus by a scheme. Vectors are those of the index, for schemes that need some; where a quantiser is trained on them,
/// its steps are told.
///
/// # Errors
/// The scheme cannot be read, or needs what is not there.
pub fn catalogue(
    scheme: &str,
    corpus: &Corpus,
    index: &Index,
    (seed, progress): (u64, Progress<'_>),
) -> Result<Catalogue, StageError> {
    let scheme = parse(scheme).map_err(GenirError::from)?;
    let vectors = match scheme.spec.reads.contains(&Reads::Vectors) {
        true => {
            let (items, rows) = (items_of(&corpus.documents), corpus.vectors(index)?);
            Some(VectorTable::of_rows(&items, &rows).map_err(GenirError::from)?)
        }
        false => None,
    };
    let told = |step: usize, of: usize| progress("quantiser", step as u64, of as u64);
    let trainer = AutoencoderTrainer::new(&Compute::new(rayon::current_num_threads()), &told);
    let vectors = vectors.as_ref().map(|table| (table, &trainer as &dyn QuantizerTrainer));
    Ok(catalogue_of(&scheme, &corpus.documents, vectors, seed)?)
}

/// The share of the docids whose tokens `<a_…>`, `<b_…>` … name the levels of a tree in their order, so that the path can be read
/// back; tokens that name no level may follow.
pub fn levels_in_order(catalogue: &Catalogue) -> f64 {
    let level = |code: &u32| -> Option<usize> {
        let token = catalogue.tokens().get(*code as usize)?.strip_prefix('<')?;
        let mut letters = token.chars();
        let letter = letters.next().filter(char::is_ascii_lowercase)?;
        letters.next().filter(|next| *next == '_').map(|_| letter as usize - 'a' as usize)
    };
    let is_in_order = |item: &&CatalogueItem| {
        let levels: Vec<Option<usize>> = item.codes.iter().map(level).collect();
        let path = levels.iter().take_while(|level| level.is_some()).count();
        let (path, rest) = levels.split_at(path);
        path.iter().enumerate().all(|(at, level)| *level == Some(at)) && rest.iter().all(Option::is_none)
    };
    catalogue.items().iter().filter(is_in_order).count() as f64 / catalogue.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_ids::Item;
    use plackett_ids::scheme::Encoding;

    #[test]
    fn levels_are_read_back_from_tokens() {
        let tokens = ["<a_1>", "<b_7>", "<leaf_0>", "word"].map(str::to_string).to_vec();
        let codes = vec![vec![0, 1, 2], vec![1, 0, 2], vec![0, 2], vec![3], vec![0, 2, 1]];
        let items = ["v", "w", "x", "y", "z"].map(Item::new);
        let encoding = Encoding { tokens, codes, ..Encoding::default() };
        let catalogue = Catalogue::new("test", &items, encoding).unwrap();
        assert_eq!(levels_in_order(&catalogue), 0.6);
    }
}
