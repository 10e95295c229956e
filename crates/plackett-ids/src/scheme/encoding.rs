//! What schemes are given, and what they make.

use super::{Reads, SchemeSpec};
use crate::{IdsError, Item, QuantizerTrainer, VectorTable};

/// What identifiers are made from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The items.
    pub items: &'a [Item],
    /// A vector for each.
    pub vectors: Option<&'a VectorTable>,
    /// Who trains a quantiser on the vectors, for schemes whose codebooks are trained.
    pub trainer: Option<&'a dyn QuantizerTrainer>,
    /// Histories as places in `items`, the oldest first. Only those that a model is trained on: identifiers that know held-out positions
    /// give the answer away (see [`Histories::training`](crate::Histories::training)).
    pub histories: Option<&'a [Vec<usize>]>,
    /// From which what is drawn follows.
    pub seed: u64,
}

impl<'a> Source<'a> {
    /// Items alone.
    pub fn of_items(items: &'a [Item], seed: u64) -> Source<'a> {
        Source { items, vectors: None, trainer: None, histories: None, seed }
    }

    /// The vectors; there are some where [`Source::check`] was asked.
    pub(super) fn vectors(&self) -> Result<&'a VectorTable, IdsError> {
        self.vectors.ok_or_else(|| IdsError::Data("there are no vectors".into()))
    }

    /// Who trains quantisers; there is somebody where [`Source::check`] was asked.
    pub(super) fn trainer(&self) -> Result<&'a dyn QuantizerTrainer, IdsError> {
        self.trainer.ok_or_else(|| IdsError::Data("there is nobody who trains a quantiser".into()))
    }

    /// The histories; none where [`Source::check`] was not asked.
    pub(super) fn histories(&self) -> &'a [Vec<usize>] {
        self.histories.unwrap_or_default()
    }

    /// Refuses a source that lacks what a scheme reads, or whose parts do not belong together.
    pub(super) fn check(&self, spec: &SchemeSpec) -> Result<(), IdsError> {
        let scheme = spec.name;
        if self.items.is_empty() {
            return Err(IdsError::Data("there is no item to give an identifier to".into()));
        }
        for reads in spec.reads {
            match reads {
                Reads::Vectors => self.check_vectors(scheme)?,
                Reads::Trainer if self.trainer.is_none() => {
                    let remedy = "give a trainer with the vectors, or take a scheme whose codebooks are k-means, such as `rq`";
                    return Err(IdsError::Needs { scheme, what: "a quantiser to be trained", remedy });
                }
                Reads::Trainer => {}
                Reads::Histories => self.check_histories(scheme)?,
                Reads::Texts => {
                    let has_text = |item: &Item| {
                        [&item.title, &item.keywords, &item.text].iter().any(|text| !text.trim().is_empty())
                    };
                    let remedy = "give items a title, keywords or a text";
                    if !self.items.iter().any(has_text) {
                        return Err(IdsError::Needs { scheme, what: "titles, keywords or texts", remedy });
                    }
                }
                Reads::Categories => {
                    let remedy = "give items `categories`, from the widest to the narrowest";
                    let is_blank = |category: &String| category.trim().is_empty();
                    if self.items.iter().all(|item| item.categories.iter().all(is_blank)) {
                        return Err(IdsError::Needs { scheme, what: "category paths", remedy });
                    }
                }
                Reads::Urls => {
                    let is_blank = |item: &Item| item.url.trim().is_empty() && item.title.trim().is_empty();
                    if self.items.iter().all(is_blank) {
                        let remedy = "give items a `url` or a title";
                        return Err(IdsError::Needs { scheme, what: "URLs or titles", remedy });
                    }
                }
            }
        }
        Ok(())
    }

    fn check_vectors(&self, scheme: &'static str) -> Result<(), IdsError> {
        let remedy = "give a vector for each item";
        let vectors = self.vectors.ok_or(IdsError::Needs { scheme, what: "vectors", remedy })?;
        let (items, count) = (self.items.len(), vectors.rows());
        if items != count {
            return Err(IdsError::Data(format!(
                "there are {items} items and {count} vectors; give one for each"
            )));
        }
        match vectors.dimension() {
            0 => Err(IdsError::Data("the vectors have no numbers; give one at least".into())),
            _ => Ok(()),
        }
    }

    fn check_histories(&self, scheme: &'static str) -> Result<(), IdsError> {
        let remedy = "give histories of users, without what is held out";
        let histories =
            self.histories.ok_or(IdsError::Needs { scheme, what: "training histories", remedy })?;
        let beyond = histories.iter().flatten().find(|place| **place >= self.items.len());
        beyond.map_or(Ok(()), |place| {
            let items = self.items.len();
            Err(IdsError::Data(format!("a history has item {place} of {items}; places count from 0")))
        })
    }
}

/// Sequences of tokens.
#[derive(Clone, Debug, Default)]
pub struct Encoding {
    /// All tokens; a code is a place in this list.
    pub tokens: Vec<String>,
    /// The sequence of each item.
    pub codes: Vec<Vec<u32>>,
    /// How many codes each level could have, where a scheme has codebooks.
    pub codebooks: Vec<usize>,
    /// What was cut, repaired or left without information.
    pub remarks: Vec<String>,
}
