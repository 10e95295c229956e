//! RM3 over a real collection: it changes the results, and does so the same way every time. Its effectiveness is printed.

use plackett_core::Document;
use plackett_search::{Bm25, Index, IndexSettings, Rm3};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = std::env::var_os("PLACKETT_DATA").map_or_else(beside, PathBuf::from).join("cranfield");
    folder.join("corpus.jsonl").exists().then_some(folder)
}

fn rows(path: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// nDCG@10 with linear gains, and average precision.
fn measure(found: &[(String, f64)], grades: &HashMap<String, f64>) -> [f64; 2] {
    let discount = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let gain = |id: &String| grades.get(id).copied().unwrap_or(0.0);
    let mut ideal: Vec<f64> = grades.values().copied().filter(|g| *g > 0.0).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let dcg: f64 = found.iter().take(10).enumerate().map(|(i, (id, _))| gain(id) * discount(i)).sum();
    let best: f64 = ideal.iter().take(10).enumerate().map(|(i, g)| g * discount(i)).sum();
    let mut seen = 0.0;
    let mut precision = 0.0;
    for (place, (id, _)) in found.iter().enumerate() {
        if gain(id) > 0.0 {
            seen += 1.0;
            precision += seen / (place as f64 + 1.0);
        }
    }
    [dcg / best, precision / ideal.len() as f64]
}

#[test]
fn cranfield_is_searched_otherwise_with_rm3() {
    let Some(folder) = data() else {
        println!("skipped: cranfield is not there (set PLACKETT_DATA)");
        return;
    };
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_string();
    let place = tempfile::tempdir().unwrap();
    let mut index = Index::create(place.path().join("i"), &IndexSettings::default()).unwrap();
    let mut writer = index.writer(None).unwrap();
    for row in rows(folder.join("corpus.jsonl")) {
        let title = text(&row, "title");
        writer.put(Document { title, ..Document::new(text(&row, "_id"), text(&row, "text")) }).unwrap();
    }
    writer.finish().unwrap();
    let mut qrels: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in std::fs::read_to_string(folder.join("qrels/test.tsv")).unwrap().lines().skip(1) {
        let parts: Vec<&str> = line.split('\t').collect();
        qrels.entry(parts[0].into()).or_default().insert(parts[1].into(), parts[2].parse().unwrap());
    }
    let bm25 = Bm25::default();
    let (mut plain, mut expanded, mut changed, mut count) = ([0.0; 2], [0.0; 2], 0, 0.0);
    for row in rows(folder.join("queries.jsonl")) {
        let Some(grades) = qrels.get(&text(&row, "_id")) else { continue };
        if !grades.values().any(|grade| *grade > 0.0) {
            continue;
        }
        let query = text(&row, "text");
        let terms = index.expand(&query, &bm25, &Rm3::default()).unwrap();
        assert_eq!(terms, index.expand(&query, &bm25, &Rm3::default()).unwrap(), "{query}");
        assert!((terms.values().sum::<f64>() - 1.0).abs() < 1e-9);
        let before = index.search_bm25(&query, &bm25, 1000).unwrap();
        let after = index.search_terms(&terms, &bm25, 1000).unwrap();
        changed += usize::from(before.iter().map(|f| &f.0).ne(after.iter().map(|f| &f.0)));
        for (sum, found) in [(&mut plain, &before), (&mut expanded, &after)] {
            let [ndcg, ap] = measure(found, grades);
            *sum = [sum[0] + ndcg, sum[1] + ap];
        }
        count += 1.0;
    }
    assert!(changed as f64 > 0.9 * count, "only {changed} of {count} answers changed");
    println!("cranfield  nDCG@10 {:.4}  AP {:.4}  bm25", plain[0] / count, plain[1] / count);
    println!("cranfield  nDCG@10 {:.4}  AP {:.4}  bm25(rm3=true)", expanded[0] / count, expanded[1] / count);
    assert!(
        expanded[1] > 0.9 * plain[1],
        "expansion with the usual settings harms this collection that much"
    );
}
