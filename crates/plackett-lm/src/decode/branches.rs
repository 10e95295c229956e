//! One request while it is decoded: its live branches, what it asks of the model, and what it keeps.

use super::candidates::{Candidate, Scored, keep_best, unit};
use super::constraint::{Allowed, Constraint, Step};
use super::error::DecodeError;
use super::model::{Branch, Extended, Handle, Wanted};
use super::options::{Beam, DecodeOptions, EarlyStop, Normalize, Sampling, Strategy};
use super::search::{DecodeRequest, Decoded, Hypothesis};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A branch: what was written, and what the model has not seen of it yet.
#[derive(Clone)]
struct Live<S> {
    tokens: Vec<u32>,
    state: S,
    sum: f64,
    forced: usize,
    handle: Handle,
    pending: Vec<u32>,
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    Forced(u32),
    // The row of this step whose logits decide.
    Row(usize),
}

/// A finished output.
struct Done<S> {
    tokens: Vec<u32>,
    state: S,
    sum: f64,
    score: f64,
    forced: usize,
}

impl<S> Done<S> {
    fn order(&self, other: &Done<S>) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.tokens.cmp(&other.tokens))
    }
}

/// Branches that compete with each other: a beam, one group of a diverse beam, or one sample.
struct Group<S> {
    live: Vec<Live<S>>,
    done: Vec<Done<S>>,
}

/// What the model is asked about one or several equal branches.
struct Row {
    parent: Handle,
    tokens: Vec<u32>,
    allowed: Allowed,
    answer: Option<Extended>,
}

pub(super) struct Job<'a, C: Constraint> {
    request: &'a DecodeRequest<'a, C>,
    groups: Vec<Group<C::State>>,
    rows: Vec<Row>,
    held: BTreeSet<Handle>,
    last_use: Vec<Handle>,
    failed: Option<DecodeError>,
    unfinished: usize,
    steps: usize,
    branches: usize,
}

impl<'a, C: Constraint> Job<'a, C> {
    pub fn new(request: &'a DecodeRequest<'a, C>, options: &DecodeOptions) -> Job<'a, C> {
        let start = Live {
            tokens: Vec::new(),
            state: request.constraint.start(),
            sum: 0.0,
            forced: 0,
            handle: request.prefix,
            pending: request.prompt.to_vec(),
            next: Next::Row(0),
        };
        let groups = options.groups().0;
        let groups = (0..groups).map(|_| Group { live: vec![start.clone()], done: Vec::new() }).collect();
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

    /// Handles that are not dropped yet.
    pub fn held(&self) -> impl Iterator<Item = Handle> + '_ {
        self.held.iter().copied()
    }

    /// Handles that no branch needs after this step's call.
    pub fn last_use(&self) -> impl Iterator<Item = Handle> + '_ {
        self.last_use.iter().copied()
    }

    /// This step's branches for the model.
    pub fn branches(&self, options: &DecodeOptions) -> impl Iterator<Item = Branch<'_>> {
        let vocabulary = options.normalize == Normalize::Vocabulary;
        self.rows.iter().map(move |row| {
            let (wanted, normalizer) = match &row.allowed {
                Allowed::Only(ids) => (Wanted::Only(ids), vocabulary),
                Allowed::Except { .. } => (Wanted::All, false),
            };
            Branch { parent: row.parent, tokens: &row.tokens, wanted, normalizer }
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
        let live: Vec<&Live<C::State>> = self.groups.iter().flat_map(|group| &group.live).collect();
        let allowed: Vec<Allowed> = live.par_iter().map(|live| constraint.allowed(&live.state)).collect();
        if let Some(problem) = allowed.iter().find_map(|allowed| impossible(allowed, vocabulary)) {
            self.failed = Some(DecodeError::DeadEnd { request: index, tokens: self.steps - 1, problem });
            self.last_use.extend(&self.held);
            return;
        }
        let ask_forced = options.score_forced && options.normalize == Normalize::Vocabulary;
        let mut known: HashMap<(Handle, &[u32]), usize> = HashMap::new();
        let mut nexts = Vec::with_capacity(live.len());
        for (live, allowed) in live.into_iter().zip(allowed) {
            if let Some(token) = allowed.forced().filter(|_| !ask_forced) {
                nexts.push(Next::Forced(token));
                continue;
            }
            let row = *known.entry((live.handle, &live.pending)).or_insert_with(|| {
                let tokens = live.pending.clone();
                self.rows.push(Row { parent: live.handle, tokens, allowed, answer: None });
                self.rows.len() - 1
            });
            nexts.push(Next::Row(row));
        }
        for (live, next) in self.groups.iter_mut().flat_map(|group| &mut group.live).zip(nexts) {
            live.next = next;
        }
        let waiting: BTreeSet<Handle> = self.waiting().map(|live| live.handle).collect();
        self.last_use.extend(self.held.difference(&waiting));
        self.branches += self.rows.len();
    }

    fn waiting(&self) -> impl Iterator<Item = &Live<C::State>> {
        let live = self.groups.iter().flat_map(|group| &group.live);
        live.filter(|live| matches!(live.next, Next::Forced(_)))
    }

    /// Takes this job's answers from those of the call; `asked` tells whether there was a call.
    pub fn receive(&mut self, answers: &mut impl Iterator<Item = Extended>, asked: bool) {
        if asked {
            self.last_use.drain(..).for_each(|handle| {
                self.held.remove(&handle);
            });
        }
        for (row, answer) in self.rows.iter_mut().zip(answers) {
            self.held.insert(answer.handle);
            row.answer = Some(answer);
        }
        for live in self.groups.iter_mut().flat_map(|group| &mut group.live) {
            if let Next::Row(row) = live.next
                && let Some(answer) = self.rows.get(row).and_then(|row| row.answer.as_ref())
            {
                live.handle = answer.handle;
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
                Next::Forced(token) => (token, 0.0),
                Next::Row(row) => {
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
        let mut done: Vec<(usize, Done<C::State>)> = Vec::new();
        for (index, group) in self.groups.into_iter().enumerate() {
            done.extend(group.done.into_iter().map(|done| (index, done)));
        }
        if !matches!(options.strategy, Strategy::Sample(_)) {
            done.sort_by(|a, b| a.1.order(&b.1).then(a.0.cmp(&b.0)));
        }
        let mut hypotheses = Vec::with_capacity(done.len());
        for (group, Done { tokens, state, sum, score, forced }) in done {
            let none = || DecodeError::Constraint("a finished state has no output".into());
            let output = self.request.constraint.output(&state).ok_or_else(none)?;
            hypotheses.push(Hypothesis { tokens, log_prob: sum, score, forced, group, output });
        }
        let (unfinished, branches, steps) = (self.unfinished, self.branches, self.steps);
        Ok(Decoded { hypotheses, unfinished, branches, steps })
    }
}

impl<S: Clone + Send + Sync> Group<S> {
    /// The best continuations of all live branches, in order.
    fn candidates(
        &self,
        rows: &[Scored],
        most: usize,
        penalty: impl Fn(u32) -> f64 + Sync,
    ) -> Vec<Candidate> {
        let of = |(parent, live): (usize, &Live<S>)| match live.next {
            Next::Forced(token) => {
                vec![Candidate { key: live.sum - penalty(token), sum: live.sum, token, parent }]
            }
            Next::Row(row) => {
                rows.get(row).map_or_else(Vec::new, |row| row.best(most, (parent, live.sum), &penalty))
            }
        };
        let lists: Vec<Vec<Candidate>> = self.live.par_iter().enumerate().map(of).collect();
        let mut all: Vec<Candidate> = lists.into_iter().flatten().collect();
        keep_best(&mut all, most);
        all.sort_unstable_by(Candidate::order);
        all
    }

    /// Follows a branch by a token: it lives on, or is kept as a result if `keep`.
    fn follow<C: Constraint<State = S>>(
        &mut self,
        constraint: &C,
        parent: &Live<S>,
        (token, sum): (u32, f64),
        beam: &Beam,
        keep: bool,
    ) -> Result<(), DecodeError> {
        let refused = || {
            DecodeError::Constraint(format!("token {token} is allowed by the constraint and then refused"))
        };
        let step = constraint.advance(&parent.state, token).ok_or_else(refused)?;
        let forced = parent.forced + usize::from(matches!(parent.next, Next::Forced(_)));
        let extended = |list: &[u32]| {
            let mut list = list.to_vec();
            list.push(token);
            list
        };
        let tokens = extended(&parent.tokens);
        match step {
            Step::Continue(state) => {
                let pending = extended(&parent.pending);
                let (handle, next) = (parent.handle, parent.next);
                self.live.push(Live { tokens, state, sum, forced, handle, pending, next });
            }
            Step::Finished(state) if keep => {
                let score = beam.length.score(sum, tokens.len());
                let done = Done { tokens, state, sum, score, forced };
                let at = self.done.partition_point(|other| other.order(&done).is_lt());
                self.done.insert(at, done);
                self.done.truncate(beam.width);
            }
            Step::Finished(_) => {}
        }
        Ok(())
    }

    /// Ends the search where the rule says so.
    fn stop(&mut self, beam: &Beam, max_tokens: usize) {
        let worst = match self.done.last() {
            Some(worst) if self.done.len() >= beam.width => worst.score,
            _ => return,
        };
        let best = self.live.iter().map(|live| live.sum).max_by(f64::total_cmp);
        let stops = match beam.stop {
            EarlyStop::Full => true,
            EarlyStop::Never => false,
            // Sums only fall, and the longest output divides them by most.
            EarlyStop::Exact => best.is_some_and(|sum| beam.length.score(sum, max_tokens) < worst),
        };
        if stops {
            self.live.clear();
        }
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
