//! Plackett's side of `benches/scale/run`: `scale_queries INDEX QUERIES DEPTH THREADS WAY [FILTER]`.
//!
//! WAY is `bm25`, or `hybrid` (BM25 and exact dense search, as the default pipeline has them: the thousand best of each, their
//! scores summed, and of those the DEPTH best; vectors of queries are drawn, since an exact search costs the same whatever they
//! are). Queries are lines; each is asked once before, so that
//! nothing made on first use is counted. One JSON line: the seconds of each query alone, and of all of them in THREADS threads.

use plackett_core::fusion::{Method, Normalisation, fuse};
use plackett_core::{Ranking, Trace};
use plackett_search::{Bm25, DenseSearch, Filter, Index};
use rayon::prelude::*;
use std::error::Error;
use std::time::Instant;

/// Numbers of a vector, as `benches/scale/run` makes them.
const DIM: usize = 384;
/// Documents that each part of a hybrid search gives at least.
const OF_EACH: usize = 1000;

/// Unit vectors drawn from the number of the query.
fn drawn(number: usize, dim: usize) -> Vec<f32> {
    let mut state = number as u64;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let vector: Vec<f32> = (0..dim).map(|_| next()).collect();
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.into_iter().map(|x| x / norm).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, queries, depth, threads, way, rest @ ..] = arguments.as_slice() else {
        return Err("usage: scale_queries INDEX QUERIES DEPTH THREADS bm25|hybrid [FILTER]".into());
    };
    let (depth, threads): (usize, usize) = (depth.parse()?, threads.parse()?);
    let text = std::fs::read_to_string(queries)?;
    let queries: Vec<&str> = text.lines().collect();
    let index = Index::open(directory)?;
    let filter: Option<Filter> = rest.first().map(|text| text.parse()).transpose()?;
    let vectors: Vec<Vec<f32>> = (0..queries.len()).map(|number| drawn(number, DIM)).collect();
    let hybrid = way == "hybrid";
    let (bm25, deep) = (Bm25::default(), if hybrid { depth.max(OF_EACH) } else { depth });
    let ask = |number: usize| -> Result<usize, Box<dyn Error + Send + Sync>> {
        let selection = index.select(filter.as_ref())?;
        let words = selection.search_bm25(queries[number], &bm25, deep)?;
        if !hybrid {
            return Ok(words.len());
        }
        let near = selection.search_dense(&vectors[number], deep, &DenseSearch::default())?;
        let ranking = |found| Ranking::from_scores("", found, Trace::default());
        let inputs = [ranking(words), ranking(near.documents)];
        let mut fused = fuse("", &inputs, Method::Sum(Normalisation::ZScore), &[])?;
        fused.keep_best(depth);
        Ok(fused.entries.len())
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut found = 0;
    let mut seconds = Vec::with_capacity(queries.len());
    for round in 0..2 {
        for number in 0..queries.len() {
            let start = Instant::now();
            let count = alone.install(|| ask(number)).map_err(|error| error.to_string())?;
            if round == 1 {
                seconds.push(start.elapsed().as_secs_f64());
                found += count;
            }
        }
    }
    let start = Instant::now();
    pool.install(|| (0..queries.len()).into_par_iter().try_for_each(|number| ask(number).map(|_| ())))
        .map_err(|error| error.to_string())?;
    let together = start.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({ "query_seconds": seconds, "together": together, "found": found }));
    Ok(())
}
