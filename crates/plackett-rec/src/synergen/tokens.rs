//! Tokens of three kinds: what happened (context), a question for the whole catalogue (retrieval), a question for one candidate (ranking).

use crate::RecError;
use std::ops::Range;
use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The item.
    pub item: u32,
    /// What was done with it, below [`super::SynerGenConfig::actions`].
    pub action: u32,
    /// When, in seconds; `None` where nobody knows, which turns nothing by time.
    pub time: Option<i64>,
    /// The query that was searched with, where it was a search.
    pub query: Option<u32>,
}

/// Asks behind some events of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// How many events of the history are known.
    pub known: usize,
    /// When it is asked.
    pub time: Option<i64>,
    /// The query of a search; `None` for a recommendation.
    pub query: Option<u32>,
    /// The candidate that a ranking token is about; `None` for a retrieval token.
    pub candidate: Option<u32>,
}

/// Kinds of tokens, which have a vector each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Context,
    Retrieval,
    Ranking,
}

/// Rows of a batch: of each history its events, and then its questions. An event sees those before it and itself, a question the events that
/// it knows and itself.
#[derive(Clone, Debug, Default)]
pub struct TokenRows {
    /// Where each history lies.
    pub sequences: Arc<[Range<usize>]>,
    pub(super) kinds: Vec<Kind>,
    pub(super) items: Vec<Option<u32>>,
    pub(super) queries: Vec<Option<u32>>,
    pub(super) actions: Vec<Option<u32>>,
    /// The place of each row; a question has that of the event which it asks for.
    pub places: Vec<u32>,
    /// Minutes since the last event of the history.
    pub minutes: Vec<f64>,
    /// How many rows from the start of its history each row sees, beside itself.
    pub visible: Vec<usize>,
    /// The rows of each question, history after history.
    pub asked: Vec<usize>,
}

impl TokenRows {
    /// The rows of some histories with their questions.
    pub fn new<'h>(histories: impl IntoIterator<Item = (&'h [Occurrence], &'h [Question])>) -> TokenRows {
        let mut rows = TokenRows::default();
        let mut sequences = Vec::new();
        for (events, questions) in histories {
            let start = rows.kinds.len();
            let reference = reference_time(events);
            events.iter().enumerate().for_each(|(place, event)| rows.push_event(place, event, reference));
            questions.iter().for_each(|question| rows.push_question(question, reference));
            sequences.push(start..rows.kinds.len());
        }
        rows.sequences = sequences.into();
        rows
    }

    fn push_event(&mut self, place: usize, event: &Occurrence, reference: Option<i64>) {
        self.kinds.push(Kind::Context);
        self.items.push(Some(event.item));
        self.queries.push(event.query);
        self.actions.push(Some(event.action));
        self.places.push(place as u32);
        self.minutes.push(minutes_since(reference, event.time));
        self.visible.push(place);
    }

    pub(super) fn push_question(&mut self, question: &Question, reference: Option<i64>) {
        self.asked.push(self.kinds.len());
        self.kinds.push(if question.candidate.is_some() { Kind::Ranking } else { Kind::Retrieval });
        self.items.push(question.candidate);
        self.queries.push(question.query);
        self.actions.push(None);
        self.places.push(question.known as u32);
        self.minutes.push(minutes_since(reference, question.time));
        self.visible.push(question.known);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Refuses items, queries and actions that the model does not have.
    pub(super) fn check(&self, [items, queries, actions]: [usize; 3]) -> Result<(), RecError> {
        if let Some(item) = self.items.iter().flatten().find(|item| **item as usize >= items) {
            return Err(RecError::UnknownItem { item: *item, catalogue: items });
        }
        let others = [(&self.queries, queries, "query"), (&self.actions, actions, "action")];
        for (given, count, what) in others {
            if let Some(at) = given.iter().flatten().find(|at| **at as usize >= count) {
                return Err(RecError::Setting(format!(
                    "there is no {what} {at}: the model has {count}, numbered from 0"
                )));
            }
        }
        Ok(())
    }
}

/// The time from which minutes of a history are counted: that of its last event that has one.
pub(super) fn reference_time(events: &[Occurrence]) -> Option<i64> {
    events.iter().rev().find_map(|event| event.time)
}

/// Minutes from a reference; 0 where one of both is not known.
fn minutes_since(reference: Option<i64>, time: Option<i64>) -> f64 {
    match (reference, time) {
        (Some(reference), Some(time)) => time.saturating_sub(reference) as f64 / 60.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_see_what_they_know_and_themselves() {
        let event = |item: u32, time: i64| Occurrence { item, action: 0, time: Some(time), query: None };
        let history = [event(4, 600), event(5, 1200)];
        let ask = |known: usize, candidate: Option<u32>| Question {
            known,
            time: Some(1800),
            query: Some(7),
            candidate,
        };
        let questions = [ask(1, None), ask(2, Some(9)), ask(2, Some(8))];
        let rows = TokenRows::new([(&history[..1], &[][..]), (&history[..], &questions[..])]);
        assert_eq!(*rows.sequences, [0..1, 1..6]);
        assert_eq!(rows.visible, [0, 0, 1, 1, 2, 2]);
        assert_eq!(rows.places, [0, 0, 1, 1, 2, 2]);
        assert_eq!(rows.minutes, [0.0, -10.0, 0.0, 10.0, 10.0, 10.0]);
        assert_eq!(rows.asked, [3, 4, 5]);
        assert_eq!(rows.items, [Some(4), Some(4), Some(5), None, Some(9), Some(8)]);
        assert!(rows.check([10, 8, 1]).is_ok());
        assert!(rows.check([9, 8, 1]).unwrap_err().to_string().contains("no item 9"));
        assert!(rows.check([10, 7, 1]).unwrap_err().to_string().contains("no query 7"));
        assert!(rows.check([10, 8, 0]).unwrap_err().to_string().contains("no action 0"));
    }

    #[test]
    fn without_times_nothing_is_turned() {
        let event = Occurrence { item: 0, action: 0, time: None, query: None };
        let question = Question { known: 1, time: Some(9), query: None, candidate: None };
        assert_eq!(TokenRows::new([(&[event][..], &[question][..])]).minutes, [0.0, 0.0]);
    }
}
