use super::*;
use crate::ask_tell::AskTell;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn finish<A: AskTell<Question = Window, Answer = Permutation>>(
    mut algorithm: A,
    mut answer: impl FnMut(&Window) -> Permutation,
) -> (A, usize) {
    let mut rounds = 0;
    while !algorithm.is_finished() {
        let answers = algorithm.ask().to_vec().iter().map(&mut answer).collect();
        algorithm.tell(answers).unwrap();
        rounds += 1;
    }
    (algorithm, rounds)
}

fn shuffled(n: usize, seed: u64) -> Vec<f64> {
    let mut grades: Vec<f64> = (0..n).map(|grade| grade as f64).collect();
    grades.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    grades
}

fn by_grade(grades: &[f64]) -> impl Fn(&Window) -> Permutation + '_ {
    |window| Permutation::by_descending(&window.items.iter().map(|&item| grades[item]).collect::<Vec<_>>())
}

/// The same, but a model that stops after the wanted ranks.
fn wanted_only(grades: &[f64]) -> impl Fn(&Window) -> Permutation + '_ {
    |window| {
        crate::sorting::top_then_initial(
            &by_grade(grades)(window).items()[..window.wanted],
            window.items.len(),
        )
    }
}

#[test]
fn windows_are_those_of_the_papers() {
    let count = |n| window_ranges(n, 20, 10).len();
    let lengths = [0, 1, 2, 10, 15, 20, 21, 25, 30, 95, 100];
    assert_eq!(lengths.map(count), [0, 0, 1, 1, 1, 1, 2, 2, 2, 9, 9]);
    assert_eq!(window_ranges(25, 20, 10), [5..25, 0..15]);
    assert_eq!(window_ranges(30, 20, 10), [10..30, 0..20]);
    let hundred = window_ranges(100, 20, 10);
    assert_eq!((hundred[0].clone(), hundred[1].clone(), hundred[8].clone()), (80..100, 70..90, 0..20));
    assert_eq!(hundred.iter().map(ExactSizeIterator::len).sum::<usize>(), 180);
    assert_eq!(window_ranges(41, 20, 20), [21..41, 1..21]);
    assert_eq!(window_ranges(100, 10, 5).len(), 19);
    assert!(window_ranges(9, 3, 0).is_empty() && window_ranges(9, 3, 4).is_empty());
    assert_eq!(WindowSchedule::full(100, None).total(), 1);
    let reranked = SlidingOptions { depth: Some(30), ..SlidingOptions::default() };
    assert_eq!(WindowSchedule::sliding(100, &reranked).unwrap().total(), 2);
}

#[test]
fn wrong_options_are_refused() {
    let sliding = |size, stride, passes| {
        WindowSchedule::sliding(9, &SlidingOptions { size, stride, passes, ..SlidingOptions::default() })
            .err()
    };
    assert_eq!(sliding(3, 4, 1).unwrap().to_string(), "stride is 4; it must be from 1 to 3");
    assert_eq!(sliding(1, 1, 1).unwrap().to_string(), "size is 1; it must be at least 2");
    assert!(sliding(3, 0, 1).is_some() && sliding(3, 1, 0).is_some() && sliding(3, 3, 1).is_none());
    assert!(WindowSchedule::multi_pass(9, 3, 3).is_err());
    assert!(TopDown::new(9, &TopDownOptions { size: 3, pivot: 3 }).is_err());
    assert!(Tournament::new(9, &TournamentOptions::tour_rank()).is_err());
    let mut full = WindowSchedule::full(3, None);
    let wrong = vec![Permutation::identity(2)];
    assert_eq!(full.tell(wrong), Err(TellError::Size { answer: 0, wanted: 3, found: 2 }));
    assert_eq!(full.tell(Vec::new()), Err(TellError::Count { questions: 1, answers: 0 }));
    assert_eq!((full.ask().len(), full.counts()), (1, WindowCounts::default()));
}

#[test]
fn one_pass_of_a_true_model_finds_the_top_and_many_passes_the_order() {
    let mut later_wrong = false;
    for seed in 0..20 {
        let grades = shuffled(100, seed);
        let ideal = Permutation::by_descending(&grades);
        let sliding = |options: SlidingOptions| WindowSchedule::sliding(100, &options).unwrap();
        let (one, rounds) = finish(sliding(SlidingOptions::default()), by_grade(&grades));
        assert_eq!((rounds, one.counts()), (9, WindowCounts { windows: 9, items: 180 }));
        assert_eq!(one.order().items()[..10], ideal.items()[..10]);
        later_wrong |= one.order() != ideal;
        let (labels, _) = finish(WindowSchedule::multi_pass(100, 20, 10).unwrap(), by_grade(&grades));
        assert_eq!((labels.counts().windows, labels.order()), (45, ideal.clone()));
        let nine = sliding(SlidingOptions { passes: 9, ..SlidingOptions::default() });
        let (nine, _) = finish(nine, by_grade(&grades));
        assert_eq!((nine.counts().windows, nine.order()), (81, ideal.clone()));
        for options in [
            SlidingOptions { top: Some(10), ..SlidingOptions::default() },
            SlidingOptions { top: Some(7), passes: 3, ..SlidingOptions::default() },
        ] {
            let top = options.top.unwrap();
            let (cut, _) = finish(sliding(options), wanted_only(&grades));
            assert_eq!(cut.order().items()[..top], ideal.items()[..top]);
        }
        let (full, _) = finish(WindowSchedule::full(100, Some(10)), wanted_only(&grades));
        assert_eq!(full.order(), crate::sorting::top_then_initial(&ideal.items()[..10], 100));
        assert_eq!(full.counts(), WindowCounts { windows: 1, items: 100 });
    }
    assert!(later_wrong);
}

#[test]
fn the_last_can_become_the_first_and_ranks_behind_the_depth_stay() {
    let grades: Vec<f64> = (0..100).map(|item| if item == 99 { 1.0 } else { 0.0 }).collect();
    let (one, _) =
        finish(WindowSchedule::sliding(100, &SlidingOptions::default()).unwrap(), by_grade(&grades));
    assert_eq!(one.order().items()[0], 99);
    let depth = SlidingOptions { depth: Some(30), ..SlidingOptions::default() };
    let reversed = |window: &Window| Permutation::new((0..window.items.len()).rev().collect()).unwrap();
    let (two, rounds) = finish(WindowSchedule::sliding(100, &depth).unwrap(), reversed);
    assert_eq!(rounds, 2);
    assert_eq!(two.order().items()[30..], (30..100).collect::<Vec<_>>());
    let same = |window: &Window| Permutation::identity(window.items.len());
    let (unchanged, _) = finish(WindowSchedule::sliding(100, &depth).unwrap(), same);
    assert_eq!(unchanged.order(), Permutation::identity(100));
}

#[test]
fn top_down_finds_the_top_in_fewer_windows_and_few_rounds() {
    let mut windows = 0;
    for seed in 0..50 {
        // A first stage with some sense: the true grade and noise.
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let grades: Vec<f64> =
            (0..100).map(|item| -f64::from(item) + 40.0 * (random.random::<f64>() - 0.5)).collect();
        let ideal = Permutation::by_descending(&grades);
        let top_down = TopDown::new(100, &TopDownOptions::default()).unwrap();
        let (sorted, rounds) = finish(top_down, by_grade(&grades));
        assert_eq!(sorted.order().items()[..9], ideal.items()[..9], "seed {seed}");
        assert!(rounds <= 3);
        windows += sorted.counts().windows;
        // And from any order.
        let grades = shuffled(100, seed);
        let top_down = TopDown::new(100, &TopDownOptions::default()).unwrap();
        let (sorted, _) = finish(top_down, by_grade(&grades));
        assert_eq!(sorted.order().items()[..9], Permutation::by_descending(&grades).items()[..9]);
    }
    let mean = windows as f64 / 50.0;
    println!("top-down partitioning: {mean} windows at N = 100, where sliding takes 9");
    assert!((6.0..=7.0).contains(&mean), "{mean}");
    // Nobody beats the pivot: the head stands, and one round of partitions is all.
    let (done, rounds) = finish(TopDown::new(100, &TopDownOptions::default()).unwrap(), |window| {
        Permutation::identity(window.items.len())
    });
    assert_eq!((rounds, done.counts().windows, done.order()), (2, 6, Permutation::identity(100)));
}

#[test]
fn tournaments_add_up_points() {
    let tour_rank = TournamentOptions::tour_rank();
    let grades = shuffled(100, 4);
    let (ten, rounds) = finish(Tournament::new(100, &tour_rank).unwrap(), wanted_only(&grades));
    assert_eq!((rounds, ten.counts().windows, ten.total()), (5, 130, 130));
    let ideal = Permutation::by_descending(&grades);
    // The last two of every tournament get equal points, so that the initial order decides between them.
    assert!(ten.order().items()[..2].iter().all(|item| ideal.items()[..2].contains(item)));
    // 50 + 20 + 10 + 5 + 2 points a tournament.
    assert_eq!(ten.points().iter().sum::<usize>(), 870);
    assert!(ten.points()[ideal.items()[0]] == 50);
    // Who meets whom depends on the initial places alone, so a model that never errs gives every tournament one result.
    let quality = |tournaments| -> u64 {
        (0..10)
            .map(|seed| {
                let grades = shuffled(100, seed);
                let options = TournamentOptions { tournaments, seed, ..TournamentOptions::tour_rank() };
                let (held, _) = finish(Tournament::new(100, &options).unwrap(), wanted_only(&grades));
                held.order().kendall_distance(&Permutation::by_descending(&grades)).unwrap()
            })
            .sum()
    };
    assert_eq!(quality(10), quality(1));
    for n in [0, 1, 2, 3, 7, 19, 20, 21, 47, 100] {
        let halving = TournamentOptions::halving(n, 20, 2, 1);
        let grades = shuffled(n, 9);
        let (held, _) = finish(Tournament::new(n, &halving).unwrap(), wanted_only(&grades));
        assert_eq!(held.order().len(), n);
        if n > 0 {
            assert_eq!(held.order().items()[0], Permutation::by_descending(&grades).items()[0], "{n}");
        }
    }
}

proptest! {
    /// Whatever a model answers, all algorithms end with a permutation.
    #[test]
    fn any_model_gives_a_permutation(n in 0usize..60, size in 3usize..25, stride in 1usize..25, seed in any::<u64>()) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut noise = |window: &Window| {
            assert!(window.items.len() >= 2 && (1..=window.items.len()).contains(&window.wanted));
            let mut order: Vec<usize> = (0..window.items.len()).collect();
            order.shuffle(&mut random);
            Permutation::new(order).unwrap()
        };
        let whole = |order: &Permutation| Permutation::new(order.items().to_vec()).is_ok() && order.len() == n;
        let options = SlidingOptions { size, stride: stride.min(size), passes: 2, depth: None, top: Some(3) };
        let sliding = WindowSchedule::sliding(n, &options).unwrap();
        let total = sliding.total();
        let (sliding, _) = finish(sliding, &mut noise);
        prop_assert!(whole(&sliding.order()) && sliding.counts().windows == total);
        let labels = WindowSchedule::multi_pass(n, size, stride.min(size - 1)).unwrap();
        prop_assert!(whole(&finish(labels, &mut noise).0.order()));
        let top_down = TopDown::new(n, &TopDownOptions { size, pivot: (size / 2).max(2) }).unwrap();
        prop_assert!(whole(&finish(top_down, &mut noise).0.order()));
        let tournament = Tournament::new(n, &TournamentOptions::halving(n, size, 3, seed)).unwrap();
        prop_assert!(whole(&finish(tournament, &mut noise).0.order()));
    }
}
