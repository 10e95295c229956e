//! The form of an answer as a constraint: how many tokens it has, and which may stand at each place.

use crate::TrainError;
use plackett_lm::decode::{Allowed, Constraint, Transition};
use std::ops::Range;
use std::sync::Arc;

/// The most tokens that places of [`Place::Once`] choose among: a set of them is the bits of a word.
const MOST_ONCE: usize = 64;

/// What may stand at a place of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// This token.
    Only(u32),
    /// One of these.
    OneOf(Arc<[u32]>),
    /// One of the tokens of [`Form::new`] that no such place before it has.
    Once,
}

/// Answers of one length whose every place has its own tokens: tags and labels are given, grades and orders are chosen. What is written so
/// can always be read.
#[derive(Clone, Debug)]
pub struct Form {
    places: Vec<Place>,
    /// The tokens of [`Place::Once`], ascending.
    once: Arc<[u32]>,
}

/// How far an answer is, and which tokens of [`Place::Once`] it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormState {
    at: usize,
    used: u64,
}

impl Form {
    /// A form of some places; `once` are the tokens that places of [`Place::Once`] share.
    ///
    /// # Errors
    /// No places, a place for which there is no token left, or more than 64 tokens that stand once.
    pub fn new(places: Vec<Place>, mut once: Vec<u32>) -> Result<Form, TrainError> {
        let refused = |problem: &str| Err(TrainError::Setting(format!("the form of an answer: {problem}")));
        once.sort_unstable();
        once.dedup();
        let sorted = |place| match place {
            Place::OneOf(tokens) => {
                let mut tokens = tokens.to_vec();
                tokens.sort_unstable();
                tokens.dedup();
                Place::OneOf(tokens.into())
            }
            other => other,
        };
        let places: Vec<Place> = places.into_iter().map(sorted).collect();
        if places.is_empty() {
            return refused("there are no places; at least one is expected");
        }
        if places.iter().any(|place| matches!(place, Place::OneOf(tokens) if tokens.is_empty())) {
            return refused("a place has no token that may stand there");
        }
        if once.len() > MOST_ONCE {
            return refused("at most 64 tokens that stand once are expected");
        }
        if places.iter().filter(|place| **place == Place::Once).count() > once.len() {
            return refused("there are more places than tokens that stand once");
        }
        Ok(Form { places, once: once.into() })
    }

    /// Tokens of every answer.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Never: a form has places.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Runs of places at which there is a choice, the same in all answers. Of tokens that stand once, the last one is none.
    pub fn choices(&self) -> Vec<Range<usize>> {
        let mut left = self.once.len();
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let tokens = match place {
                Place::Only(_) => 1,
                Place::OneOf(tokens) => tokens.len(),
                Place::Once => {
                    left -= 1;
                    left + 1
                }
            };
            match runs.last_mut() {
                _ if tokens == 1 => {}
                Some(run) if run.end == at => run.end += 1,
                _ => runs.push(at..at + 1),
            }
        }
        runs
    }

    /// Whether these tokens are an answer of this form.
    pub fn fits(&self, tokens: &[u32]) -> bool {
        let mut state = self.start();
        for (at, token) in tokens.iter().enumerate() {
            match self.advance(&state, *token) {
                Some(Transition::Continue(next)) => state = next,
                Some(Transition::Finished(_)) => return at + 1 == tokens.len(),
                None => return false,
            }
        }
        false
    }
}

impl Constraint for Form {
    type State = FormState;
    type Output = ();

    fn start(&self) -> FormState {
        FormState::default()
    }

    fn allowed(&self, state: &FormState) -> Allowed {
        match &self.places[state.at] {
            Place::Only(token) => Allowed::only(vec![*token]),
            Place::OneOf(tokens) => Allowed::Only(tokens.clone()),
            Place::Once => {
                let is_left = |(bit, _): &(usize, &u32)| (state.used >> bit) & 1 == 0;
                Allowed::only(self.once.iter().enumerate().filter(is_left).map(|(_, token)| *token).collect())
            }
        }
    }

    fn advance(&self, state: &FormState, token: u32) -> Option<Transition<FormState>> {
        let place = self.places.get(state.at)?;
        if !self.allowed(state).contains(token) {
            return None;
        }
        let bit = if *place == Place::Once { self.once.binary_search(&token).ok() } else { None };
        let used = bit.map_or(state.used, |bit| state.used | (1 << bit));
        let next = FormState { at: state.at + 1, used };
        Some(if next.at == self.places.len() {
            Transition::Finished(next)
        } else {
            Transition::Continue(next)
        })
    }

    fn output(&self, _: &FormState) -> Option<()> {
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grade of 5, 6 or 7 after token 1, and an order of 10, 11 and 12 with token 2 between.
    fn form() -> Form {
        let places = vec![
            Place::Only(1),
            Place::OneOf([7, 5, 6].into()),
            Place::Once,
            Place::Only(2),
            Place::Once,
            Place::Only(2),
            Place::Once,
        ];
        Form::new(places, vec![12, 10, 11]).unwrap()
    }

    #[test]
    fn answers_of_the_form_fit_and_no_others() {
        let form = form();
        assert_eq!(form.len(), 7);
        assert!(form.fits(&[1, 6, 11, 2, 10, 2, 12]));
        for other in [
            &[1, 6, 11, 2, 10, 2][..],
            &[1, 6, 11, 2, 11, 2, 12],
            &[1, 8, 11, 2, 10, 2, 12],
            &[2, 6, 11, 2, 10, 2, 12],
            &[1, 6, 11, 2, 10, 2, 12, 2],
            &[],
        ] {
            assert!(!form.fits(other), "{other:?}");
        }
    }

    #[test]
    fn what_is_left_may_stand_and_the_last_is_no_choice() {
        let form = form();
        let mut state = form.start();
        for token in [1, 5, 12, 2] {
            let Some(Transition::Continue(next)) = form.advance(&state, token) else { panic!("{token}") };
            state = next;
        }
        assert_eq!(form.allowed(&state), Allowed::only(vec![10, 11]));
        // The grade and the first rank stand side by side; the last rank is what is left.
        assert_eq!(form.choices(), [1..3, 4..5]);
    }

    #[test]
    fn forms_that_cannot_be_filled_are_refused() {
        assert!(Form::new(Vec::new(), Vec::new()).is_err());
        assert!(Form::new(vec![Place::Once, Place::Once], vec![3, 3]).is_err());
        assert!(Form::new(vec![Place::OneOf([].into())], Vec::new()).is_err());
        assert!(Form::new(vec![Place::Once], (0..65).collect()).is_err());
    }
}
