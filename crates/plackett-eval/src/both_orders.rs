//! Two systems before a judge that reads their answers side by side, in both orders, since judges favour a place (PandaLM's
//! protocol as Sorted LLaMA, 2023, uses it: the score is (wins − losses) / comparisons).

/// Which of two answers a judge prefers, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preferred {
    /// The one that stands first.
    First,
    /// The one that stands second.
    Second,
    /// Neither.
    Neither,
}

/// What a system has against another one, each comparison being the mean of its two orders.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BothOrders {
    /// Comparisons, each judged twice.
    pub comparisons: usize,
    /// Won; halves where the orders disagree.
    pub wins: f64,
    /// Lost.
    pub losses: f64,
    /// Neither.
    pub ties: f64,
}

impl BothOrders {
    /// From what the judge said of each comparison: first with the system's answer in the first place, then in the second.
    pub fn of(judged: &[[Preferred; 2]]) -> BothOrders {
        let mut all = BothOrders { comparisons: judged.len(), ..BothOrders::default() };
        for [first, second] in judged {
            for (said, own, others) in
                [(first, Preferred::First, Preferred::Second), (second, Preferred::Second, Preferred::First)]
            {
                let sum = match *said {
                    said if said == own => &mut all.wins,
                    said if said == others => &mut all.losses,
                    _ => &mut all.ties,
                };
                *sum += 0.5;
            }
        }
        all
    }

    /// (wins − losses) / comparisons, from −1 to 1; `None` of no comparison. Ties are in the number of comparisons.
    pub fn score(&self) -> Option<f64> {
        (self.comparisons > 0).then(|| (self.wins - self.losses) / self.comparisons as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::Preferred::{First, Neither, Second};
    use super::*;

    #[test]
    fn the_paper_divides_by_all_comparisons() {
        // Depth 12 after two epochs: 71 wins, 99 losses, no tie, of 170 (its equation 2 would divide by the ties).
        let judged: Vec<[Preferred; 2]> =
            (0..170).map(|at| if at < 71 { [First, Second] } else { [Second, First] }).collect();
        let score = BothOrders::of(&judged).score().unwrap();
        assert_eq!((score * 1000.0).round(), -165.0);
    }

    #[test]
    fn a_judge_that_favours_a_place_says_nothing() {
        let all = BothOrders::of(&[[First, First], [Second, Second], [Neither, Neither], [First, Neither]]);
        assert_eq!((all.wins, all.losses, all.ties), (1.5, 1.0, 1.5));
        assert_eq!(all.score(), Some(0.125));
        assert_eq!(BothOrders::of(&[]).score(), None);
    }
}
