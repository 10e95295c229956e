//! Vectors of deleted and replaced documents are given back, and nobody sees it in a search.

use plackett_core::Document;
use plackett_search::{Embedded, Embedder, Index, IndexSettings, ModelIdentity, VectorFormat};
use std::path::Path;

const DIM: usize = 48;

/// Numbers that depend on the text alone.
struct Waves;

fn vector(text: &str) -> Vec<f32> {
    let seed = text.bytes().fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    (0..DIM).map(|i| ((seed % 1009) as f32 * (i + 1) as f32 * 0.37).sin()).collect()
}

impl Embedder for Waves {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|t| vector(t)).collect(), ..Embedded::default() })
    }
}

fn create(path: &Path, vectors: VectorFormat) -> Index {
    let model = Some(ModelIdentity { name: "waves".into(), dim: DIM, fingerprint: None });
    Index::create(path, &IndexSettings { model, vectors, ..IndexSettings::default() }).unwrap()
}

fn put(index: &mut Index, ids: impl Iterator<Item = u32>, version: u32) {
    let mut writer = index.writer(Some(&Waves)).unwrap();
    for id in ids {
        writer.put(Document::new(format!("d{id}"), format!("text {id} of version {version}"))).unwrap();
    }
    writer.finish().unwrap();
}

fn files(path: &Path) -> (usize, u64) {
    let sizes =
        std::fs::read_dir(path.join("vectors")).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
    let sizes: Vec<u64> = sizes.collect();
    (sizes.len(), sizes.iter().sum())
}

#[test]
fn room_is_given_back_and_searches_stay_the_same() {
    for format in [VectorFormat::F32, VectorFormat::Int8] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let mut index = create(&path, format);
        put(&mut index, 0..300, 0);
        put(&mut index, 0..100, 1);
        // 100 of 400 are dead: not yet.
        assert_eq!(index.stats().stored_vectors, 400);
        let before = files(&path);
        assert_eq!(before.0, 2);
        // A search that began earlier goes on with what it has.
        let earlier = Index::open(&path).unwrap();
        let queries: Vec<Vec<f32>> = (0..20).map(|q| vector(&format!("query {q}"))).collect();
        let answers = |index: &Index| -> Vec<Vec<(String, f64)>> {
            queries.iter().map(|q| index.search_vector(q, 400).unwrap()).collect()
        };
        let old = answers(&earlier);

        let mut writer = index.writer(Some(&Waves)).unwrap();
        for id in 200..290 {
            writer.delete(&format!("d{id}")).unwrap();
        }
        writer.commit().unwrap();
        drop(writer);
        assert_eq!((index.len(), index.stats().stored_vectors), (210, 210));
        let after = files(&path);
        assert!(after.0 == 1 && after.1 < before.1 * 2 / 3, "{before:?} {after:?}");
        index.verify().unwrap();
        let deleted = |id: &str| (200..290).any(|n| id == format!("d{n}"));
        let expected: Vec<Vec<_>> =
            old.iter().map(|list| list.iter().filter(|(id, _)| !deleted(id)).cloned().collect()).collect();
        assert_eq!(answers(&index), expected, "to the last bit");
        assert_eq!(answers(&Index::open(&path).unwrap()), expected);
        assert_eq!(answers(&earlier), old);

        // New commits after a compaction, and a second compaction with both kinds of files.
        put(&mut index, 500..520, 2);
        assert_eq!(index.stats().stored_vectors, 230);
        put(&mut index, (0..100).chain(500..510), 3);
        assert_eq!((index.len(), index.stats().stored_vectors, files(&path).0), (230, 340, 3));
        put(&mut index, 100..120, 4);
        assert_eq!((index.len(), index.stats().stored_vectors, files(&path).0), (230, 230, 1));

        // The same documents indexed at once.
        let whole = folder.path().join("whole");
        let mut other = create(&whole, format);
        let mut writer = other.writer(Some(&Waves)).unwrap();
        for id in index.ids() {
            writer.put(index.document(id).unwrap().unwrap()).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(answers(&index), answers(&other));
        assert_eq!(answers(&Index::open(&path).unwrap()), answers(&other));
    }
}

#[test]
fn an_emptied_index_can_be_filled_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut index = create(&path, VectorFormat::F32);
    put(&mut index, 0..5, 0);
    let mut writer = index.writer(Some(&Waves)).unwrap();
    (0..5).for_each(|id| assert!(writer.delete(&format!("d{id}")).unwrap()));
    writer.finish().unwrap();
    assert_eq!((index.len(), index.stats().stored_vectors), (0, 0));
    assert!(index.search_vector(&[1.0; DIM], 3).unwrap().is_empty());
    put(&mut index, 2..4, 1);
    let found = Index::open(&path).unwrap().search_vector(&vector("text 3 of version 1"), 1).unwrap();
    assert_eq!(found[0].0, "d3");
}

#[test]
fn a_compacted_file_that_is_damaged_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let mut index = create(&path, VectorFormat::F32);
    put(&mut index, 0..5, 0);
    put(&mut index, 0..5, 1);
    drop(index);
    let file = std::fs::read_dir(path.join("vectors")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[32] ^= 1;
    std::fs::write(&file, &bad).unwrap();
    let message = Index::open(&path).err().unwrap().to_string();
    assert!(message.contains("vector is missing"), "{message}");
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &bad).unwrap();
    assert!(Index::open(&path).unwrap().verify().unwrap_err().to_string().contains("checksum"));
    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert!(Index::open(&path).err().unwrap().to_string().contains("do not fit"));
}
