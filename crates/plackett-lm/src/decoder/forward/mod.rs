//! The forward pass of a batch of sequences through the layers of a decoder.
//!
//! As with encoders, a worker carries whole sequences through all layers; when there are too few of them, blocks of
//! rows, heads of attention and, for very few rows, columns of the products are split over the workers. All ways give
//! the same numbers.
//!
//! Where memory is short, a layer goes over a sequence in chunks of rows: queries, keys and values of a chunk exist
//! at once, and the states of all rows. A causal chunk finds the keys of those before it already stored; where tokens see
//! each other both ways, a first walk over all chunks makes the keys. The numbers are the same again.
//!
//! Of the last layer, attention and dense layers are done for the tokens that somebody reads, and not for the others.

mod attention;
mod batch;
mod dense;
pub(crate) mod pass;
