//! Vectors of texts as what a model is trained on: of items, of products.

use crate::pipeline::LocalModel;
use plackett_lm::LmError;
use plackett_rank::model::Role;
use std::collections::HashMap;

/// Texts that are embedded together.
const TOGETHER: usize = 64;

/// The vectors of texts, one after another, each times √width: of an encoder whose vectors have the length 1, numbers then have a variance of about 1.
/// `progress` is told how many texts are done.
///
/// # Errors
/// The model gives no vector per text, or refuses a text.
pub fn text_vectors(
    model: &LocalModel,
    texts: &[&str],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<f32>, LmError> {
    let mut vectors = Vec::new();
    for (at, part) in texts.chunks(TOGETHER).enumerate() {
        progress(at * TOGETHER);
        for text in model.embed_texts(Role::Document, part)? {
            let root = (text.values.len() as f32).sqrt();
            vectors.extend(text.values.iter().map(|x| x * root));
        }
    }
    Ok(vectors)
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
        let all = text_vectors(&model, &texts, &mut |done| told.push(done)).unwrap();
        let width = model.info().dim;
        assert_eq!((all.len(), told), (3 * width, vec![0]));
        let plain = model.embed_texts(Role::Document, &["a cup"]).unwrap().remove(0).values;
        let root = (width as f32).sqrt();
        assert_eq!(all[..width], plain.iter().map(|x| x * root).collect::<Vec<f32>>());
        assert_eq!(all[width..2 * width], text_vectors(&model, &["a spoon"], &mut |_| {}).unwrap());
    }
}
