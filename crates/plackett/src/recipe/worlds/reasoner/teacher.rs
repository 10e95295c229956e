//! Whose answers are imitated.

use super::world::JudgedList;
use plackett_eval::reward::MultiView;
use std::cmp::Reverse;
use std::collections::HashSet;

/// Grades from 0 to 10 for the levels 0, 1 and 2, before the teacher errs by one at most.
const GRADES: [usize; 3] = [1, 5, 9];
/// Places in a list's draws; those of documents come after them.
const FAULT: u64 = 0;
const TIES: u64 = 8;
const ERRORS: u64 = 1 << 20;

/// A teacher who counts words and does not mind where documents come from, or one who does. Of numbers both know the largest one of the
/// whole list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Teacher {
    /// The share of its orders that run from the worst document to the best.
    pub faults: f64,
    /// Whether it knows the grades of texts, and so that adverts are worth nothing, and does not only count words.
    pub is_right: bool,
}

impl Teacher {
    /// The level from 0 to 2 that it takes a text for: its words about the query or, where the teacher is right, its grade.
    pub fn level(&self, list: &JudgedList, document: usize) -> usize {
        if self.is_right { list.grades[document] } else { list.about(document) }
    }

    /// All documents of a list by their levels, equal ones in a drawn order.
    pub fn order(&self, list: &JudgedList) -> Vec<usize> {
        let mut order: Vec<usize> = (0..list.documents.len()).collect();
        order.sort_by_key(|at| (Reverse(self.level(list, *at)), list.draws.word(TIES + *at as u64)));
        if f64::from(list.draws.uniform(FAULT)) < self.faults {
            order.reverse();
        }
        order
    }

    /// A grade for a level from 0 to 2 of a document.
    pub fn grade(&self, list: &JudgedList, document: usize, level: usize) -> usize {
        let error = list.draws.below(ERRORS + document as u64, 3);
        (GRADES[level.min(2)] + error).saturating_sub(1)
    }

    /// nDCG of its order with the list's relevant documents, which decides whether the list is kept (ReasonRank, self-consistency).
    pub fn consistency(&self, list: &JudgedList, view: &MultiView) -> f64 {
        let relevant: HashSet<usize> = (0..list.documents.len()).filter(|at| list.is_relevant(*at)).collect();
        let order = self.order(list);
        view.of(&order, &relevant, &order).ndcg
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::worlds::reasoner::{Format, Shape};

    #[test]
    fn orders_fall_with_words_and_faulty_ones_rise() {
        let shape = Shape { format: Format::Listwise, items: 6, relevant: 2, decoys: 2, shown: 6 };
        for number in 0..20 {
            let list = JudgedList::drawn(&shape, 1, number);
            let about = |order: Vec<usize>| order.into_iter().map(|at| list.about(at)).collect::<Vec<_>>();
            assert!(about(Teacher { faults: 0.0, is_right: false }.order(&list)).is_sorted_by(|a, b| a >= b));
            assert!(about(Teacher { faults: 1.0, is_right: false }.order(&list)).is_sorted());
            let grades: Vec<usize> =
                (0..6).map(|at| Teacher { faults: 0.0, is_right: false }.grade(&list, at, 2)).collect();
            assert!(grades.iter().all(|grade| (8..=10).contains(grade)));
        }
    }

    #[test]
    fn a_teacher_who_is_right_orders_by_grades_and_falls_for_no_advert() {
        let shape = Shape { format: Format::Listwise, items: 6, relevant: 2, decoys: 2, shown: 6 };
        let (careless, right) =
            (Teacher { faults: 0.0, is_right: false }, Teacher { faults: 0.0, is_right: true });
        for number in 0..20 {
            let list = JudgedList::drawn(&shape, 1, number);
            let order = right.order(&list);
            assert!(order.iter().map(|at| list.grades[*at]).is_sorted_by(|a, b| a >= b));
            assert!(order[..2].iter().all(|at| list.is_relevant(*at)));
            // They differ in adverts alone.
            let differ = |at: &usize| careless.level(&list, *at) != right.level(&list, *at);
            let adverts = (0..6).filter(differ).count();
            assert_eq!(adverts, 2);
        }
    }

    #[test]
    fn the_filter_lets_few_faulty_orders_through() {
        let shape = Shape { format: Format::Listwise, items: 6, relevant: 2, decoys: 2, shown: 6 };
        let view = MultiView { depth: 4, ..MultiView::default() };
        let kept = |faults: f64| {
            let lists = (0..200).map(|number| JudgedList::drawn(&shape, 1, number));
            lists.filter(|list| Teacher { faults, is_right: false }.consistency(list, &view) >= 0.4).count()
        };
        // Both relevant ones are among the first four, with nDCG of 0.57 and more. Turned round, they are so for one list in six.
        assert_eq!(kept(0.0), 200);
        assert!((10..60).contains(&kept(1.0)), "{}", kept(1.0));
    }
}
