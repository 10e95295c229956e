//! Reading blocks where they lie in the file.

use crate::decoder::block_store::table::{BlockTable, Extent, parse_block_table};
use crate::decoder::kv::cache::KvCache;
use crate::decoder::kv::format::CacheFormat;
use crate::decoder::kv::format::KvDims;
use crate::decoder::kv::mapped::MappedSegment;
use crate::decoder::kv::segment::KvSegment;
use crate::decoder::model::DecoderModel;
use crate::error::LmError;
use crate::files::weights::map_file;
use crate::sha256;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An open file of blocks.
pub struct BlockStore {
    path: PathBuf,
    file: Arc<memmap2::Mmap>,
    table: BlockTable,
    prefix: KvCache,
    /// The segment of each block, made when it is first asked for: requests that share a block then know that they do.
    segments: Vec<OnceLock<Arc<KvSegment>>>,
}

impl DecoderModel {
    /// What tells this model's keys and values from those of another: SHA-256 in hexadecimal over
    /// [`store::fingerprint`](crate::store::fingerprint) of its files, the precision and, where it was given, the depth that
    /// it was opened with. Reads all weights the first time.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<String, LmError> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known.clone());
        }
        let files = crate::store::fingerprint(self.path()).map_err(|e| LmError::Argument(e.to_string()))?;
        let depth = self.depth.map(|depth| format!(" {depth} layers")).unwrap_or_default();
        let text = format!("{files} {:?}{depth}", self.precision);
        let found = sha256::hex_digest(text);
        Ok(self.fingerprint.get_or_init(|| found).clone())
    }

    pub(super) fn fingerprint_bytes(&self) -> Result<[u8; 32], LmError> {
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
        let mut store = BlockStore { path, file, table, prefix: KvCache::default(), segments };
        if let Some(place) = store.table.prefix_place {
            store.verify_segment("", place)?;
            let segment = Arc::new(store.segment(place)?);
            store.prefix = KvCache { position: place.tokens, segments: vec![segment], ..KvCache::default() };
        }
        Ok(store)
    }

    fn segment(&self, place: Extent) -> Result<KvSegment, LmError> {
        let (dims, tokens) = (self.table.dims, place.tokens as usize);
        let mapped = MappedSegment::new(&self.file, place.start, (dims, tokens, self.table.format));
        // The table was checked when the file was opened.
        let mapped = mapped.ok_or_else(|| self.damaged(place, "the segment is not there".into()))?;
        Ok(KvSegment::mapped(dims, tokens, mapped))
    }

    fn damaged(&self, place: Extent, problem: String) -> LmError {
        LmError::BlockStore { path: self.path.clone(), offset: place.start as u64, problem }
    }

    /// Keys and values of the tokens that all blocks continue; empty when there are none.
    pub fn prefix(&self) -> &KvCache {
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
        self.table.dims.layers
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

    /// Prefix and block, to continue from; `None` for an id that is not there. Its numbers are compared with their checksum
    /// when it is first asked for.
    ///
    /// # Errors
    /// [`LmError::BlockStore`] for numbers that are not what was written.
    pub fn block(&self, id: &str) -> Result<Option<KvCache>, LmError> {
        let Some(at) = self.table.find(id) else { return Ok(None) };
        let place = self.table.entries[at].place;
        let segment = match self.segments[at].get() {
            Some(segment) => segment.clone(),
            None => {
                self.verify_segment(id, place)?;
                let made = Arc::new(self.segment(place)?);
                self.segments[at].get_or_init(|| made).clone()
            }
        };
        let mut cache = self.prefix.clone();
        cache.position += place.tokens;
        cache.segments.push(segment);
        Ok(Some(cache))
    }

    /// A block behind the same prefix in another place: `prefix` has the keys and values of this store's prefix tokens, from
    /// this model, but may be computed or lie in another store. So blocks of several stores and computed ones stand side by
    /// side ([`KvCache::followed_by`]). `None` for an id that is not there, and for a prefix of another length.
    ///
    /// # Errors
    /// As [`BlockStore::block`].
    pub fn block_behind(&self, prefix: &KvCache, id: &str) -> Result<Option<KvCache>, LmError> {
        if prefix.tokens() != self.prefix.tokens() || prefix.position != self.prefix.position {
            return Ok(None);
        }
        let Some(own) = self.block(id)? else { return Ok(None) };
        let mut cache = prefix.clone();
        cache.position = own.position;
        cache.segments.extend_from_slice(&own.segments[self.prefix.segments.len()..]);
        Ok(Some(cache))
    }

    /// Tokens and bytes in the file of a block; `None` for an id that is not there.
    pub fn size_of(&self, id: &str) -> Option<(usize, usize)> {
        let place = self.table.entries[self.table.find(id)?].place;
        Some((place.tokens as usize, place.length))
    }

    /// Prefix and some blocks, side by side in that order ([`KvCache::followed_by`]).
    ///
    /// # Errors
    /// [`LmError::Argument`] with the first id that is not there; as [`BlockStore::block`].
    pub fn gather<S: AsRef<str>>(&self, ids: &[S]) -> Result<KvCache, LmError> {
        let block = |id: &S| {
            let id = id.as_ref();
            self.block(id)?.ok_or_else(|| {
                LmError::Argument(format!("{}: there is no block `{id}`", self.path.display()))
            })
        };
        let blocks = ids.iter().map(block).collect::<Result<Vec<KvCache>, LmError>>()?;
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
        prefix.into_iter().chain(named).try_for_each(|(id, place)| self.verify_segment(id, place))
    }

    fn verify_segment(&self, id: &str, place: Extent) -> Result<(), LmError> {
        match crc32fast::hash(&self.file[place.start..place.start + place.length]) == place.crc {
            true => Ok(()),
            false => Err(self.damaged(place, format!("the segment of `{id}` is not what was written"))),
        }
    }

    /// The numbers of a block for another file, compared with their checksum, and what both files must have in common.
    pub(super) fn copied(&self, id: &str) -> Result<(Arc<KvSegment>, &BlockTable), LmError> {
        let missing = || LmError::Argument(format!("{}: there is no block `{id}`", self.path.display()));
        let block = self.block(id)?.ok_or_else(missing)?;
        let segment = block.segments.last().cloned().ok_or_else(missing)?;
        Ok((segment, &self.table))
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
    let hex = |bytes: [u8; 32]| sha256::hex(&bytes);
    let again = "write the block store again with this model and precision";
    let fingerprints = (table.fingerprint, model.fingerprint_bytes()?);
    differs("the model's fingerprint", hex(fingerprints.0), hex(fingerprints.1), again)?;
    let shape = &model.decoder.shape;
    let own = KvDims { layers: shape.layers.len(), heads: shape.kv_heads, size: shape.size };
    let size = |dims: KvDims| format!("{} heads of {} numbers", dims.heads, dims.size);
    differs("the size", size(table.dims), size(own), again)?;
    if table.dims.layers > own.layers {
        return differs("the number of layers", table.dims.layers.to_string(), own.layers.to_string(), again);
    }
    let open = "open the model with DecoderOptions::cache as the blocks have it";
    differs("the number format", format!("{:?}", table.format), format!("{:?}", model.format), open)
}
