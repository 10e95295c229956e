//! Prints the index terms of texts: `analyze [ANALYSER] < texts`, one text a line in, one JSON array of terms a line out.

use plackett_search::Analyzer;
use std::io::{BufRead, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "english".into());
    let analyzer = Analyzer::named(&name)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let terms: Vec<String> = analyzer.terms(&line?).into_iter().map(|(term, _)| term).collect();
        serde_json::to_writer(&mut out, &terms)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
