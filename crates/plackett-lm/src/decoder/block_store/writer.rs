//! Blocks are computed and written one after the other; the file gets its name when all of it is on the disk.

use crate::decoder::block_store::store::BlockStore;
use crate::decoder::block_store::table::{BlockRecord, BlockTable, Extent, HEADER};
use crate::decoder::kv::bytes::bytes_of;
use crate::decoder::kv::cache::KvCache;
use crate::decoder::kv::format::KvDims;
use crate::decoder::kv::mapped::ALIGNMENT;
use crate::decoder::kv::segment::KvSegment;
use crate::decoder::model::DecoderModel;
use crate::decoder::request::{OutputRequest, Request};
use crate::error::LmError;
use std::collections::{BTreeMap, HashSet};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Writes a file of blocks. A writer that is dropped before [`BlockWriter::finish`] leaves nothing.
pub struct BlockWriter<'a> {
    model: &'a DecoderModel,
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    at: u64,
    layers: usize,
    prefix: KvCache,
    table: BlockTable,
    /// By id, with the place of each.
    blocks: BTreeMap<String, Extent>,
    buffer: Vec<u8>,
    /// A write failed: nobody knows what of it is in the file.
    broken: bool,
}

impl<'a> BlockWriter<'a> {
    /// Begins a file beside `path`, which it replaces at the end. Every block continues `prefix`, which may be empty.
    /// Caches have the first `layers` layers: all, or those of the calls of
    /// [`DecoderModel::forward_until`] that will read them.
    ///
    /// # Errors
    /// [`LmError::Argument`] when the prefix cannot be run; what the disk says.
    pub fn create(
        path: impl AsRef<Path>,
        model: &'a DecoderModel,
        prefix: &[u32],
        layers: usize,
    ) -> Result<BlockWriter<'a>, LmError> {
        let path = path.as_ref().to_path_buf();
        let layers = layers.min(model.info().layers);
        if layers == 0 {
            return Err(LmError::Argument("a block store of 0 layers".into()));
        }
        let shape = &model.decoder.shape;
        let table = BlockTable {
            format: model.format,
            dims: KvDims { layers, heads: shape.kv_heads, size: shape.size },
            fingerprint: model.fingerprint_bytes()?,
            prefix: prefix.to_vec(),
            prefix_place: None,
            names: String::new(),
            entries: Vec::new(),
        };
        let io = || LmError::io(&path);
        let file = beside(&path).map_err(io())?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        // The header is known at the end; until then the file is none.
        out.write_all(&[0; HEADER]).map_err(io())?;
        let (prefix_cache, blocks, at) = (KvCache::default(), BTreeMap::new(), HEADER as u64);
        let buffer = Vec::new();
        let mut writer = BlockWriter {
            model,
            path,
            out,
            at,
            layers,
            prefix: prefix_cache,
            table,
            blocks,
            buffer,
            broken: false,
        };
        if !prefix.is_empty() {
            let cache = writer.compute(&[prefix])?.pop().unwrap_or_default();
            let place = writer.write(&cache.segments)?;
            writer.table.prefix_place = Some(place);
            writer.prefix = cache;
        }
        Ok(writer)
    }

    /// Keys and values of the prefix, for caches that are to be added.
    pub fn prefix(&self) -> &KvCache {
        &self.prefix
    }

    /// Computes blocks, all in one call, and writes them: ids and tokens.
    ///
    /// # Errors
    /// [`LmError::Argument`] for an id that is there already and a block that cannot be run, before anything is written;
    /// what the disk says.
    pub fn add(&mut self, blocks: &[(&str, &[u32])]) -> Result<(), LmError> {
        let mut ids = HashSet::new();
        for (id, _) in blocks {
            self.refuse_known(id)?;
            if !ids.insert(*id) {
                return Err(LmError::Argument(format!("block `{id}` is there twice in one call")));
            }
        }
        let tokens: Vec<&[u32]> = blocks.iter().map(|(_, tokens)| *tokens).collect();
        let caches = self.compute(&tokens)?;
        for ((id, _), cache) in blocks.iter().zip(caches) {
            self.add_cache(id, &cache)?;
        }
        Ok(())
    }

    /// Writes a block that was computed apart, a continuation of [`BlockWriter::prefix`].
    ///
    /// # Errors
    /// [`LmError::Argument`] when the id is there already or the cache does not continue the prefix token by token;
    /// what the disk says.
    pub fn add_cache(&mut self, id: &str, cache: &KvCache) -> Result<(), LmError> {
        self.refuse_known(id)?;
        let bad = |problem: &str| Err(LmError::Argument(format!("block `{id}`: {problem}")));
        let shared =
            cache.segments.iter().zip(&self.prefix.segments).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        let own = &cache.segments[shared..];
        if shared != self.prefix.segments.len() {
            return bad("it does not continue the prefix of the block store");
        }
        if let Some(adapter) = cache.adapter() {
            return bad(&format!("it was computed with {adapter}, and block stores keep no adapters"));
        }
        let tokens: usize = own.iter().map(|segment| segment.tokens()).sum();
        if tokens == 0 {
            return bad("it has no tokens");
        }
        if !cache.contiguous || cache.position as usize != self.table.prefix.len() + tokens {
            return bad("its tokens do not follow the prefix one position after the other");
        }
        let (dims, format) = (self.table.dims, self.table.format);
        if own.iter().any(|segment| segment.dims() != dims || segment.format() != format) {
            return bad("it has other layers, heads or numbers than the block store");
        }
        let place = self.write(own)?;
        self.blocks.insert(id.to_string(), place);
        Ok(())
    }

    /// Takes a block over from another store of the same model, prefix, layers and numbers, without computing it.
    ///
    /// # Errors
    /// [`LmError::Argument`] when the id is there already, or not in the other store, or the stores differ;
    /// [`LmError::BlockStore`] for a block that is not what was written; what the disk says.
    pub fn copy(&mut self, store: &BlockStore, id: &str) -> Result<(), LmError> {
        self.refuse_known(id)?;
        let (segment, theirs) = store.copied(id)?;
        let own = &self.table;
        if (own.fingerprint, own.dims, own.format, &own.prefix)
            != (theirs.fingerprint, theirs.dims, theirs.format, &theirs.prefix)
        {
            let problem = format!("block `{id}`: it is of another model, prefix, number of layers or format");
            return Err(LmError::Argument(problem));
        }
        let place = self.write(&[segment])?;
        self.blocks.insert(id.to_string(), place);
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.at
    }

    fn refuse_known(&self, id: &str) -> Result<(), LmError> {
        match self.blocks.contains_key(id) {
            true => Err(LmError::Argument(format!("block `{id}` is in the block store already"))),
            false => Ok(()),
        }
    }

    fn compute(&self, texts: &[&[u32]]) -> Result<Vec<KvCache>, LmError> {
        let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
        let cache = (!self.prefix.segments.is_empty()).then_some(&self.prefix);
        let request = |tokens| Request {
            tokens,
            cache,
            pattern: Default::default(),
            adapter: None,
            outputs: outputs.clone(),
        };
        let requests: Vec<Request> = texts.iter().map(|tokens| request(tokens)).collect();
        let answers = self.model.forward_until(&requests, self.layers)?;
        Ok(answers.into_iter().filter_map(|answer| answer.cache).collect())
    }

    fn refuse_broken(&self) -> Result<(), LmError> {
        match self.broken {
            true => Err(LmError::Argument(format!(
                "{}: blocks could not be written before; begin the block store again",
                self.path.display()
            ))),
            false => Ok(()),
        }
    }

    /// Writes segments as one, at the next place where one may begin.
    fn write(&mut self, segments: &[Arc<KvSegment>]) -> Result<Extent, LmError> {
        let all: Vec<&KvSegment> = segments.iter().map(Arc::as_ref).collect();
        let joined = KvSegment::joined(&all)
            .ok_or_else(|| LmError::Argument("segments of different models or formats".into()))?;
        bytes_of(&joined, &mut self.buffer);
        let start = self.at.next_multiple_of(ALIGNMENT as u64);
        let gap = [0; ALIGNMENT];
        let gap = &gap[..(start - self.at) as usize];
        self.refuse_broken()?;
        let written = self.out.write_all(gap).and_then(|()| self.out.write_all(&self.buffer));
        self.broken = written.is_err();
        written.map_err(LmError::io(&self.path))?;
        let length = self.buffer.len();
        self.at = start + length as u64;
        let crc = crc32fast::hash(&self.buffer);
        Ok(Extent { start: start as usize, length, tokens: joined.tokens() as u32, crc })
    }

    /// Writes table and header, waits for the disk, and gives the file its name.
    ///
    /// # Errors
    /// What the disk says, or said before.
    pub fn finish(self) -> Result<(), LmError> {
        self.refuse_broken()?;
        let BlockWriter { path, mut out, at, mut table, blocks, .. } = self;
        for (id, place) in blocks {
            let start = table.names.len();
            table.names.push_str(&id);
            table.entries.push(BlockRecord { name: start..table.names.len(), place });
        }
        let bytes = table.table_bytes();
        let header = table.header_bytes(at, &bytes);
        let io = || LmError::io(&path);
        out.write_all(&bytes).map_err(io())?;
        out.seek(SeekFrom::Start(0)).and_then(|_| out.write_all(&header)).map_err(io())?;
        let file = out.into_inner().map_err(|error| io()(error.into_error()))?;
        file.as_file().sync_all().map_err(io())?;
        file.persist(&path).map_err(|error| io()(error.error))?;
        std::fs::File::open(folder_of(&path)).and_then(|folder| folder.sync_all()).map_err(io())
    }
}

/// A temporary file in the same folder, with the rights of any new file.
fn beside(path: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
