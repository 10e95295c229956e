//! Making a block index, and keeping it with its documents.

use super::error::index_of;
use super::manifest::{FILE, Manifest};
use super::open::{check_model, key_of, open_stores};
use super::{Agreement, BlockIndexError, BlocksOf};
use crate::engine::Decoder;
use crate::engine::language::attention::named_layers;
use crate::engine::language::parts::PartTokens;
use crate::engine::language::text::Reader;
use crate::model::{BoxError, CallError, PromptParts, StoredBlockPrompt};
use crate::prompt::Template;
use crate::prompting::{BlockRecipe, of_document};
use plackett_core::{Document, Truncation};
use plackett_lm::LmError;
use plackett_lm::decoder::{BlockStore, BlockWriter};
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whoever holds this file writes the block index.
const LOCK: &str = "lock";
/// Blocks that go through the model together, and the bytes of their texts.
const TOGETHER: usize = 32;
const TOGETHER_BYTES: usize = 24 << 10;
/// Bytes after which a file of blocks is closed and recorded: what an interruption can cost at most.
const FILE_BYTES: u64 = 512 << 20;

/// How far a writer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockProgress {
    /// Documents that were looked at.
    pub documents: usize,
    /// Blocks that were computed.
    pub computed: usize,
    /// Bytes that were written for them.
    pub bytes: u64,
}

/// What a writer did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockUpdate {
    /// Documents of the index.
    pub documents: usize,
    /// Those that have a block now.
    pub with_block: usize,
    /// Blocks that were computed.
    pub computed: usize,
    /// Bytes of all files of blocks.
    pub bytes: u64,
    /// Those of them that belong to documents which are not in the index any more: at most a third of each file.
    pub unused_bytes: u64,
    /// Documents whose blocks hold only their beginnings.
    pub truncated: Vec<Truncation>,
    /// Documents that the prompt has no room for, with the reason.
    pub left_out: Vec<(String, String)>,
}

/// The one writer of a block index. What it has recorded stays, also when it is interrupted.
pub struct BlockIndexWriter {
    folder: PathBuf,
    _lock: File,
    decoder: Arc<Decoder>,
    template: Template,
    manifest: Manifest,
    stores: Vec<BlockStore>,
    removed: u64,
}

/// A block that is to be computed.
struct Waiting {
    key: String,
    text: String,
}

impl BlockIndexWriter {
    /// Opens the block index of a folder for a model, or begins one. `name` is how the model can be opened again; `recipe`
    /// says how blocks are made, `None` as they are or as usual.
    ///
    /// # Errors
    /// The blocks are of another model or another recipe; another process writes them; they are damaged; the disk.
    pub fn open(
        folder: &Path,
        decoder: &Arc<Decoder>,
        name: &str,
        recipe: Option<&BlockRecipe>,
    ) -> Result<BlockIndexWriter, BlockIndexError> {
        let model = BlocksOf::of(decoder, name)?;
        if !folder.exists() && recipe.is_none() {
            return Err(BlockIndexError::Missing { index: index_of(folder) });
        }
        // The record is read behind the lock: another writer may have replaced it just before.
        std::fs::create_dir_all(folder).map_err(BlockIndexError::io(folder))?;
        let lock = lock(folder)?;
        let known = Manifest::read(folder)?;
        if let Some(manifest) = &known {
            check_model(manifest, folder, model.clone())?;
        }
        let asked = |recipe: &BlockRecipe| -> Result<_, BlockIndexError> {
            let layers = named_layers(decoder.model(), &recipe.layers)?;
            let mut prompt = recipe.template.stored(layers.last().map_or(1, |last| last + 1));
            // A document that fills what the model reads would be cut by the length of each query.
            let most = (decoder.model().info().positions / 2).max(1);
            prompt.tokens = Some(prompt.tokens.map_or(most, |tokens| tokens.min(most)));
            Ok(prompt)
        };
        let manifest = match (known, recipe) {
            (Some(manifest), None) => manifest,
            (Some(manifest), Some(recipe)) => {
                check_prompt(&manifest, folder, &asked(recipe)?)?;
                manifest
            }
            (None, Some(recipe)) => Manifest::new(model, asked(recipe)?),
            (None, None) => return Err(BlockIndexError::Missing { index: index_of(folder) }),
        };
        let template = Template::of_stored(&manifest.prompt)?;
        let stores = open_stores(&manifest, folder, decoder)?;
        let removed = remove_leftovers(folder, &manifest)?;
        let (folder, decoder) = (folder.to_path_buf(), decoder.clone());
        Ok(BlockIndexWriter { folder, _lock: lock, decoder, template, manifest, stores, removed })
    }

    /// Bytes that an interrupted writer had left, and that were removed.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Layers of the blocks.
    pub fn layers(&self) -> usize {
        self.manifest.prompt.layers
    }

    /// How far rankings agree, where it was measured.
    pub fn agreement(&self) -> Option<&Agreement> {
        self.manifest.agreement.as_ref()
    }

    /// Records how far rankings agree.
    ///
    /// # Errors
    /// The disk.
    pub fn record_agreement(&mut self, agreement: Agreement) -> Result<(), BlockIndexError> {
        self.manifest.agreement = Some(agreement);
        self.manifest.write(&self.folder)
    }

    /// Makes the blocks be those of these documents: computes what is missing, and gives back the room of what is no
    /// document's any more where that is more than a third of a file.
    ///
    /// # Errors
    /// The model, the disk, or whoever gives the documents. What was recorded before stays.
    pub fn update(
        &mut self,
        documents: impl IntoIterator<Item = Result<Document, BoxError>>,
        mut progress: impl FnMut(BlockProgress),
    ) -> Result<BlockUpdate, BlockIndexError> {
        let (mut update, mut told) = (BlockUpdate::default(), BlockProgress::default());
        let prefix = self.prefix()?;
        let mut living = HashSet::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        let decoder = self.decoder.clone();
        let mut file: Option<(String, BlockWriter<'_>)> = None;
        for document in documents {
            let document = document.map_err(BlockIndexError::Documents)?;
            update.documents += 1;
            told.documents = update.documents;
            let (parts, cut) = match of_document(decoder.language(), &self.template, &document) {
                Ok(found) => found,
                Err(error) => {
                    update.left_out.push((document.id, error.to_string()));
                    continue;
                }
            };
            update.truncated.extend(cut);
            update.with_block += 1;
            let text: String = parts.documents().collect();
            let key = key_of(&text);
            if !living.insert(key.clone()) || self.stores.iter().any(|store| store.size_of(&key).is_some()) {
                progress(told);
                continue;
            }
            waiting.push(Waiting { key, text });
            update.computed += 1;
            let bytes: usize = waiting.iter().map(|waiting| waiting.text.len()).sum();
            if waiting.len() >= TOGETHER || bytes >= TOGETHER_BYTES {
                told.bytes += self.write(&decoder, &prefix, &mut file, &mut waiting)?;
                told.computed = update.computed;
                progress(told);
            }
        }
        self.write(&decoder, &prefix, &mut file, &mut waiting)?;
        self.close(file)?;
        self.tidy(&decoder, &prefix, &living)?;
        // An index without documents has a block index too.
        self.manifest.write(&self.folder)?;
        for store in &self.stores {
            update.bytes += store.file_bytes() as u64;
            update.unused_bytes += sizes(store, |key| !living.contains(key));
        }
        Ok(update)
    }

    /// The tokens before every block.
    fn prefix(&self) -> Result<Vec<u32>, BlockIndexError> {
        let (parts, _) = of_document(self.decoder.language(), &self.template, &Document::new("0", "text"))?;
        let parts = PromptParts { endings: vec!["?".into()], ..parts };
        Ok(PartTokens::read(Reader::new(self.decoder.model().tokenizer()), &parts, None)?.before)
    }

    /// Computes what waits and writes it into the open file, which is closed when it is long enough. Returns the bytes.
    fn write<'d>(
        &mut self,
        decoder: &'d Decoder,
        prefix: &[u32],
        file: &mut Option<(String, BlockWriter<'d>)>,
        waiting: &mut Vec<Waiting>,
    ) -> Result<u64, BlockIndexError> {
        if waiting.is_empty() {
            return Ok(0);
        }
        let reader = Reader::new(decoder.model().tokenizer());
        let tokens: Vec<Vec<u32>> =
            waiting.iter().map(|waiting| reader.part(&waiting.text)).collect::<Result<_, CallError>>()?;
        let blocks: Vec<(&str, &[u32])> =
            waiting.iter().zip(&tokens).map(|(waiting, ids)| (waiting.key.as_str(), &ids[..])).collect();
        let (name, mut writer) = match file.take() {
            Some(open) => open,
            None => self.begin(decoder, prefix)?,
        };
        let before = writer.bytes();
        add(&mut writer, &blocks)?;
        let written = writer.bytes() - before;
        waiting.clear();
        if writer.bytes() >= FILE_BYTES {
            self.close(Some((name, writer)))?;
        } else {
            *file = Some((name, writer));
        }
        Ok(written)
    }

    /// A new file of blocks.
    fn begin<'d>(
        &mut self,
        decoder: &'d Decoder,
        prefix: &[u32],
    ) -> Result<(String, BlockWriter<'d>), BlockIndexError> {
        let name = format!("{:08}.blocks", self.manifest.next_file);
        let next = self.manifest.next_file.checked_add(1);
        self.manifest.next_file = next.ok_or_else(|| BlockIndexError::Record {
            path: self.folder.join(super::manifest::FILE),
            problem: "its numbers of files are used up".into(),
        })?;
        let path = self.folder.join(&name);
        Ok((name, BlockWriter::create(path, decoder.model(), prefix, self.layers())?))
    }

    /// Finishes a file and records it.
    fn close(&mut self, file: Option<(String, BlockWriter<'_>)>) -> Result<(), BlockIndexError> {
        let Some((name, writer)) = file else { return Ok(()) };
        writer.finish()?;
        let path = self.folder.join(&name);
        let store = BlockStore::open(&path, self.decoder.model()).map_err(BlockIndexError::blocks(&path))?;
        self.stores.push(store);
        self.manifest.files.push(name);
        self.manifest.write(&self.folder)
    }

    /// Writes files anew that are for more than a third of no document; the old ones are removed when the record names the
    /// new ones.
    fn tidy(
        &mut self,
        decoder: &Decoder,
        prefix: &[u32],
        living: &HashSet<String>,
    ) -> Result<(), BlockIndexError> {
        let due = |store: &BlockStore| {
            let unused = sizes(store, |key| !living.contains(key));
            unused > 0 && 3 * unused > sizes(store, |_| true)
        };
        let old: Vec<usize> = (0..self.stores.len()).filter(|n| due(&self.stores[*n])).collect();
        if old.is_empty() {
            return Ok(());
        }
        let mut file = None;
        for n in &old {
            let keys: Vec<String> = self.stores[*n]
                .blocks()
                .map(|(key, _)| key.to_string())
                .filter(|key| living.contains(key))
                .collect();
            for key in keys {
                let (name, mut writer) = match file.take() {
                    Some(open) => open,
                    None => self.begin(decoder, prefix)?,
                };
                let path = self.folder.join(&self.manifest.files[*n]);
                writer.copy(&self.stores[*n], &key).map_err(BlockIndexError::blocks(&path))?;
                if writer.bytes() >= FILE_BYTES {
                    self.close(Some((name, writer)))?;
                } else {
                    file = Some((name, writer));
                }
            }
        }
        self.close(file)?;
        let keep = |n: usize| !old.contains(&n);
        let mut at = 0..;
        self.stores.retain(|_| at.next().is_some_and(keep));
        let mut at = 0..;
        self.manifest.files.retain(|_| at.next().is_some_and(keep));
        self.manifest.write(&self.folder)?;
        remove_leftovers(&self.folder, &self.manifest)?;
        Ok(())
    }
}

/// Refuses to mix blocks that were made otherwise.
fn check_prompt(
    manifest: &Manifest,
    folder: &Path,
    asked: &StoredBlockPrompt,
) -> Result<(), BlockIndexError> {
    let found = &manifest.prompt;
    let same = |own: &StoredBlockPrompt| (own.words, own.tokens, own.chat, own.layers);
    if (same(asked), &asked.text) == (same(found), &found.text) {
        return Ok(());
    }
    let written = |own: &StoredBlockPrompt| {
        let most = |limit: Option<usize>| limit.map_or_else(|| "all".into(), |most| most.to_string());
        let (words, tokens) = (most(own.words), most(own.tokens));
        format!("prompt {}, {words} words, {tokens} tokens, {} layers", own.name, own.layers)
    };
    let (index, asked, found) = (index_of(folder), written(asked), written(found));
    Err(BlockIndexError::OtherPrompt { index, asked, found })
}

/// Computes blocks, in smaller calls where the memory budget is short.
fn add(writer: &mut BlockWriter<'_>, blocks: &[(&str, &[u32])]) -> Result<(), LmError> {
    match writer.add(blocks) {
        Err(LmError::MemoryBudget { .. } | LmError::MemoryBudgetOfAnswers { .. }) if blocks.len() > 1 => {
            let (first, second) = blocks.split_at(blocks.len() / 2);
            add(writer, first)?;
            add(writer, second)
        }
        done => done,
    }
}

/// Bytes of those blocks of a file that are meant.
fn sizes(store: &BlockStore, meant: impl Fn(&str) -> bool) -> u64 {
    let keys = store.blocks().map(|(key, _)| key).filter(|key| meant(key));
    keys.filter_map(|key| store.size_of(key)).map(|(_, bytes)| bytes as u64).sum()
}

fn lock(folder: &Path) -> Result<File, BlockIndexError> {
    let path = folder.join(LOCK);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(BlockIndexError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BlockIndexError::Locked { folder: folder.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(BlockIndexError::Io { path, source }),
    }
}

/// Removes files that the record does not name: what an interrupted writer left, and what was written anew. Returns their
/// bytes.
fn remove_leftovers(folder: &Path, manifest: &Manifest) -> Result<u64, BlockIndexError> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).map_err(BlockIndexError::io(folder))? {
        let entry = entry.map_err(BlockIndexError::io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = name.ends_with(".blocks") || name.starts_with(".tmp");
        if name == FILE || name == LOCK || !own || manifest.files.contains(&name) {
            continue;
        }
        removed += entry.metadata().map_or(0, |data| data.len());
        std::fs::remove_file(entry.path()).map_err(BlockIndexError::io(entry.path()))?;
    }
    Ok(removed)
}
