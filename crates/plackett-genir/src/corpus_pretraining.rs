//! Training pairs that a corpus of pages with titles, paragraphs and links gives by itself (CorpusBrain, 2022): inner sentence selection,
//! lead paragraph selection and hyperlink identifier prediction, all from a text to titles.

mod pages;
mod pairs;
mod settings;

pub use pages::{Link, Page, link_mentions, read_pages};
pub use pairs::{CorpusPretraining, PretrainingObjective, PretrainingPairs, TitlePair};
pub use settings::{LABEL_SMOOTHING, title_settings};
