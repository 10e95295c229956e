//! Writing sessions: the searches of the decoding engine, over codes that some item has.

use super::inference::OneRecInference;
use super::item_tokens::ItemTokens;
use super::model::source;
use super::session_decoder::SessionDecoder;
use crate::RecError;
use plackett_lm::LmError;
use plackett_lm::decode::{
    Allowed, Beam, Constraint, DecodeOptions, DecodeRequest, Hypothesis, Normalize, Sampling, Strategy,
    Transition, decode,
};
use std::collections::HashSet;

/// Requests that are written for together.
const TOGETHER: usize = 32;

/// How sessions are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SessionSearch {
    /// The likeliest ones, by a beam of so many over all of the session's tokens; 1 is greedy.
    Beam(usize),
    /// So many, drawn token by token from p^(1/temperature).
    Sample {
        /// How many.
        count: usize,
        /// Below 1 likelier tokens come more often; above 0.
        temperature: f32,
        /// From which what is drawn follows.
        seed: u64,
    },
}

impl SessionSearch {
    fn strategy(self) -> Strategy {
        match self {
            SessionSearch::Beam(width) => Strategy::Beam(Beam::new(width)),
            SessionSearch::Sample { count, temperature, seed } => Strategy::Sample(Sampling {
                samples: count,
                temperature: f64::from(temperature),
                ..Sampling::new(seed)
            }),
        }
    }
}

/// A session that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Its items, each once, at the first of its places.
    pub items: Vec<u32>,
    /// Its items as they were written, as many as were asked for; one may come again.
    pub written: Vec<u32>,
    /// The sum of ln p over its tokens, among all tokens of the vocabulary.
    pub log_probability: f64,
}

impl Generated {
    fn of(own: Hypothesis<Vec<u32>>) -> Generated {
        let mut seen = HashSet::new();
        let items = own.output.iter().copied().filter(|item| seen.insert(*item)).collect();
        Generated { items, written: own.output, log_probability: own.log_prob }
    }

    /// How many of the written items were there before, and are left out.
    pub fn repeated(&self) -> usize {
        self.written.len() - self.items.len()
    }
}

/// Sessions of so many items, one at least, each written as its codes.
struct SessionCodes<'t> {
    tokens: &'t ItemTokens,
    length: usize,
}

impl Constraint for SessionCodes<'_> {
    /// Items that are whole, and codes of the next one.
    type State = (Vec<u32>, Vec<u32>);
    type Output = Vec<u32>;

    fn start(&self) -> Self::State {
        (Vec::new(), Vec::new())
    }

    fn allowed(&self, (items, codes): &Self::State) -> Allowed {
        let is_whole = items.len() == self.length;
        Allowed::only(if is_whole { Vec::new() } else { self.tokens.allowed(codes).to_vec() })
    }

    fn advance(&self, state: &Self::State, token: u32) -> Option<Transition<Self::State>> {
        let (items, codes) = state;
        if !self.allowed(state).contains(token) {
            return None;
        }
        let codes: Vec<u32> = codes.iter().copied().chain([token]).collect();
        if codes.len() < self.tokens.levels() {
            return Some(Transition::Continue((items.clone(), codes)));
        }
        let items: Vec<u32> = items.iter().copied().chain(self.tokens.item(&codes)).collect();
        Some(match items.len() == self.length {
            true => Transition::Finished((items, Vec::new())),
            false => Transition::Continue((items, Vec::new())),
        })
    }

    fn output(&self, (items, _): &Self::State) -> Option<Vec<u32>> {
        (items.len() == self.length).then(|| items.clone())
    }
}

impl OneRecInference {
    /// Sessions of `length` written items behind each history, the likeliest or first drawn first; of an item that is written twice the first one
    /// is kept, and the others are counted ([`Generated::repeated`]). Beams may give fewer than were asked for, where there are not
    /// so many sessions.
    ///
    /// # Errors
    /// A history has an item that the catalogue lacks, nothing is asked for, or a temperature is not above 0.
    pub fn generate(
        &self,
        tokens: &ItemTokens,
        histories: &[&[u32]],
        length: usize,
        search: SessionSearch,
    ) -> Result<Vec<Vec<Generated>>, RecError> {
        let mut found = self.generate_lengths(tokens, histories, &[length], search)?;
        Ok(found.pop().unwrap_or_default())
    }

    /// The same for each of some lengths, behind histories that are read once: for each length what [`OneRecInference::generate`] gives.
    pub(super) fn generate_lengths(
        &self,
        tokens: &ItemTokens,
        histories: &[&[u32]],
        lengths: &[usize],
        search: SessionSearch,
    ) -> Result<Vec<Vec<Vec<Generated>>>, RecError> {
        let count = match search {
            SessionSearch::Beam(count) | SessionSearch::Sample { count, .. } => count,
        };
        if count == 0 || lengths.contains(&0) {
            return Err(RecError::Setting("onerec: sessions and items of each are 1 at least".into()));
        }
        let prompt = [tokens.begin()];
        let mut all = vec![Vec::new(); lengths.len()];
        for (at, histories) in histories.chunks(TOGETHER).enumerate() {
            let sources = histories
                .iter()
                .map(|history| source(tokens, history, self.max_history))
                .collect::<Result<Vec<_>, _>>()?;
            let mut decoder = SessionDecoder::new(&self.engine, tokens, &sources)?;
            for (length, all) in lengths.iter().copied().zip(&mut all) {
                // Codes without an alternative count too: the sum is that of the training.
                let options = DecodeOptions {
                    normalize: Normalize::Vocabulary,
                    score_forced: true,
                    max_tokens: length * tokens.levels(),
                    ..DecodeOptions::new(search.strategy())
                };
                let constraint = SessionCodes { tokens, length };
                let request = |place: usize| DecodeRequest {
                    prefix: decoder.history(place),
                    prompt: &prompt,
                    constraint: &constraint,
                    index: (at * TOGETHER + place) as u64,
                };
                let requests: Vec<DecodeRequest<'_, SessionCodes<'_>>> =
                    (0..histories.len()).map(request).collect();
                for found in decode(&mut decoder, &requests, &options)? {
                    let found = found.map_err(LmError::from)?;
                    all.push(found.hypotheses.into_iter().map(Generated::of).collect());
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_items_one_after_another() {
        // Items 0 – 2 have the codes (0, 0), (0, 1) and (1, 1): tokens 0 2, 0 3 and 1 3.
        let codes = [[0, 0], [0, 1], [1, 1]].map(|codes| codes.to_vec());
        let tokens = ItemTokens::new(&codes, 2, &[1; 3]).unwrap();
        let constraint = SessionCodes { tokens: &tokens, length: 2 };
        let mut state = constraint.start();
        for (token, allowed) in [(1, &[0, 1][..]), (3, &[3][..]), (0, &[0, 1][..])] {
            assert_eq!(constraint.allowed(&state), Allowed::only(allowed.to_vec()));
            state = match constraint.advance(&state, token) {
                Some(Transition::Continue(state)) => state,
                other => panic!("{other:?}"),
            };
            assert_eq!(constraint.output(&state), None);
        }
        assert_eq!(state, (vec![2], vec![0]));
        assert_eq!(constraint.advance(&state, 1), None);
        let Some(Transition::Finished(state)) = constraint.advance(&state, 2) else { panic!("it goes on") };
        assert_eq!(constraint.output(&state), Some(vec![2, 0]));
        assert_eq!(constraint.allowed(&state), Allowed::only(Vec::new()));
    }
}
