//! Lists of texts as groups of vectors, and a trained scorer of such groups as a model that `tsprank` ranks with (Li et al., TSPRank,
//! 2024). A document is its vector beside the products of its numbers with those of the query's vector, so that what is
//! scored depends on the query.

use crate::pipeline::{ModelError, Models};
use crate::text_vectors::embed;
use plackett_lm::LmError;
use plackett_rank::Abilities;
use plackett_rank::model::{Role, SuccessorAnswer, SuccessorScorer, TextEmbedder, TextLength, TextModel};
use plackett_train::trainer::{GroupScorer, ItemGroup};
use plackett_train::{Compute, Parameters};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A list as a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListItems {
    /// Documents × numbers, of which each document has twice as many as its vector.
    pub items: Vec<f32>,
    /// How much of each document was read.
    pub documents: Vec<TextLength>,
    /// How much of the query was read.
    pub query: TextLength,
}

/// The items of a list by the vectors of a model.
///
/// # Errors
/// A text that its tokenizer refuses; the memory budget.
pub fn list_items(model: &dyn TextEmbedder, query: &str, documents: &[&str]) -> Result<ListItems, LmError> {
    let Some(asked) = model.embed_texts(Role::Query, &[query])?.pop() else {
        return Err(failed(model.name(), "it gave no vector of the query".into()));
    };
    let mut list = ListItems { query: asked.length, ..ListItems::default() };
    // Numbers of vectors of length 1 are brought near to 1, and those of products too.
    let count = asked.values.len() as f32;
    for told in embed(model, Role::Document, documents, &mut |_| {})? {
        list.items.extend(told.values.iter().map(|x| x * count.sqrt()));
        list.items.extend(told.values.iter().zip(&asked.values).map(|(x, q)| x * q * count));
        list.documents.push(told.length);
    }
    Ok(list)
}

/// The embedding model of a name.
///
/// # Errors
/// There is no such model, or it gives no vectors.
pub fn embedder(models: &Models, name: &str) -> Result<Arc<dyn TextEmbedder>, ModelError> {
    let model = models.open(Some(name))?;
    Ok(model.abilities().text_embedder().map_err(|reason| failed(name, reason))?)
}

fn failed(model: &str, reason: String) -> LmError {
    LmError::Unsupported { model: model.to_string(), wanted: "order lists by their vectors".into(), reason }
}

/// A scorer with the model of its vectors.
pub struct GroupRanker {
    name: String,
    scorer: GroupScorer,
    parameters: Parameters,
    compute: Arc<Compute>,
    embedder: Arc<dyn TextEmbedder>,
}

impl GroupRanker {
    /// Opens the scorer of a folder.
    ///
    /// # Errors
    /// A file that cannot be read; the model of its vectors is not here, or is another one by now.
    pub fn open(name: &str, folder: &Path, models: &Models) -> Result<GroupRanker, ModelError> {
        let mut parameters = Parameters::default();
        let (scorer, origin) =
            GroupScorer::open(folder, &mut parameters).map_err(|error| failed(name, error.to_string()))?;
        if models.fingerprint(&origin.name)?.as_ref() != Some(&origin.fingerprint) {
            let reason = format!(
                "it has learned from the vectors of {}, whose files are others now; train it anew",
                origin.name
            );
            return Err(failed(name, reason).into());
        }
        let embedder = embedder(models, &origin.name)?;
        let compute = Compute::new(rayon::current_num_threads());
        Ok(GroupRanker { name: name.to_string(), scorer, parameters, compute, embedder })
    }
}

impl TextModel for GroupRanker {
    fn name(&self) -> &str {
        &self.name
    }

    fn max_tokens(&self) -> usize {
        self.embedder.max_tokens()
    }

    fn overhead(&self, role: Role) -> Result<usize, LmError> {
        self.embedder.overhead(role)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.embedder.token_spans(text)
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.embedder.facts()
    }
}

impl SuccessorScorer for GroupRanker {
    fn successor_scores(&self, query: &str, documents: &[&str]) -> Result<SuccessorAnswer, LmError> {
        let ListItems { items, documents, query } = list_items(self.embedder.as_ref(), query, documents)?;
        let ranks: Vec<usize> = (1..=documents.len()).collect();
        let group = ItemGroup { items, ranks, ..ItemGroup::default() };
        let scores = match documents.is_empty() {
            true => Vec::new(),
            false => self.scorer.values(&self.parameters, &self.compute, &group),
        };
        Ok(SuccessorAnswer { scores, documents, query })
    }
}

impl Abilities for GroupRanker {
    fn model_name(&self) -> String {
        self.name.clone()
    }

    fn successor_scorer(self: Arc<Self>) -> Option<Arc<dyn SuccessorScorer>> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_rank::model::TextVector;

    /// A query is (0.6, 0.8), a document of n letters (n, 1).
    struct Letters;

    impl TextModel for Letters {
        fn name(&self) -> &str {
            "letters"
        }

        fn max_tokens(&self) -> usize {
            8
        }

        fn overhead(&self, _: Role) -> Result<usize, LmError> {
            Ok(0)
        }

        fn token_spans(&self, _: &str) -> Result<Vec<Range<usize>>, LmError> {
            Ok(Vec::new())
        }
    }

    impl TextEmbedder for Letters {
        fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
            let vector = |text: &&str| TextVector {
                values: match role {
                    Role::Query => vec![0.6, 0.8],
                    Role::Document => vec![text.len() as f32, 1.0],
                },
                length: TextLength { tokens: text.len(), kept: text.len(), estimated: false },
            };
            Ok(texts.iter().map(vector).collect())
        }
    }

    #[test]
    fn items_are_vectors_and_their_products_with_the_query() {
        let list = list_items(&Letters, "why", &["a", "abc"]).unwrap();
        let root = 2.0f32.sqrt();
        let wanted = [root, root, 1.2, 1.6, 3.0 * root, root, 3.6, 1.6];
        assert_eq!(list.items.len(), wanted.len());
        for (found, wanted) in list.items.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-5, "{:?}", list.items);
        }
        let kept: Vec<usize> = list.documents.iter().map(|length| length.kept).collect();
        assert_eq!((kept, list.query.kept), (vec![1, 3], 3));
    }
}
