//! How far documents cover aspects.

use super::Aspect;
use plackett_core::Document;
use plackett_core::diversity::{Coverage, DiversityError, RougeText, rouge};

/// The coverage of each aspect by each document: the greatest of the recalls of ROUGE-1, ROUGE-2 and ROUGE-L of what
/// answers the aspect (or of its own words, where that is not known) by title and text (RichRAG, "coverage scores").
///
/// # Errors
/// Never with numbers from here; [`DiversityError`] is what [`Coverage`] says of others.
pub fn coverage_of(aspects: &[Aspect], documents: &[&Document]) -> Result<Coverage, DiversityError> {
    let texts: Vec<RougeText> =
        documents.iter().map(|document| RougeText::new(&document.model_text())).collect();
    let mut scores = Vec::with_capacity(aspects.len() * documents.len());
    for aspect in aspects {
        let target = RougeText::new(aspect.target());
        scores.extend(texts.iter().map(|text| rouge(&target, text).most_recall()));
    }
    Coverage::new(aspects.len(), documents.len(), scores)
}
