//! Exact and approximate search by vectors, chosen by size. Without the feature `usearch`: what is said instead.

use plackett_core::Document;
use plackett_search::{
    DenseMethod, DenseSearch, Embedded, Embedder, HAS_HNSW, HNSW_FROM, Index, IndexSettings, ModelIdentity,
    SearchError, VectorFormat,
};
use std::path::Path;

const DIM: usize = 24;

/// Vectors around centres, some of them longer than others; they depend on the text alone.
struct Clusters;

fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn vector(text: &str) -> Vec<f32> {
    let seed = text.bytes().fold(0u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    let (mut centre, mut own) = (uniform(seed % 150), uniform(seed));
    let length = 1.0 + 0.3 * own();
    (0..DIM).map(|_| length * (centre() + 0.35 * own())).collect()
}

impl Embedder for Clusters {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|t| vector(t)).collect(), ..Embedded::default() })
    }
}

fn create(path: &Path, vectors: VectorFormat) -> Index {
    let model = Some(ModelIdentity { name: "clusters".into(), dim: DIM, fingerprint: None });
    Index::create(path, &IndexSettings { model, vectors, ..IndexSettings::default() }).unwrap()
}

fn text(id: usize, version: usize) -> String {
    format!("{id}.{version}")
}

/// Puts documents and makes a graph from `from` vectors on.
fn put(index: &mut Index, ids: std::ops::Range<usize>, version: usize, from: usize) {
    let mut writer = index.writer(Some(&Clusters)).unwrap();
    writer.graph_from(from);
    for id in ids {
        writer.put(Document::new(format!("d{id}"), text(id, version))).unwrap();
    }
    writer.finish().unwrap();
}

fn by(method: DenseMethod) -> DenseSearch {
    DenseSearch { method, ..DenseSearch::default() }
}

#[test]
fn a_small_index_is_searched_exactly_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = create(&folder.path().join("index"), VectorFormat::F32);
    put(&mut index, 0..40, 0, HNSW_FROM);
    let query = vector("query");
    let found = index.search_dense(&query, 5, &DenseSearch::default()).unwrap();
    assert_eq!(found.documents, index.search_vector(&query, 5).unwrap());
    assert_eq!(found.used.to_string(), "exact (40 vectors, hnsw from 20000)");
    let exact = index.search_dense(&query, 5, &by(DenseMethod::Exact)).unwrap();
    assert_eq!((&exact.documents, exact.used.to_string()), (&found.documents, "exact (as asked)".into()));
    let none = [f32::NAN; DIM];
    assert!(index.search_dense(&none, 5, &DenseSearch::default()).is_err());
}

#[test]
fn a_search_that_is_not_possible_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = create(&folder.path().join("index"), VectorFormat::F32);
    put(&mut index, 0..2000, 0, usize::MAX);
    let error = index.search_dense(&vector("q"), 5, &by(DenseMethod::Hnsw)).unwrap_err();
    let auto = index.search_dense(&vector("q"), 5, &DenseSearch { from: 1, ..DenseSearch::default() });
    let why = auto.unwrap().used.to_string();
    if HAS_HNSW {
        assert!(matches!(error, SearchError::NoGraph { .. }), "{error:?}");
        assert!(error.to_string().contains("--graph always"), "{error}");
        assert_eq!(why, "exact (there is no graph of these vectors)");
    } else {
        assert!(matches!(error, SearchError::WithoutUsearch), "{error:?}");
        assert!(error.to_string().contains("--features usearch"), "{error}");
        assert_eq!(why, "exact (built without usearch)");
    }
}

#[cfg(feature = "usearch")]
mod approximate {
    use super::*;
    use plackett_search::{DenseUsed, Filter};
    use std::collections::HashSet;
    use std::path::PathBuf;

    fn hnsw(index: &Index, query: &[f32], depth: usize) -> Vec<(String, f64)> {
        let found = index.search_dense(query, depth, &by(DenseMethod::Hnsw)).unwrap();
        assert_eq!(found.used, DenseUsed::Hnsw { ef: depth.max(128) });
        found.documents
    }

    fn queries(count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|q| vector(&format!("query {q}"))).collect()
    }

    /// Share of the true ten nearest that are found; every score must be that of the exact scan.
    fn recall(index: &Index) -> f64 {
        let mut hits = 0;
        for query in queries(100) {
            let everything = index.search_vector(&query, index.len()).unwrap();
            let found = hnsw(index, &query, 10);
            assert_eq!(found.len(), 10);
            assert!(
                found.iter().all(|one| everything.contains(one)),
                "a document or score that is not there"
            );
            assert!(found.is_sorted_by(|a, b| a.1 >= b.1));
            let best: HashSet<_> = everything[..10].iter().map(|(id, _)| id).collect();
            hits += found.iter().filter(|(id, _)| best.contains(id)).count();
        }
        hits as f64 / 1000.0
    }

    fn graphs(path: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path.join("vectors")).unwrap().map(|e| e.unwrap().path());
        entries.filter(|p| p.extension().is_none_or(|e| e != "vec")).collect()
    }

    #[test]
    fn nearly_all_of_the_nearest_are_found_through_changes_and_reopening() {
        for format in [VectorFormat::F32, VectorFormat::Int8] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("index");
            let mut index = create(&path, format);
            put(&mut index, 0..3000, 0, 1000);
            assert_eq!((index.stats().graph_vectors, graphs(&path).len()), (3000, 1));
            assert!(recall(&index) >= 0.95, "{format:?}: {}", recall(&index));

            // Too few for an extension: they are scanned. Replaced documents have their new vectors only.
            put(&mut index, 2950..3050, 1, 1000);
            assert_eq!(index.stats().graph_vectors, 3000);
            assert!(recall(&index) >= 0.95, "{format:?}: {}", recall(&index));
            let replaced = hnsw(&index, &vector(&text(2960, 1)), 50);
            let own = index.search_vector(&vector(&text(2960, 1)), index.len()).unwrap();
            assert_eq!(replaced.iter().find(|d| d.0 == "d2960"), own.iter().find(|d| d.0 == "d2960"));

            // The nearest of many queries are deleted: others come instead, ten of them.
            let nearest: HashSet<String> =
                queries(60).iter().flat_map(|q| hnsw(&index, q, 10)).map(|(id, _)| id).collect();
            let mut writer = index.writer(Some(&Clusters)).unwrap();
            nearest.iter().for_each(|id| assert!(writer.delete(id).unwrap()));
            writer.finish().unwrap();
            let left =
                queries(60).iter().flat_map(|q| hnsw(&index, q, 10)).any(|(id, _)| nearest.contains(&id));
            assert!(!left, "a deleted document was found");
            assert!(recall(&index) >= 0.95, "{format:?}: {}", recall(&index));

            // An extension, then a compaction.
            put(&mut index, 4000..4600, 2, 1000);
            assert!(index.stats().graph_vectors > 3400);
            assert!(recall(&index) >= 0.95, "{format:?}: {}", recall(&index));
            put(&mut index, 0..2500, 3, 1000);
            assert_eq!(index.stats().stored_vectors, index.len());
            assert_eq!((index.stats().graph_vectors, graphs(&path).len()), (index.len(), 1));
            assert!(recall(&index) >= 0.95, "{format:?}: {}", recall(&index));
            let reopened = Index::open(&path).unwrap();
            reopened.verify().unwrap();
            for query in queries(30) {
                assert_eq!(hnsw(&reopened, &query, 20), hnsw(&index, &query, 20));
            }
        }
    }

    #[test]
    fn the_same_commits_make_the_same_graph() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| {
            let path = folder.path().join(name);
            let mut index = create(&path, VectorFormat::F32);
            put(&mut index, 0..600, 0, 100);
            put(&mut index, 600..900, 0, 100);
            assert_eq!(index.stats().graph_vectors, 900);
            std::fs::read(&graphs(&path)[0]).unwrap()
        });
        assert!(files[0] == files[1]);
    }

    #[test]
    fn size_and_depth_choose() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = create(&folder.path().join("index"), VectorFormat::Int8);
        put(&mut index, 0..9000, 0, 1);
        let query = vector("query");
        let used = |depth, from| {
            let search = DenseSearch { from, ef: Some(60), ..DenseSearch::default() };
            let found = index.search_dense(&query, depth, &search).unwrap();
            assert_eq!(
                index.uses_graph(&search, depth).unwrap(),
                matches!(found.used, DenseUsed::Hnsw { .. })
            );
            found.used.to_string()
        };
        assert_eq!(used(10, 9001), "exact (9000 vectors, hnsw from 9001)");
        assert_eq!(used(10, 9000), "hnsw (ef=60)");
        assert_eq!(used(1000, 9000), "exact (1000 of 9000 vectors are many)");
        // All of them, and more than there are.
        let all = index.search_dense(&query, 9100, &by(DenseMethod::Hnsw)).unwrap();
        assert_eq!(all.documents, index.search_vector(&query, 9100).unwrap());
    }

    /// Puts documents that have a part of a hundred, and deletes others, in one commit.
    fn change(index: &mut Index, deleted: impl Iterator<Item = usize>, ids: std::ops::Range<usize>) {
        let mut writer = index.writer(Some(&Clusters)).unwrap();
        writer.graph_from(1000);
        deleted.for_each(|id| assert!(writer.delete(&format!("d{id}")).unwrap()));
        for id in ids {
            let metadata = serde_json::json!({"part": id % 100}).as_object().unwrap().clone();
            let document = Document::new(format!("d{id}"), text(id, 7));
            writer.put(Document { metadata, ..document }).unwrap();
        }
        writer.finish().unwrap();
    }

    fn part(id: &str) -> usize {
        id.trim_start_matches('d').parse::<usize>().unwrap() % 100
    }

    /// As many as pass come back, none that does not, with the scores of the exact scan, and nearly all of the nearest.
    fn check_filtered(index: &Index) {
        for (text, parts) in [("part = 7", 7..8), ("part < 10", 0..10), ("part < 90", 0..90)] {
            let lets = |part: usize| parts.contains(&part);
            let selection = index.select(Some(&text.parse::<Filter>().unwrap())).unwrap();
            let passing = index.ids().filter(|id| lets(part(id))).count();
            assert_eq!(selection.len(), passing, "{text}");
            let (mut hits, mut all) = (0, 0);
            for query in queries(60) {
                let mut nearest = index.search_vector(&query, index.len()).unwrap();
                nearest.retain(|(id, _)| lets(part(id)));
                for k in [10, 50] {
                    let found = selection.search_dense(&query, k, &by(DenseMethod::Hnsw)).unwrap();
                    let documents = &found.documents;
                    assert_eq!(documents.len(), k.min(passing), "{text} {k}");
                    assert!(documents.iter().all(|one| nearest.contains(one)), "{text} {k}: {documents:?}");
                    let best = &nearest[..k.min(passing)];
                    all += best.len();
                    hits += documents.iter().filter(|one| best.contains(one)).count();
                    if text == "part < 90" {
                        assert_eq!(found.used, DenseUsed::Hnsw { ef: 128 }, "the graph was not seen");
                    }
                }
            }
            assert!(hits * 100 >= all * 95, "{text}: {hits} of {all}");
        }
    }

    #[test]
    fn a_filter_lets_as_many_through_the_graph_as_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let mut index = create(&path, VectorFormat::F32);
        change(&mut index, std::iter::empty(), 0..3000);
        assert_eq!(index.stats().graph_vectors, 3000);
        check_filtered(&index);
        // Of each filter some are deleted, some replaced, and some are in commits that the graph does not link.
        change(&mut index, (0..1000).filter(|id| id % 3 == 0), 2950..3020);
        change(&mut index, std::iter::empty(), 3020..3080);
        let stats = index.stats();
        assert!(
            stats.graph_vectors < stats.stored_vectors && stats.stored_vectors > index.len(),
            "{stats:?}"
        );
        check_filtered(&index);
        check_filtered(&Index::open(&path).unwrap());
    }

    #[test]
    fn a_graph_that_is_damaged_or_of_another_index_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("index"), folder.path().join("other"));
        put(&mut create(&path, VectorFormat::F32), 0..500, 0, 100);
        put(&mut create(&other, VectorFormat::F32), 0..500, 1, 100);
        let (file, foreign) = (graphs(&path).remove(0), std::fs::read(&graphs(&other)[0]).unwrap());
        let good = std::fs::read(&file).unwrap();
        let query = vector("query");
        let auto = DenseSearch { from: 1, ef: Some(10), ..DenseSearch::default() };
        let refused = |bytes: &[u8], why: &str| {
            std::fs::write(&file, bytes).unwrap();
            let index = Index::open(&path).unwrap();
            let error = index.search_dense(&query, 10, &by(DenseMethod::Hnsw)).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("--graph always"), "{error}");
            assert!(index.verify().unwrap_err().to_string().contains(why));
            let found = index.search_dense(&query, 10, &auto).unwrap();
            assert_eq!(found.documents, index.search_vector(&query, 10).unwrap());
            assert!(found.used.to_string().contains(why), "{}", found.used);
        };
        for at in (0..good.len()).step_by(good.len() / 40) {
            let mut bad = good.clone();
            bad[at] ^= 16;
            refused(&bad, "is of no use");
        }
        refused(&good[..good.len() / 2], "checksum");
        refused(&[], "is of no use");
        refused(&foreign, "other vectors");
        // The right checksum over links that lead anywhere.
        for at in [good.len() - 200, good.len() / 2, good.len() / 3, good.len() - 30_000] {
            let mut bad = good.clone();
            // More than a node of the lowest layer has.
            bad[at..at + 150].fill(0xfe);
            let crc = crc32fast::hash(&bad[16..]);
            bad[12..16].copy_from_slice(&crc.to_le_bytes());
            refused(&bad, "lead nowhere");
        }
        // Whatever else is written under a right checksum is refused, or leads to documents that are there.
        let (mut number, mut harmless) = (uniform(5), 0);
        for _ in 0..300 {
            let mut bad = good.clone();
            let at = 500 + ((number() + 1.0) / 2.0 * (bad.len() - 500) as f32) as usize;
            bad[at.min(good.len() - 1)] = (number() * 127.0) as i8 as u8;
            let crc = crc32fast::hash(&bad[16..]);
            bad[12..16].copy_from_slice(&crc.to_le_bytes());
            std::fs::write(&file, &bad).unwrap();
            let index = Index::open(&path).unwrap();
            let everything = index.search_vector(&query, 500).unwrap();
            let Ok(found) = index.search_dense(&query, 10, &by(DenseMethod::Hnsw)) else {
                assert!(index.verify().is_err());
                continue;
            };
            harmless += 1;
            let found = found.documents;
            let different: HashSet<&str> = found.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(different.len(), 10);
            assert!(found.iter().all(|one| everything.contains(one)));
        }
        assert!((1..300).contains(&harmless), "{harmless} of 300");
        std::fs::remove_file(&file).unwrap();
        let index = Index::open(&path).unwrap();
        index.verify().unwrap();
        assert!(index.search_dense(&query, 10, &by(DenseMethod::Hnsw)).is_err());
        drop(index);
        // The next writer makes it again, the same one.
        std::fs::write(&file, &good[..100]).unwrap();
        let mut index = Index::open(&path).unwrap();
        let mut writer = index.writer(Some(&Clusters)).unwrap();
        writer.graph_from(100);
        writer.commit().unwrap();
        drop(writer);
        assert_eq!(hnsw(&index, &query, 10).len(), 10);
        assert!(std::fs::read(&file).unwrap() == good);
    }

    #[test]
    fn many_threads_search_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = create(&folder.path().join("index"), VectorFormat::F32);
        put(&mut index, 0..1000, 0, 1);
        let alone: Vec<_> = queries(20).iter().map(|q| hnsw(&index, q, 10)).collect();
        std::thread::scope(|scope| {
            let search = || queries(20).iter().map(|q| hnsw(&index, q, 10)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(search)).collect();
            threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), alone));
        });
    }
}
