//! One run against judgments.

use crate::account::{Account, Depth};
use crate::interval::{IntervalOptions, Intervals};
use crate::judging::{Pool, QueryAccount, Setting, judge, needs_second_column, nothing_returned};
use crate::measure::{Aggregate, Measure, Needs};
use crate::policy::{Missing, Policy};
use indexmap::IndexMap;
use plackett_core::{Preferences, Qrels, QueryQrels, Run};
use rayon::prelude::*;

/// Why a run could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The judgments hold no query.
    #[error("there are no judgments; a qrels file has lines `query 0 document grade`")]
    NoJudgments,
    /// No measure was asked for.
    #[error("no measure was asked for; name some, as in `nDCG@10 AP`")]
    NoMeasures,
    /// A measure over preferences, and plain judgments.
    #[error(
        "{measure} is measured on preferences between documents, and these are judgments; give a file of preferences with \
         `--judgments prefs` (or `qrels_prefs`, where the grades of judgments are taken for preferences)"
    )]
    NeedsPreferences {
        /// The measure.
        measure: String,
    },
    /// A measure over judgments, and preferences.
    #[error(
        "{measure} is measured on judgments, and these are preferences between documents; ask for Prefs, PrefsPair or \
         another measure of preferences, or read the file as judgments"
    )]
    NeedsJudgments {
        /// The measure.
        measure: String,
    },
    /// Preferences that cannot all hold.
    #[error("the preferences of query `{query}`: {problem}; mend the file")]
    Preferences {
        /// The query.
        query: String,
        /// What contradicts what.
        problem: String,
    },
    /// Judgments and run speak of different queries.
    #[error(
        "run `{run}` and the judgments have no query in common (the run has `{in_run}`, the judgments have \
         `{in_qrels}`); are the files of the same collection, in the order QRELS RUN?"
    )]
    NoCommonQuery {
        /// The run's name.
        run: String,
        /// The first query of the run.
        in_run: String,
        /// The first judged query.
        in_qrels: String,
    },
    /// The policy `missing=skip` leaves no query.
    #[error(
        "run `{run}` has none of the {judged} judged queries, and missing=skip leaves nothing to average"
    )]
    NothingCounted {
        /// The run's name.
        run: String,
        /// How many are judged.
        judged: usize,
    },
    /// The policy `missing=error` met a judged query that the run lacks.
    #[error(
        "run `{run}` lacks {count} of {judged} judged queries (the first is `{first}`) and the policy is missing=error"
    )]
    MissingQueries {
        /// The run's name.
        run: String,
        /// How many are missing.
        count: usize,
        /// How many are judged.
        judged: usize,
        /// The first of them.
        first: String,
    },
    /// The policy `duplicates=error` met a document twice under one query of a run.
    #[error(
        "run `{run}` returns document `{document}` twice for query `{query}` and the policy is duplicates=error"
    )]
    DuplicateDocument {
        /// The run's name.
        run: String,
        /// The query.
        query: String,
        /// The document.
        document: String,
    },
    /// The policy `duplicates=error` met a document judged twice for one query and subtopic.
    #[error("document `{document}` is judged twice for query `{query}` and the policy is duplicates=error")]
    DuplicateJudgment {
        /// The query.
        query: String,
        /// The document.
        document: String,
    },
}

/// One measure of one run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The measure.
    pub measure: Measure,
    /// One value per counted query, in the order of [`Evaluation::queries`].
    pub values: Vec<f64>,
    /// The mean over queries (the sum for counts, the geometric mean for GMAP).
    pub mean: f64,
    /// Confidence intervals of the mean; empty with fewer than two queries and for sums.
    pub intervals: Intervals,
}

/// The texts of one run by a measure that has such in place of values.
#[derive(Clone, Debug)]
pub struct Texts {
    /// The measure.
    pub measure: Measure,
    /// One text per counted query, in the order of [`Evaluation::queries`].
    pub values: Vec<String>,
}

/// One run under one policy.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The run's name.
    pub name: String,
    /// The rules that gave these numbers.
    pub policy: Policy,
    /// Ids of the queries that count, in the order of the judgments.
    pub queries: Vec<String>,
    /// One per measure asked for that has values.
    pub measures: Vec<Measured>,
    /// One per measure asked for that has texts.
    pub texts: Vec<Texts>,
    /// What was missing, tied, or left out.
    pub account: Account,
}

impl Evaluation {
    /// The result of a measure.
    pub fn measured(&self, measure: &Measure) -> Option<&Measured> {
        self.measures.iter().find(|m| m.measure == *measure)
    }
}

/// Measures, rules and intervals, ready for any number of runs.
#[derive(Clone, Debug)]
pub struct Evaluator {
    /// What is measured.
    pub measures: Vec<Measure>,
    /// By which rules.
    pub policy: Policy,
    /// How intervals are made.
    pub intervals: IntervalOptions,
}

/// Evaluates one run with both kinds of interval.
pub fn evaluate(
    qrels: &Qrels,
    run: &Run,
    measures: &[Measure],
    policy: &Policy,
) -> Result<Evaluation, EvalError> {
    let intervals = IntervalOptions::default();
    Evaluator { measures: measures.to_vec(), policy: *policy, intervals }.evaluate(qrels, run)
}

/// One counted query: its place in the judgments, its values, and what happened.
struct Counted {
    place: usize,
    values: Vec<f64>,
    texts: Vec<String>,
    account: Option<QueryAccount>,
    has_relevant: bool,
}

impl Evaluator {
    /// Evaluates one run. Its name is the run's tag.
    pub fn evaluate(&self, qrels: &Qrels, run: &Run) -> Result<Evaluation, EvalError> {
        self.evaluate_on(qrels, None, run)
    }

    /// Evaluates one run on preferences, by measures of preferences.
    pub fn evaluate_preferences(
        &self,
        preferences: &Preferences,
        run: &Run,
    ) -> Result<Evaluation, EvalError> {
        self.evaluate_on(&mentioned(preferences), Some(preferences), run)
    }

    fn evaluate_on(
        &self,
        qrels: &Qrels,
        preferences: Option<&Preferences>,
        run: &Run,
    ) -> Result<Evaluation, EvalError> {
        self.check(qrels, run)?;
        self.check_needs(preferences.is_some())?;
        let needs: Vec<Needs> = self.measures.iter().map(|m| m.declaration().needs).collect();
        let grades = qrels.queries().iter().flat_map(|q| q.iter()).map(|j| j.grade);
        let highest_grade = grades.max().unwrap_or(1).max(1);
        let setting =
            Setting { run: &run.tag, policy: &self.policy, needs: &needs, preferences, highest_grade };
        let counted: Vec<Option<Counted>> = qrels
            .queries()
            .par_iter()
            .enumerate()
            .map(|(place, query)| self.count(place, query, run, &setting))
            .collect::<Result<_, EvalError>>()?;
        let counted: Vec<Counted> = counted.into_iter().flatten().collect();
        if counted.is_empty() {
            return Err(EvalError::NothingCounted { run: run.tag.clone(), judged: qrels.queries().len() });
        }
        let queries = counted.iter().map(|c| qrels.queries()[c.place].id().to_string()).collect();
        let reads_sets = needs.contains(&Needs::EvidenceSets);
        let only_set = if reads_sets { only_second_column(qrels) } else { None };
        Ok(Evaluation {
            name: run.tag.clone(),
            policy: self.policy,
            queries,
            measures: self.aggregate(&counted),
            texts: self.texts(&counted),
            account: Account { only_set, ..account(qrels, run, &counted) },
        })
    }

    fn check(&self, qrels: &Qrels, run: &Run) -> Result<(), EvalError> {
        if self.measures.is_empty() {
            return Err(EvalError::NoMeasures);
        }
        let first_judged = qrels.queries().first().ok_or(EvalError::NoJudgments)?;
        if let Some(first) = run.queries().first()
            && !run.queries().iter().any(|query| qrels.query(query.id()).is_some())
        {
            return Err(EvalError::NoCommonQuery {
                run: run.tag.clone(),
                in_run: first.id().to_string(),
                in_qrels: first_judged.id().to_string(),
            });
        }
        if self.policy.missing == Missing::Error {
            let mut missing = qrels.queries().iter().filter(|query| run.query(query.id()).is_none());
            if let Some(first) = missing.next() {
                return Err(EvalError::MissingQueries {
                    run: run.tag.clone(),
                    count: 1 + missing.count(),
                    judged: qrels.queries().len(),
                    first: first.id().to_string(),
                });
            }
        }
        Ok(())
    }

    fn check_needs(&self, preferences: bool) -> Result<(), EvalError> {
        for measure in &self.measures {
            let name = || measure.to_string();
            match (measure.declaration().needs, preferences) {
                (Needs::Preferences, false) => return Err(EvalError::NeedsPreferences { measure: name() }),
                (Needs::Preferences | Needs::Nothing, _) | (_, false) => {}
                (_, true) => return Err(EvalError::NeedsJudgments { measure: name() }),
            }
        }
        Ok(())
    }

    fn count(
        &self,
        place: usize,
        query: &QueryQrels,
        run: &Run,
        setting: &Setting<'_>,
    ) -> Result<Option<Counted>, EvalError> {
        let returned = run.query(query.id());
        if returned.is_none() && self.policy.missing == Missing::Skip {
            return Ok(None);
        }
        let pool = Pool::new(query, &self.policy, needs_second_column(setting.needs))?;
        let (ranking, account) = match returned {
            Some(returned) => {
                let (ranking, account) = judge(&pool, returned, setting)?;
                (ranking, Some(account))
            }
            None => (nothing_returned(query.id(), &pool, setting)?, None),
        };
        let values = self.with_values().map(|measure| measure.compute(&ranking)).collect();
        let texts = self.measures.iter().filter_map(|measure| measure.text(&ranking)).collect();
        Ok(Some(Counted {
            place,
            values,
            texts,
            account,
            has_relevant: pool.has_relevant(self.policy.level.unwrap_or(1)),
        }))
    }

    fn with_values(&self) -> impl Iterator<Item = &Measure> {
        self.measures.iter().filter(|measure| measure.declaration().text.is_none())
    }

    fn texts(&self, counted: &[Counted]) -> Vec<Texts> {
        let measures = self.measures.iter().filter(|measure| measure.declaration().text.is_some());
        let column = |place: usize| counted.iter().map(|query| query.texts[place].clone()).collect();
        let texts = measures.enumerate();
        texts.map(|(place, measure)| Texts { measure: measure.clone(), values: column(place) }).collect()
    }

    fn aggregate(&self, counted: &[Counted]) -> Vec<Measured> {
        let measures: Vec<Measure> = self.with_values().cloned().collect();
        let columns: Vec<Vec<f64>> = (0..measures.len())
            .map(|column| counted.iter().map(|query| query.values[column]).collect())
            .collect();
        let intervals = self.intervals.of_means(&measures, &columns);
        measures
            .iter()
            .zip(columns)
            .zip(intervals)
            .map(|((measure, values), intervals)| {
                let mean = mean_of(measure.declaration().aggregate, &values);
                Measured { measure: measure.clone(), values, mean, intervals }
            })
            .collect()
    }
}

/// The documents of preferences as judgments: grade 1 where a group has a level above 0. What the account looks at.
fn mentioned(preferences: &Preferences) -> Qrels {
    let mut qrels = Qrels::new();
    for query in preferences.queries() {
        let mut grades: IndexMap<&str, i32> = IndexMap::new();
        for level in query.levels() {
            let grade = grades.entry(&level.document).or_default();
            *grade = (*grade).max(i32::from(level.level > 0.0));
        }
        let entry = qrels.query_mut(query.id());
        for (document, grade) in grades {
            // As many ids as the preferences have, which fit already.
            let _ = entry.push("0", document, grade);
        }
    }
    qrels
}

/// Values below this count as this in a geometric mean (trec_eval's floor).
const GEOMETRIC_FLOOR: f64 = 0.00001;

/// What is averaged arithmetically: the value, or its logarithm for a geometric mean.
pub(crate) fn on_mean_scale(aggregate: Aggregate, value: f64) -> f64 {
    if aggregate == Aggregate::GeometricMean { value.max(GEOMETRIC_FLOOR).ln() } else { value }
}

/// Back from the scale of [`on_mean_scale`].
pub(crate) fn from_mean_scale(aggregate: Aggregate, mean: f64) -> f64 {
    if aggregate == Aggregate::GeometricMean { mean.exp() } else { mean }
}

/// One number from the values of queries; 0 when there is none.
pub(crate) fn mean_of(aggregate: Aggregate, values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let sum: f64 = values.iter().map(|&value| on_mean_scale(aggregate, value)).sum();
    match aggregate {
        Aggregate::Sum => sum,
        _ => from_mean_scale(aggregate, sum / values.len() as f64),
    }
}

/// The second column of judgments, where it is the same in all of them.
fn only_second_column(qrels: &Qrels) -> Option<String> {
    let mut all = qrels.queries().iter().flat_map(|q| q.iter()).map(|j| j.iteration);
    let first = all.next()?;
    all.all(|other| other == first).then(|| first.to_string())
}

fn account(qrels: &Qrels, run: &Run, counted: &[Counted]) -> Account {
    let missing = qrels.queries().iter().filter(|query| run.query(query.id()).is_none());
    let mut account = Account {
        judged_queries: qrels.queries().len(),
        counted_queries: counted.len(),
        missing_queries: missing.map(|query| query.id().to_string()).collect(),
        unjudged_queries: run.queries().iter().filter(|query| qrels.query(query.id()).is_none()).count(),
        queries_without_relevant: counted.iter().filter(|query| !query.has_relevant).count(),
        answered_queries: counted.iter().filter(|q| q.account.as_ref().is_some_and(|a| a.depth > 0)).count(),
        ..Account::default()
    };
    let mut depths = Vec::new();
    for query in counted.iter().filter_map(|query| query.account.as_ref()) {
        depths.push(query.depth);
        account.lengths.push(query.measured);
        account.measured_documents += query.measured;
        account.documents_without_judgment += query.without_judgment;
        account.first_documents += query.first;
        account.first_documents_without_judgment += query.first_without_judgment;
        account.tied_documents += query.tied_documents;
        account.tie_groups += query.tie_groups;
        account.nan_scores += query.nan_scores;
        account.infinite_scores += query.infinite_scores;
        account.duplicates_dropped += query.duplicates;
        account.self_matches_dropped += query.self_matches;
        account.unjudged_dropped += query.unjudged;
        account.below_depth += query.below_depth;
    }
    account.lengths.sort_unstable();
    depths.sort_unstable();
    if let (Some(&min), Some(&max)) = (depths.first(), depths.last()) {
        account.depth = Depth { min, median: depths[depths.len() / 2], max };
    }
    account
}
