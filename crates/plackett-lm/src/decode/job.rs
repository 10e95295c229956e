//! One request while it is decoded: its live branches, what it asks of the model, and what it keeps.

use crate::decode::candidates::{Scored, unit};
use crate::decode::constraint::{Allowed, Constraint};
use crate::decode::group::{BranchGroup, FinishedBranch, LiveBranch, NextToken};
use crate::decode::model::{Branch, BranchOutput, LogitIds, PrefixId};
use crate::decode::options::{Beam, DecodeOptions, Normalize, Sampling, Strategy};
use crate::decode::request::{DecodeRequest, Decoded, Hypothesis};
use crate::error::decode::DecodeError;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the model is asked about one or several equal branches.
struct Row {
    parent: PrefixId,
    tokens: Vec<u32>,
    allowed: Allowed,
    answer: Option<BranchOutput>,
}

pub(super) struct Job<'a, C: Constraint> {
    request: &'a DecodeRequest<'a, C>,
    groups: Vec<BranchGroup<C::State>>,
    rows: Vec<Row>,
    held: BTreeSet<PrefixId>,
    last_use: Vec<PrefixId>,
    failed: Option<DecodeError>,
    unfinished: usize,
    steps: usize,
    branches: usize,
}

impl<'a, C: Constraint> Job<'a, C> {
    pub fn new(request: &'a DecodeRequest<'a, C>, options: &DecodeOptions) -> Job<'a, C> {
        let start = LiveBranch {
            tokens: Vec::new(),
            state: request.constraint.start(),
            sum: 0.0,
            forced: 0,
            prefix: request.prefix,
            pending: request.prompt.to_vec(),
            next: NextToken::Row(0),
        };
        let groups = options.groups().0;
        let groups =
            (0..groups).map(|_| BranchGroup { live: vec![start.clone()], done: Vec::new() }).collect();
        Job {
            request,
            groups,
            rows: Vec::new(),
            held: BTreeSet::new(),
            last_use: Vec::new(),
            failed: None,
            unfinished: 0,
            steps: 0,
            branches: 0,
        }
    }

    pub fn is_over(&self) -> bool {
        self.failed.is_some() || self.groups.iter().all(|group| group.live.is_empty())
    }

    /// Prefixes that are not dropped yet.
    pub fn held(&self) -> impl Iterator<Item = PrefixId> + '_ {
        self.held.iter().copied()
    }

    /// Prefixes that no branch needs after this step's call.
    pub fn last_use(&self) -> impl Iterator<Item = PrefixId> + '_ {
        self.last_use.iter().copied()
    }

    /// This step's branches for the model.
    pub fn branches(&self, options: &DecodeOptions) -> impl Iterator<Item = Branch<'_>> {
        let vocabulary = options.normalize == Normalize::Vocabulary;
        self.rows.iter().map(move |row| {
            let (logit_ids, normalizer) = match &row.allowed {
                Allowed::Only(ids) => (LogitIds::Only(ids), vocabulary),
                Allowed::Except { .. } => (LogitIds::All, false),
            };
            Branch { parent: row.parent, tokens: &row.tokens, logit_ids, normalizer }
        })
    }

    /// Finds out what each live branch may write, and what the model must be asked.
    pub fn plan(&mut self, index: usize, vocabulary: usize, options: &DecodeOptions) {
        self.rows.clear();
        self.last_use.clear();
        if self.failed.is_none() && self.steps == options.max_tokens {
            self.unfinished = self.groups.iter().map(|group| group.live.len()).sum();
            self.groups.iter_mut().for_each(|group| group.live.clear());
        }
        if self.is_over() {
            self.last_use.extend(&self.held);
            return;
        }
        self.steps += 1;
        let constraint = self.request.constraint;
        let live: Vec<&LiveBranch<C::State>> = self.groups.iter().flat_map(|group| &group.live).collect();
        let allowed: Vec<Allowed> = live.par_iter().map(|live| constraint.allowed(&live.state)).collect();
        if let Some(problem) = allowed.iter().find_map(|allowed| impossible(allowed, vocabulary)) {
            self.failed = Some(DecodeError::DeadEnd { request: index, tokens: self.steps - 1, problem });
            self.last_use.extend(&self.held);
            return;
        }
        let ask_forced = options.score_forced && options.normalize == Normalize::Vocabulary;
        let mut known: HashMap<(PrefixId, &[u32]), usize> = HashMap::new();
        let mut nexts = Vec::with_capacity(live.len());
        for (live, allowed) in live.into_iter().zip(allowed) {
            if let Some(token) = allowed.forced().filter(|_| !ask_forced) {
                nexts.push(NextToken::Forced(token));
                continue;
            }
            let row = *known.entry((live.prefix, &live.pending)).or_insert_with(|| {
                let tokens = live.pending.clone();
                self.rows.push(Row { parent: live.prefix, tokens, allowed, answer: None });
                self.rows.len() - 1
            });
            nexts.push(NextToken::Row(row));
        }
        for (live, next) in self.groups.iter_mut().flat_map(|group| &mut group.live).zip(nexts) {
            live.next = next;
        }
        let waiting: BTreeSet<PrefixId> = self.waiting().map(|live| live.prefix).collect();
        self.last_use.extend(self.held.difference(&waiting));
        self.branches += self.rows.len();
    }

    fn waiting(&self) -> impl Iterator<Item = &LiveBranch<C::State>> {
        let live = self.groups.iter().flat_map(|group| &group.live);
        live.filter(|live| matches!(live.next, NextToken::Forced(_)))
    }

    /// Takes this job's answers from those of the call; `asked` tells whether there was a call.
    pub fn receive(&mut self, answers: &mut impl Iterator<Item = BranchOutput>, asked: bool) {
        if asked {
            self.last_use.drain(..).for_each(|prefix| {
                self.held.remove(&prefix);
            });
        }
        for (row, answer) in self.rows.iter_mut().zip(answers) {
            self.held.insert(answer.prefix);
            row.answer = Some(answer);
        }
        for live in self.groups.iter_mut().flat_map(|group| &mut group.live) {
            if let NextToken::Row(row) = live.next
                && let Some(answer) = self.rows.get(row).and_then(|row| row.answer.as_ref())
            {
                live.prefix = answer.prefix;
                live.pending.clear();
            }
        }
    }

    /// Chooses what lives on and what is finished.
    pub fn select(&mut self, index: usize, vocabulary: usize, options: &DecodeOptions) {
        if self.is_over() {
            return;
        }
        let read = |row: &Row| match &row.answer {
            Some(answer) => Scored::read(&row.allowed, answer, vocabulary, options.normalize),
            None => Err(DecodeError::Model("a branch was not answered".into())),
        };
        let rows = self.rows.par_iter().map(read).collect::<Result<Vec<Scored>, _>>();
        let chosen = rows.and_then(|rows| match &options.strategy {
            Strategy::Sample(sampling) => self.draw(&rows, sampling),
            _ => self.search(&rows, options),
        });
        self.rows.clear();
        if let Err(error) = chosen {
            self.failed = Some(error);
        } else if self.groups.iter().all(|group| group.live.is_empty() && group.done.is_empty()) {
            let problem = "the model gives every allowed token probability 0".to_string();
            self.failed = Some(DecodeError::DeadEnd { request: index, tokens: self.steps - 1, problem });
        }
    }

    fn draw(&mut self, rows: &[Scored], sampling: &Sampling) -> Result<(), DecodeError> {
        let (request, step) = (self.request, self.steps as u64 - 1);
        self.groups.par_iter_mut().enumerate().try_for_each(|(sample, group)| {
            let Some(live) = group.live.pop() else { return Ok(()) };
            let (token, log_prob) = match live.next {
                NextToken::Forced(token) => (token, 0.0),
                NextToken::Row(row) => {
                    let unit = unit(sampling.seed, request.index, sample as u64, step);
                    let drawn = rows.get(row).and_then(|row| row.draw(sampling, unit));
                    drawn.ok_or_else(|| DecodeError::Model("every allowed token has probability 0".into()))?
                }
            };
            let sum = live.sum + log_prob;
            group.follow(request.constraint, &live, (token, sum), &Beam::new(1), true)
        })
    }

    fn search(&mut self, rows: &[Scored], options: &DecodeOptions) -> Result<(), DecodeError> {
        let (_, beam) = options.groups();
        // How often groups before chose each token at this step.
        let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
        for group in &mut self.groups {
            let penalty =
                |token: u32| taken.get(&token).map_or(0.0, |times| options.penalty() * *times as f64);
            let candidates = group.candidates(rows, beam.width * 2, penalty);
            let parents = std::mem::take(&mut group.live);
            for (rank, candidate) in candidates.iter().enumerate() {
                if group.live.len() == beam.width {
                    break;
                }
                let Some(parent) = parents.get(candidate.parent) else { continue };
                let chosen = (candidate.token, candidate.sum);
                let before = group.live.len();
                group.follow(self.request.constraint, parent, chosen, &beam, rank < beam.width)?;
                if group.live.len() > before || rank < beam.width {
                    *taken.entry(candidate.token).or_default() += 1;
                }
            }
            group.stop(&beam, options.max_tokens);
        }
        Ok(())
    }

    /// The results.
    pub fn finish(self, options: &DecodeOptions) -> Result<Decoded<C::Output>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut done: Vec<(usize, FinishedBranch<C::State>)> = Vec::new();
        for (index, group) in self.groups.into_iter().enumerate() {
            done.extend(group.done.into_iter().map(|done| (index, done)));
        }
        if !matches!(options.strategy, Strategy::Sample(_)) {
            done.sort_by(|a, b| a.1.order(&b.1).then(a.0.cmp(&b.0)));
        }
        let mut hypotheses = Vec::with_capacity(done.len());
        for (group, FinishedBranch { tokens, state, sum, score, forced }) in done {
            let none = || DecodeError::Constraint("a finished state has no output".into());
            let output = self.request.constraint.output(&state).ok_or_else(none)?;
            hypotheses.push(Hypothesis { tokens, log_prob: sum, score, forced, group, output });
        }
        let (unfinished, branches, steps) = (self.unfinished, self.branches, self.steps);
        Ok(Decoded { hypotheses, unfinished, branches, steps })
    }
}

/// What is wrong with a set of allowed tokens, if anything.
fn impossible(allowed: &Allowed, vocabulary: usize) -> Option<String> {
    let beyond = |id: usize| format!("the constraint allows token {id}, the model has {vocabulary}");
    match allowed {
        Allowed::Only(ids) => match ids.last() {
            None => Some("the constraint allows none".into()),
            Some(last) if *last as usize >= vocabulary => Some(beyond(*last as usize)),
            Some(_) => None,
        },
        Allowed::Except { below, banned } => {
            if *below as usize > vocabulary {
                return Some(beyond(*below as usize - 1));
            }
            (banned.len() >= *below as usize).then(|| "the constraint allows none".into())
        }
    }
}
