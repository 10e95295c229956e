//! BM25 against its formula over plain counts, and an index that is changed at random against a map.

use plackett_core::{Document, order_by_score};
use plackett_search::{
    Analyzer, Bm25, Embedded, Embedder, Index, IndexSettings, ModelIdentity, SearchError, VectorFormat,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Four numbers that depend on the text only.
struct Letters;

impl Embedder for Letters {
    fn dim(&self) -> usize {
        4
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|t| vector(t)).collect(), ..Embedded::default() })
    }
}

fn vector(text: &str) -> [f32; 4] {
    ['a', 'b', 'c', 'd'].map(|letter| 1.0 + text.matches(letter).count() as f32)
}

fn settings(vectors: bool) -> IndexSettings {
    let model = vectors.then(|| ModelIdentity { name: "letters".into(), dim: 4, fingerprint: None });
    IndexSettings { model, ..IndexSettings::default() }
}

type Documents = BTreeMap<String, Document>;

/// The formula of the module, written over a map of documents.
fn by_hand(documents: &Documents, query: &str, bm25: &Bm25) -> Vec<(String, f64)> {
    let weight = |field: usize| bm25.weights.get(field).copied().unwrap_or(1.0);
    let terms = |text: &str| Analyzer::English.terms(text).into_iter().map(|(t, _)| t).collect::<Vec<_>>();
    let fields = |d: &Document| [terms(&d.title), terms(&d.text)];
    let length =
        |d: &Document| -> f64 { fields(d).iter().enumerate().map(|(f, t)| weight(f) * t.len() as f64).sum() };
    let tf = |d: &Document, term: &str| -> f64 {
        let count = |t: &Vec<String>| t.iter().filter(|t| *t == term).count() as f64;
        fields(d).iter().enumerate().map(|(f, t)| weight(f) * count(t)).sum()
    };
    let n = documents.len() as f64;
    let mean = documents.values().map(length).sum::<f64>() / n;
    let mut scored = Vec::new();
    for document in documents.values() {
        let mut score = 0.0;
        for term in terms(query) {
            let df = documents.values().filter(|d| tf(d, &term) > 0.0).count() as f64;
            let (tf, idf) = (tf(document, &term), (1.0 + (n - df + 0.5) / (df + 0.5)).ln());
            if tf > 0.0 {
                score += idf * tf / (tf + bm25.k1 * (1.0 - bm25.b + bm25.b * length(document) / mean));
            }
        }
        if score > 0.0 {
            scored.push((document.id.clone(), score));
        }
    }
    scored.sort_by(|a, b| order_by_score((&a.0, a.1), (&b.0, b.1)));
    scored
}

fn assert_same(found: &[(String, f64)], expected: &[(String, f64)]) {
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (f, e) in found.iter().zip(expected) {
        assert!((f.1 - e.1).abs() < 1e-9, "{found:?} for {expected:?}");
    }
    // Scores that differ only by the order of additions may change places; the sets are the same.
    let ids = |list: &[(String, f64)]| {
        list.iter().map(|(id, _)| id.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ids(found), ids(expected));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, String, String),
    Delete(u8),
    Commit,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let words = || {
        prop::collection::vec(
            prop::sample::select(vec!["alpha", "beta", "gamma", "delta", "rankings", "the"]),
            0..9,
        )
    };
    let text = move || words().prop_map(|w| w.join(" "));
    let step = prop_oneof![
        6 => (0u8..12, text(), text()).prop_map(|(id, title, body)| Step::Put(id, title, body)),
        2 => (0u8..12).prop_map(Step::Delete),
        2 => Just(Step::Commit),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_changing_index_equals_a_map_and_the_formula(steps in steps(), k1 in 0.0f64..3.0, b in 0.0f64..=1.0, title in 0.0f64..3.0) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let mut index = Index::create(&path, &settings(true)).unwrap();
        let mut model = Documents::new();
        let mut steps = steps.into_iter().peekable();
        while steps.peek().is_some() {
            let mut reopen = false;
            let mut writer = index.writer(Some(&Letters)).unwrap();
            for step in steps.by_ref() {
                match step {
                    Step::Put(id, title, text) => {
                        let document = Document { title, ..Document::new(format!("d{id}"), text) };
                        model.insert(document.id.clone(), document.clone());
                        writer.put(document).unwrap();
                    }
                    Step::Delete(id) => {
                        model.remove(&format!("d{id}"));
                        writer.delete(&format!("d{id}")).unwrap();
                    }
                    Step::Commit => { writer.commit().unwrap(); }
                    Step::Reopen => { reopen = true; break }
                }
            }
            writer.finish().unwrap();
            if reopen {
                drop(index);
                index = Index::open(&path).unwrap();
            }
        }
        prop_assert_eq!(index.len(), model.len());
        index.verify().unwrap();
        for document in model.values() {
            prop_assert_eq!(index.document(&document.id).unwrap(), Some(document.clone()));
        }
        for weights in [vec![], vec![title, 1.0]] {
            let bm25 = Bm25 { k1, b, weights, ..Bm25::default() };
            for query in ["alpha", "ranking betas the gamma", "delta delta alpha", "unknown"] {
                if !model.is_empty() {
                    assert_same(&index.search_bm25(query, &bm25, 100).unwrap(), &by_hand(&model, query, &bm25));
                }
            }
        }
        let asked = [0.5, -1.0, 2.0, 0.25];
        let mut expected: Vec<(String, f64)> = model.values().map(|d| {
            let stored = vector(&d.model_text());
            (d.id.clone(), stored.iter().zip(&asked).map(|(v, q)| v * q).sum::<f32>() as f64)
        }).collect();
        expected.sort_by(|a, b| order_by_score((&a.0, a.1), (&b.0, b.1)));
        prop_assert_eq!(index.search_vector(&asked, 100).unwrap(), expected);
    }
}

fn small(path: &std::path::Path, vectors: bool) -> Index {
    let mut index = Index::create(path, &settings(vectors)).unwrap();
    let embedder: Option<&dyn Embedder> = if vectors { Some(&Letters) } else { None };
    let mut writer = index.writer(embedder).unwrap();
    for (id, text) in [("d1", "linear ranking"), ("d2", "ranking ranking cubes"), ("d3", "nothing alike")] {
        writer.put(Document::new(id, text)).unwrap();
    }
    writer.finish().unwrap();
    index
}

#[test]
fn an_index_is_searched_by_its_own_version_of_the_analyser() {
    let folder = tempfile::tempdir().unwrap();
    for (version, both) in [(1, false), (2, true)] {
        let path = folder.path().join(version.to_string());
        let made = IndexSettings { analyzer_version: version, ..settings(false) };
        let mut index = Index::create(&path, &made).unwrap();
        let mut writer = index.writer(None).unwrap();
        writer.put(Document::new("composed", "caf\u{e9}")).unwrap();
        writer.put(Document::new("decomposed", "cafe\u{301}")).unwrap();
        writer.finish().unwrap();
        let index = Index::open(&path).unwrap();
        assert_eq!(index.settings().analyzer_version, version);
        for (query, own) in [("caf\u{e9}", "composed"), ("cafe\u{301}", "decomposed")] {
            let found = index.search_bm25(query, &Bm25::default(), 9).unwrap();
            assert!(found.iter().any(|(id, _)| id == own));
            assert_eq!(found.len(), if both { 2 } else { 1 }, "version {version}");
            let shown = index.snippet("a cafe\u{301}!", query, 40).unwrap();
            assert_eq!(shown.matches.is_empty(), !both && own == "composed");
        }
    }
    let unknown = IndexSettings { analyzer_version: 9, ..settings(false) };
    assert!(Index::create(folder.path().join("9"), &unknown).is_err());
}

#[test]
fn depth_cuts_after_the_tie_rule() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("i"), &IndexSettings::default()).unwrap();
    let mut writer = index.writer(None).unwrap();
    for id in ["a", "c", "b", "d"] {
        writer.put(Document::new(id, "same words")).unwrap();
        writer.commit().unwrap();
    }
    drop(writer);
    let found = index.search_bm25("words", &Bm25::default(), 2).unwrap();
    assert_eq!(found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["d", "c"]);
    assert!(index.search_bm25("words", &Bm25::default(), 0).unwrap().is_empty());
}

#[test]
fn an_explanation_adds_up_to_the_score() {
    let folder = tempfile::tempdir().unwrap();
    let index = small(&folder.path().join("i"), false);
    let bm25 = Bm25::default();
    let (id, score) = index.search_bm25("ranking cubes of gold", &bm25, 1).unwrap().remove(0);
    let parts = index.explain("ranking cubes of gold", &bm25, &id).unwrap().unwrap();
    assert_eq!((id.as_str(), parts.len()), ("d2", 3));
    assert!((parts.iter().map(|p| p.score).sum::<f64>() - score).abs() < 1e-12);
    assert!(index.explain("ranking", &bm25, "no such").unwrap().is_none());
}

#[test]
fn what_is_not_committed_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    let mut index = small(&path, true);
    let mut writer = index.writer(Some(&Letters)).unwrap();
    writer.put(Document::new("d4", "lost")).unwrap();
    writer.delete("d1").unwrap();
    drop(writer);
    std::fs::write(path.join("vectors/00000099.vec"), b"left by a crash").unwrap();
    let mut index = Index::open(&path).unwrap();
    assert_eq!(index.len(), 3);
    drop(index.writer(Some(&Letters)).unwrap());
    assert!(!path.join("vectors/00000099.vec").exists());
}

#[test]
fn a_second_writer_and_a_wrong_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    let mut first = small(&path, true);
    let mut second = Index::open(&path).unwrap();
    let _writer = first.writer(Some(&Letters)).unwrap();
    let message = second.writer(Some(&Letters)).err().unwrap().to_string();
    assert!(message.contains("another process is writing"), "{message}");
    assert!(second.writer(None).err().unwrap().to_string().contains("vectors of `letters`"));
    assert!(second.search_vector(&[1.0], 3).unwrap_err().to_string().contains("a vector of 1 numbers"));
}

#[test]
fn damaged_and_foreign_folders_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = |name: &str| {
        let path = folder.path().join(name);
        drop(small(&path, true));
        path
    };
    let message = |path: &std::path::Path| Index::open(path).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message(&folder.path().join("none")).contains("no such folder"));
    assert!(message(folder.path()).contains("no plackett index"));
    let path = fresh("json");
    std::fs::write(path.join("plackett-index.json"), "{").unwrap();
    assert!(message(&path).contains("not JSON"));
    std::fs::write(path.join("plackett-index.json"), r#"{"kind": "plackett-index", "format_version": 99}"#)
        .unwrap();
    assert!(message(&path).contains("format version 99, this program reads up to 3"));
    std::fs::write(path.join("plackett-index.json"), r#"{"kind": "other"}"#).unwrap();
    assert!(message(&path).contains("not the manifest of an index"));
    let path = fresh("vectors");
    let file = path.join("vectors/00000000.vec");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    assert!(message(&path).contains("do not fit"));
    std::fs::remove_file(&file).unwrap();
    assert!(message(&path).contains("00000000.vec is missing"));
    let path = fresh("meta");
    std::fs::write(path.join("text/meta.json"), "nonsense").unwrap();
    assert!(message(&path).contains("damaged"), "{}", message(&path));
    let path = fresh("segment");
    let postings = std::fs::read_dir(path.join("text")).unwrap().map(|e| e.unwrap().path());
    for file in postings.filter(|p| p.extension().is_some_and(|e| e == "idx")) {
        std::fs::write(file, b"xx").unwrap();
    }
    assert!(message(&path).contains("damaged"));
    // A lock that cannot be taken is not another writer, for which one could wait.
    let path = fresh("lock");
    let lock = path.join("text/.tantivy-meta.lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    assert!(matches!(Index::open(&path).err().unwrap(), SearchError::Io { .. }));
    assert!(Index::create(&path, &IndexSettings::default()).err().unwrap().to_string().contains("not empty"));
}

#[test]
fn int8_vectors_find_the_same_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let settings = IndexSettings { vectors: VectorFormat::Int8, ..settings(true) };
    let mut index = Index::create(folder.path().join("i"), &settings).unwrap();
    let mut writer = index.writer(Some(&Letters)).unwrap();
    for n in 0..30 {
        writer.put(Document::new(format!("d{n}"), "a".repeat(n) + &"d".repeat(40 - n))).unwrap();
    }
    writer.finish().unwrap();
    let found = index.search_vector(&[1.0, 0.0, 0.0, -1.0], 3).unwrap();
    assert_eq!(found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["d29", "d28", "d27"]);
}

/// An embedder that says which model it is.
struct Known(ModelIdentity);

impl Embedder for Known {
    fn dim(&self) -> usize {
        Letters.dim()
    }

    fn model(&self) -> Option<&ModelIdentity> {
        Some(&self.0)
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Letters.embed_documents(texts)
    }
}

#[test]
fn an_index_takes_vectors_of_its_own_model_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    let model = |name: &str, print: &str| ModelIdentity {
        name: name.into(),
        dim: 4,
        fingerprint: Some(print.repeat(16)),
    };
    let own = model("letters", "abcd");
    let settings = IndexSettings { model: Some(own.clone()), ..IndexSettings::default() };
    Index::create(&path, &settings).unwrap();
    let mut index = Index::open(&path).unwrap();
    assert_eq!(index.settings().model.as_ref(), Some(&own), "the manifest has all of it");
    // The same files under another name are the same model.
    assert!(index.writer(Some(&Known(model("moved", "abcd")))).is_ok());
    let message = index.writer(Some(&Known(model("other", "ef01")))).err().unwrap().to_string();
    for piece in
        ["`letters`", "`other`", "SHA-256 abcdabcdabcdabcd…", "SHA-256 ef01", "index the collection again"]
    {
        assert!(message.contains(piece), "{message}");
    }

    // A manifest from before fingerprints: only the dimension is compared.
    let manifest = path.join("plackett-index.json");
    let mut old: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    old["settings"]["model"].as_object_mut().unwrap().remove("fingerprint").unwrap();
    std::fs::write(&manifest, old.to_string()).unwrap();
    let index = Index::open(&path).unwrap();
    index.check_model(&model("other", "ef01")).unwrap();
    assert!(index.check_model(&ModelIdentity { dim: 5, ..own }).is_err());
}

/// An embedder that fails once.
struct FailsOnce(AtomicBool);

impl Embedder for FailsOnce {
    fn dim(&self) -> usize {
        Letters.dim()
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        if !self.0.swap(true, Ordering::Relaxed) {
            return Err("the model is away".into());
        }
        Letters.embed_documents(texts)
    }
}

#[test]
fn an_id_that_could_not_be_found_again_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("index"), &settings(false)).unwrap();
    let mut writer = index.writer(None).unwrap();
    let longest = "x".repeat(65_530);
    let message = writer.put(Document::new(format!("{longest}x"), "a")).unwrap_err().to_string();
    assert!(message.contains("xxx…` has 65531 bytes; at most 65530"), "{message}");
    for text in ["a", "b"] {
        writer.put(Document::new(longest.clone(), text)).unwrap();
        writer.commit().unwrap();
    }
    assert_eq!(writer.documents(), 1, "the longest id is still replaced");
}

#[test]
fn documents_that_could_not_be_embedded_are_in_a_later_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("index"), &settings(true)).unwrap();
    let embedder = FailsOnce(AtomicBool::new(false));
    let mut writer = index.writer(Some(&embedder)).unwrap();
    for id in ["first", "second"] {
        writer.put(Document::new(id, "a b")).unwrap();
    }
    let message = writer.commit().unwrap_err().to_string();
    assert!(message.contains("the model is away"), "{message}");
    let committed = writer.commit().unwrap();
    assert_eq!((committed.documents, committed.added), (2, 2));
}
