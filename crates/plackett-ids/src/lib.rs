//! Identifiers that a model can write. A *scheme* ([`scheme`]) turns items or documents into sequences of tokens; a [`Catalogue`] keeps
//! which item has which, with titles and a hash, so that what a model writes is always an item with its title.
#![forbid(unsafe_code)]

mod balanced;
mod catalogue;
mod codebook;
mod error;
mod histories;
mod item;
mod quantizer;
mod residual;
pub mod scheme;
mod sinkhorn;
pub mod spectral;
mod tokens;
mod vectors;

pub use balanced::{balanced_k_means, balanced_k_means_in_turn, balanced_residual_codes};
pub use catalogue::{
    BINDING_FILE, CATALOGUE_FILE, Catalogue, CatalogueItem, CatalogueTrie, LevelUse, Origin, PrefixClash,
    Statistics,
};
pub use error::IdsError;
pub use histories::{Histories, read_histories};
pub use item::{Item, Keep, read_items, read_items_keeping};
pub use quantizer::{AutoencoderSettings, QuantizerTrainer, TrainedQuantizer};
pub use residual::{ResidualQuantizer, ResidualSettings};
pub use sinkhorn::{collision_rate, separate, sinkhorn};
pub use vectors::{VectorTable, bytes_of};
