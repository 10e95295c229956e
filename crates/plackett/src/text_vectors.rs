//! Vectors of many texts, and as what a model is trained on: of items, of products.

use crate::pipeline::LocalModel;
use plackett_lm::LmError;
use plackett_rank::model::{Role, TextEmbedder, TextVector};
use std::collections::HashMap;

/// Texts that are embedded together.
const TOGETHER: usize = 64;

/// The vectors of texts, a bounded number at a time. `progress` is told how many texts are done.
///
/// # Errors
/// The model refuses a text, or a server fails; the memory budget.
pub fn embed(
    model: &dyn TextEmbedder,
    role: Role,
    texts: &[&str],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<TextVector>, LmError> {
    let mut vectors = Vec::with_capacity(texts.len());
    for part in texts.chunks(TOGETHER) {
        progress(vectors.len());
        vectors.extend(model.embed_texts(role, part)?);
    }
    Ok(vectors)
}

/// How many texts the model has not read whole.
pub fn count_cut(vectors: &[TextVector]) -> usize {
    vectors.iter().filter(|text| text.length.kept < text.length.tokens).count()
}

/// The vectors of texts, one after another, each times √width: of an encoder whose vectors have the length 1, numbers then have a variance of about 1.
/// Beside them how many texts the model has not read whole. `progress` is told how many texts are done.
///
/// # Errors
/// The model gives no vector per text, or refuses a text.
pub fn text_vectors(
    model: &LocalModel,
    texts: &[&str],
    progress: &mut dyn FnMut(usize),
) -> Result<(Vec<f32>, usize), LmError> {
    let made = embed(model.text_embedder()?, Role::Document, texts, progress)?;
    let cut = count_cut(&made);
    let mut vectors = Vec::new();
    for text in made {
        let root = (text.values.len() as f32).sqrt();
        vectors.extend(text.values.iter().map(|x| x * root));
    }
    Ok((vectors, cut))
}

/// What is read of each item: its text, and its name where it has none.
pub fn texts_or_names<'t>(items: &'t [String], texts: &'t HashMap<String, String>) -> Vec<&'t str> {
    items.iter().map(|item| texts.get(item).map_or(item.as_str(), String::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{ModelOptions, Models};

    #[test]
    fn vectors_are_longer_by_the_root_of_the_width_and_do_not_depend_on_their_neighbours() {
        let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../plackett-lm/tests/parity/bert");
        let model = Models::new(Some(tiny.to_string()), ModelOptions::default()).open(None).unwrap();
        let items = ["a cup", "b", "tea"].map(String::from);
        let texts = HashMap::from([("b".to_string(), "a spoon".to_string())]);
        let texts = texts_or_names(&items, &texts);
        assert_eq!(texts, ["a cup", "a spoon", "tea"]);
        let mut told = Vec::new();
        let (all, cut) = text_vectors(&model, &texts, &mut |done| told.push(done)).unwrap();
        let width = model.info().dim;
        assert_eq!((all.len(), cut, told), (3 * width, 0, vec![0]));
        let plain = model.embed_texts(Role::Document, &["a cup"]).unwrap().remove(0).values;
        let root = (width as f32).sqrt();
        assert_eq!(all[..width], plain.iter().map(|x| x * root).collect::<Vec<f32>>());
        // The second text is longer than the model reads.
        let long = "a cup ".repeat(2000);
        let (spoon, cut) = text_vectors(&model, &["a spoon", long.as_str()], &mut |_| {}).unwrap();
        assert_eq!((&all[width..2 * width], cut), (&spoon[..width], 1));
    }
}
