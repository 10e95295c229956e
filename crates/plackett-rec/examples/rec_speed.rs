//! Recommenders on a file of interactions, as JSON lines on standard output.
//!
//! `rec_speed INTERACTIONS THREADS` keeps the last event of each user back. Each line on standard input is one of
//!
//! - `eval WHICH SEED RECOMMENDER`: fits it and ranks the whole catalogue for what was kept back, without what was seen (`masked`) or with
//!   it (`open`); answers with hit rate, nDCG and reciprocal rank at 10, and the seconds of both parts;
//! - `measure RANKS`: the same measures of given places of what was kept back, with blanks between them, 0 for none;
//! - `train RECOMMENDER`: fits it; answers with the seconds and the events that were predicted in one epoch;
//! - `slots BEAMS`: answers with the seconds that SETRec's slots take for drawn histories over as many items, and those of so many beams over
//!   identifiers of four tokens on the same backbone;
//! - `cache EVENTS CANDIDATES`: answers with what an HSTU takes for one event more and for candidates, with and without what is kept of a
//!   drawn history, on one thread.
//!
//! `benches/rec/run` drives it and runs the peer on the same events.

use plackett_rec::hstu::{CacheShape, measure_cache_speed};
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

struct Bench<'e> {
    split: Training<'e>,
    catalogue: usize,
    threads: usize,
}

impl Bench<'_> {
    fn fitted(&self, recommender: &str, seed: u64) -> Result<(Box<dyn Recommender>, f64), Failure> {
        let begun = Instant::now();
        let compute = Compute::new(self.threads);
        let mut fitting = Fitting { compute, seed, kept: None, progress: &mut |_| {} };
        let data = FitData { catalogue: self.catalogue, sequences: &self.split.sequences, texts: &[] };
        let fitted = parse(recommender)?.fit(&data, &mut fitting)?;
        Ok((fitted, begun.elapsed().as_secs_f64()))
    }

    fn eval(&self, rest: &str) -> Result<Value, Failure> {
        let mut words = rest.splitn(3, ' ');
        let (Some(which), Some(seed), Some(recommender)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("`eval {rest}`: eval masked|open SEED RECOMMENDER is expected").into());
        };
        let exclude_seen = match which {
            "masked" => true,
            "open" => false,
            other => return Err(format!("`{other}` is neither masked nor open").into()),
        };
        let (fitted, fit_seconds) = self.fitted(recommender, seed.parse()?)?;
        let begun = Instant::now();
        let options = EvaluationOptions { exclude_seen, ..EvaluationOptions::default() };
        let ranks = evaluate(&*fitted, &self.split.cases, options)?;
        let seconds = begun.elapsed().as_secs_f64();
        let mut answer = measures(&ranks);
        answer["tied"] = json!(ranks.iter().filter(|rank| rank.tied > 0).count());
        answer["fit_seconds"] = json!(fit_seconds);
        answer["seconds"] = json!(seconds);
        Ok(answer)
    }

    fn train(&self, recommender: &str) -> Result<Value, Failure> {
        let predicted: usize =
            self.split.sequences.iter().map(|sequence| sequence.len().saturating_sub(1)).sum();
        let (_, seconds) = self.fitted(recommender, 1)?;
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

/// The means of the measures at the cut.
fn measures(ranks: &[TargetRank]) -> Value {
    let mean = |of: fn(&TargetRank) -> f64| ranks.iter().map(of).sum::<f64>() / ranks.len().max(1) as f64;
    json!({
        "hit": mean(|rank| rank.hit(CUT)),
        "ndcg": mean(|rank| rank.ndcg(CUT)),
        "mrr": mean(|rank| rank.reciprocal(CUT)),
    })
}

/// The measures of given places; 0 is a place behind the cut.
fn measure(places: &str) -> Result<Value, Failure> {
    let rank = |place: &str| -> Result<TargetRank, Failure> {
        let rank = match place.parse::<usize>()? {
            0 => usize::MAX,
            place => place,
        };
        Ok(TargetRank { rank, tied: 0, list: Vec::new() })
    };
    Ok(measures(&places.split_whitespace().map(rank).collect::<Result<Vec<_>, Failure>>()?))
}

/// An HSTU of the size of the paper's small runs.
fn cache(sizes: &str) -> Result<Value, Failure> {
    let Some((events, candidates)) = sizes.split_once(' ') else {
        return Err(format!("`cache {sizes}`: cache EVENTS CANDIDATES is expected").into());
    };
    let shape = CacheShape {
        catalogue: 2000,
        width: 50,
        blocks: 2,
        events: events.parse()?,
        candidates: candidates.parse()?,
        micro_batch: 96,
        rounds: 5,
    };
    let speed = measure_cache_speed(&shape, 1)?;
    Ok(json!({
        "append_seconds": speed.append,
        "read_seconds": speed.read,
        "candidates_seconds": speed.candidates,
        "one_by_one_seconds": speed.one_by_one,
        "recomputed_seconds": speed.recomputed,
        "difference": speed.difference,
        "candidate_difference": speed.candidate_difference,
        "order_difference": speed.order_difference,
    }))
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads] = arguments.as_slice() else {
        return Err("rec_speed INTERACTIONS THREADS".into());
    };
    let threads = threads.parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let begun = Instant::now();
    let all = read_interactions(Path::new(path), None)?;
    let read_seconds = begun.elapsed().as_secs_f64();
    let bench = Bench { split: leave_last_out(&all, 0), catalogue: all.items.len(), threads };
    let mut out = std::io::stdout().lock();
    let (users, items) = (all.users.len(), all.items.len());
    let facts = json!({"users": users, "items": items, "events": all.events(), "read_seconds": read_seconds});
    writeln!(out, "{facts}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let answer = match line.split_once(' ') {
            Some(("eval", recommender)) => bench.eval(recommender)?,
            Some(("train", recommender)) => bench.train(recommender)?,
            Some(("measure", places)) => measure(places)?,
            Some(("cache", sizes)) => cache(sizes)?,
            Some(("slots", beams)) => bench.slots(beams.parse()?)?,
            _ => return Err(format!("`{line}` is no command").into()),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
