//! What a filter costs on 100,000 made passages, by how many of them pass: milliseconds of a search by words and of an exact one by
//! vectors of 16 numbers, without a filter and with five. `benches/filters/run` runs it.

use plackett_core::Document;
use plackett_search::{Bm25, DenseSearch, Embedded, Embedder, Filter, Index, IndexSettings, ModelIdentity};
use serde_json::json;

const DIM: usize = 16;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Vectors that depend on the text alone.
struct Hashes;

fn vector(text: &str) -> Vec<f32> {
    let seed = text.bytes().fold(7u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    let mut random = Random(seed);
    (0..DIM).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect()
}

impl Embedder for Hashes {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|t| vector(t)).collect(), ..Embedded::default() })
    }
}

fn at(seconds: &mut [f64], share: f64) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[((seconds.len() - 1) as f64 * share) as usize]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let model = Some(ModelIdentity { name: "hashes".into(), dim: DIM, fingerprint: None });
    let settings = IndexSettings { model, ..IndexSettings::default() };
    let mut index = Index::create(folder.path().join("i"), &settings)?;
    let mut writer = index.writer(Some(&Hashes))?;
    writer.graph_from(usize::MAX);
    let mut random = Random(3);
    // The rank of a word is as far as a uniform number to the fourth: the first are in most passages.
    let word = |random: &mut Random| {
        let uniform = random.below(1_000_000) as f64 / 1e6;
        format!("v{}", (30_000.0 * uniform.powi(4)) as u64)
    };
    for number in 0..100_000u64 {
        let text: Vec<String> = (0..30 + random.below(60)).map(|_| word(&mut random)).collect();
        let metadata =
            json!({"part": random.below(100), "at": number}).as_object().cloned().unwrap_or_default();
        writer.put(Document { metadata, ..Document::new(number.to_string(), text.join(" ")) })?;
    }
    writer.finish()?;
    let queries: Vec<String> =
        (0..500).map(|_| (0..4).map(|_| word(&mut random)).collect::<Vec<_>>().join(" ")).collect();
    for text in [None, Some("part = 7"), Some("part < 10"), Some("part < 90"), Some("at < 1000")] {
        let filter: Option<Filter> = text.map(str::parse).transpose()?;
        let start = std::time::Instant::now();
        let passed = index.select(filter.as_ref())?.len();
        let first = start.elapsed().as_secs_f64();
        let (mut words, mut vectors) = (Vec::new(), Vec::new());
        for query in queries.iter().chain(&queries) {
            let start = std::time::Instant::now();
            let selection = index.select(filter.as_ref())?;
            selection.search_bm25(query, &Bm25::default(), 10)?;
            words.push(start.elapsed().as_secs_f64());
            let start = std::time::Instant::now();
            selection.search_dense(&vector(query), 10, &DenseSearch::default())?;
            vectors.push(start.elapsed().as_secs_f64());
        }
        // The first time reads postings.
        let (words, vectors) = (&mut words[500..], &mut vectors[500..]);
        println!(
            "{:>10} {passed:>6} pass, found in {:.2} ms · bm25 p50 {:.3} p99 {:.3} ms · dense p50 {:.3} p99 {:.3} ms",
            text.unwrap_or("all"),
            1e3 * first,
            1e3 * at(words, 0.5),
            1e3 * at(words, 0.99),
            1e3 * at(vectors, 0.5),
            1e3 * at(vectors, 0.99),
        );
    }
    Ok(())
}
