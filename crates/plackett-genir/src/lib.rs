//! Generative retrieval: a decoder learns a corpus by heart and answers a query with the identifier of a document (its docid), token
//! by token inside the tree of the docids that there are.
//!
//! One way through it: [`representation`] makes pairs of a text and a document (first words, chunks, pseudo queries, labelled
//! queries), [`corpus_pretraining`] those that pages with titles and links give by themselves; a [`DocidLanguage`] writes texts and docids as tokens; [`RetrieverTask`] is trained by `plackett-train`, and [`learning`] is
//! all of this at once;
//! [`GenerativeRetriever`] answers queries with beams ([`Decoding::Beams`]) or with draws without replacement
//! ([`reverse_annealing`]), by the output matrix of the model or by weights that follow from what is written ([`DocidDecoder`]); [`relevance_optimization`] tunes the same model so that docids of relevant documents become likelier than
//! those of others. [`category_paths`] are written before docids as reasons for hits, by a [`PathRetriever`]. Docids are those of a `plackett_ids::Catalogue`.
//! [`corpus_ngrams`] need none, and no training: any model writes n-grams that occur in documents.
#![forbid(unsafe_code)]

mod autoencoder;
mod beam_options;
pub mod category_paths;
pub mod corpus_ngrams;
pub mod corpus_pretraining;
mod docid_decoder;
mod docid_trie;
mod error;
pub mod incremental;
mod language;
pub mod learning;
mod path_retriever;
mod prefix_aware;
pub mod rank_bands;
pub mod relevance_optimization;
pub mod representation;
mod retriever;
pub mod reverse_annealing;
pub mod title_lists;
mod training;

pub use autoencoder::{AutoencoderTrainer, TrainedAutoencoder};
pub use docid_decoder::{DocidDecoder, PrefixAware, decoders_help};
pub use docid_trie::{DocidReport, DocidTrie};
pub use error::GenirError;
pub use language::DocidLanguage;
pub use path_retriever::{
    Explained, PathCost, PathDecoding, PathHit, PathRetriever, PathScore, best_of_paths, writes_paths,
};
pub use retriever::{Decoding, GenerativeRetriever, RETRIEVER_FILE, Retrieved, RetrieverFiles};
pub use training::{Reranking, RerankingGroup, RetrieverTask};
