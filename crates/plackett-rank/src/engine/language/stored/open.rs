//! Stored blocks as a model reads them.

use super::error::index_of;
use super::manifest::Manifest;
use super::{BlockIndexError, BlocksOf};
use crate::engine::Decoder;
use crate::model::StoredBlockPrompt;
use plackett_lm::LmError;
use plackett_lm::decoder::{BlockStore, KvCache};
use plackett_lm::sha256;
use std::path::Path;

/// The blocks of an index, open for a model that made them.
pub(crate) struct StoredBlocks {
    prompt: StoredBlockPrompt,
    stores: Vec<BlockStore>,
    prefix: KvCache,
}

/// The name of a block in files: the SHA-256 of its text.
pub(super) fn key_of(text: &str) -> String {
    sha256::hex_digest(text)
}

/// Refuses a model that did not make the blocks.
pub(super) fn check_model(
    manifest: &Manifest,
    folder: &Path,
    found: BlocksOf,
) -> Result<(), BlockIndexError> {
    if manifest.model.fingerprint == found.fingerprint {
        return Ok(());
    }
    let (index, expected) = (index_of(folder), manifest.model.clone());
    Err(BlockIndexError::OtherModel { index, expected: expected.into(), found: found.into() })
}

/// Opens the files that a record names.
pub(super) fn open_stores(
    manifest: &Manifest,
    folder: &Path,
    decoder: &Decoder,
) -> Result<Vec<BlockStore>, BlockIndexError> {
    let mut stores: Vec<BlockStore> = Vec::new();
    for path in manifest.paths(folder) {
        let store = BlockStore::open(&path, decoder.model()).map_err(BlockIndexError::blocks(&path))?;
        let differs = stores.first().is_some_and(|first| first.prefix_tokens() != store.prefix_tokens());
        if differs || store.layers() != manifest.prompt.layers {
            let problem = "its instruction or its number of layers is not that of the block index".into();
            let source = LmError::BlockStore { path: path.clone(), offset: 0, problem };
            return Err(BlockIndexError::Blocks { path, source: source.into() });
        }
        stores.push(store);
    }
    Ok(stores)
}

impl StoredBlocks {
    /// Opens the block index of a folder; `None` where there is none. Of the blocks nothing is read yet.
    ///
    /// # Errors
    /// A damaged record or file; blocks of another model.
    pub fn open(folder: &Path, decoder: &Decoder) -> Result<Option<StoredBlocks>, BlockIndexError> {
        let Some(manifest) = Manifest::read(folder)? else { return Ok(None) };
        let name = decoder.model().path().display().to_string();
        check_model(&manifest, folder, BlocksOf::of(decoder, &name)?)?;
        let stores = open_stores(&manifest, folder, decoder)?;
        let prefix = stores.first().map(|store| store.prefix().clone()).unwrap_or_default();
        Ok(Some(StoredBlocks { prompt: manifest.prompt, stores, prefix }))
    }

    /// How the blocks were made.
    pub fn prompt(&self) -> &StoredBlockPrompt {
        &self.prompt
    }

    /// The tokens that all blocks continue.
    pub fn prefix_tokens(&self) -> &[u32] {
        self.stores.first().map_or(&[], BlockStore::prefix_tokens)
    }

    /// Their keys and values.
    pub fn prefix(&self) -> &KvCache {
        &self.prefix
    }

    /// The block of a text with its number of tokens, as a continuation of the prefix.
    ///
    /// # Errors
    /// A block that is not what was written.
    pub fn find(&self, text: &str) -> Result<Option<(usize, KvCache)>, LmError> {
        let key = key_of(text);
        for store in &self.stores {
            if let Some(cache) = store.block_behind(&self.prefix, &key)? {
                return Ok(Some((cache.tokens() - self.prefix.tokens(), cache)));
            }
        }
        Ok(None)
    }
}
