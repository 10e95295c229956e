//! Category paths, broad to narrow, that are written before a docid as the reason for a hit (Why These Documents? Explainable Generative
//! Retrieval with Hierarchical Category Paths, HyPE, 2024): the hierarchy, the paths of a document and of a query, paths as tokens.

mod asked;
mod assignment;
mod documents;
mod examples;
mod hierarchy;
mod language;
mod selector;

pub use asked::ShownDocument;
pub use assignment::{nearest_path, shortlist};
pub use documents::{DocumentPaths, PlaceOf};
pub use examples::{ExampleTargets, PathChooser, PathExamples};
pub use hierarchy::{CATEGORY_SEPARATOR, CategoryHierarchy, CategoryPath};
pub use language::{PathLanguage, WrittenPath};
pub use selector::{PathAsker, PathSelector, SELECTORS, SelectedPaths, SelectorSpec, parse_selector};
