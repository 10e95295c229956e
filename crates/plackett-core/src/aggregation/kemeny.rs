//! The order that disagrees least with all preferences (Kemeny 1959).

use super::{Preferences, borda, copeland, greedy};
use crate::permutation::Permutation;

/// Most items whose order is found exactly, once those are set apart that no majority ties together.
pub const KEMENY_EXACT: usize = 14;

/// A Kemeny order.
#[derive(Clone, Debug, PartialEq)]
pub struct Kemeny {
    /// The order.
    pub order: Permutation,
    /// Weight of the preferences it goes against.
    pub disagreement: f64,
    /// No order goes against less than this: for each pair the smaller of its two weights is lost in any case.
    pub bound: f64,
    /// Whether the order is known to be best.
    pub optimal: bool,
}

/// The order with the least total Kendall distance to the rankings behind the preferences.
///
/// Items are first split into the strongly connected components of the strict majorities; in their order, the
/// components can be solved alone and nothing is lost (Truchon's extended Condorcet criterion). A component of up
/// to [`KEMENY_EXACT`] items is solved by dynamic programming over subsets; a larger one by local search that moves
/// single items, from the orders of Borda, Copeland and [`greedy`] and from the initial one, which is best only if
/// it reaches the bound.
pub fn kemeny(preferences: &Preferences) -> Kemeny {
    let n = preferences.len();
    let mut items = Vec::with_capacity(n);
    let mut optimal = true;
    for component in components(preferences) {
        if component.len() <= KEMENY_EXACT {
            items.extend(exact(preferences, &component));
        } else {
            let order = local_search(preferences, &component);
            optimal &= preferences.disagreement(&order) <= bound(preferences, &component);
            items.extend(order);
        }
    }
    let all: Vec<usize> = (0..n).collect();
    let disagreement = preferences.disagreement(&items);
    let lower = if optimal { disagreement } else { bound(preferences, &all) };
    Kemeny { order: Permutation::from_unique(items), disagreement, bound: lower, optimal }
}

fn bound(preferences: &Preferences, items: &[usize]) -> f64 {
    let pairs = items.iter().enumerate();
    pairs
        .map(|(place, &i)| {
            let rest = items[place + 1..].iter();
            rest.map(|&j| preferences.weight(i, j).min(preferences.weight(j, i))).sum::<f64>()
        })
        .sum()
}

/// Strongly connected components of "i is strictly preferred to j", such that preferences go forwards only; items
/// within one, and components where nothing decides, in the initial order as far as possible.
fn components(preferences: &Preferences) -> Vec<Vec<usize>> {
    let n = preferences.len();
    // reach[i] holds what i leads to, as bits; n is small enough (a thousand items are 125 kB) for the closure.
    let words = n.div_ceil(64);
    let mut reach = vec![vec![0u64; words]; n];
    for i in 0..n {
        for j in (0..n).filter(|&j| i == j || preferences.margin(i, j) > 0.0) {
            reach[i][j / 64] |= 1 << (j % 64);
        }
    }
    for via in 0..n {
        let row = reach[via].clone();
        for from in reach.iter_mut().filter(|from| from[via / 64] >> (via % 64) & 1 == 1) {
            from.iter_mut().zip(&row).for_each(|(word, more)| *word |= more);
        }
    }
    let leads = |i: usize, j: usize| reach[i][j / 64] >> (j % 64) & 1 == 1;
    let mut left: Vec<usize> = (0..n).collect();
    let mut found = Vec::new();
    while !left.is_empty() {
        // The first item to which none leads that it does not lead back to: it heads the next component.
        let head = left.iter().copied().find(|&i| left.iter().all(|&j| !leads(j, i) || leads(i, j)));
        let Some(head) = head else { break };
        let (component, rest) = left.into_iter().partition(|&j| leads(head, j) && leads(j, head));
        found.push(component);
        left = rest;
    }
    found
}

/// Dynamic programming: the least disagreement of each subset at the front. O(2ⁿ n²).
fn exact(preferences: &Preferences, items: &[usize]) -> Vec<usize> {
    let n = items.len();
    let mut least = vec![f64::INFINITY; 1 << n];
    least[0] = 0.0;
    let mut last = vec![0u8; 1 << n];
    for set in 1usize..1 << n {
        for place in (0..n).filter(|place| set >> place & 1 == 1) {
            let before = set & !(1 << place);
            // What puts this item behind those of `before` goes against.
            let members = (0..n).filter(|other| before >> other & 1 == 1);
            let added: f64 = members.map(|other| preferences.weight(items[place], items[other])).sum();
            let total = least[before] + added;
            // Of equal ones the later item comes last, which keeps the initial order.
            if total <= least[set] {
                least[set] = total;
                last[set] = place as u8;
            }
        }
    }
    let mut set = (1usize << n) - 1;
    let mut order = Vec::with_capacity(n);
    while set > 0 {
        let place = last[set] as usize;
        order.push(items[place]);
        set &= !(1 << place);
    }
    order.reverse();
    order
}

fn local_search(preferences: &Preferences, items: &[usize]) -> Vec<usize> {
    let within = |order: Permutation| {
        let mut inside = vec![false; preferences.len()];
        items.iter().for_each(|&item| inside[item] = true);
        order.items().iter().copied().filter(|&item| inside[item]).collect::<Vec<_>>()
    };
    let starts = [
        items.to_vec(),
        within(Permutation::by_descending(&borda(preferences))),
        within(Permutation::by_descending(&copeland(preferences))),
        within(greedy(preferences)),
    ];
    let mut best: Option<(f64, Vec<usize>)> = None;
    for mut order in starts {
        insertion_search(preferences, &mut order);
        let value = preferences.disagreement(&order);
        if best.as_ref().is_none_or(|(least, _)| value < *least) {
            best = Some((value, order));
        }
    }
    best.map(|(_, order)| order).unwrap_or_default()
}

/// Moves single items to where they disagree least until no move gains anything.
fn insertion_search(preferences: &Preferences, order: &mut [usize]) {
    loop {
        let mut moved = false;
        for from in 0..order.len() {
            let item = order[from];
            let (mut best, mut to) = (0.0, from);
            let mut change = 0.0;
            // Over each item passed, the pair turns round.
            for place in (0..from).rev() {
                change += preferences.margin(order[place], item);
                if change < best {
                    (best, to) = (change, place);
                }
            }
            change = 0.0;
            for place in from + 1..order.len() {
                change += preferences.margin(item, order[place]);
                if change < best {
                    (best, to) = (change, place);
                }
            }
            // Rounding must not make a move look like a gain for ever.
            if best < -1e-9 {
                if to < from {
                    order[to..=from].rotate_right(1)
                } else {
                    order[from..=to].rotate_left(1)
                }
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}
