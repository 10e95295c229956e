//! The training: questions behind users' events, retrieval and ranking together.

use super::losses::{SharedNegatives, hybrid_ranking_loss, info_nce};
use super::model::{IDS, SynerGen};
use super::tokens::{Occurrence, Question, TokenRows};
use crate::RecError;
use crate::evaluation::best;
use crate::recommender::distinct;
use crate::sequential::{normalize_rows, place_key};
use plackett_train::nn::Mode;
use plackett_train::random::Stream;
use plackett_train::trainer::{StepLoss, Task};
use plackett_train::{Engine, Tape, TrainError, Var};

/// Streams of what a step draws beside dropout.
const PLACES: u64 = 3 << 40;
const RANDOM: u64 = 4 << 40;
const CANDIDATES: u64 = 5 << 40;
/// Numbers that are drawn for one thing at most, until it is one that is wanted.
const TRIES: usize = 16;

/// Which events are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The last one of each user alone, as the authors do it.
    Last,
    /// So many of each user in each step, drawn from all that have one before.
    Drawn(usize),
}

/// Candidates beside the right one that a ranking question is learned from. Random ones alone make the scores too sure of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankingNegatives {
    /// Drawn evenly from the catalogue.
    pub random: usize,
    /// Targets of other questions of the batch.
    pub in_batch: usize,
    /// Drawn from the first ones that the model itself retrieves for the question.
    pub retrieved: usize,
    /// How many are the first ones.
    pub depth: usize,
}

impl RankingNegatives {
    /// How many a question has.
    pub fn count(&self) -> usize {
        self.random + self.in_batch + self.retrieved
    }
}

/// What the losses are like. L = `retrieval` · L_ret + `ranking` · L_rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SynerGenLearning {
    /// Which events are learned from.
    pub labels: Labels,
    /// Share of the questions that are searches: those of an item without any query are recommendations all the same.
    pub search: f64,
    /// Items drawn for each batch that all retrieval questions are compared with, beside each other's targets.
    pub random: usize,
    /// What cosines are divided by.
    pub temperature: f32,
    /// Candidates of ranking questions.
    pub negatives: RankingNegatives,
    /// Labels of a user in a step that have ranking questions, at most: each costs a row for every candidate, and a retrieval question one.
    pub ranked: usize,
    /// Weight of the retrieval loss; 0 leaves it out.
    pub retrieval: f32,
    /// λ, weight of the ranking loss; 0 leaves ranking questions out.
    pub ranking: f32,
    /// Weight of the pairwise part of the ranking loss.
    pub gamma: f32,
}

impl Default for SynerGenLearning {
    /// Six events of each user, searches and recommendations in equal parts, and both losses with the weight 1: all of it ours, since the
    /// authors' file has no numbers.
    fn default() -> SynerGenLearning {
        SynerGenLearning {
            labels: Labels::Drawn(6),
            search: 0.5,
            random: 256,
            temperature: 0.07,
            negatives: RankingNegatives { random: 2, in_batch: 2, retrieved: 4, depth: 100 },
            ranked: 6,
            retrieval: 1.0,
            ranking: 1.0,
            gamma: 1.0,
        }
    }
}

/// Users' events, the queries of items, and a model.
pub struct SynerGenTask<'t> {
    model: &'t SynerGen,
    users: Vec<&'t [Occurrence]>,
    /// Items of each user, rising.
    sets: Vec<Vec<u32>>,
    /// Queries that lead to each item.
    queries: &'t [Vec<u32>],
    counts: Vec<usize>,
    learning: SynerGenLearning,
}

/// An event that is to be predicted.
struct Label {
    /// The example of the batch.
    example: usize,
    question: Question,
    target: u32,
    /// Whether it has a ranking question.
    is_ranked: bool,
}

impl<'t> SynerGenTask<'t> {
    /// Of the newest events of each user; who has fewer than two teaches nothing.
    ///
    /// # Errors
    /// There are not queries for each item, an event has an item or action that the model lacks, both losses have the weight 0, or ranking is
    /// to be learned from a catalogue of one item, which has nothing to be compared with.
    pub fn new(
        model: &'t SynerGen,
        users: &'t [Vec<Occurrence>],
        queries: &'t [Vec<u32>],
        learning: SynerGenLearning,
    ) -> Result<SynerGenTask<'t>, RecError> {
        let said = |problem: &str| Err(RecError::Setting(format!("synergen: {problem}")));
        if queries.len() != model.items {
            return said("a list of queries, perhaps an empty one, is needed for each item");
        }
        if learning.retrieval <= 0.0 && learning.ranking <= 0.0 || learning.labels == Labels::Drawn(0) {
            return said("there is nothing to learn: a loss needs a weight above 0, and a user a label");
        }
        if learning.ranking > 0.0 && learning.ranked == 0 {
            return said("ranking needs a label of each user that it is learned from");
        }
        if learning.ranking > 0.0 && model.items < 2 && learning.negatives.count() > 0 {
            return said(
                "ranking compares an item with others, and the catalogue has one; give the ranking loss the weight 0, or more items",
            );
        }
        if learning.retrieval > 0.0 && learning.random == 0 {
            return said("retrieval needs an item to be compared with");
        }
        let mut counts = vec![0; model.items];
        for event in users.iter().flatten() {
            let count = counts.get_mut(event.item as usize);
            *count.ok_or(RecError::UnknownItem { item: event.item, catalogue: model.items })? += 1;
        }
        let newest =
            |events: &'t Vec<Occurrence>| &events[events.len().saturating_sub(model.config.max_events + 1)..];
        let taught = || users.iter().filter(|events| events.len() > 1);
        let set = |events: &Vec<Occurrence>| distinct(events.iter().map(|event| event.item));
        Ok(SynerGenTask {
            model,
            users: taught().map(newest).collect(),
            sets: taught().map(set).collect(),
            queries,
            counts,
            learning,
        })
    }

    /// The labels of some users in this step.
    fn labels(&self, examples: &[usize], key: u64) -> Vec<Label> {
        let mut labels = Vec::new();
        for (example, user) in examples.iter().enumerate() {
            let events = self.users[*user];
            let stream = Stream::new(key, PLACES + *user as u64);
            let places: Vec<usize> = match self.learning.labels {
                Labels::Last => vec![events.len() - 1],
                Labels::Drawn(count) => {
                    let order = stream.permutation(events.len() - 1);
                    order.into_iter().take(count).map(|place| place + 1).collect()
                }
            };
            for (at, place) in places.into_iter().enumerate() {
                let (target, draw) = (events[place], (1 << 20) + 2 * place as u64);
                let queries = &self.queries[target.item as usize];
                let is_search = !queries.is_empty() && f64::from(stream.uniform(draw)) < self.learning.search;
                let query = is_search.then(|| queries[stream.below(draw + 1, queries.len())]);
                let question = Question { known: place, time: target.time, query, candidate: None };
                let is_ranked = self.learning.ranking > 0.0 && at < self.learning.ranked;
                labels.push(Label { example, question, target: target.item, is_ranked });
            }
        }
        labels
    }

    /// The rows of a batch with the questions of some labels, whose examples rise.
    fn rows(&self, examples: &[usize], of: &[(&Label, Vec<Question>)]) -> TokenRows {
        let mut questions: Vec<Vec<Question>> = vec![Vec::new(); examples.len()];
        of.iter().for_each(|(label, own)| questions[label.example].extend(own));
        let events = |user: usize| &self.users[user][..self.users[user].len() - 1];
        TokenRows::new(
            examples.iter().zip(&questions).map(|(user, questions)| (events(*user), &questions[..])),
        )
    }

    /// For each label the first items that the model retrieves now and that the user never had.
    fn retrieved(
        &self,
        tape: &Tape,
        examples: &[usize],
        labels: &[&Label],
    ) -> Result<Vec<Vec<u32>>, RecError> {
        let depth = self.learning.negatives.depth;
        if self.learning.negatives.retrieved == 0 || depth == 0 || labels.is_empty() {
            return Ok(vec![Vec::new(); labels.len()]);
        }
        let tape = Tape::inference(tape.parameters(), tape.compute());
        let contents = self.model.contents(&tape);
        let asked: Vec<_> = labels.iter().map(|label| (*label, vec![label.question])).collect();
        let rows = self.rows(examples, &asked);
        let states = self.model.forward(&tape, &contents, &rows, Mode::default())?;
        let states = normalize_rows(&tape, &Engine::select_rows(&tape, &states, &rows.asked));
        let scores = Engine::linear(&tape, &states, &normalize_rows(&tape, &contents.items), None, None);
        let first = |(label, scores): (&&Label, &[f32])| {
            let mut scores = scores.to_vec();
            self.sets[examples[label.example]]
                .iter()
                .for_each(|item| scores[*item as usize] = f32::NEG_INFINITY);
            best(&scores, depth)
        };
        Ok(labels.iter().zip(scores.value.chunks(self.model.items)).map(first).collect())
    }

    /// The candidates of each label, the right one first.
    fn candidates(
        &self,
        examples: &[usize],
        labels: &[&Label],
        retrieved: &[Vec<u32>],
        key: u64,
    ) -> Vec<Vec<u32>> {
        let RankingNegatives { random, in_batch, retrieved: hard, .. } = self.learning.negatives;
        let of_label = |(at, label): (usize, &&Label)| {
            let stream = Stream::new(key, CANDIDATES + at as u64);
            let own = &self.sets[examples[label.example]];
            let is_wanted = |item: &u32| own.binary_search(item).is_err();
            let evenly = |place: u64| stream.below(place, self.model.items) as u32;
            let from_batch = |place: u64| labels[stream.below(place, labels.len())].target;
            let found = &retrieved[at];
            let from_found = |place: u64| match found.is_empty() {
                true => evenly(place),
                false => found[stream.below(place, found.len())],
            };
            let sources: [(usize, &dyn Fn(u64) -> u32); 3] =
                [(random, &evenly), (in_batch, &from_batch), (hard, &from_found)];
            let mut candidates = vec![label.target];
            for (count, draw) in sources {
                for _ in 0..count {
                    let first = (candidates.len() * TRIES) as u64;
                    let mut tried = (0..TRIES as u64).map(|again| draw(first + again));
                    // Where a user has nearly everything, some other item stands in.
                    let other = (label.target + 1) % self.model.items as u32;
                    candidates.push(tried.find(is_wanted).unwrap_or(other));
                }
            }
            candidates
        };
        labels.iter().enumerate().map(of_label).collect()
    }

    /// The retrieval loss of all labels, whose questions are in these rows.
    fn retrieval_loss(
        &self,
        tape: &Tape,
        [states, items]: [&Var; 2],
        (labels, asked): (&[Label], &[usize]),
        mode: Mode,
    ) -> Var {
        let states = normalize_rows(tape, &Engine::select_rows(tape, states, asked));
        let stream = Stream::new(place_key(mode, 0), RANDOM);
        let drawn = |at: usize| stream.below(at as u64, self.model.items) as u32;
        let random = (0..self.learning.random).map(drawn).collect();
        let negatives = SharedNegatives::new(random, labels.len(), &self.counts);
        let targets: Vec<u32> = labels.iter().map(|label| label.target).collect();
        let vectors = normalize_rows(tape, items);
        info_nce(tape, (&states, &vectors), &targets, &negatives, self.learning.temperature)
    }

    fn loss_of(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, RecError> {
        let labels = self.labels(examples, mode.key);
        let ranked: Vec<&Label> = labels.iter().filter(|label| label.is_ranked).collect();
        let retrieved = self.retrieved(tape, examples, &ranked)?;
        let mut candidates = self.candidates(examples, &ranked, &retrieved, mode.key).into_iter();
        // Of each label the retrieval question and then those for its candidates.
        let (mut asked, mut at) = ([Vec::new(), Vec::new()], 0);
        let mut questions = Vec::new();
        for label in &labels {
            asked[0].push(at);
            let mut own = vec![label.question];
            let items = if label.is_ranked { candidates.next() } else { None };
            own.extend(
                items.iter().flatten().map(|item| Question { candidate: Some(*item), ..label.question }),
            );
            asked[1].extend(at + 1..at + own.len());
            at += own.len();
            questions.push((label, own));
        }
        let rows = self.rows(examples, &questions);
        let [retrieval, ranking] =
            asked.map(|asked| asked.iter().map(|at| rows.asked[*at]).collect::<Vec<_>>());
        let contents = self.model.contents(tape);
        let states = self.model.forward(tape, &contents, &rows, mode)?;
        let (mut parts, learning) = (Vec::new(), &self.learning);
        if learning.retrieval > 0.0 {
            let loss = self.retrieval_loss(tape, [&states, &contents.items], (&labels, &retrieval), mode);
            parts.push(tape.scale(&loss, learning.retrieval));
        }
        if !ranked.is_empty() {
            let logits = self.model.ranking_logits(tape, &Engine::select_rows(tape, &states, &ranking));
            let logits = tape.reshape(&logits, (ranked.len(), ranking.len() / ranked.len()));
            parts.push(tape.scale(&hybrid_ranking_loss(tape, &logits, learning.gamma), learning.ranking));
        }
        let value = tape.sum(&tape.stack(&parts.iter().collect::<Vec<_>>()));
        Ok(StepLoss { value, tokens: rows.len(), used: labels.len(), skipped: 0 })
    }
}

impl Task for SynerGenTask<'_> {
    fn count(&self) -> usize {
        self.users.len()
    }

    fn describe(&self, example: usize) -> String {
        format!("the events of user {}", example + 1)
    }

    fn is_head(&self, parameter: &str) -> bool {
        parameter == IDS
    }

    fn loss(&self, tape: &Tape, examples: &[usize], mode: Mode) -> Result<StepLoss, TrainError> {
        self.loss_of(tape, examples, mode).map_err(|error| match error {
            RecError::Train(error) => error,
            other => TrainError::Setting(other.to_string()),
        })
    }
}
