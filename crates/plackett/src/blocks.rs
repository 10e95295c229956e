//! The block index of an index: where it lies, which documents it follows, and how far its rankings agree with others.

use plackett_core::{Document, Query, RankRequest, Ranking};
use plackett_eval::correlation::kendall_tau_b;
use plackett_rank::engine::{
    Agreement, BlockIndexError, BlockIndexInfo, BlockIndexWriter, BlockProgress, BlockUpdate, Decoder,
};
use plackett_rank::model::{BoxError, StoredBlockPrompt};
use plackett_rank::{Abilities, MethodSpec, Settings};
use plackett_search::Index;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Queries with which agreement is measured, the documents that are ranked for each, and the words of a query.
const QUERIES: usize = 4;
const DOCUMENTS: usize = 16;
const WORDS: usize = 12;

/// The folder of the blocks of an index directory.
pub fn folder(index: &Path) -> PathBuf {
    index.join("blocks")
}

/// Makes the blocks be those of the index's last commit.
///
/// # Errors
/// As [`BlockIndexWriter::update`].
pub fn follow(
    index: &Index,
    writer: &mut BlockIndexWriter,
    progress: impl FnMut(BlockProgress),
) -> Result<BlockUpdate, BlockIndexError> {
    let ids = sorted_ids(index);
    let document = |id: &&str| document(index, id);
    writer.update(ids.iter().map(document), progress)
}

/// In an order that does not depend on how documents came.
fn sorted_ids(index: &Index) -> Vec<&str> {
    // Rerankers read passages, where documents are cut into such.
    let mut ids: Vec<&str> = index.passage_ids().collect();
    ids.sort_unstable();
    ids
}

fn document(index: &Index, id: &str) -> Result<Document, BoxError> {
    index.document(id)?.ok_or_else(|| format!("document `{id}` has no text in the index").into())
}

/// So many of some things, evenly spread.
fn spread<'a>(all: &[&'a str], count: usize) -> Vec<&'a str> {
    let count = count.min(all.len());
    (0..count).map(|n| all[n * all.len() / count]).collect()
}

/// Ranks a sample of the index's documents by their beginnings, with stored blocks and without; `None` where there are too
/// few documents with words.
///
/// # Errors
/// The blocks cannot be read, or the model cannot rank with them.
pub fn measure(index: &Index, decoder: &Arc<Decoder>) -> Result<Option<Agreement>, BoxError> {
    let ids = sorted_ids(index);
    let documents: Vec<Document> =
        spread(&ids, DOCUMENTS).into_iter().map(|id| document(index, id)).collect::<Result<_, _>>()?;
    let requests = requests(&documents);
    if documents.len() < 2 || requests.is_empty() {
        return Ok(None);
    }
    let spec = MethodSpec::find("block-rank")?;
    let Some(with_blocks) = decoder.clone().with_stored_blocks(&folder(index.directory())) else {
        return Ok(None);
    };
    let Some(info) = BlockIndexInfo::read(&folder(index.directory()))? else { return Ok(None) };
    let rank = |model: Arc<dyn Abilities>, options: &[(&str, &str)]| -> Result<Vec<Ranking>, BoxError> {
        let ranker = spec.ranker(model, spec.values(options.iter().copied())?, Settings::default())?;
        Ok(ranker.rank(&requests).into_iter().collect::<Result<_, _>>()?)
    };
    let cuts = cuts(&info.prompt);
    let cuts: Vec<(&str, &str)> = cuts.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let prompt = prompt_file(&info.prompt)?;
    let prompt = prompt.path().to_str().ok_or("the folder of temporary files has a name that is no text")?;
    let stored = rank(with_blocks?, &[("blocks", "always")])?;
    let computed = rank(decoder.clone(), &[&cuts[..], &[("prompt", prompt)]].concat())?;
    let query_first = rank(decoder.clone(), &cuts).ok();
    let pairs = || stored.iter().zip(&computed).map(|(a, b)| aligned(a, b));
    let difference = pairs().flatten().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let mean = |others: &[Ranking]| {
        let taus = stored.iter().zip(others).map(|(a, b)| tau(&aligned(a, b)));
        taus.sum::<f64>() / stored.len().max(1) as f64
    };
    Ok(Some(Agreement {
        queries: requests.len(),
        documents: documents.len(),
        computed: mean(&computed),
        difference,
        query_first: query_first.map(|others| mean(&others)),
    }))
}

/// Options that cut texts and read attention as the blocks do, also those that nobody gave when they were made.
fn cuts(prompt: &StoredBlockPrompt) -> Vec<(&'static str, String)> {
    let counts =
        [("words", prompt.words), ("tokens", prompt.tokens), ("layer", prompt.layers.checked_sub(1))];
    let counts = counts.into_iter().filter_map(|(name, count)| Some((name, count?.to_string())));
    counts.chain([("style", if prompt.chat { "chat" } else { "text" }.to_string())]).collect()
}

/// The prompt of the blocks: the file that was named may have other words now, or be gone.
fn prompt_file(prompt: &StoredBlockPrompt) -> std::io::Result<NamedTempFile> {
    let ending = Path::new(&prompt.origin).extension().and_then(OsStr::to_str).unwrap_or("toml");
    let mut file = tempfile::Builder::new().suffix(&format!(".{ending}")).tempfile()?;
    file.write_all(prompt.text.as_bytes())?;
    Ok(file)
}

/// The beginnings of some documents as queries over all of them.
fn requests(documents: &[Document]) -> Vec<RankRequest> {
    let step = documents.len().div_ceil(QUERIES).max(1);
    let query = |document: &Document| {
        let text = if document.title.trim().is_empty() { &document.text } else { &document.title };
        let words: Vec<&str> = text.split_whitespace().take(WORDS).collect();
        (!words.is_empty()).then(|| Query::new(document.id.as_str(), words.join(" ")))
    };
    let queries = documents.iter().step_by(step).filter_map(query);
    queries.map(|query| RankRequest::new(query, documents.iter().cloned())).collect()
}

/// Scores of the same documents.
fn aligned(a: &Ranking, b: &Ranking) -> Vec<(f64, f64)> {
    let known: HashMap<&str, f64> = b.entries.iter().map(|entry| (entry.id.as_str(), entry.score)).collect();
    a.entries.iter().filter_map(|entry| Some((entry.score, *known.get(entry.id.as_str())?))).collect()
}

/// Kendall's τ; 1 for equal scores, also where all documents tie.
fn tau(pairs: &[(f64, f64)]) -> f64 {
    if pairs.iter().all(|(a, b)| a == b) {
        return 1.0;
    }
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    // Where one order ties all documents, nothing of the other is in it.
    kendall_tau_b(&a, &b).unwrap_or(0.0)
}
