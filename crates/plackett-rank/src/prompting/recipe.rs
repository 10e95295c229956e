//! How the blocks of an index are made.

use crate::model::AttentionLayers;
use crate::prompt::Template;

/// A prompt whose instruction has no query, and the layer at which attention to its documents is read.
#[derive(Clone, Debug)]
pub struct BlockRecipe {
    /// The prompt.
    pub template: Template,
    /// The layer; those above it are not stored.
    pub layers: AttentionLayers,
}
