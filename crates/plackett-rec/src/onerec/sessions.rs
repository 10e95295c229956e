//! Sessions: what somebody did one after the other within a short time.

use crate::{Event, Interactions};

/// What a session is, and which are good ones to learn to write from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SessionRule {
    /// Items of a session.
    pub length: usize,
    /// Seconds from its first item to its last at most.
    pub within: i64,
    /// The lowest rating of an event that counts as watched; others are passed over.
    pub watched: f32,
    /// The least sum of ratings, in the place of a time that was watched.
    pub least_total: f32,
    /// From which rating on an item was liked,
    pub liked: f32,
    /// and how many of a session have to be.
    pub least_liked: usize,
    /// How many liked items somebody has to have before it.
    pub least_history: usize,
}

/// A session and what somebody had liked before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The user's place.
    pub user: usize,
    /// Items that were liked before, the oldest first.
    pub history: Vec<u32>,
    /// Its items, in their order.
    pub items: Vec<u32>,
    /// How they were rated.
    pub ratings: Vec<f32>,
}

/// Sessions, and what became of the events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sessions {
    /// The good ones, user by user, the oldest first.
    pub all: Vec<Session>,
    /// Sessions that are too little liked or watched.
    pub poor: usize,
    /// Sessions before which too little was liked.
    pub early: usize,
    /// Watched events that are in no session.
    pub outside: usize,
}

/// The sessions of all users: of the watched events, the oldest first, the next `length` are a session where they lie within the time, and otherwise
/// the first of them is passed over.
pub fn sessions(all: &Interactions, rule: &SessionRule) -> Sessions {
    let mut made = Sessions::default();
    for (user, events) in all.sequences.iter().enumerate() {
        let watched: Vec<&Event> = events.iter().filter(|event| event.rating >= rule.watched).collect();
        let mut at = 0;
        while at + rule.length.max(1) <= watched.len() {
            let part = &watched[at..at + rule.length.max(1)];
            if part[part.len() - 1].time.saturating_sub(part[0].time) > rule.within {
                made.outside += 1;
                at += 1;
                continue;
            }
            at += part.len();
            let total: f32 = part.iter().map(|event| event.rating).sum();
            let liked = part.iter().filter(|event| event.rating >= rule.liked).count();
            if total < rule.least_total || liked < rule.least_liked {
                made.poor += 1;
                continue;
            }
            // Events before the session in the order of time; of equal times, of the file.
            let begin = events.iter().position(|event| std::ptr::eq(event, part[0])).unwrap_or_default();
            let before = events[..begin].iter().filter(|event| event.rating >= rule.liked);
            let history: Vec<u32> = before.map(|event| event.item).collect();
            if history.len() < rule.least_history {
                made.early += 1;
                continue;
            }
            let (items, ratings) = part.iter().map(|event| (event.item, event.rating)).unzip();
            made.all.push(Session { user, history, items, ratings });
        }
        made.outside += watched.len() - at;
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_near_in_time_and_good() {
        let event = |item: u32, rating: f32, time: i64| Event { item, rating, time };
        let events = vec![
            event(0, 5.0, 0),
            event(1, 2.0, 1),
            event(2, 4.0, 2),
            event(3, 4.0, 900),
            event(4, 5.0, 901),
            event(5, 4.0, 902),
            event(6, 5.0, 903),
            event(7, 3.0, 904),
        ];
        let all =
            Interactions { users: vec!["u".into()], sequences: vec![events], ..Interactions::default() };
        let rule = SessionRule {
            length: 2,
            within: 100,
            watched: 3.0,
            least_total: 0.0,
            liked: 4.0,
            least_liked: 0,
            least_history: 0,
        };
        let made = sessions(&all, &rule);
        let items =
            |made: &Sessions| made.all.iter().map(|session| session.items.clone()).collect::<Vec<_>>();
        assert_eq!(items(&made), [[0, 2], [3, 4], [5, 6]]);
        assert_eq!((made.outside, made.all[2].history.clone()), (1, vec![0, 2, 3, 4]));
        assert_eq!(made.all[0].ratings, [5.0, 4.0]);
        let made = sessions(&all, &SessionRule { length: 4, watched: 4.0, ..rule });
        assert_eq!((items(&made), made.outside), (vec![vec![3, 4, 5, 6]], 2));
        let made = sessions(&all, &SessionRule { least_total: 9.0, least_history: 1, ..rule });
        assert_eq!((items(&made), made.early), (vec![vec![3, 4], vec![5, 6]], 1));
        let made = sessions(&all, &SessionRule { least_liked: 2, watched: 0.0, ..rule });
        assert_eq!((made.all.len(), made.poor, made.outside), (2, 1, 2), "{made:?}");
    }
}
