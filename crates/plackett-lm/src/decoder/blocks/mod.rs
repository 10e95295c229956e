//! Keys and values of many blocks in one file, such as all documents of an index, each after the same instruction.
//!
//! The file is memory-mapped, and what a forward pass reads of a block is read where it lies: of thousands of blocks only
//! those of a request are touched, and of these only the layers that are run.
//!
//! ```no_run
//! use plackett_lm::decoder::{BlockStore, BlockWriter, DecoderModel, DecoderOptions};
//! let model = DecoderModel::open("SmolLM2-135M-Instruct.Q4_1.gguf", &DecoderOptions::default())?;
//! let ids = |text: &str| model.tokens().encode(text, false, false);
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

mod table;
mod writer;

pub use table::{BlockTable, parse_block_table};
pub use writer::BlockWriter;

use super::cache::{Cache, CacheFormat};
use super::kept::{Kept, Sizes};
use super::mapped::Mapped;
use super::model::DecoderModel;
use crate::LmError;
use crate::weights::map_file;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use table::Place;

/// An open file of blocks.
pub struct BlockStore {
    path: PathBuf,
    file: Arc<memmap2::Mmap>,
    table: BlockTable,
    prefix: Cache,
    /// The segment of each block, made when it is first asked for: requests that share a block then know that they do.
    segments: Vec<OnceLock<Arc<Kept>>>,
}

impl DecoderModel {
    /// What tells this model's keys and values from those of another: SHA-256 in hexadecimal over
    /// [`store::fingerprint`](crate::store::fingerprint) of its files and the precision that it was opened with. Reads
    /// all weights the first time.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<String, LmError> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known.clone());
        }
        let files = crate::store::fingerprint(self.path()).map_err(|e| LmError::Argument(e.to_string()))?;
        let text = format!("{files} {:?}", self.precision);
        let found: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.fingerprint.get_or_init(|| found).clone())
    }

    fn fingerprint_bytes(&self) -> Result<[u8; 32], LmError> {
        let text = self.fingerprint()?;
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).unwrap_or(0);
        }
        Ok(bytes)
    }
}

impl BlockStore {
    /// Maps a file and checks header and table; of the blocks nothing is read yet. The first time a model opens a store,
    /// its weights are read for [`DecoderModel::fingerprint`].
    ///
    /// # Errors
    /// [`LmError::BlockStore`] for a damaged file, with the place; [`LmError::BlockModel`] for blocks of another model,
    /// precision or cache format.
    pub fn open(path: impl AsRef<Path>, model: &DecoderModel) -> Result<BlockStore, LmError> {
        let path = path.as_ref().to_path_buf();
        if cfg!(target_endian = "big") {
            return Err(LmError::Argument("block stores are read on little-endian machines only".into()));
        }
        let file = map_file(&path)?;
        let table = parse_block_table(&file, &path)?;
        check_model(&table, model, &path)?;
        let segments = table.entries.iter().map(|_| OnceLock::new()).collect();
        let mut store = BlockStore { path, file, table, prefix: Cache::default(), segments };
        if let Some(place) = store.table.prefix_place {
            let kept = Arc::new(store.segment(place)?);
            store.prefix = Cache { position: place.tokens, segments: vec![kept], ..Cache::default() };
        }
        Ok(store)
    }

    fn segment(&self, place: Place) -> Result<Kept, LmError> {
        let (sizes, tokens) = (self.table.sizes, place.tokens as usize);
        let mapped = Mapped::new(&self.file, place.start, (sizes, tokens, self.table.format));
        // The table was checked when the file was opened.
        let mapped = mapped.ok_or_else(|| self.damaged(place, "the segment is not there".into()))?;
        Ok(Kept::mapped(sizes, tokens, mapped))
    }

    fn damaged(&self, place: Place, problem: String) -> LmError {
        LmError::BlockStore { path: self.path.clone(), offset: place.start as u64, problem }
    }

    /// Keys and values of the tokens that all blocks continue; empty when there are none.
    pub fn prefix(&self) -> &Cache {
        &self.prefix
    }

    /// Those tokens.
    pub fn prefix_tokens(&self) -> &[u32] {
        &self.table.prefix
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.table.entries.len()
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.table.entries.is_empty()
    }

    /// Layers of all blocks: a pass over them may run so many.
    pub fn layers(&self) -> usize {
        self.table.sizes.layers
    }

    /// Number format of all blocks.
    pub fn format(&self) -> CacheFormat {
        self.table.format
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> usize {
        self.file.len()
    }

    /// Ids and tokens of all blocks, ascending by id.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (&str, usize)> {
        self.table.blocks().map(|(id, tokens, _)| (id, tokens))
    }

    /// Prefix and block, to continue from; `None` for an id that is not there.
    pub fn block(&self, id: &str) -> Option<Cache> {
        let at = self.table.find(id)?;
        let place = self.table.entries[at].place;
        let kept = match self.segments[at].get() {
            Some(kept) => kept.clone(),
            None => {
                let made = Arc::new(self.segment(place).ok()?);
                self.segments[at].get_or_init(|| made).clone()
            }
        };
        let mut cache = self.prefix.clone();
        cache.position += place.tokens;
        cache.segments.push(kept);
        Some(cache)
    }

    /// Prefix and some blocks, side by side in that order ([`Cache::followed_by`]).
    ///
    /// # Errors
    /// [`LmError::Argument`] with the first id that is not there.
    pub fn gather<S: AsRef<str>>(&self, ids: &[S]) -> Result<Cache, LmError> {
        let block = |id: &S| {
            let id = id.as_ref();
            self.block(id).ok_or_else(|| {
                LmError::Argument(format!("{}: there is no block `{id}`", self.path.display()))
            })
        };
        let blocks = ids.iter().map(block).collect::<Result<Vec<Cache>, LmError>>()?;
        self.prefix.followed_by(&blocks)
    }

    /// Reads the whole file and compares every segment with its checksum.
    ///
    /// # Errors
    /// [`LmError::BlockStore`] with the first segment that is not what was written.
    pub fn verify(&self) -> Result<(), LmError> {
        let named =
            self.table.entries.iter().map(|entry| (&self.table.names[entry.name.clone()], entry.place));
        let prefix = self.table.prefix_place.map(|place| ("", place));
        for (id, place) in prefix.into_iter().chain(named) {
            if crc32fast::hash(&self.file[place.start..place.start + place.length]) != place.crc {
                return Err(self.damaged(place, format!("the segment of `{id}` is not what was written")));
            }
        }
        Ok(())
    }
}

/// Refuses blocks that this model would not have made.
fn check_model(table: &BlockTable, model: &DecoderModel, path: &Path) -> Result<(), LmError> {
    let differs = |what, found: String, expected: String, remedy| {
        if found == expected {
            return Ok(());
        }
        Err(LmError::BlockModel { path: path.to_path_buf(), what, found, expected, remedy })
    };
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let again = "write the block store again with this model and precision";
    let fingerprints = (table.fingerprint, model.fingerprint_bytes()?);
    differs("the model's fingerprint", hex(fingerprints.0), hex(fingerprints.1), again)?;
    let shape = &model.decoder.shape;
    let own = Sizes { layers: shape.layers.len(), heads: shape.kv_heads, size: shape.size };
    let size = |sizes: Sizes| format!("{} heads of {} numbers", sizes.heads, sizes.size);
    differs("the size", size(table.sizes), size(own), again)?;
    if table.sizes.layers > own.layers {
        return differs(
            "the number of layers",
            table.sizes.layers.to_string(),
            own.layers.to_string(),
            again,
        );
    }
    let open = "open the model with DecoderOptions::cache as the blocks have it";
    differs("the number format", format!("{:?}", table.format), format!("{:?}", model.format), open)
}
