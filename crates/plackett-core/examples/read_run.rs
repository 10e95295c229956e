//! How fast a run is read: `cargo run --release -p plackett-core --example read_run [LINES]`.

use plackett_core::formats::trec::{ReadOptions, parse_run};
use std::fmt::Write;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lines: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let mut text = String::new();
    for line in 0..lines {
        let (query, rank) = (1_000_000 + line / 1000, line % 1000);
        let document = line.wrapping_mul(2_654_435_761) % 8_841_823;
        writeln!(
            text,
            "{query} Q0 {document:07}x{rank} {} {:.6} bm25-default",
            rank + 1,
            30.0 - rank as f64 / 50.0
        )?;
    }
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let started = Instant::now();
        let run = parse_run(text.as_bytes(), "made up", &ReadOptions::default())?;
        best = best.min(started.elapsed().as_secs_f64());
        assert_eq!(run.queries().len(), lines.div_ceil(1000));
    }
    println!(
        "{lines} lines, {} MB: {best:.3} s, {:.0} MB/s",
        text.len() / 1_000_000,
        text.len() as f64 / best / 1e6
    );
    Ok(())
}
