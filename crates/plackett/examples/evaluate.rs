//! Compare two rankings of the same queries: means with intervals, and a paired test.
//!
//! ```sh
//! cargo run --release --example evaluate
//! ```

use plackett::core::{Qrels, Run};
use plackett::eval::measure::parse_list;
use plackett::eval::{CompareOptions, Policy, compare, evaluate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Judgments and runs usually come from files (`plackett::core::formats::trec`); here they are made by hand: ten
    // queries, each with one relevant document, which the first system puts on top twice and the second eight times.
    let (mut qrels, mut before, mut after) = (Qrels::new(), Run::new("before"), Run::new("after"));
    for number in 0..10 {
        let query = format!("q{number}");
        qrels.query_mut(&query).push("0", "good", 1)?;
        for (run, first) in [(&mut before, number < 2), (&mut after, number > 1)] {
            let entry = run.query_mut(&query);
            entry.push("good", if first { 2.0 } else { 0.5 })?;
            entry.push("other", 1.0)?;
        }
    }

    let measures = parse_list("nDCG@10 RR@10")?;
    let policy = Policy::default();
    let before = evaluate(&qrels, &before, &measures, &policy)?;
    let after = evaluate(&qrels, &after, &measures, &policy)?;
    for evaluation in [&before, &after] {
        for measured in &evaluation.measures {
            let [low, high] = measured.intervals.best().unwrap_or([f64::NAN; 2]);
            println!(
                "{:<7} {:<8} {:.3}  [{low:.3}, {high:.3}]",
                evaluation.name, measured.measure, measured.mean
            );
        }
    }
    let comparison = compare(&before, &[after], &CompareOptions::default())?;
    for compared in &comparison.compared {
        let p = compared.randomisation.corrected_p;
        println!(
            "{} differs by {:+.3}, p = {p:.3} (randomisation, corrected)",
            compared.measure, compared.difference
        );
    }
    // The rules behind every number are part of the result.
    println!("{}", comparison.policy);
    Ok(())
}
