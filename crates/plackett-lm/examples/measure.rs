//! Speed of the engine on token sequences: tokens per second, as JSON lines on standard output.
//!
//! `measure MODEL_DIR f32|int8 THREADS FILE` reads one sequence of token ids per line (blanks between ids), runs each
//! batch (blank line between batches) in one call, and prints the wall time of each repetition that a line on standard
//! input asks for (`5`: five repetitions; `bare 5`: five times only the matrix products of as many tokens). A FILE whose name ends in `.texts` holds one text per line instead; all of them are one call, with
//! tokenisation. `benches/encoder/run` drives it and runs the peers on the same input.

use plackett_lm::{EmbedOptions, EncoderModel, EncoderOptions, LmError, Precision, Sequence};
use std::io::{BufRead, Write};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

/// What is measured.
enum Work {
    Sequences(Vec<Vec<Sequence>>),
    Texts(Vec<String>),
}

impl Work {
    fn run(&self, model: &EncoderModel) -> Result<(), LmError> {
        match self {
            Work::Sequences(batches) => {
                for batch in batches {
                    std::hint::black_box(model.embed_sequences(batch)?);
                }
            }
            Work::Texts(texts) => {
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                std::hint::black_box(model.embed(&texts, &EmbedOptions::default())?);
            }
        }
        Ok(())
    }
}

/// One text per line, and how many tokens they have.
fn texts(model: &EncoderModel, content: &str) -> Result<(Work, usize), Failure> {
    let texts: Vec<String> = content.lines().map(str::to_string).collect();
    let views: Vec<&str> = texts.iter().map(String::as_str).collect();
    let tokens = model.sequences(&views, &EmbedOptions::default())?.iter().map(Sequence::len).sum();
    Ok((Work::Texts(texts), tokens))
}

/// Batches of token sequences, and how many tokens they have.
fn sequences(content: &str) -> Result<(Work, usize), Failure> {
    let mut batches: Vec<Vec<Sequence>> = vec![Vec::new()];
    for line in content.lines() {
        if line.is_empty() {
            batches.push(Vec::new());
        } else {
            let ids: Result<Vec<u32>, _> = line.split(' ').map(str::parse).collect();
            if let Some(batch) = batches.last_mut() {
                batch.push(Sequence::single(ids?));
            }
        }
    }
    batches.retain(|batch| !batch.is_empty());
    let tokens = batches.iter().flatten().map(Sequence::len).sum();
    Ok((Work::Sequences(batches), tokens))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, precision, threads, file] = &arguments[..] else {
        return Err("usage: measure MODEL_DIR f32|int8 THREADS FILE".into());
    };
    let options = EncoderOptions {
        precision: if precision == "int8" { Precision::Int8 } else { Precision::F32 },
        threads: Some(threads.parse()?),
        memory_budget: None,
    };
    let model = EncoderModel::open(directory, &options)?;
    let content = std::fs::read_to_string(file)?;
    let (work, tokens) =
        if file.ends_with(".texts") { texts(&model, &content)? } else { sequences(&content)? };
    // One repetition for each line that the driver sends, so that peers can take turns.
    println!("{{\"ready\":true,\"tokens\":{tokens},\"isa\":\"{}\"}}", model.info().isa.name());
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let bare = line.strip_prefix("bare ");
        let repetitions: usize = bare.unwrap_or(&line).trim().parse()?;
        let start = Instant::now();
        for _ in 0..repetitions {
            match bare {
                Some(_) => model.products_alone(tokens),
                None => work.run(&model)?,
            }
        }
        println!("{{\"seconds\":{}}}", start.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
