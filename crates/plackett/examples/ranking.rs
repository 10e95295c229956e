//! Seconds of rankings by prompts, as JSON lines on standard output; `benches/ranking/run` drives it.
//!
//! `ranking MODEL THREADS PASSAGES FOLDER` reads one passage a line. Each line on standard input is `HOW N QUERY-NUMBER METHOD`,
//! with the method as in a pipeline: `plain` ranks the first N passages, `alone` without sharing beginnings of prompts, `blocks`
//! with the block index in FOLDER. `store N - METHOD` makes that block index of the first N passages, and `prompts` gives what
//! the model read.

use plackett::core::pipeline::Pipeline as Expression;
use plackett::core::{Document, Query, RankRequest};
use plackett::lm::decoder::DecoderOptions;
use plackett::rank::audit::{Audit, CallRecord};
use plackett::rank::engine::{BlockIndexWriter, Decoder};
use plackett::rank::method::OptionValues;
use plackett::rank::{Abilities, MethodSpec, Settings, block_recipe};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const QUERIES: [&str; 3] = [
    "what are the health effects of a diet high in saturated fat",
    "does vitamin d protect against infections",
    "how is blood pressure related to salt",
];

struct Bench {
    decoder: Arc<Decoder>,
    alone: Arc<Decoder>,
    documents: Vec<Document>,
    folder: PathBuf,
    blocks: Option<Arc<dyn Abilities>>,
}

/// Prompts as the model read them.
#[derive(Default)]
struct Written(Mutex<Vec<String>>);

impl Audit for Written {
    fn record(&self, calls: &[CallRecord]) {
        if let Ok(mut all) = self.0.lock() {
            all.extend(calls.iter().filter_map(|call| call.written.clone()));
        }
    }
}

/// A method and its options.
fn read(expression: &str) -> Result<(&'static MethodSpec, OptionValues), Failure> {
    let parsed: Expression = expression.parse()?;
    let [stage] = parsed.stages.as_slice() else { return Err("one method is expected".into()) };
    let spec = MethodSpec::find(&stage.name)?;
    let options = stage.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok((spec, spec.values(options)?))
}

impl Bench {
    fn rank(
        &self,
        model: Arc<dyn Abilities>,
        count: usize,
        (query, prompts): (usize, bool),
        method: &str,
    ) -> Result<Value, Failure> {
        let (spec, options) = read(method)?;
        let written = Arc::new(Written::default());
        let audit = prompts.then(|| written.clone() as Arc<dyn Audit>);
        let ranker = spec.ranker(model, options, Settings { audit, ..Settings::default() })?;
        let query = Query::new("q", QUERIES[query % QUERIES.len()]);
        let request = RankRequest::new(query, self.documents[..count].iter().cloned());
        let start = Instant::now();
        let ranking = ranker.rank(std::slice::from_ref(&request)).remove(0)?;
        let seconds = start.elapsed().as_secs_f64();
        let ids: Vec<&str> = ranking.entries.iter().map(|entry| entry.id.as_str()).collect();
        let facts: serde_json::Map<String, Value> =
            ranking.trace.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        Ok(json!({
            "seconds": seconds, "ids": ids, "passes": ranking.trace.passes, "prompt_tokens": ranking.trace.prompt_tokens,
            "generated_tokens": ranking.trace.generated_tokens, "facts": facts,
            "written": written.0.lock().map(|all| all.clone()).unwrap_or_default(),
        }))
    }

    fn store(&mut self, count: usize, method: &str) -> Result<Value, Failure> {
        self.blocks = None;
        if self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        let recipe = block_recipe(&read(method)?.1)?;
        let start = Instant::now();
        let mut writer = BlockIndexWriter::open(&self.folder, &self.decoder, "bench", Some(&recipe))?;
        let documents = self.documents[..count].iter().cloned().map(Ok);
        let done = writer.update(documents, |_| {})?;
        let seconds = start.elapsed().as_secs_f64();
        drop(writer);
        self.blocks = self.decoder.clone().with_stored_blocks(&self.folder).transpose()?;
        Ok(json!({"seconds": seconds, "bytes": done.bytes, "blocks": done.with_block}))
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, threads, passages, folder] = &arguments[..] else {
        return Err("usage: ranking MODEL THREADS PASSAGES FOLDER".into());
    };
    let options = DecoderOptions { threads: Some(threads.parse()?), ..DecoderOptions::default() };
    let decoder = Arc::new(Decoder::open(model.as_ref(), &options)?);
    let lines = std::fs::read_to_string(passages)?;
    let documents: Vec<Document> =
        lines.lines().enumerate().map(|(n, text)| Document::new(format!("p{n:04}"), text)).collect();
    let alone = Arc::new(decoder.without_prefix_sharing());
    let mut bench = Bench { decoder, alone, documents, folder: folder.into(), blocks: None };
    let info = bench.decoder.info();
    let facts = json!({
        "isa": info.isa.name(), "layers": info.layers, "passages": bench.documents.len(), "queries": QUERIES,
    });
    println!("{facts}");
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [how, count, query, method] = line.splitn(4, ' ').collect::<Vec<&str>>()[..] else {
            return Err(format!("`{line}` is not HOW N QUERY METHOD").into());
        };
        let count: usize = count.parse()?;
        if count > bench.documents.len() {
            return Err(format!("{count} passages of {} are wanted", bench.documents.len()).into());
        }
        let query = query.parse().unwrap_or(0);
        let answer = match how {
            "plain" => bench.rank(bench.decoder.clone(), count, (query, false), method)?,
            "prompts" => bench.rank(bench.decoder.clone(), count, (query, true), method)?,
            "alone" => bench.rank(bench.alone.clone(), count, (query, false), method)?,
            "blocks" => match &bench.blocks {
                Some(model) => bench.rank(model.clone(), count, (query, false), method)?,
                None => return Err("no block index was made; ask for `store` first".into()),
            },
            "store" => bench.store(count, method)?,
            other => return Err(format!("`{other}` is not something to measure").into()),
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
