//! The measuring part of `benches/dense/run`: `dense_bench DIRECTORY FORMAT VECTORS QUERIES ROUNDS`.
//!
//! Indexes made vectors (f32 or int8) into a new directory, makes the graph over them, searches exactly and through the
//! graph in turn, and prints one JSON line. Vectors have 384 numbers: a point of 32 numbers around one of a thousand
//! centres, mixed into 384 by one random matrix, with a little noise, and scaled to length 1. Queries are drawn alike.

use plackett_core::Document;
use plackett_search::{
    DenseMethod, DenseSearch, Embedded, Embedder, Index, IndexSettings, ModelIdentity, VectorFormat,
};
use rayon::prelude::*;
use std::collections::HashSet;
use std::error::Error;
use std::time::Instant;

const DIM: usize = 384;
const LATENT: usize = 32;
const CENTRES: u64 = 1000;
/// Documents that are asked for, and the breadths of the search through the graph.
const TASKS: [(usize, &[usize]); 2] = [(10, &[32, 64, 128, 256]), (1000, &[1000, 2000])];

/// SplitMix64; sums of four uniform numbers are normal enough.
struct Random(u64);

impl Random {
    fn normal(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            sum += ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        }
        sum * 0.866
    }
}

/// Makes vectors from numbers.
struct Made {
    mixing: Vec<f32>,
}

impl Made {
    fn new() -> Made {
        let mut random = Random(1);
        Made { mixing: (0..DIM * LATENT).map(|_| random.normal()).collect() }
    }

    fn vector(&self, number: u64) -> Vec<f32> {
        let mut own = Random(number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let mut centre = Random(own.normal().to_bits() as u64 % CENTRES + 7);
        let point: Vec<f32> = (0..LATENT).map(|_| centre.normal() + 0.5 * own.normal()).collect();
        let mix = |row: &[f32]| row.iter().zip(&point).map(|(m, p)| m * p).sum::<f32>();
        let raw: Vec<f32> = self.mixing.chunks(LATENT).map(|row| mix(row) + 0.3 * own.normal()).collect();
        let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.into_iter().map(|x| x / length).collect()
    }
}

impl Embedder for Made {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn Error + Send + Sync>> {
        let numbers: Vec<u64> = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(Embedded {
            vectors: numbers.into_par_iter().flat_map_iter(|n| self.vector(n)).collect(),
            ..Embedded::default()
        })
    }
}

fn ids(found: &[(String, f64)]) -> HashSet<&str> {
    found.iter().map(|(id, _)| id.as_str()).collect()
}

fn size(directory: &str, ending: &str) -> std::io::Result<u64> {
    let entries = std::fs::read_dir(format!("{directory}/vectors"))?.flatten();
    let files = entries.filter(|e| e.file_name().to_string_lossy().ends_with(ending));
    files.map(|e| Ok(e.metadata()?.len())).sum()
}

/// Seconds of each query one after another, and of all of them together on all threads; and what the last round found.
struct Side {
    depth: usize,
    search: DenseSearch,
    each: Vec<f64>,
    together: Vec<f64>,
    found: Vec<Vec<(String, f64)>>,
}

impl Side {
    fn new(depth: usize, method: DenseMethod, ef: Option<usize>) -> Side {
        let search = DenseSearch { method, ef, ..DenseSearch::default() };
        Side { depth, search, each: vec![], together: vec![], found: vec![] }
    }

    fn round(&mut self, index: &Index, queries: &[Vec<f32>]) -> Result<(), Box<dyn Error>> {
        self.found.clear();
        for query in queries {
            let start = Instant::now();
            let found = index.search_dense(query, self.depth, &self.search)?;
            self.each.push(start.elapsed().as_secs_f64());
            self.found.push(found.documents);
        }
        let start = Instant::now();
        queries.par_iter().try_for_each(|q| index.search_dense(q, self.depth, &self.search).map(|_| ()))?;
        self.together.push(start.elapsed().as_secs_f64());
        Ok(())
    }

    fn report(&mut self, exact: &[Vec<(String, f64)>], queries: usize) -> serde_json::Value {
        let median = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let hits: usize =
            exact.iter().zip(&self.found).map(|(a, b)| ids(a).intersection(&ids(b)).count()).sum();
        serde_json::json!({
            "ef": self.search.ef,
            "ms": 1e3 * median(&mut self.each),
            "queries_s": queries as f64 / median(&mut self.together),
            "recall": hits as f64 / (queries * self.depth) as f64,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, format, vectors, queries, rounds] = arguments.as_slice() else {
        return Err("usage: dense_bench DIRECTORY FORMAT VECTORS QUERIES ROUNDS".into());
    };
    let format = if format == "int8" { VectorFormat::Int8 } else { VectorFormat::F32 };
    let (vectors, queries, rounds): (u64, u64, u32) = (vectors.parse()?, queries.parse()?, rounds.parse()?);
    let made = Made::new();
    let model = Some(ModelIdentity { name: "made".into(), dim: DIM, fingerprint: None });
    let mut index =
        Index::create(directory, &IndexSettings { model, vectors: format, ..IndexSettings::default() })?;
    let mut writer = index.writer(Some(&made))?;
    writer.graph_from(usize::MAX);
    for number in 0..vectors {
        writer.put(Document::new(number.to_string(), number.to_string()))?;
    }
    writer.finish()?;
    let mut writer = index.writer(Some(&made))?;
    writer.graph_from(1);
    let start = Instant::now();
    writer.commit()?;
    let build_seconds = start.elapsed().as_secs_f64();
    drop(writer);
    let start = Instant::now();
    index.reload()?;
    let open_seconds = start.elapsed().as_secs_f64();

    let asked: Vec<Vec<f32>> = (vectors..vectors + queries).map(|number| made.vector(number)).collect();
    let mut tasks = Vec::new();
    for (depth, breadths) in TASKS {
        let mut exact = Side::new(depth, DenseMethod::Exact, None);
        let mut graph: Vec<Side> =
            breadths.iter().map(|ef| Side::new(depth, DenseMethod::Hnsw, Some(*ef))).collect();
        for _ in 0..rounds {
            exact.round(&index, &asked)?;
            graph.iter_mut().try_for_each(|side| side.round(&index, &asked))?;
        }
        let truth = exact.found.clone();
        let graph: Vec<_> = graph.iter_mut().map(|side| side.report(&truth, asked.len())).collect();
        let exact = exact.report(&truth, asked.len());
        tasks.push(serde_json::json!({ "depth": depth, "exact": exact, "hnsw": graph }));
    }
    println!(
        "{}",
        serde_json::json!({
            "build_seconds": build_seconds, "open_seconds": open_seconds,
            "vector_bytes": size(directory, ".vec")?, "graph_bytes": size(directory, ".hnsw")?,
            "tasks": tasks,
        })
    );
    Ok(())
}
