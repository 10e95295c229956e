//! Recommenders on a file of interactions, as JSON lines on standard output.
//!
//! `rec_speed INTERACTIONS THREADS` keeps the last event of each user back. Each line on standard input is one of
//!
//! - `eval RECOMMENDER`: fits it and ranks the whole catalogue for what was kept back, without what was seen; answers with hit rate,
//!   nDCG and reciprocal rank at 10, and the seconds of both parts;
//! - `train RECOMMENDER`: fits it; answers with the seconds and the events that were predicted in one epoch;
//! - `slots BEAMS`: answers with the seconds that SETRec's slots take for drawn histories over as many items, and those of so many beams over
//!   identifiers of four tokens on the same backbone.
//!
//! `benches/rec/run` drives it and runs the peer on the same events.

use plackett_rec::setrec::{SetRecConfig, SpeedShape, measure_speed};
use plackett_rec::{
    EvaluationOptions, FitData, Fitting, Recommender, TargetRank, Training, evaluate, leave_last_out, parse,
    read_interactions,
};
use plackett_train::Compute;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

const CUT: usize = 10;

struct Bench {
    split: Training,
    catalogue: usize,
    threads: usize,
}

impl Bench {
    fn fitted(&self, recommender: &str) -> Result<(Box<dyn Recommender>, f64), Failure> {
        let begun = Instant::now();
        let compute = Compute::new(self.threads);
        let mut fitting = Fitting { compute, seed: 1, kept: None, progress: &mut |_| {} };
        let data = FitData { catalogue: self.catalogue, sequences: &self.split.sequences };
        let fitted = parse(recommender)?.fit(&data, &mut fitting)?;
        Ok((fitted, begun.elapsed().as_secs_f64()))
    }

    fn eval(&self, recommender: &str) -> Result<Value, Failure> {
        let (fitted, fit_seconds) = self.fitted(recommender)?;
        let begun = Instant::now();
        let ranks = evaluate(&*fitted, &self.split.cases, EvaluationOptions::default())?;
        let seconds = begun.elapsed().as_secs_f64();
        let mean = |of: fn(&TargetRank) -> f64| ranks.iter().map(of).sum::<f64>() / ranks.len().max(1) as f64;
        Ok(json!({
            "hit": mean(|rank| rank.hit(CUT)),
            "ndcg": mean(|rank| rank.ndcg(CUT)),
            "mrr": mean(|rank| if rank.rank <= CUT { rank.reciprocal() } else { 0.0 }),
            "fit_seconds": fit_seconds,
            "seconds": seconds,
        }))
    }

    fn train(&self, recommender: &str) -> Result<Value, Failure> {
        let predicted: usize =
            self.split.sequences.iter().map(|sequence| sequence.len().saturating_sub(1)).sum();
        let (_, seconds) = self.fitted(recommender)?;
        Ok(json!({"seconds": seconds, "predicted": predicted}))
    }

    fn slots(&self, beams: usize) -> Result<Value, Failure> {
        let config = SetRecConfig {
            width: 48,
            blocks: 2,
            heads: 2,
            max_items: 20,
            collaborative: true,
            semantic: 4,
            sparse: true,
        };
        let (catalogue, histories, rounds) = (self.catalogue, 128, 5);
        let shape = SpeedShape { config, catalogue, levels: 4, codebook: 256, beams, histories, rounds };
        let speed = measure_speed(&shape, &Compute::new(self.threads), 1)?;
        Ok(json!({"slots_seconds": speed.slots, "beams_seconds": speed.beams}))
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads] = arguments.as_slice() else {
        return Err("rec_speed INTERACTIONS THREADS".into());
    };
    let threads = threads.parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let all = read_interactions(Path::new(path), None)?;
    let bench = Bench { split: leave_last_out(&all, 0), catalogue: all.items.len(), threads };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({"users": all.users.len(), "items": all.items.len(), "events": all.events()}))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("eval", recommender)) => bench.eval(recommender)?,
            Some(("train", recommender)) => bench.train(recommender)?,
            Some(("slots", beams)) => bench.slots(beams.parse()?)?,
            _ => return Err(format!("`{line}` is no command").into()),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
