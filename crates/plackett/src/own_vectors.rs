//! Vectors that somebody else made, in the place of those that the model of an index would make.

use plackett_search::{Embedded, Embedder, ModelIdentity};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Gives an index the vectors that were handed over before, in the order of the documents.
pub struct OwnVectors<'a> {
    model: ModelIdentity,
    waiting: Mutex<VecDeque<Vec<f32>>>,
    progress: Box<dyn Fn(usize) + Send + Sync + 'a>,
}

impl<'a> OwnVectors<'a> {
    /// Vectors of a model, which embeds the queries. `progress` is told how many have been taken since last time.
    pub fn new(model: ModelIdentity, progress: impl Fn(usize) + Send + Sync + 'a) -> OwnVectors<'a> {
        OwnVectors { model, waiting: Mutex::default(), progress: Box::new(progress) }
    }

    /// Hands over the vector of the document that is put into the index next; one of zeros alone is none.
    pub fn push(&self, vector: Vec<f32>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(vector);
    }
}

impl Embedder for OwnVectors<'_> {
    fn dim(&self) -> usize {
        self.model.dim
    }

    fn model(&self) -> Option<&ModelIdentity> {
        Some(&self.model)
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < texts.len() {
            return Err("a document came without its vector".into());
        }
        let mut embedded = Embedded::default();
        for (nth, vector) in waiting.drain(..texts.len()).enumerate() {
            if vector.iter().all(|number| *number == 0.0) {
                embedded.without_tokens.push(nth);
            }
            embedded.vectors.extend(vector);
        }
        (self.progress)(texts.len());
        Ok(embedded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_in_which_they_were_handed_over() {
        let model = ModelIdentity { name: "m".into(), dim: 2, fingerprint: None };
        let own = OwnVectors::new(model, |_| {});
        own.push(vec![1.0, 2.0]);
        own.push(vec![0.0, 0.0]);
        own.push(vec![3.0, 4.0]);
        let first = own.embed_documents(&["a", "b"]).unwrap();
        assert_eq!((first.vectors, first.without_tokens), (vec![1.0, 2.0, 0.0, 0.0], vec![1]));
        assert!(own.embed_documents(&["c", "d"]).is_err(), "there is one left");
        assert_eq!(own.embed_documents(&["c"]).unwrap().vectors, [3.0, 4.0]);
    }
}
