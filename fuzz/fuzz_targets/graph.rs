//! Graphs for approximate search: a sound file with some bytes exchanged, or cut, and its checksum made right, so that the
//! check of links behind it is reached. What is found through a damaged graph are documents with their own scores.
//!
//! Input: two bytes that say where the file is cut, then three bytes for each exchange: where, and what is put there.
#![no_main]

mod common;

use common::{Folder, crc};
use libfuzzer_sys::fuzz_target;
use plackett_core::Document;
use plackett_search::{
    DenseMethod, DenseSearch, Embedded, Embedder, Index, IndexSettings, ModelIdentity, SearchError,
};
use std::path::PathBuf;
use std::sync::LazyLock;

const DIM: usize = 3;
const DOCUMENTS: usize = 40;
/// Where the file's checksum stands, and from where on it counts.
const CRC: std::ops::Range<usize> = 12..16;

struct Numbers;

impl Embedder for Numbers {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        let number = |text: &&str| text.parse::<f32>().map(|n| [n.sin(), n.cos(), 1.0]);
        let vectors = texts.iter().map(number).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Embedded { vectors, ..Embedded::default() })
    }
}

/// An index whose graph is exchanged, and the bytes of the sound one.
struct Sound {
    folder: Folder,
    graph: PathBuf,
    bytes: Vec<u8>,
}

static SOUND: LazyLock<Sound> = LazyLock::new(|| {
    let folder = Folder::with(&[]);
    let path = folder.path().join("index");
    let model = Some(ModelIdentity { name: "numbers".into(), dim: DIM, fingerprint: None });
    let settings = IndexSettings { model, ..IndexSettings::default() };
    let mut index = Index::create(&path, &settings).expect("an index");
    let mut writer = index.writer(Some(&Numbers)).expect("a writer");
    writer.graph_from(1);
    for number in 0..DOCUMENTS {
        writer.put(Document::new(format!("d{number}"), number.to_string())).expect("a document");
    }
    writer.finish().expect("a commit");
    let entries = std::fs::read_dir(path.join("vectors")).expect("vectors");
    let graph = entries
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.extension().is_some_and(|e| e == "hnsw"));
    let graph = graph.expect("a graph");
    let bytes = std::fs::read(&graph).expect("its bytes");
    Sound { folder, graph, bytes }
});

fn damaged(data: &[u8], sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let (cut, exchanges) = data.split_at(data.len().min(2));
    for exchange in exchanges.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([exchange[0], exchange[1]])) % bytes.len();
        bytes[at] = exchange[2];
    }
    if let [low, high] = cut {
        bytes.truncate(bytes.len() - usize::from(u16::from_le_bytes([*low, *high])) % bytes.len());
    }
    if bytes.len() >= CRC.end {
        let sum = crc(&bytes[CRC.end..]);
        bytes[CRC].copy_from_slice(&sum);
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Sound { folder, graph, bytes } = &*SOUND;
    let bytes = damaged(data, bytes);
    // A file of its own each time: an earlier one may still be mapped.
    std::fs::remove_file(graph)
        .and_then(|()| std::fs::write(graph, bytes))
        .expect("the folder can be written");
    let index =
        Index::open(folder.path().join("index")).expect("a damaged graph does not hinder the exact search");
    let vector = [0.6, 0.8, 0.1];
    let all = index.search_vector(&vector, DOCUMENTS).expect("an exact search");
    for depth in [1, 10, DOCUMENTS] {
        let search = DenseSearch { method: DenseMethod::Hnsw, ef: Some(depth), from: 1 };
        match index.search_dense(&vector, depth, &search) {
            Ok(found) => assert!(found.documents.iter().all(|one| all.contains(one))),
            Err(SearchError::NoGraph { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
});
