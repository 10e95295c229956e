//! Why an item is recommended: which item of the history holds it up.

use crate::evaluation::check_items;
use crate::{Event, RecError, Recommender, Request};

/// The item of a history without which a recommended item would lose most of its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// The item of the history.
    pub item: u32,
    /// By how much the score falls without it; above 0.
    pub fall: f32,
}

/// For each item of a list its reason among the newest `most` events of the history: each item there is left out in turn, and
/// all are scored again. `None` where no score would fall.
///
/// # Errors
/// As [`Recommender::finite_scores`]; the list has an item that the catalogue does not have.
pub fn reasons(
    recommender: &dyn Recommender,
    request: &Request<'_>,
    list: &[u32],
    most: usize,
) -> Result<Vec<Option<Reason>>, RecError> {
    let event = |item: &u32| Event { item: *item, rating: 1.0, time: request.now };
    check_items(list.iter().map(event).collect::<Vec<Event>>().iter(), recommender.catalogue())?;
    let history = request.history;
    let newest = &history[history.len().saturating_sub(most)..];
    let items = crate::recommender::item_set(newest);
    let without =
        |item: &u32| -> Vec<Event> { history.iter().filter(|event| event.item != *item).copied().collect() };
    let shortened: Vec<Vec<Event>> = items.iter().map(without).collect();
    let requests: Vec<Request<'_>> = shortened
        .iter()
        .map(Vec::as_slice)
        .chain([history])
        .map(|history| Request { history, now: request.now })
        .collect();
    let scores = recommender.finite_scores(&requests)?;
    let catalogue = recommender.catalogue();
    let whole = &scores[shortened.len() * catalogue..];
    let reason = |item: &u32| {
        let fall = |at: usize| whole[*item as usize] - scores[at * catalogue + *item as usize];
        let largest = (0..items.len()).max_by(|a, b| fall(*a).total_cmp(&fall(*b)))?;
        (fall(largest) > 0.0).then(|| Reason { item: items[largest], fall: fall(largest) })
    };
    Ok(list.iter().map(reason).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_train::Parameters;

    /// An item lends the next one its number.
    struct Next;

    impl Recommender for Next {
        fn catalogue(&self) -> usize {
            4
        }

        fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
            let row = |request: &Request<'_>| {
                let mut scores = vec![0.0; 4];
                request
                    .history
                    .iter()
                    .for_each(|event| scores[(event.item as usize + 1) % 4] += event.item as f32);
                scores
            };
            Ok(requests.iter().flat_map(row).collect())
        }

        fn parameters(&self) -> Parameters {
            Parameters::default()
        }
    }

    #[test]
    fn the_reason_is_the_item_that_holds_the_score_up() {
        let history = [0u32, 1, 2].map(|item| Event { item, rating: 1.0, time: 0 });
        let request = Request { history: &history, now: 1 };
        let found = reasons(&Next, &request, &[3, 2, 1], 10).unwrap();
        assert_eq!(found, [Some(Reason { item: 2, fall: 2.0 }), Some(Reason { item: 1, fall: 1.0 }), None]);
        assert_eq!(reasons(&Next, &request, &[2], 1).unwrap(), [None], "only the newest event is looked at");
        assert!(reasons(&Next, &request, &[9], 1).is_err());
    }
}
