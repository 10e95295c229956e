//! Keys and values of many blocks in one file, such as all documents of an index, each after the same instruction.
//!
//! The file is memory-mapped, and what a forward pass reads of a block is read where it lies: of thousands of blocks only
//! those of a request are touched, and of these only the layers that are run.
//!
//! ```no_run
//! use plackett_lm::decoder::{BlockStore, BlockWriter, DecoderModel, DecoderOptions};
//! let model = DecoderModel::open("SmolLM2-135M-Instruct.Q4_1.gguf", &DecoderOptions::default())?;
//! let ids = |text: &str| model.tokenizer().encode(text, false, false);
//! // Once, when documents come in:
//! let mut writer = BlockWriter::create("documents.blocks", &model, &ids("Rank these documents.")?, usize::MAX)?;
//! writer.add(&[("d1", &ids("\nThe sky is blue.")?), ("d2", &ids("\nGrass is green.")?)])?;
//! writer.finish()?;
//! // For every query, the documents that a search has found; the query's tokens begin at position 4,096:
//! let store = BlockStore::open("documents.blocks", &model)?;
//! let documents = store.gather(&["d2", "d1"])?.at(4096);
//! let answer = model.prefill(&ids("\nWhat colour is grass?")?, Some(&documents))?;
//! assert!(answer.tokens() > documents.tokens());
//! # Ok::<(), plackett_lm::LmError>(())
//! ```

mod store;
mod table;
mod writer;

pub use store::BlockStore;
pub use table::{BlockTable, parse_block_table};
pub use writer::BlockWriter;
