//! The residual quantiser over vectors in a file, as JSON lines on standard output.
//!
//! `quantizer_speed VECTORS ROWS DIMENSION THREADS` maps a file of little-endian f32, row after row. Each line on standard input is
//! `LEVELS CODES BEAM ROUNDS PER_CODE`: learns codebooks, writes all vectors with them, and answers with the seconds of both and the mean
//! squared distance of a vector from what its codes stand for. `benches/gr/run` drives it and runs the peer on the same file.

use plackett_ids::{ResidualQuantizer, ResidualSettings, VectorTable};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, Write};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

fn answer(line: &str, vectors: &VectorTable) -> Result<Value, Failure> {
    let numbers: Vec<usize> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [levels, codes, beam, rounds, per_code] = numbers[..] else {
        return Err(format!("`{line}` is no command").into());
    };
    let settings = ResidualSettings { levels, codes, rounds, beam, per_code, seed: 1 };
    let begun = Instant::now();
    let quantizer = ResidualQuantizer::train(vectors, &settings)?;
    let trained = begun.elapsed().as_secs_f64();
    let codes = quantizer.encode(vectors)?;
    let encoded = begun.elapsed().as_secs_f64() - trained;
    let mut error = 0.0;
    let dimension = vectors.dimension();
    let mut row = vec![0.0; dimension];
    for (at, codes) in codes.chunks(quantizer.levels()).enumerate() {
        vectors.read(at, &mut row)?;
        error += row.iter().zip(quantizer.decode(codes)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    }
    Ok(json!({
        "train_seconds": trained,
        "encode_seconds": encoded,
        "error": error / vectors.rows() as f64,
        "learned_from": quantizer.learned_from(),
    }))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, dimension, threads] = &arguments[..] else {
        return Err("usage: quantizer_speed VECTORS ROWS DIMENSION THREADS".into());
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    // The peer has the vectors in memory too.
    let vectors = VectorTable::in_file(File::open(path)?, rows.parse()?, dimension.parse()?).into_memory()?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({"rows": vectors.rows(), "dimension": vectors.dimension()}))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        writeln!(out, "{}", answer(&line?, &vectors)?)?;
        out.flush()?;
    }
    Ok(())
}
