//! Users and items with enough events.

use super::{Event, Interactions};

/// What is left when users and items with fewer than `least` events are taken out again and again, until all have enough.
/// What was taken out is counted in the account. O(events) for each round, and no event is there twice.
pub fn k_core(all: Interactions, least: usize) -> Interactions {
    let mut users = vec![true; all.users.len()];
    let mut items = vec![true; all.items.len()];
    loop {
        let mut counts = vec![0; items.len()];
        let kept = |items: &[bool], event: &&Event| items[event.item as usize];
        let mut changed = false;
        for (user, sequence) in
            all.sequences.iter().enumerate().filter(|(user, _)| users[*user]).collect::<Vec<_>>()
        {
            let own: Vec<&Event> = sequence.iter().filter(|event| kept(&items, event)).collect();
            if own.len() < least {
                users[user] = false;
                changed = true;
            } else {
                own.iter().for_each(|event| counts[event.item as usize] += 1);
            }
        }
        for (kept, count) in items.iter_mut().zip(&counts) {
            if *kept && *count < least {
                *kept = false;
                changed = true;
            }
        }
        if !changed {
            return rest(all, &users, &items);
        }
    }
}

/// The users and items that are kept, with new places.
fn rest(mut all: Interactions, users: &[bool], items: &[bool]) -> Interactions {
    let mut places = vec![0u32; items.len()];
    let kept = places.iter_mut().zip(items).filter(|(_, kept)| **kept);
    for (next, (place, _)) in (0u32..).zip(kept) {
        *place = next;
    }
    let before = [all.users.len(), all.items.len()];
    keep(&mut all.users, users);
    keep(&mut all.items, items);
    keep(&mut all.sequences, users);
    for sequence in &mut all.sequences {
        sequence.retain(|event| items[event.item as usize]);
        sequence.iter_mut().for_each(|event| event.item = places[event.item as usize]);
    }
    let outside = [before[0] - all.users.len(), before[1] - all.items.len()];
    all.account.outside_core.iter_mut().zip(outside).for_each(|(sum, own)| *sum += own);
    all
}

/// Leaves only what is kept.
fn keep<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    list.retain(|_| kept.next().is_some_and(|kept| *kept));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_below_takes_others_with_it() {
        let event = |item: u32| Event { item, rating: 1.0, time: 0 };
        let all = Interactions {
            users: ["a", "b", "c", "d"].map(String::from).to_vec(),
            items: ["w", "x", "y", "z"].map(String::from).to_vec(),
            // z occurs once; without it, user d has one event; without d, y occurs once, and c has one event.
            sequences: [&[0, 1][..], &[0, 1], &[0, 2], &[2, 3]]
                .map(|items| items.iter().map(|item| event(*item)).collect())
                .to_vec(),
            ..Interactions::default()
        };
        let core = k_core(all.clone(), 2);
        assert_eq!(
            (core.users, core.items),
            (vec!["a".to_string(), "b".into()], vec!["w".to_string(), "x".into()])
        );
        assert_eq!(core.account.outside_core, [2, 2]);
        assert_eq!(k_core(all.clone(), 1).events(), 8);
        assert_eq!(k_core(all, 5).events(), 0);
    }
}
