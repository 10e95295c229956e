//! Ranking passages by block attention: seconds of one pass, as JSON lines on standard output.
//!
//! `blocks MODEL THREADS f32|f16|int16|int8 PASSAGES STORE` reads one passage a line and cuts it to 100 tokens. Each line on
//! standard input is `WHAT N LAYERS`: `block` ranks the first N passages from nothing (instruction, blocks, query),
//! `full` lets every token see all tokens before it, `store` writes their blocks to the file STORE, `cached` ranks them
//! with the blocks of that file. The query's attention is read at layer LAYERS − 1 (BlockRank) or, where that is the
//! last, at two thirds of the layers. `benches/blocks/run` drives it.

use plackett_lm::Precision;
use plackett_lm::decoder::*;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// Tokens of a passage (the paper: about 95 % of passages are whole).
const MOST: usize = 100;
/// Tokens of one call of full attention; its cost is that of one call, its buffers are smaller.
const PIECE: usize = 2048;
const INSTRUCTION: &str = "You are given documents, each as ID: <id> | CONTENT: <content> | END ID: <id>. \
                           Read all of them and find those that help to answer the query.\nDocuments:";
const QUERY: &str = "\n====== Now let's start! ======\nPrint the ID of the most relevant document.\nQuery: what are the \
                     health effects of a diet high in saturated fat\nThe following documents help to answer the query:\n\
                     Final Answer: [";

struct Bench {
    model: DecoderModel,
    instruction: Vec<u32>,
    documents: Vec<Vec<u32>>,
    query: Vec<u32>,
    path: PathBuf,
    store: Option<BlockStore>,
}

/// Attention to each document, and how many tokens were computed.
type Ranked = (Vec<f32>, usize);

impl Bench {
    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{n:05}")).collect()
    }

    /// The query block, which sees everything before it; its last two tokens give the signal.
    fn ask(&self, all: &KvCache, lengths: &[usize], layers: usize) -> Result<Vec<f32>, Failure> {
        let depth = self.model.info().layers;
        let layer = if layers < depth { layers - 1 } else { 2 * depth / 3 - 1 };
        let mut keys = Vec::with_capacity(lengths.len());
        let mut start = self.instruction.len();
        for length in lengths {
            keys.push(start..start + length);
            start += length;
        }
        let last = self.query.len() - 1;
        let attention =
            AttentionRequest { layers: &[layer], queries: &[last - 1, last], keys: &keys, summed: true };
        let outputs = OutputRequest { attention: Some(attention), ..OutputRequest::default() };
        let request = Request {
            tokens: &self.query,
            cache: Some(all),
            pattern: AttentionPattern::Causal,
            adapter: None,
            outputs,
        };
        Ok(self.model.forward_until(&[request], layers)?.remove(0).attention)
    }

    fn caches(
        &self,
        texts: &[&[u32]],
        cache: Option<&KvCache>,
        layers: usize,
    ) -> Result<Vec<KvCache>, Failure> {
        let outputs = OutputRequest { cache: true, ..OutputRequest::default() };
        let request = |tokens| Request {
            tokens,
            cache,
            pattern: AttentionPattern::Causal,
            adapter: None,
            outputs: outputs.clone(),
        };
        let requests: Vec<Request> = texts.iter().map(|tokens| request(tokens)).collect();
        let answers = self.model.forward_until(&requests, layers)?;
        Ok(answers.into_iter().filter_map(|answer| answer.cache).collect())
    }

    fn lengths(&self, count: usize) -> Vec<usize> {
        self.documents[..count].iter().map(Vec::len).collect()
    }

    /// Where the query's positions begin, far behind the documents'.
    fn far(&self) -> u32 {
        (self.model.info().positions - 2 * self.query.len()) as u32
    }

    fn block(&self, count: usize, layers: usize) -> Result<Ranked, Failure> {
        let instruction = self.caches(&[&self.instruction], None, layers)?.remove(0);
        let texts: Vec<&[u32]> = self.documents[..count].iter().map(Vec::as_slice).collect();
        let blocks = self.caches(&texts, Some(&instruction), layers)?;
        let all = instruction.followed_by(&blocks)?.at(self.far());
        let scores = self.ask(&all, &self.lengths(count), layers)?;
        Ok((scores, all.tokens() + self.query.len()))
    }

    fn full(&self, count: usize, layers: usize) -> Result<Ranked, Failure> {
        let tokens = [&self.instruction[..], &self.documents[..count].concat()].concat();
        let mut cache = KvCache::default();
        for piece in tokens.chunks(PIECE) {
            // More tokens than the model has positions: each piece begins at 0 again, which changes numbers, not work.
            cache = self.caches(&[piece], Some(&cache.at(0)), layers)?.remove(0);
        }
        let all = cache.at(self.far());
        let scores = self.ask(&all, &self.lengths(count), layers)?;
        Ok((scores, all.tokens() + self.query.len()))
    }

    fn write(&mut self, count: usize, layers: usize) -> Result<Ranked, Failure> {
        self.store = None;
        let mut writer = BlockWriter::create(&self.path, &self.model, &self.instruction, layers)?;
        let names = Bench::names(count);
        let blocks: Vec<(&str, &[u32])> =
            names.iter().map(String::as_str).zip(self.documents.iter().map(Vec::as_slice)).collect();
        for some in blocks.chunks(50) {
            writer.add(some)?;
        }
        writer.finish()?;
        let store = BlockStore::open(&self.path, &self.model)?;
        let tokens = store.blocks().map(|(_, tokens)| tokens).sum();
        self.store = Some(store);
        Ok((Vec::new(), tokens))
    }

    fn cached(&self, count: usize, layers: usize) -> Result<Ranked, Failure> {
        let store = self.store.as_ref().ok_or("no store was written")?;
        let all = store.gather(&Bench::names(count))?.at(self.far());
        Ok((self.ask(&all, &self.lengths(count), layers)?, self.query.len()))
    }
}

fn open(arguments: &[String]) -> Result<Bench, Failure> {
    let [_, model, threads, format, passages, store] = arguments else {
        return Err("usage: blocks MODEL THREADS f32|f16|int16|int8 PASSAGES STORE".into());
    };
    let cache = match format.as_str() {
        "f32" => CacheFormat::F32,
        "f16" => CacheFormat::F16,
        "int16" => CacheFormat::Int16,
        "int8" => CacheFormat::Int8,
        other => return Err(format!("`{other}` is none of f32, f16, int16, int8").into()),
    };
    let options = DecoderOptions {
        precision: Precision::Auto,
        cache: Some(cache),
        threads: Some(threads.parse()?),
        ..DecoderOptions::default()
    };
    let model = DecoderModel::open(model, &options)?;
    let ids = |text: &str| model.tokenizer().encode(text, false, false);
    let documents = std::fs::read_to_string(passages)?
        .lines()
        .enumerate()
        .map(|(n, text)| {
            let mut tokens = ids(&format!("\nID: {n} | CONTENT: {text}"))?;
            let end = ids(&format!(" | END ID: {n}"))?;
            tokens.truncate(MOST - end.len());
            tokens.extend(end);
            Ok(tokens)
        })
        .collect::<Result<Vec<Vec<u32>>, Failure>>()?;
    let (instruction, query) = (ids(INSTRUCTION)?, ids(QUERY)?);
    Ok(Bench { instruction, query, documents, path: store.into(), store: None, model })
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let mut bench = open(&arguments)?;
    let info = bench.model.info();
    let (count, tokens) = (bench.documents.len(), bench.documents.iter().map(Vec::len).sum::<usize>());
    println!(
        "{{\"isa\":\"{}\",\"layers\":{},\"positions\":{},\"passages\":{count},\"tokens\":{tokens},\"instruction\":{},\
         \"query\":{}}}",
        info.isa.name(),
        info.layers,
        info.positions,
        bench.instruction.len(),
        bench.query.len()
    );
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [what, count, layers] = line.split(' ').collect::<Vec<&str>>()[..] else {
            return Err(format!("`{line}` is not WHAT N LAYERS").into());
        };
        let (count, layers): (usize, usize) = (count.parse()?, layers.parse()?);
        if count > bench.documents.len() {
            return Err(format!("{count} passages of {} are wanted", bench.documents.len()).into());
        }
        let start = Instant::now();
        let (scores, tokens) = match what {
            "block" => bench.block(count, layers)?,
            "full" => bench.full(count, layers)?,
            "store" => bench.write(count, layers)?,
            "cached" => bench.cached(count, layers)?,
            other => return Err(format!("`{other}` is not something to measure").into()),
        };
        let seconds = start.elapsed().as_secs_f64();
        let bytes = bench.store.as_ref().map_or(0, BlockStore::file_bytes);
        println!(
            "{{\"seconds\":{seconds},\"tokens\":{tokens},\"file_bytes\":{bytes},\"scores\":{scores:?}}}"
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
