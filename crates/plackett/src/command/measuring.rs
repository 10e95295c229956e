//! What `eval` and `compare` share: the flags that say what is measured and by which rules, and the reading of files.

use super::eval_files::{JudgmentFormat, Judgments, Reading};
use super::number::{FlagParser, whole};
use super::{Global, Output};
use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett_core::formats::trec::Comments;
use plackett_core::formats::{BeirFolder, Remarks};
use plackett_core::{Qrels, Run};
use plackett_eval::measure::{Value, asks_for_run_id, parse_list, parse_trec_list};
use plackett_eval::{
    Compat, Duplicates, EvalError, Evaluation, Evaluator, IntervalOptions, Measure, Missing, Policy,
    Precision, RecallCut, SelfMatch, TieRule, Unjudged,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is measured when nothing is said.
const DEFAULT_MEASURES: &str = "nDCG@10 AP RR@10 P@10 R@100 Judged@10";
/// The same on preferences.
const DEFAULT_PREFERENCES: &str = "Prefs PrefsPair PrefsGroup PrefsRet NumPrefs";
/// The same where trec_eval's lines are asked for and its rules.
const DEFAULT_TREC_EVAL: &str = "official";

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
        value_parser = whole::<i32>(..),
        help_heading = "What is measured"
    )]
    level: Option<i32>,
    /// Documents of the collection, for Utility's rest (trec_eval's -N)
    #[arg(short = 'N', long, value_name = "N", value_parser = whole::<u64>(0..), help_heading = "What is measured")]
    collection_size: Option<u64>,

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
    #[arg(short = 'M', long, value_name = "N", value_parser = whole::<usize>(1..), help_heading = "Rules")]
    depth: Option<usize>,
    /// How many relevant documents a recall level of IPrec asks for, where it is no whole number [default: up]
    #[arg(long, value_parser = spelled!(RecallCut), value_name = "RULE", help_heading = "Rules")]
    recall_cut: Option<RecallCut>,

    /// What the judgments are: grades (qrels), grades of several judgment groups (qrels_jg), preferences in five columns
    /// (prefs), or grades taken for preferences (qrels_prefs); trec_eval's -R
    #[arg(short = 'R', long = "judgments", value_name = "FORMAT", value_parser = JudgmentFormat::parser(),
          default_value = "qrels", help_heading = "Files")]
    format: JudgmentFormat,
    /// Split of a BEIR folder [default: test]
    #[arg(long, value_name = "NAME", help_heading = "Files")]
    split: Option<String>,
    /// Let scores in that are not numbers; their documents stand last
    #[arg(long, help_heading = "Files")]
    keep_nan: bool,

    /// Intervals of the means: bootstrap, analytic (Student's t), or both
    #[arg(long, value_name = "KIND", default_value = "both", value_parser = ["bootstrap", "analytic", "both", "none"],
          help_heading = "Intervals")]
    ci: String,
    /// Samples of the bootstrap [default: 10000]
    #[arg(long, value_name = "N", value_parser = draws(), help_heading = "Intervals")]
    resamples: Option<usize>,
    /// Seed of everything that is drawn; the same seed gives the same numbers [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..), help_heading = "Intervals")]
    seed: Option<u64>,
}

impl MeasureArguments {
    /// The measures that were asked for.
    pub fn measures(&self, trec_lines: bool) -> anyhow::Result<Vec<Measure>> {
        let asked = self.asked(trec_lines);
        let parse = if self.is_trec_eval() { parse_trec_list } else { parse_list };
        let mut measures = parse(&asked)?;
        if measures.is_empty() {
            bail!("--measure names no measure; write it as in `-m nDCG@10`");
        }
        if let Some(size) = self.collection_size {
            let sized: Vec<Measure> = measures
                .iter()
                .map(|m| m.with("collection", Value::Number(size as f64)).unwrap_or_else(|| m.clone()))
                .collect();
            if sized == measures && size > 0 {
                bail!("--collection-size {size}: none of the measures reads it; Utility does");
            }
            measures = sized;
        }
        Ok(measures)
    }

    fn asked(&self, trec_lines: bool) -> String {
        match (self.measures.is_empty(), trec_lines && self.is_trec_eval(), self.format.is_preferences()) {
            (false, ..) => self.measures.join(" "),
            (_, true, _) => DEFAULT_TREC_EVAL.into(),
            (_, _, true) => DEFAULT_PREFERENCES.into(),
            _ => DEFAULT_MEASURES.into(),
        }
    }

    /// Whether the rules and names are those of trec_eval.
    pub fn is_trec_eval(&self) -> bool {
        self.compat.is_some_and(Compat::is_trec_eval)
    }

    /// Whether trec_eval's lines name the run: always, but as trec_eval has it under its rules.
    pub fn names_the_run(&self) -> bool {
        !self.is_trec_eval() || asks_for_run_id(&self.asked(true))
    }

    /// Whether the judgments are preferences.
    pub fn on_preferences(&self) -> bool {
        self.format.is_preferences()
    }

    /// Refuses flags that would change nothing. `drawn`: whether something is drawn beside the bootstrap; `more`: whether
    /// something beside the measures reads the level.
    pub fn check(&self, trec_lines: bool, drawn: bool, more: bool) -> anyhow::Result<()> {
        let bootstrap = matches!(self.ci.as_str(), "bootstrap" | "both");
        if let (Some(resamples), false) = (self.resamples, bootstrap) {
            bail!("--resamples {resamples}: --ci {} draws no samples; leave one of them out", self.ci);
        }
        if let (Some(seed), false) = (self.seed, bootstrap || drawn) {
            bail!("--seed {seed}: with --ci {} nothing is drawn; leave one of them out", self.ci);
        }
        if let (Some(level), false) = (self.level, more)
            && !self.measures(trec_lines)?.iter().any(Measure::reads_level)
        {
            bail!(
                "--level {level}: none of the measures reads it; leave it out (measures of grades, such as nDCG, have no \
                 level, and a measure may name its own, as in AP(rel=2))"
            );
        }
        if let (Some(cut), false) =
            (self.recall_cut, self.measures(trec_lines)?.iter().any(Measure::reads_recall_cut))
        {
            bail!("--recall-cut {cut}: none of the measures reads it; leave it out (IPrec and IPrec11 do)");
        }
        Ok(())
    }

    /// The seed of everything that is drawn.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(IntervalOptions::default().seed)
    }

    /// The file of the judgments, which in a BEIR folder is that of the split.
    pub fn judgments_file(&self, qrels: &Path) -> PathBuf {
        let split = self.split.as_deref().unwrap_or("test");
        let file = qrels.is_dir().then(|| BeirFolder::at(qrels).qrels_file(split).ok()).flatten();
        file.unwrap_or_else(|| qrels.to_path_buf())
    }

    /// The rules that were asked for.
    pub fn policy(&self) -> Policy {
        let base = self.compat.map_or_else(Policy::default, Compat::policy);
        let complete = self.complete.then_some(Missing::Zero);
        let judged_only = self.judged_only.then_some(Unjudged::Removed);
        // On preferences, trec_eval orders equal scores the other way round.
        let ascending = self.on_preferences() && self.is_trec_eval();
        let ties = if ascending { TieRule::DocnoAsc } else { base.ties };
        Policy {
            ties: self.ties.unwrap_or(ties),
            missing: self.missing.or(complete).unwrap_or(base.missing),
            scores: self.scores.unwrap_or(base.scores),
            self_match: self.self_match.unwrap_or(base.self_match),
            unjudged: self.unjudged.or(judged_only).unwrap_or(base.unjudged),
            duplicates: self.duplicates.unwrap_or(base.duplicates),
            recall_cut: self.recall_cut.unwrap_or(base.recall_cut),
            depth: self.depth,
            level: self.level,
        }
    }

    /// How intervals are made.
    pub fn intervals(&self) -> IntervalOptions {
        IntervalOptions {
            bootstrap: matches!(self.ci.as_str(), "bootstrap" | "both"),
            analytic: matches!(self.ci.as_str(), "analytic" | "both"),
            resamples: self.resamples.unwrap_or(IntervalOptions::default().resamples),
            seed: self.seed(),
            ..IntervalOptions::default()
        }
    }

    fn reading(&self, global: &Global) -> Reading {
        Reading {
            format: self.format,
            split: self.split.clone(),
            keep_nan: self.keep_nan,
            truncate_grades: self.is_trec_eval(),
            comments: match self.compat {
                Some(Compat::TrecEval9) => Comments::None,
                Some(Compat::TrecEval10) => Comments::Hash,
                _ => Comments::HashBlank,
            },
            extra_fields: self.is_trec_eval(),
            line_limit: global.max_line_bytes,
            remarks: Remarks::default(),
        }
    }

    fn evaluator(&self, trec_lines: bool) -> anyhow::Result<Evaluator> {
        let measures = self.measures(trec_lines)?;
        Ok(Evaluator { measures, policy: self.policy(), intervals: self.intervals() })
    }
}

/// Judgments, runs and what came of them.
pub struct Evaluated {
    /// The judgments; empty where they are preferences.
    pub qrels: Qrels,
    /// The runs in the order of the command line; empty unless they were to be kept.
    pub runs: Vec<Run>,
    /// One evaluation per run.
    pub evaluations: Vec<Evaluation>,
}

impl Evaluated {
    /// Every remark, with the name of its run.
    pub fn remarks(&self) -> Vec<String> {
        let of = |evaluation: &Evaluation| {
            let name = evaluation.name.clone();
            evaluation.remarks().into_iter().map(move |remark| format!("{name}: {remark}"))
        };
        self.evaluations.iter().flat_map(of).collect()
    }

    /// One line for each run: how many queries it answers, and every remark.
    pub fn accounts(&self) -> String {
        let line = |evaluation: &Evaluation| {
            let answered = evaluation.account.answered();
            let mut remarks = evaluation.remarks();
            if evaluation.account.is_complete() {
                remarks.insert(0, answered);
            } else if let Some(first) = remarks.first_mut() {
                *first = format!("WARNING: {first}");
            }
            format!("{}: {}\n", evaluation.name, remarks.join("; "))
        };
        self.evaluations.iter().map(line).collect()
    }
}

/// Reads and evaluates every run. `keep` holds on to the runs, which a report needs and a table does not; `trec_lines` says
/// that trec_eval's lines are wanted.
pub fn evaluate_files(
    qrels_path: &Path,
    run_paths: &[PathBuf],
    arguments: &MeasureArguments,
    keep: bool,
    trec_lines: bool,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Evaluated> {
    let evaluator = arguments.evaluator(trec_lines)?;
    let started = Instant::now();
    let reading = arguments.reading(global);
    let judgments = reading.judgments(qrels_path, &evaluator.policy)?;
    let (mut runs, mut evaluations) = (Vec::new(), Vec::new());
    let mut bar = None;
    for (done, path) in run_paths.iter().enumerate() {
        if started.elapsed() > Duration::from_secs(1) {
            let bar = bar.get_or_insert_with(|| output.progress("evaluating", run_paths.len() as u64));
            bar.set_position(done as u64);
        }
        let run = reading.run(path, &evaluator.policy)?;
        reading.remarks.take().iter().for_each(|remark| output.warn(remark));
        let evaluation = match &judgments {
            Judgments::Grades(qrels) => evaluator.evaluate(qrels, &run),
            Judgments::Preferences(preferences) => evaluator.evaluate_preferences(preferences, &run),
        };
        let evaluation = evaluation.map_err(with_flags).with_context(|| path.display().to_string())?;
        evaluations.push(evaluation);
        if keep {
            runs.push(run);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    name(&mut evaluations, run_paths);
    let qrels = match judgments {
        Judgments::Grades(qrels) => qrels,
        Judgments::Preferences(_) => Qrels::new(),
    };
    Ok(Evaluated { qrels, runs, evaluations })
}

/// What can be done about an error of the rules, by the names that the flags have here.
fn with_flags(error: EvalError) -> anyhow::Error {
    let remedy = match &error {
        EvalError::MissingQueries { .. } => {
            "--missing zero counts 0 for them, and --missing skip leaves them out"
        }
        EvalError::DuplicateDocument { .. } | EvalError::DuplicateJudgment { .. } => {
            "mend the file, or let --duplicates first or last say which counts"
        }
        _ => return error.into(),
    };
    anyhow::anyhow!("{error}; {remedy}")
}

/// Most samples that are drawn: their means are kept, and more of them make no interval or p-value better.
const MOST_DRAWS: i128 = 1_000_000;

/// Reads a number of samples to draw.
pub fn draws() -> FlagParser<usize> {
    whole(1..=MOST_DRAWS)
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
        let path = paths[place].display().to_string();
        let before = paths[..place].iter().filter(|other| **other == paths[place]).count();
        evaluation.name = match (unique, before) {
            (true, _) => stems[place].clone(),
            (false, 0) => path,
            // The same file once more.
            (false, before) => format!("{path} ({})", before + 1),
        };
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
