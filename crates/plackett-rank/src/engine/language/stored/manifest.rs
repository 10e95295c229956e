//! The record of a block index: whose blocks they are, how they were made, and which files hold them.

use super::BlockIndexError;
use crate::engine::Decoder;
use crate::model::StoredBlockPrompt;
use plackett_core::formats::atomic;
use plackett_lm::LmError;
use plackett_lm::sha256::{self, Sha256};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The record's name in the folder.
pub(super) const FILE: &str = "blocks.json";
const KIND: &str = "plackett-blocks";
/// The layout that this program reads and writes. Raise it when files or fields change their meaning.
const VERSION: u64 = 1;

/// The model that made blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksOf {
    /// Name or directory with which it can be opened again.
    pub name: String,
    /// SHA-256 over its configuration, weights, precision and tokenizer.
    pub fingerprint: String,
}

impl fmt::Display for BlocksOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (SHA-256 {}…)", self.name, self.fingerprint.chars().take(16).collect::<String>())
    }
}

impl BlocksOf {
    /// What tells a decoder from others. Reads all weights the first time.
    pub(super) fn of(decoder: &Decoder, name: &str) -> Result<BlocksOf, LmError> {
        let model = decoder.model();
        let mut hash = Sha256::new();
        hash.update(model.fingerprint()?);
        // The weights' fingerprint of a directory says nothing of how texts become tokens.
        for file in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            let path = model.path().join(file);
            match std::fs::read(&path) {
                Ok(bytes) => hash.update(sha256::digest(bytes)),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    hash.update([0])
                }
                Err(error) => return Err(LmError::Argument(format!("{}: {error}", path.display()))),
            }
        }
        Ok(BlocksOf { name: name.to_string(), fingerprint: hash.hex_digest() })
    }
}

/// How far rankings with stored blocks agree with others, measured when the blocks were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Queries, which are beginnings of documents.
    pub queries: usize,
    /// Documents that were ranked for each.
    pub documents: usize,
    /// Mean Kendall's τ with the ranking by blocks that were computed anew with the same prompt.
    pub computed: f64,
    /// The largest difference of a score between those two.
    pub difference: f64,
    /// Mean Kendall's τ with the ranking by the method's own prompt, whose instruction has the query; `None` where the
    /// model cannot read that.
    pub query_first: Option<f64>,
}

/// What the record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    kind: String,
    format_version: u64,
    created_by: String,
    pub model: BlocksOf,
    pub prompt: StoredBlockPrompt,
    pub files: Vec<String>,
    pub next_file: u64,
    pub agreement: Option<Agreement>,
}

impl Manifest {
    pub fn new(model: BlocksOf, prompt: StoredBlockPrompt) -> Manifest {
        Manifest {
            kind: KIND.into(),
            format_version: VERSION,
            created_by: format!("plackett {}", env!("CARGO_PKG_VERSION")),
            model,
            prompt,
            files: Vec::new(),
            next_file: 1,
            agreement: None,
        }
    }

    /// The record of a folder; `None` where there is none.
    pub fn read(folder: &Path) -> Result<Option<Manifest>, BlockIndexError> {
        let path = folder.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(BlockIndexError::Io { path, source }),
        };
        parse(&bytes, &path).map(Some)
    }

    /// Replaces the record: it is the old or the new one, whatever happens meanwhile.
    pub fn write(&self, folder: &Path) -> Result<(), BlockIndexError> {
        let path = folder.join(FILE);
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| BlockIndexError::Record { path: path.clone(), problem: error.to_string() })?;
        atomic::write(&path, |out| out.write_all(&bytes)).map_err(BlockIndexError::Unwritten)
    }

    /// The files of blocks.
    pub fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        self.files.iter().map(|name| folder.join(name)).collect()
    }
}

/// Checks the bytes of a record.
fn parse(bytes: &[u8], path: &Path) -> Result<Manifest, BlockIndexError> {
    let damaged = |problem: String| BlockIndexError::Record { path: path.to_path_buf(), problem };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| damaged(format!("not JSON: {error}")))?;
    if value.get("kind").and_then(|kind| kind.as_str()) != Some(KIND) {
        return Err(damaged("it is not the record of a block index".into()));
    }
    let found = value.get("format_version").and_then(|version| version.as_u64()).unwrap_or(0);
    if found != VERSION {
        return Err(BlockIndexError::Newer { path: path.to_path_buf(), found, known: VERSION });
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    // Names lead to files of this folder and nowhere else.
    let plain = |name: &String| {
        name.strip_suffix(".blocks").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    if let Some(name) = manifest.files.iter().find(|name| !plain(name)) {
        return Err(damaged(format!("`{name}` is not the name of a file of blocks")));
    }
    let number = |name: &String| name.strip_suffix(".blocks").and_then(|n| n.parse::<u64>().ok());
    let mut numbers: Vec<Option<u64>> = manifest.files.iter().map(number).collect();
    numbers.sort_unstable();
    // A file that is written next must not take the place of one that is named.
    if numbers.iter().any(|n| n.is_none_or(|n| n >= manifest.next_file))
        || numbers.windows(2).any(|pair| pair[0] == pair[1])
    {
        return Err(damaged(format!("its files do not go with `next_file`: {}", manifest.next_file)));
    }
    if manifest.prompt.layers == 0 {
        return Err(damaged("its blocks have no layers".into()));
    }
    Ok(manifest)
}

/// What a folder says of its blocks, without a model.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockIndexInfo {
    /// Whose blocks they are.
    pub model: BlocksOf,
    /// How they were made.
    pub prompt: StoredBlockPrompt,
    /// How far rankings agree, where it was measured.
    pub agreement: Option<Agreement>,
    /// Bytes of all files of blocks.
    pub bytes: u64,
}

impl BlockIndexInfo {
    /// Reads the record of a folder; `None` where there is no block index.
    ///
    /// # Errors
    /// A record that is damaged or of another version.
    pub fn read(folder: &Path) -> Result<Option<BlockIndexInfo>, BlockIndexError> {
        let Some(manifest) = Manifest::read(folder)? else { return Ok(None) };
        let sizes = manifest.paths(folder).into_iter().filter_map(|path| std::fs::metadata(path).ok());
        let bytes = sizes.map(|data| data.len()).sum();
        let Manifest { model, prompt, agreement, .. } = manifest;
        Ok(Some(BlockIndexInfo { model, prompt, agreement, bytes }))
    }
}
