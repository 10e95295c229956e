//! What `eval` and `compare` share: the flags that say what is measured and by which rules, and the reading of files.

use super::Output;
use super::eval_files::Reading;
use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett_core::{Qrels, Run};
use plackett_eval::measure::parse_list;
use plackett_eval::{
    Compat, Duplicates, Evaluation, Evaluator, IntervalOptions, Measure, Missing, Policy, Precision,
    SelfMatch, TieRule, Unjudged,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is measured when nothing is said.
const DEFAULT_MEASURES: &str = "nDCG@10 AP RR@10 P@10 R@100 Judged@10";

/// A parser for policies, which knows their spellings for help and completion.
macro_rules! spelled {
    ($kind:ty) => {
        PossibleValuesParser::new(<$kind>::ALL.iter().map(|value| value.name()))
            .try_map(|text| text.parse::<$kind>())
    };
}

/// What is measured, by which rules, and with which intervals.
#[derive(Args)]
pub struct MeasureArguments {
    /// Measures, as in nDCG@10, 'AP(rel=2)', ndcg_cut_10, official; may be repeated
    #[arg(short, long = "measure", value_name = "MEASURE", help_heading = "What is measured")]
    measures: Vec<String>,
    /// Smallest grade that counts as relevant where a measure does not say (trec_eval's -l)
    #[arg(
        short,
        long,
        value_name = "GRADE",
        allow_negative_numbers = true,
        help_heading = "What is measured"
    )]
    level: Option<i32>,

    /// Rules of another tool; single rules below override it
    #[arg(long, value_parser = spelled!(Compat), value_name = "TOOL", help_heading = "Rules")]
    compat: Option<Compat>,
    /// Order of equal scores [default: docno-desc]
    #[arg(long, value_parser = spelled!(TieRule), value_name = "RULE", help_heading = "Rules")]
    ties: Option<TieRule>,
    /// Judged queries that a run lacks [default: zero]
    #[arg(long, value_parser = spelled!(Missing), value_name = "RULE", help_heading = "Rules")]
    missing: Option<Missing>,
    /// Count judged queries that a run lacks as 0: the same as --missing zero (trec_eval's -c)
    #[arg(short = 'c', long, conflicts_with = "missing", help_heading = "Rules")]
    complete: bool,
    /// Precision in which scores are compared [default: f64]
    #[arg(long, value_parser = spelled!(Precision), value_name = "FLOAT", help_heading = "Rules")]
    scores: Option<Precision>,
    /// Documents whose id is the query's [default: kept]
    #[arg(long, value_parser = spelled!(SelfMatch), value_name = "RULE", help_heading = "Rules")]
    self_match: Option<SelfMatch>,
    /// Documents without a judgment [default: non-relevant]
    #[arg(long, value_parser = spelled!(Unjudged), value_name = "RULE", help_heading = "Rules")]
    unjudged: Option<Unjudged>,
    /// Take documents without a judgment out: the same as --unjudged removed (trec_eval's -J)
    #[arg(short = 'J', long, conflicts_with = "unjudged", help_heading = "Rules")]
    judged_only: bool,
    /// Documents that a run returns twice for one query [default: error]
    #[arg(long, value_parser = spelled!(Duplicates), value_name = "RULE", help_heading = "Rules")]
    duplicates: Option<Duplicates>,
    /// Count only the first N documents of each query (trec_eval's -M)
    #[arg(short = 'M', long, value_name = "N", help_heading = "Rules")]
    depth: Option<usize>,

    /// Split of a BEIR folder
    #[arg(long, value_name = "NAME", default_value = "test", help_heading = "Files")]
    split: String,
    /// Let scores in that are not numbers; their documents stand last
    #[arg(long, help_heading = "Files")]
    keep_nan: bool,

    /// Intervals of the means: bootstrap, analytic (Student's t), or both
    #[arg(long, value_name = "KIND", default_value = "both", value_parser = ["bootstrap", "analytic", "both", "none"],
          help_heading = "Intervals")]
    ci: String,
    /// Samples of the bootstrap
    #[arg(long, value_name = "N", default_value_t = IntervalOptions::default().resamples, help_heading = "Intervals")]
    resamples: usize,
    /// Seed of everything that is drawn; the same seed gives the same numbers
    #[arg(long, value_name = "N", default_value_t = IntervalOptions::default().seed, help_heading = "Intervals")]
    pub seed: u64,
}

impl MeasureArguments {
    /// The measures that were asked for.
    pub fn measures(&self) -> anyhow::Result<Vec<Measure>> {
        let asked = if self.measures.is_empty() { DEFAULT_MEASURES.into() } else { self.measures.join(" ") };
        let measures = parse_list(&asked)?;
        if measures.is_empty() {
            bail!("--measure names no measure; write it as in `-m nDCG@10`");
        }
        Ok(measures)
    }

    /// The rules that were asked for.
    pub fn policy(&self) -> Policy {
        let base = self.compat.map_or_else(Policy::default, Compat::policy);
        let complete = self.complete.then_some(Missing::Zero);
        let judged_only = self.judged_only.then_some(Unjudged::Removed);
        Policy {
            ties: self.ties.unwrap_or(base.ties),
            missing: self.missing.or(complete).unwrap_or(base.missing),
            scores: self.scores.unwrap_or(base.scores),
            self_match: self.self_match.unwrap_or(base.self_match),
            unjudged: self.unjudged.or(judged_only).unwrap_or(base.unjudged),
            duplicates: self.duplicates.unwrap_or(base.duplicates),
            depth: self.depth,
            level: self.level,
        }
    }

    /// How intervals are made.
    pub fn intervals(&self) -> IntervalOptions {
        IntervalOptions {
            bootstrap: matches!(self.ci.as_str(), "bootstrap" | "both"),
            analytic: matches!(self.ci.as_str(), "analytic" | "both"),
            resamples: self.resamples,
            seed: self.seed,
            ..IntervalOptions::default()
        }
    }

    fn reading(&self) -> Reading {
        let truncate_grades = matches!(self.compat, Some(Compat::TrecEval9 | Compat::TrecEval10));
        Reading { split: self.split.clone(), keep_nan: self.keep_nan, truncate_grades }
    }

    fn evaluator(&self) -> anyhow::Result<Evaluator> {
        Ok(Evaluator { measures: self.measures()?, policy: self.policy(), intervals: self.intervals() })
    }
}

/// Judgments, runs and what came of them.
pub struct Evaluated {
    /// The judgments.
    pub qrels: Qrels,
    /// The runs in the order of the command line; empty unless they were to be kept.
    pub runs: Vec<Run>,
    /// One evaluation per run.
    pub evaluations: Vec<Evaluation>,
}

/// Reads and evaluates every run. `keep` holds on to the runs, which a report needs and a table does not.
pub fn evaluate_files(
    qrels_path: &Path,
    run_paths: &[PathBuf],
    arguments: &MeasureArguments,
    keep: bool,
    output: &Output,
) -> anyhow::Result<Evaluated> {
    let evaluator = arguments.evaluator()?;
    let started = Instant::now();
    let reading = arguments.reading();
    let qrels = reading.qrels(qrels_path, &evaluator.policy)?;
    let (mut runs, mut evaluations) = (Vec::new(), Vec::new());
    let mut bar = None;
    for (done, path) in run_paths.iter().enumerate() {
        if started.elapsed() > Duration::from_secs(1) {
            let bar = bar.get_or_insert_with(|| output.progress("evaluating", run_paths.len() as u64));
            bar.set_position(done as u64);
        }
        let run = reading.run(path, &evaluator.policy)?;
        let evaluation = evaluator.evaluate(&qrels, &run).with_context(|| path.display().to_string())?;
        evaluations.push(evaluation);
        if keep {
            runs.push(run);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    name(&mut evaluations, run_paths);
    Ok(Evaluated { qrels, runs, evaluations })
}

/// Runs go by the tag in their file; where two have the same, or one has none, all go by the name of their file.
fn name(evaluations: &mut [Evaluation], paths: &[PathBuf]) {
    let tags: Vec<&str> = evaluations.iter().map(|evaluation| evaluation.name.as_str()).collect();
    let distinct =
        tags.iter().enumerate().all(|(place, tag)| !tag.is_empty() && !tags[..place].contains(tag));
    if distinct {
        return;
    }
    let stems: Vec<String> = paths.iter().map(|path| stem(path)).collect();
    for (place, evaluation) in evaluations.iter_mut().enumerate() {
        let unique = stems.iter().filter(|stem| **stem == stems[place]).count() == 1;
        evaluation.name = if unique { stems[place].clone() } else { paths[place].display().to_string() };
    }
}

fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let known = [".trec", ".txt", ".run", ".tsv"];
    known.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_string()
}
