//! LoRA adapters in PEFT's directories: small additions to the matrices of a decoder, chosen per request.
//!
//! `y = W x + scale · B (A x)` (Hu et al. 2021), where scale is `lora_alpha / r`, or `lora_alpha / √r` with
//! `use_rslora`. Whatever else a configuration asks for is refused by its name, because a part left out would change
//! every number without a word.

mod files;
pub(crate) mod id;
pub(crate) mod lora;
mod merge;
mod settings;
#[cfg(test)]
mod tests;

pub use id::AdapterId;
pub use lora::{Adapter, LoraDelta};
pub use merge::{Merged, merge_adapter};
