//! On a tiny random model: what is stored must be what would be computed, and follow its documents.

use super::*;
use crate::engine::Decoder;
use crate::method::OptionValues;
use crate::methods::tests::request;
use crate::model::{Abilities, AttentionLayers, BoxError};
use crate::prompt::Template;
use crate::prompting::BlockRecipe;
use crate::{MethodError, MethodSpec, Settings};
use plackett_core::{Document, RankRequest, Ranking};
use plackett_lm::LmError;
use plackett_lm::decoder::DecoderOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PROMPT: &str =
    "prefix = \"Read:\"\nbody = \"\\n{label}: {doc}\"\nsuffix = \"\\nFor: {query}\"\nanswer = \" [\"";
const TEXTS: [&str; 6] =
    ["apple pie", "a pear", "figs and dates from far away", "plums", "a cake of carrots", "bread"];

fn decoder(name: &str) -> Arc<Decoder> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plackett-lm/tests/golden/decoder").join(name);
    Arc::new(Decoder::open(&path, &DecoderOptions { threads: Some(2), ..DecoderOptions::default() }).unwrap())
}

fn recipe() -> BlockRecipe {
    let template = Template::parse("mine", "mine.toml", PROMPT, &[]).unwrap();
    BlockRecipe { template, layers: AttentionLayers::Depth(0.5) }
}

fn documents(texts: &[&str]) -> Vec<Document> {
    request("", texts).candidates.into_iter().map(|candidate| candidate.document).collect()
}

fn update(folder: &Path, decoder: &Arc<Decoder>, documents: &[Document]) -> BlockUpdate {
    let mut writer = BlockIndexWriter::open(folder, decoder, "llama", Some(&recipe())).unwrap();
    writer.update(documents.iter().cloned().map(Ok), |_| {}).unwrap()
}

fn written() -> (tempfile::TempDir, PathBuf, Arc<Decoder>) {
    let folder = tempfile::tempdir().unwrap();
    let blocks = folder.path().join("my.index/blocks");
    let decoder = decoder("llama");
    let done = update(&blocks, &decoder, &documents(&TEXTS));
    assert_eq!((done.documents, done.with_block, done.computed, done.unused_bytes), (6, 6, 6, 0));
    assert!(done.left_out.is_empty() && done.bytes > 0);
    (folder, blocks, decoder)
}

fn values(options: &[(&str, &str)]) -> OptionValues {
    MethodSpec::find("block-rank").unwrap().values(options.iter().copied()).unwrap()
}

fn with_blocks(decoder: &Arc<Decoder>, blocks: &Path) -> Result<Arc<dyn Abilities>, BoxError> {
    decoder.clone().with_stored_blocks(blocks).expect("there is a block index")
}

fn ranking(model: Arc<dyn Abilities>, options: &[(&str, &str)], request: &RankRequest) -> Ranking {
    let spec = MethodSpec::find("block-rank").unwrap();
    let ranker = spec.ranker(model, values(options), Settings::default()).unwrap();
    ranker.rank(std::slice::from_ref(request)).remove(0).unwrap()
}

fn scores(ranking: &Ranking) -> Vec<(String, u64)> {
    ranking.entries.iter().map(|entry| (entry.id.clone(), entry.score.to_bits())).collect()
}

fn fact<'r>(ranking: &'r Ranking, name: &str) -> Option<&'r str> {
    ranking.trace.facts.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The same computed, with the prompt as a user's file.
fn computed(decoder: &Arc<Decoder>, folder: &Path, request: &RankRequest) -> Ranking {
    let path = folder.join("mine.toml");
    std::fs::write(&path, PROMPT).unwrap();
    let depth = decoder.info().layers;
    let layer = (0.5 * depth as f64).ceil() as usize;
    let tokens = (decoder.model().info().positions / 2).to_string();
    let (path, layer) = (path.display().to_string(), layer.to_string());
    ranking(decoder.clone(), &[("prompt", &path), ("layer", &layer), ("tokens", &tokens)], request)
}

#[test]
fn rankings_with_stored_blocks_are_those_with_computed_ones_bit_for_bit() {
    let (folder, blocks, decoder) = written();
    let model = with_blocks(&decoder, &blocks).unwrap();
    for (query, count) in [("tart", 6), ("cake", 3), ("bread", 1)] {
        let request = request(query, &TEXTS[..count]);
        let (stored, computed) =
            (ranking(model.clone(), &[], &request), computed(&decoder, folder.path(), &request));
        assert_eq!(scores(&stored), scores(&computed), "{query}");
        assert_eq!(
            fact(&stored, "blocks"),
            Some(&*format!("{count} of {count} documents from the block index"))
        );
        assert_eq!((fact(&computed, "blocks"), fact(&stored, "remark:block-rank")), (None, None));
        let tokens = |ranking: &Ranking| ranking.trace.prompt_tokens;
        assert_eq!(tokens(&stored), tokens(&computed));
        let cached: u64 = fact(&stored, "cached-tokens").unwrap().parse().unwrap();
        assert!(cached > tokens(&stored) / 3 && fact(&computed, "cached-tokens").is_none(), "{stored:?}");
    }
}

#[test]
fn documents_without_a_block_are_computed_and_counted() {
    let (folder, blocks, decoder) = written();
    let mut texts = TEXTS.to_vec();
    // One has another text than its block, one has none.
    texts[2] = "dates";
    texts.push("a goose");
    let request = request("tart", &texts);
    let stored = ranking(with_blocks(&decoder, &blocks).unwrap(), &[], &request);
    assert_eq!(scores(&stored), scores(&computed(&decoder, folder.path(), &request)));
    assert_eq!(fact(&stored, "blocks"), Some("5 of 7 documents from the block index"));
    assert!(fact(&stored, "remark:block-rank").unwrap().contains("2 of 7 documents"), "{stored:?}");
}

#[test]
fn added_replaced_and_deleted_documents_are_followed() {
    let (folder, blocks, decoder) = written();
    let mut now = documents(&TEXTS);
    now[1].text = "a pear, and another one".into();
    now.push(Document::new("new", "a goose"));
    let done = update(&blocks, &decoder, &now);
    assert_eq!((done.documents, done.computed), (7, 2));
    assert!(done.unused_bytes > 0, "one replaced block is less than a third of its file");
    let ask = |documents: &[Document], model: Arc<dyn Abilities>| {
        let request = RankRequest::new(plackett_core::Query::new("q", "tart"), documents.iter().cloned());
        let stored = ranking(model, &[], &request);
        assert_eq!(scores(&stored), scores(&computed(&decoder, folder.path(), &request)));
        fact(&stored, "blocks").unwrap().to_string()
    };
    assert!(ask(&now, with_blocks(&decoder, &blocks).unwrap()).starts_with("7 of 7"));
    // Three of six are gone: their file is written anew, without computing anything.
    let before = done.bytes;
    let now: Vec<Document> = now.into_iter().skip(3).collect();
    let open = with_blocks(&decoder, &blocks).unwrap();
    let done = update(&blocks, &decoder, &now);
    assert_eq!((done.documents, done.computed), (4, 0));
    assert!(done.bytes < before && done.unused_bytes * 3 <= done.bytes, "{done:?}");
    assert!(ask(&now, with_blocks(&decoder, &blocks).unwrap()).starts_with("4 of 4"));
    assert!(ask(&now, open).starts_with("4 of 4"), "whoever has the old files open goes on with them");
    assert_eq!(update(&blocks, &decoder, &[]).bytes, 0);
    assert_eq!(update(&blocks, &decoder, &now).computed, 4);
}

#[test]
fn another_model_or_prompt_is_refused_with_what_to_do() {
    let (_folder, blocks, llama) = written();
    let other = decoder("qwen3");
    let error = with_blocks(&other, &blocks).err().unwrap();
    let Some(BlockIndexError::OtherModel { index, .. }) = error.downcast_ref() else { panic!("{error}") };
    assert!(index.ends_with("my.index"), "{index}");
    for part in ["`llama`", "qwen3", "blocks=never", "--drop-blocks"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = BlockIndexWriter::open(&blocks, &other, "qwen3", None).err().unwrap();
    assert!(matches!(error, BlockIndexError::OtherModel { .. }), "{error}");
    let longer = BlockRecipe { layers: AttentionLayers::At(vec![1]), ..recipe() };
    let error = BlockIndexWriter::open(&blocks, &llama, "llama", Some(&longer)).err().unwrap();
    assert!(matches!(error, BlockIndexError::OtherPrompt { .. }), "{error}");
    let error = BlockIndexWriter::open(&blocks.join("none"), &llama, "llama", None).err().unwrap();
    assert!(matches!(error, BlockIndexError::Missing { .. }), "{error}");
    let spec = MethodSpec::find("block-rank").unwrap();
    let model = with_blocks(&llama, &blocks).unwrap();
    let refuse = |model: Arc<dyn Abilities>, options: &[(&str, &str)]| {
        let error: MethodError = spec.ranker(model, values(options), Settings::default()).err().unwrap();
        error.to_string()
    };
    assert!(refuse(model.clone(), &[("tokens", "9")]).contains("tokens is that of the block index"));
    assert!(refuse(model.clone(), &[("layer", "99")]).contains("blocks=never"));
    assert!(refuse(llama, &[("blocks", "always")]).contains("no block index"));
}

#[test]
fn damaged_files_and_records_are_refused() {
    let (_folder, blocks, decoder) = written();
    let file = blocks.join("00000001.blocks");
    let (bytes, record) = (std::fs::read(&file).unwrap(), std::fs::read(blocks.join("blocks.json")).unwrap());
    for length in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let error = with_blocks(&decoder, &blocks).err().unwrap();
        let Some(BlockIndexError::Blocks { source, .. }) = error.downcast_ref() else { panic!("{error}") };
        assert!(matches!(**source, LmError::BlockStore { .. }), "{length}: {error}");
        assert!(error.to_string().contains("--drop-blocks"), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(with_blocks(&decoder, &blocks).is_err());
    std::fs::write(&file, &bytes).unwrap();
    let record = String::from_utf8(record).unwrap();
    for (broken, part) in [
        (record[..record.len() / 2].to_string(), "not JSON"),
        (record.replace("plackett-blocks", "another"), "not the record"),
        (record.replace("00000001.blocks", "../x.blocks"), "not the name"),
        (record.replace("\"next_file\": 2", "\"next_file\": 1"), "next_file"),
        (record.replace("\"format_version\": 1", "\"format_version\": 9"), "version 9"),
    ] {
        std::fs::write(blocks.join("blocks.json"), broken).unwrap();
        let error = with_blocks(&decoder, &blocks).err().unwrap().to_string();
        assert!(error.contains(part) && error.contains("--drop-blocks"), "{error}");
    }
    std::fs::write(blocks.join("blocks.json"), record).unwrap();
    assert!(with_blocks(&decoder, &blocks).is_ok());
    // Keys and values that are not what was written: no score is made of them.
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2..].iter_mut().take(64).for_each(|byte| *byte ^= 1);
    std::fs::write(&file, flipped).unwrap();
    let spec = MethodSpec::find("block-rank").unwrap();
    let failed = with_blocks(&decoder, &blocks).and_then(|model| {
        let ranker = spec.ranker(model, values(&[("blocks", "always")]), Settings::default())?;
        Ok(ranker.rank(&[request("tart", &TEXTS)]).remove(0)?)
    });
    let error = failed.err().unwrap().to_string();
    assert!(error.contains("00000001.blocks"), "{error}");
}

#[test]
fn an_interrupted_writer_leaves_what_was_recorded_and_the_next_one_goes_on() {
    let (_folder, blocks, decoder) = written();
    // What a killed process leaves: a file without a name, one that no record names, and half a record.
    for name in [".tmpabc", "00000002.blocks", ".tmpdef"] {
        std::fs::write(blocks.join(name), "half").unwrap();
    }
    let mut writer = BlockIndexWriter::open(&blocks, &decoder, "llama", None).unwrap();
    assert_eq!(writer.removed(), 12);
    let busy = BlockIndexWriter::open(&blocks, &decoder, "llama", None).err().unwrap();
    assert!(matches!(busy, BlockIndexError::Locked { .. }), "{busy}");
    // Documents end in an error: what they had before is not recorded, and nothing is lost.
    let failing = documents(&["apple pie", "new"]).into_iter().map(Ok).chain([Err("gone".into())]);
    assert!(matches!(writer.update(failing, |_| {}), Err(BlockIndexError::Documents(_))));
    let names = |folder: &Path| {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&blocks), ["00000001.blocks", "blocks.json", "lock"]);
    let all = documents(&TEXTS).into_iter().map(Ok);
    assert_eq!(writer.update(all, |_| {}).unwrap().computed, 0);
}

#[test]
fn long_documents_are_cut_as_in_prompts_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (blocks, decoder) = (folder.path().join("blocks"), decoder("llama"));
    let long = "a long text ".repeat(100);
    let mut documents = documents(&[&long, "short"]);
    documents.push(Document::new("x".repeat(3000), "its id has no room"));
    let done = update(&blocks, &decoder, &documents);
    assert_eq!((done.with_block, done.truncated.len(), done.left_out.len()), (2, 1, 1), "{done:?}");
    assert!(done.truncated[0].id == "d0" && done.truncated[0].kept < done.truncated[0].tokens);
    let request = request("q", &[&long, "short"]);
    let stored = ranking(with_blocks(&decoder, &blocks).unwrap(), &[], &request);
    assert_eq!(fact(&stored, "blocks"), Some("2 of 2 documents from the block index"));
    assert_eq!(scores(&stored), scores(&computed(&decoder, folder.path(), &request)));
}
