//! Blocks in a mapped file: the same bits as in memory, and no damaged or foreign file is read.

use crate::decoder::golden::*;
use plackett_lm::decode::*;
use plackett_lm::decoder::*;
use plackett_lm::{LmError, Precision};
use std::path::{Path, PathBuf};

const FORMATS: [CacheFormat; 4] = [CacheFormat::F32, CacheFormat::F16, CacheFormat::Int16, CacheFormat::Int8];

fn model(format: CacheFormat) -> DecoderModel {
    open_with("llama", &with(Precision::F32, format, 2))
}

/// Documents below, at and above a panel of keys.
fn documents() -> Vec<(String, Vec<u32>)> {
    let lengths = [5, 32, 33, 1, 70, 31];
    lengths.iter().enumerate().map(|(n, length)| (format!("d{n}"), tokens(*length, n as u32 + 3))).collect()
}

fn views(documents: &[(String, Vec<u32>)]) -> Vec<(&str, &[u32])> {
    documents.iter().map(|(id, tokens)| (id.as_str(), &tokens[..])).collect()
}

fn written(model: &DecoderModel, prefix: &[u32], layers: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("documents.blocks");
    let mut writer = BlockWriter::create(&path, model, prefix, layers).expect("a writer");
    let documents = documents();
    writer.add(&views(&documents[..2])).expect("blocks");
    writer.add(&views(&documents[2..])).expect("blocks");
    assert!(!path.exists(), "the file has no name before it is whole");
    writer.finish().expect("a file");
    (folder, path)
}

/// Logits, hidden states and attention of a query over all blocks.
fn asked(model: &DecoderModel, all: &KvCache, layers: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let query = tokens(9, 77);
    let keys: Vec<_> = (0..all.tokens() + query.len()).map(|key| key..key + 1).collect();
    let attention = AttentionRequest { layers: &[layers - 1], queries: &[7, 8], keys: &keys, summed: false };
    let outputs = OutputRequest { attention: Some(attention), ..everything() };
    let answer =
        model.forward_until(&[request(&query, Some(all), outputs)], layers).expect("a query").remove(0);
    (answer.logits.concat(), answer.hidden, answer.attention)
}

#[test]
fn mapped_blocks_are_those_in_memory_bit_for_bit() {
    for format in FORMATS {
        for (prefix, layers) in [(tokens(40, 1), 3), (tokens(6, 1), 2), (Vec::new(), 3)] {
            let model = model(format);
            let (_folder, path) = written(&model, &prefix, layers);
            let store = BlockStore::open(&path, &model).expect("a store");
            store.verify().expect("what was written");
            assert_eq!((store.prefix_tokens(), store.layers()), (&prefix[..], layers));
            assert_eq!((store.format(), store.len()), (format, 6));
            let order = ["d4", "d0", "d3", "d5", "d1", "d2"];
            let mapped = store.gather(&order).expect("blocks").at(150);

            let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
            let first = match prefix.is_empty() {
                true => KvCache::default(),
                false => {
                    let own = request(&prefix, None, outputs.clone());
                    model.forward_until(&[own], layers).expect("prefix").remove(0).cache.expect("a cache")
                }
            };
            let documents = documents();
            let own = |id: &&str| &documents.iter().find(|(other, _)| other == id).expect("a document").1;
            let before = (!prefix.is_empty()).then_some(&first);
            let requests: Vec<Request> =
                order.iter().map(|id| request(own(id), before, outputs.clone())).collect();
            let blocks = model.forward_until(&requests, layers).expect("documents");
            let blocks: Vec<KvCache> = blocks.into_iter().filter_map(|answer| answer.cache).collect();
            let memory = first.followed_by(&blocks).expect("blocks").at(150);

            assert_eq!((mapped.tokens(), mapped.bytes()), (memory.tokens(), memory.bytes()));
            let (a, b) = (asked(&model, &mapped, layers), asked(&model, &memory, layers));
            assert!(a.0.iter().all(|x| x.is_finite()) && !a.2.is_empty());
            assert!(a == b, "{format:?}, prefix of {}, {layers} layers", prefix.len());
        }
    }
}

/// A block is a cache like any other: a search goes on from it, while the file stays as it was.
#[test]
fn a_search_goes_on_from_a_mapped_block() {
    for format in FORMATS {
        let model = model(format);
        let prefix = tokens(12, 1);
        let (_folder, path) = written(&model, &prefix, 3);
        let before = std::fs::read(&path).expect("bytes");
        let store = BlockStore::open(&path, &model).expect("a store");
        let mut session = model.session();
        let mut handle = session.adopt(store.block("d1").expect("whole").expect("a block"));
        drop(store);
        let mut whole = [&prefix[..], &documents()[1].1].concat();
        for id in tokens(40, 5) {
            let branch =
                Branch { parent: handle, tokens: &[id], logit_ids: LogitIds::All, normalizer: false };
            let answer = session.extend(&[branch], &[handle]).expect("a token").remove(0);
            whole.push(id);
            let outputs = OutputRequest {
                logits_at: Positions::Last,
                logit_ids: LogitIds::All,
                ..OutputRequest::default()
            };
            let alone = model.forward(&[request(&whole, None, outputs)]).expect("alone").remove(0);
            assert!(distance(&answer.logits, &alone.logits[0]) < 1e-4, "{format:?}");
            handle = answer.prefix;
        }
        assert!(std::fs::read(&path).expect("bytes") == before);
    }
}

#[test]
fn a_block_is_made_once_and_a_budget_leaves_the_file_to_the_system() {
    let documents = documents();
    let plain = model(CacheFormat::F32);
    let (_folder, path) = written(&plain, &tokens(40, 1), 3);
    let tight = |memory_budget| {
        let options = DecoderOptions { memory_budget, ..with(Precision::F32, CacheFormat::F32, 1) };
        open_with("llama", &options)
    };
    let needed = (1..)
        .map(|k| k * 20_000)
        .find(|budget| tight(Some(*budget)).prefill(&documents[0].1, None).is_ok())
        .expect("a budget");
    let model = tight(Some(needed + 200_000));
    let store = BlockStore::open(&path, &model).expect("a store");
    let all = store.gather(&["d0", "d1", "d2", "d3", "d4", "d5"]).expect("blocks").at(150);
    assert!(all.bytes() > 200_000, "{}", all.bytes());
    assert!(model.prefill(&documents[0].1, Some(&all)).is_ok());
    let twice = store.gather(&["d2", "d2"]).expect("twice");
    assert_eq!(
        twice.bytes(),
        2 * (twice.bytes() - store.block("d2").expect("whole").expect("d2").bytes()) + store.prefix().bytes()
    );
    assert!(store.block("d9").expect("no error").is_none());
    let error = store.gather(&["d1", "d9"]).unwrap_err().to_string();
    assert!(error.contains("`d9`") && error.contains("documents.blocks"), "{error}");
    let listed: Vec<(&str, usize)> = store.blocks().collect();
    assert_eq!(listed[4], ("d4", 70));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let model = model(CacheFormat::F32);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("documents.blocks");
    let mut writer = BlockWriter::create(&path, &model, &tokens(7, 1), 3).expect("a writer");
    let (one, other) = (tokens(5, 2), tokens(6, 3));
    let message = |result: Result<(), LmError>| result.expect_err("refused").to_string();
    writer.add(&[("a", &one)]).expect("a block");
    assert!(message(writer.add(&[("a", &other)])).contains("`a`"));
    assert!(message(writer.add(&[("b", &[])])).contains("no tokens"));
    // Nothing of a call that names a block twice is written: `b` is still free below.
    assert!(message(writer.add(&[("b", &one), ("c", &other), ("b", &other)])).contains("`b` is there twice"));
    assert!(message(writer.add(&[("b", &[4000])])).contains("4000"));
    let stray = model.prefill(&one, None).expect("a cache");
    assert!(message(writer.add_cache("b", &stray)).contains("prefix"));
    let prefix = writer.prefix().clone();
    assert!(message(writer.add_cache("b", &prefix)).contains("no tokens"));
    let far = model.prefill(&one, Some(&prefix.clone().at(90))).expect("a cache");
    assert!(message(writer.add_cache("b", &far)).contains("position"));
    // In two pieces it becomes one segment.
    let first = model.prefill(&one, Some(&prefix)).expect("a cache");
    let second = model.prefill(&other, Some(&first)).expect("a cache");
    writer.add_cache("b", &second).expect("a block of two pieces");
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 0, "nothing is left");
    assert!(BlockWriter::create(&path, &model, &one, 0).is_err());
    assert!(BlockWriter::create(folder.path().join("no/such/folder/x"), &model, &one, 3).is_err());
}

fn word(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Both checksums as a writer of the changed bytes would have made them.
fn signed(bytes: &mut [u8]) {
    let table = u64::from_le_bytes(bytes[64..72].try_into().expect("8 bytes")) as usize;
    if table <= bytes.len() {
        let crc = crc32fast::hash(&bytes[table..]);
        word(bytes, 84, crc);
    }
    let crc = crc32fast::hash(&bytes[..124]);
    word(bytes, 124, crc);
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let model = model(CacheFormat::F32);
    let (_folder, path) = written(&model, &tokens(40, 1), 3);
    let whole = std::fs::read(&path).expect("bytes");
    let table = u64::from_le_bytes(whole[64..72].try_into().expect("8 bytes")) as usize;
    // The prefix's 40 ids and its own segment, then 24 bytes a block.
    let (own, entries) = (table + 160, table + 176);
    let names = entries + 6 * 24;
    type Change = Box<dyn Fn(&mut Vec<u8>)>;
    let plain = |change: fn(&mut Vec<u8>, usize), at: usize| -> Change { Box::new(move |b| change(b, at)) };
    let lie = |at: usize, value: u32| -> Change {
        Box::new(move |bytes| {
            word(bytes, at, value);
            signed(bytes);
        })
    };
    let rows: Vec<(&str, Change, &[&str])> = vec![
        ("empty", plain(|b, _| b.clear(), 0), &["byte 0", "not a block store"]),
        ("another file", plain(|b, _| b[0] = b'X', 0), &["byte 0", "not a block store"]),
        ("header cut", plain(|b, _| b.truncate(100), 0), &["byte 100", "ends before"]),
        ("another version", lie(8, 2), &["byte 8", "version 2"]),
        ("header flipped", plain(|b, _| b[20] ^= 1, 0), &["byte 124", "header"]),
        ("format", lie(12, 7), &["byte 12", "format 7"]),
        ("no layers", lie(16, 0), &["byte 16", "are 0"]),
        ("panels", lie(28, 16), &["byte 28", "panels of 16"]),
        ("fingerprint", lie(40, 1), &["fingerprint", "write the block store again"]),
        ("table beyond the end", lie(64, u32::MAX), &["byte 64", "the table begins at"]),
        ("table in the header", lie(64, 64), &["byte 64", "the table begins at"]),
        ("more blocks than there are", lie(72, 5000), &["byte 72", "5000 blocks"]),
        ("blocks beyond counting", lie(76, u32::MAX), &["byte 72", "do not fit"]),
        ("prefix beyond the end", lie(80, u32::MAX), &["byte 72", "do not fit"]),
        ("cut in the data", plain(|b, at| b.truncate(at - 9), table), &["byte 64", "the table begins at"]),
        ("cut in the table", plain(|b, at| b.truncate(at + 9), table), &["the table is not"]),
        ("table flipped", plain(|b, at| b[at] ^= 4, entries), &["the table is not"]),
        ("prefix not aligned", lie(own, 129), &["multiple of 64"]),
        ("block in the header", lie(entries, 64), &["at byte 64"]),
        ("block beyond the data", lie(entries, table as u32 / 64 * 64), &["does not lie in bytes"]),
        ("block beyond counting", lie(entries + 4, u32::MAX), &["does not lie in bytes"]),
        ("block on the prefix", lie(entries, 128), &["two segments"]),
        ("block without tokens", lie(entries + 8, 0), &["without tokens"]),
        ("block with too many", lie(entries + 8, u32::MAX), &["does not lie in bytes"]),
        ("id that ends too late", lie(entries + 5 * 24 + 16, 900), &["an id at 10..900"]),
        ("id that ends too early", lie(entries + 5 * 24 + 16, 11), &["`d`", "order of ids"]),
        (
            "ids without blocks",
            Box::new(|b| {
                b.push(b'x');
                signed(b)
            }),
            &["more ids"],
        ),
        ("ids in disorder", lie(names, u32::from_le_bytes(*b"d9d1")), &["`d1`", "order of ids"]),
        ("id that is no text", lie(names, u32::MAX), &["not UTF-8"]),
        // More heads of fewer numbers: as many bytes, so that only the model tells.
        (
            "sizes",
            Box::new(|b| {
                word(b, 20, 4);
                word(b, 24, 4);
                signed(b)
            }),
            &[],
        ),
    ];
    let changed = path.with_extension("changed");
    for (what, change, parts) in rows {
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&changed, &bytes).expect("write");
        let error = BlockStore::open(&changed, &model).err().unwrap_or_else(|| panic!("{what} was read"));
        let text = error.to_string();
        assert!(text.contains("documents.changed"), "{what}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{what}: {text}");
    }
}

/// Numbers are not read when a file is opened; `verify` reads them.
#[test]
fn a_flipped_bit_of_the_numbers_is_found_on_demand() {
    let model = model(CacheFormat::Int8);
    let (_folder, path) = written(&model, &tokens(40, 1), 3);
    let mut bytes = std::fs::read(&path).expect("bytes");
    let at = parse_block_table(&bytes, &path).expect("a table").blocks().nth(3).expect("d3").2.start;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("write");
    let error = BlockStore::open(&path, &model).expect("a store").verify().unwrap_err().to_string();
    assert!(error.contains("`d3`") && error.contains(&format!("byte {at}")), "{error}");
}

#[test]
fn blocks_of_another_model_precision_or_format_are_refused() {
    let (_folder, path) = written(&model(CacheFormat::F16), &tokens(4, 1), 3);
    let refused = |path: &Path, model: DecoderModel| match BlockStore::open(path, &model) {
        Ok(_) => "read".to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(refused(&path, model(CacheFormat::F16)), "read");
    for (other, parts) in [
        (open_with("qwen2", &with(Precision::F32, CacheFormat::F16, 1)), ["fingerprint", "again"]),
        (open_with("llama", &with(Precision::Int8, CacheFormat::F16, 1)), ["fingerprint", "precision"]),
        (model(CacheFormat::Int8), ["F16", "DecoderOptions::cache"]),
    ] {
        let text = refused(&path, other);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    // Fewer layers than a pass is to run are named by the pass.
    let model = model(CacheFormat::F16);
    let (_folder, path) = written(&model, &tokens(4, 1), 2);
    let block =
        BlockStore::open(&path, &model).expect("a store").block("d1").expect("whole").expect("a block");
    assert!(model.prefill(&[5], Some(&block)).unwrap_err().to_string().contains("2 layers"));
}
