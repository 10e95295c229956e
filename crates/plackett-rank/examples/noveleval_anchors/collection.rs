//! NovelEval and the model that its anchors were measured with.

use plackett_core::formats::{BeirFolder, trec};
use plackett_core::{Document, Query, RankRequest};
use plackett_lm::decoder::DecoderOptions;
use plackett_lm::store::Store;
use plackett_rank::engine::Decoder;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The grade of each document, by query and document.
pub type Grades = HashMap<(String, String), f64>;

/// The folder of NovelEval, where it is on this machine.
pub fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var_os("PLACKETT_DATA").map_or(beside, PathBuf::from).join("noveleval");
    if !data.exists() {
        println!("skipped: {} is not there", data.display());
        return None;
    }
    Some(data)
}

/// The model, fetched once.
pub fn smollm2() -> Option<Arc<Decoder>> {
    let pulled =
        Store::from_environment(false).and_then(|store| store.pull("SmolLM2-135M-Instruct", &|_, _, _| {}));
    match pulled {
        Ok(model) => Some(Arc::new(Decoder::open(&model.directory, &DecoderOptions::default()).unwrap())),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Requests in the given order of candidates, and the grade of each document.
pub fn noveleval(data: &Path) -> (Vec<RankRequest>, Grades) {
    let folder = BeirFolder::open(data).unwrap();
    let queries: HashMap<String, Query> =
        folder.queries().unwrap().into_iter().map(|q| (q.id.clone(), q)).collect();
    let corpus = std::fs::read_to_string(data.join("corpus.jsonl")).unwrap();
    let documents: HashMap<String, Document> = corpus
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap().to_string();
            (text("_id"), Document { title: text("title"), ..Document::new(text("_id"), text("text")) })
        })
        .collect();
    let run = trec::read_run(&data.join("runs/google.trec"), &trec::ReadOptions::default()).unwrap();
    let request = |query: &plackett_core::RunQuery| {
        let candidates = query.ranked().into_iter().map(|(id, _)| documents[id].clone());
        RankRequest::new(queries[query.id()].clone(), candidates)
    };
    let judged = std::fs::read_to_string(data.join("qrels/test.tsv")).unwrap();
    let grades = judged.lines().skip(1).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        ((fields[0].to_string(), fields[1].to_string()), fields[2].parse().unwrap())
    });
    (run.queries().iter().map(request).collect(), grades.collect())
}

/// nDCG@10 with the grade as the gain (Järvelin and Kekäläinen, 2002).
pub fn ndcg(grades: &Grades, query: &str, order: &[&str]) -> f64 {
    let gain = |id: &&str| grades.get(&(query.to_string(), (*id).to_string())).copied().unwrap_or(0.0);
    let dcg = |gains: &[f64]| {
        gains.iter().take(10).enumerate().map(|(n, g)| g / (n as f64 + 2.0).log2()).sum::<f64>()
    };
    let gains: Vec<f64> = order.iter().map(gain).collect();
    let mut best = gains.clone();
    best.sort_by(|a, b| b.total_cmp(a));
    if dcg(&best) == 0.0 { 0.0 } else { dcg(&gains) / dcg(&best) }
}
