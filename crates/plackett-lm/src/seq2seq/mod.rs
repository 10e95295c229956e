//! Encoder–decoders: T5, Flan-T5 and mT5, and BART. The source is read once, as in the encoders of this crate; any number of
//! branches of outputs then share what was read of it. A T5's decoder may have mixtures of experts.
//!
//! A [`Session`] is a [`DecodeModel`](crate::decode::DecodeModel), so that everything of [`crate::decode`] works on it:
//! [`Session::sources`] gives a handle for each source, from which outputs go on with [`EncoderDecoder::start`].
//!
//! ```no_run
//! use plackett_lm::decode::*;
//! use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions};
//! let model = EncoderDecoder::open("flan-t5-small", &EncoderDecoderOptions::default())?;
//! let mut session = model.session();
//! let (ids, _cut) = model.encode(&["Is water wet?"], 512)?;
//! let source = session.sources(&[&ids[0]])?[0];
//! let labels = TokenTrie::build(&[vec![4273], vec![150]])?.trie; // yes and no
//! let labels = TrieConstraint::new(labels, model.end())?;
//! let request = DecodeRequest { prefix: source, prompt: &[model.start()], constraint: &labels, index: 0 };
//! let decoded = decode(&mut session, &[request], &DecodeOptions::new(Strategy::Greedy))?;
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod anchors;
mod bart;
mod decoder;
mod dense;
mod experts;
mod model;
mod pass;
mod session;
mod t5;

pub use crate::files::weights::NamedTensor;
pub use anchors::AnchorDecoder;
pub use model::{EncoderDecoder, EncoderDecoderOptions, SUPPORTED, is_directory};
pub use session::Session;
