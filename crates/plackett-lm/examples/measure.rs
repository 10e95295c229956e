//! Speed of the engine on token sequences: tokens per second, as JSON lines on standard output.
//!
//! `measure MODEL_DIR f32|int8 THREADS FILE` reads one sequence of token ids per line (blanks between ids), runs each
//! "batch" (blank line between batches) once to warm up, then prints the wall time of each repetition. It is driven by
//! `benches/encoder/run`, which runs the peers on the same sequences.

use plackett_lm::{EncoderModel, EncoderOptions, Precision, Sequence};
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
    let mut batches: Vec<Vec<Sequence>> = vec![Vec::new()];
    for line in std::fs::read_to_string(file)?.lines() {
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
    let tokens: usize = batches.iter().flatten().map(Sequence::len).sum();
    // One repetition for each line that the driver sends, so that peers can take turns.
    println!("{{\"ready\":true,\"tokens\":{tokens},\"isa\":\"{}\"}}", model.info().isa.name());
    std::io::stdout().flush()?;
    for line in std::io::stdin().lock().lines() {
        let repetitions: usize = line?.trim().parse()?;
        let start = Instant::now();
        for _ in 0..repetitions {
            for batch in &batches {
                std::hint::black_box(model.embed_sequences(batch)?);
            }
        }
        println!("{{\"seconds\":{}}}", start.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
