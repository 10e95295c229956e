//! Beam search over a trie of identifiers: seconds and results, as JSON lines on standard output.
//!
//! `beam MODEL f32|auto THREADS IDS WIDTH` reads one identifier a line (token ids, blanks between) and answers each line
//! on standard input, a prompt as a JSON string, with one search. `benches/beam/run` drives it and runs the peer on the
//! same input.

use plackett_lm::Precision;
use plackett_lm::decode::*;
use plackett_lm::decoder::{DecoderModel, DecoderOptions};
use std::io::{BufRead, Write};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

fn identifiers(path: &str) -> Result<Vec<Vec<u32>>, Failure> {
    let content = std::fs::read_to_string(path)?;
    let line = |line: &str| line.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>();
    Ok(content.lines().map(line).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, precision, threads, ids, width] = &arguments[..] else {
        return Err("usage: beam MODEL f32|auto THREADS IDS WIDTH".into());
    };
    let precision = if precision == "f32" { Precision::F32 } else { Precision::Auto };
    let options = DecoderOptions { precision, threads: Some(threads.parse()?), ..DecoderOptions::default() };
    let model = DecoderModel::open(model, &options)?;
    let sequences = identifiers(ids)?;
    let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
    let start = Instant::now();
    let built = TokenTrie::build(&sequences)?;
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, raw) = (built.trie.bytes(), 4 * sequences.iter().map(Vec::len).sum::<usize>());
    let member = TrieConstraint::new(built.trie, None)?;
    println!(
        "{{\"isa\":\"{}\",\"trie_bytes\":{bytes},\"raw_bytes\":{raw},\"duplicates\":{},\
         \"build_seconds\":{seconds}}}",
        model.info().isa.name(),
        built.duplicates.len()
    );
    std::io::stdout().flush()?;
    // Log-probabilities over the whole vocabulary at every token, forced ones too: what transformers sums.
    let mut options = DecodeOptions::new(Strategy::Beam(Beam::new(width.parse()?)));
    options.normalize = Normalize::Vocabulary;
    options.score_forced = true;
    options.max_tokens = longest;
    for line in std::io::stdin().lock().lines() {
        let prompt: String = serde_json::from_str(&line?)?;
        let prompt = model.tokenizer().encode(&prompt, false, true)?;
        let start = Instant::now();
        let mut session = model.session();
        let request =
            DecodeRequest { prefix: session.root(), prompt: &prompt, constraint: &member, index: 0 };
        let decoded = decode(&mut session, &[request], &options)?.remove(0)?;
        let seconds = start.elapsed().as_secs_f64();
        let found: Vec<String> =
            decoded.hypotheses.iter().map(|h| format!("[{:?},{}]", h.tokens, h.log_prob)).collect();
        println!(
            "{{\"seconds\":{seconds},\"prompt\":{prompt:?},\"branches\":{},\"found\":[{}]}}",
            decoded.branches,
            found.join(",")
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
