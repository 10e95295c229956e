use super::*;
use crate::ask_tell::{AskTell, TellError, run_together};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn by_grade(grades: &[i64]) -> impl Fn(&Pair) -> Outcome + '_ {
    |pair| match grades[pair.first].cmp(&grades[pair.second]) {
        std::cmp::Ordering::Greater => Outcome::First,
        std::cmp::Ordering::Less => Outcome::Second,
        std::cmp::Ordering::Equal => Outcome::Tie,
    }
}

fn finish<A: AskTell>(mut sort: A, answer: impl Fn(&A::Question) -> A::Answer) -> A {
    while !sort.is_finished() {
        let answers = sort.ask().iter().map(&answer).collect();
        sort.tell(answers).unwrap();
    }
    sort
}

fn shuffled(n: usize, seed: u64) -> Vec<i64> {
    let mut grades: Vec<i64> = (0..n as i64).collect();
    grades.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    grades
}

fn ideal(grades: &[i64]) -> Permutation {
    Permutation::by_descending(&grades.iter().map(|&grade| grade as f64).collect::<Vec<_>>())
}

fn best_of(grades: &[i64]) -> impl Fn(&Set) -> Option<usize> + '_ {
    |set| (0..set.items.len()).rev().max_by_key(|&place| grades[set.items[place]])
}

#[test]
fn counts_are_those_of_the_papers() {
    let tie = |_: &Pair| Outcome::Tie;
    let all = finish(AllPairs::new(100), tie);
    assert_eq!((all.counts().comparisons, all.total(), all_pairs_comparisons(100)), (4950, 4950, 4950));
    assert_eq!(all.counts(), PairCounts { comparisons: 4950, asked: 4950, ties: 4950 });
    assert_eq!((sliding_comparisons(100, 10), sliding_comparisons(3, 10)), (945, 3));
    let (mut heap, mut heap_asked, mut skipped, mut setwise, mut small_sets) = (0, 0, 0, 0, 0);
    for seed in 0..60 {
        let grades = shuffled(100, seed);
        let full = finish(SlidingPasses::new(100, 10, false), by_grade(&grades));
        let skip = finish(SlidingPasses::new(100, 10, true), by_grade(&grades));
        assert_eq!(full.counts().comparisons, 945);
        assert!(skip.counts().comparisons <= 945 && skip.order(100) == full.order(100));
        assert_eq!(skip.counts().asked, full.counts().asked, "what is skipped was asked before");
        skipped += skip.counts().comparisons;
        let sort = finish(PairwiseHeapsort::new(100, 10), by_grade(&grades));
        assert!((240..=310).contains(&sort.counts().comparisons), "{:?}", sort.counts());
        heap += sort.counts().comparisons;
        heap_asked += sort.counts().asked;
        let rank_r1 = finish(SetwiseHeapsort::new(100, 10, 19), best_of(&grades)).counts().asked;
        assert!((18..=26).contains(&rank_r1), "{rank_r1}");
        setwise += rank_r1;
        small_sets += finish(SetwiseHeapsort::new(100, 10, 3), best_of(&grades)).counts().asked;
        let bubble = finish(SetwiseBubblesort::new(100, 10, 3), best_of(&grades)).counts().asked;
        assert!(bubble <= setwise_bubblesort_comparisons(100, 10, 3));
    }
    let mean = |sum: usize| sum as f64 / 60.0;
    println!("heap {} ({} asked), skipping {}", mean(heap), mean(heap_asked), mean(skipped));
    println!("setwise c=19 {}, c=3 {}", mean(setwise), mean(small_sets));
    assert!((mean(heap) - 278.0).abs() < 4.0 && (mean(heap_asked) - 266.0).abs() < 4.0);
    assert!((mean(skipped) - 934.0).abs() < 3.0);
    assert!((mean(setwise) - 23.3).abs() < 0.3 && (mean(small_sets) - 82.0).abs() < 2.0);
    assert_eq!(setwise_bubblesort_comparisons(100, 10, 3), 318);
}

#[test]
fn a_true_comparator_gives_the_ideal_top_from_any_order() {
    for (n, top) in [(0, 3), (1, 1), (2, 1), (2, 2), (5, 0), (20, 10), (37, 5), (37, 37), (37, 99)] {
        for seed in 0..5 {
            let grades = shuffled(n, seed);
            let wanted = top_then_initial(&ideal(&grades).items()[..top.min(n)], n);
            assert_eq!(finish(AllPairs::new(n), by_grade(&grades)).order(), ideal(&grades));
            assert_eq!(finish(PairwiseHeapsort::new(n, top), by_grade(&grades)).order(), wanted);
            assert_eq!(finish(SlidingPasses::new(n, top, true), by_grade(&grades)).order(top), wanted);
            for children in [1, 2, 3, 19, 60] {
                let heap = finish(SetwiseHeapsort::new(n, top, children), best_of(&grades));
                let bubble = finish(SetwiseBubblesort::new(n, top, children), best_of(&grades));
                assert_eq!(
                    (heap.order(), bubble.order()),
                    (wanted.clone(), wanted.clone()),
                    "c = {children}"
                );
            }
        }
    }
}

#[test]
fn ties_and_total_position_bias_keep_the_initial_order() {
    let biased = |_: &Pair| outcome_of_both_orders(Preferred::A, Preferred::A);
    assert_eq!(finish(AllPairs::new(30), biased).order(), Permutation::identity(30));
    assert_eq!(finish(SlidingPasses::new(30, 10, false), biased).order(30), Permutation::identity(30));
    let skipping = finish(SlidingPasses::new(30, 10, true), biased);
    assert_eq!((skipping.order(30), skipping.counts().asked), (Permutation::identity(30), 29));
    assert!(finish(AllPairs::new(30), biased).scores().iter().all(|&score| score == 14.5));
    let answers = [Preferred::A, Preferred::B, Preferred::Unusable];
    for given in answers {
        for swapped in answers {
            let outcome = outcome_of_both_orders(given, swapped);
            assert_eq!(outcome, outcome_of_both_orders(swapped, given).reversed());
            let decided = (given, swapped) == (Preferred::A, Preferred::B)
                || (given, swapped) == (Preferred::B, Preferred::A);
            assert_eq!(outcome != Outcome::Tie, decided);
        }
    }
}

#[test]
fn unusable_setwise_answers_leave_the_parent_and_are_counted() {
    let none = finish(SetwiseHeapsort::new(40, 5, 4), |_| None);
    assert_eq!((none.counts().asked, none.counts().unusable > 0), (none.counts().unusable, true));
    let beyond = finish(SetwiseHeapsort::new(40, 5, 4), |set| Some(set.items.len()));
    assert_eq!((beyond.order(), beyond.counts()), (none.order(), none.counts()));
    let bubble = finish(SetwiseBubblesort::new(40, 5, 4), |_| None);
    assert_eq!(bubble.order(), Permutation::identity(40));
    assert_eq!(bubble.counts().asked, bubble.counts().unusable);
    // A comparator that fails with probability f loses quality by degrees.
    let found = |failing: f64| -> usize {
        (0..30)
            .map(|seed| {
                let grades = shuffled(100, seed);
                let random = std::cell::RefCell::new(ChaCha8Rng::seed_from_u64(seed));
                let answer = |set: &Set| {
                    let fails = random.borrow_mut().random::<f64>() < failing;
                    if fails { None } else { best_of(&grades)(set) }
                };
                let order = finish(SetwiseHeapsort::new(100, 10, 19), answer).order();
                order.items()[..10].iter().filter(|&&item| grades[item] >= 90).count()
            })
            .sum()
    };
    let quality = [0.0, 0.2, 0.5, 1.0].map(found);
    assert!(quality[0] == 300 && quality.is_sorted_by(|a, b| a > b), "{quality:?}");
}

#[test]
fn a_rotating_comparator_gives_three_equal_scores() {
    let rotating = |pair: &Pair| match (3 + pair.second - pair.first) % 3 {
        1 => Outcome::First,
        _ => Outcome::Second,
    };
    let all = finish(AllPairs::new(3), rotating);
    assert_eq!((all.scores(), all.order()), (vec![1.0; 3], Permutation::identity(3)));
    finish(PairwiseHeapsort::new(3, 3), rotating);
    finish(SlidingPasses::new(3, 2, true), rotating);
}

#[test]
fn sorts_of_many_queries_advance_together() {
    let grades: Vec<Vec<i64>> = (0..8).map(|seed| shuffled(30 + seed as usize, seed)).collect();
    let mut sorts: Vec<PairwiseHeapsort> =
        grades.iter().map(|grades| PairwiseHeapsort::new(grades.len(), 10)).collect();
    let mut most = 0;
    let rounds = run_together::<_, TellError, _>(&mut sorts, |open| {
        most = most.max(open.len());
        Ok(open.iter().map(|open| by_grade(&grades[open.algorithm])(open.question)).collect())
    })
    .unwrap();
    let alone: Vec<PairwiseHeapsort> = grades
        .iter()
        .map(|grades| finish(PairwiseHeapsort::new(grades.len(), 10), by_grade(grades)))
        .collect();
    let asked: usize = alone.iter().map(|sort| sort.counts().asked).sum();
    assert!(
        rounds < asked / 8 && most >= 48,
        "{rounds} rounds for {asked} questions, {most} at most at once"
    );
    for (together, alone) in sorts.iter().zip(&alone) {
        assert_eq!((together.order(), together.counts()), (alone.order(), alone.counts()));
    }
    let mut sort = SlidingPasses::new(4, 2, true);
    assert_eq!(sort.tell(Vec::new()), Err(TellError::Count { questions: 1, answers: 0 }));
    assert_eq!(sort.ask(), [Pair { first: 3, second: 2 }]);
}

#[test]
fn passes_overlap_without_changing_the_result() {
    let grades = shuffled(100, 5);
    let (mut sort, mut rounds) = (SlidingPasses::new(100, 10, false), 0);
    while !sort.is_finished() {
        let answers = sort.ask().iter().map(by_grade(&grades)).collect();
        sort.tell(answers).unwrap();
        rounds += 1;
    }
    assert!(rounds <= 99 + 2 * 9, "{rounds}");
}

#[test]
fn votes_raise_accuracy_and_shuffles_neutralise_a_position_bias() {
    assert_eq!(majority_vote(&[Some(2), None, Some(2), Some(0)], 1), Some(2));
    assert_eq!(majority_vote(&[None, None], 1), None);
    let drawn: Vec<_> = (0..40).filter_map(|seed| majority_vote(&[Some(4), Some(7)], seed)).collect();
    assert!(drawn.contains(&4) && drawn.contains(&7));
    // Right with probability .5, otherwise any of 5.
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut answer = || Some(if random.random::<bool>() { 0 } else { random.random_range(0..5) });
    let single = (0..2000).filter(|_| answer() == Some(0)).count();
    let voted =
        (0..2000).filter(|&seed| majority_vote(&[answer(), answer(), answer()], seed) == Some(0)).count();
    assert!(voted > single + 100, "{voted} of 2000 after {single}");
    // Whoever always names the first label of a shuffled set names every item equally often.
    let mut firsts = [0; 4];
    for _ in 0..4000 {
        let mut set = [0, 1, 2, 3];
        set.shuffle(&mut random);
        firsts[set[0]] += 1;
    }
    assert!(firsts.iter().all(|&count| (850..1150).contains(&count)), "{firsts:?}");
}

/// The textbook loops, one comparison after the other, to compare with.
mod plain {
    pub fn heapsort(n: usize, top: usize, beats: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
        fn sift(a: &mut [usize], n: usize, i: usize, beats: &dyn Fn(usize, usize) -> bool) {
            let mut largest = i;
            for child in [2 * i + 1, 2 * i + 2] {
                if child < n && beats(a[child], a[largest]) {
                    largest = child;
                }
            }
            if largest != i {
                a.swap(i, largest);
                sift(a, n, largest, beats);
            }
        }
        let mut a: Vec<usize> = (0..n).collect();
        for i in (0..=n / 2).rev() {
            sift(&mut a, n, i, beats);
        }
        let mut out = Vec::new();
        for end in (0..n).rev() {
            if out.len() == top {
                break;
            }
            a.swap(0, end);
            out.push(a[end]);
            if out.len() < top {
                sift(&mut a, end, 0, beats);
            }
        }
        out
    }

    pub fn bubble(n: usize, passes: usize, beats: &dyn Fn(usize, usize) -> bool) -> Vec<usize> {
        let mut a: Vec<usize> = (0..n).collect();
        for i in 0..passes.min(n.saturating_sub(1)) {
            for at in (i + 1..n).rev() {
                if beats(a[at], a[at - 1]) {
                    a.swap(at, at - 1);
                }
            }
        }
        a
    }
}

proptest! {
    /// Whatever the comparator says, sorts end with the permutation of the plain loops, and ask no pair twice.
    #[test]
    fn any_comparator_gives_what_the_plain_loops_give(n in 0usize..40, top in 0usize..45, seed in any::<u64>()) {
        let verdict = |pair: &Pair| {
            let (low, high) = (pair.first.min(pair.second), pair.first.max(pair.second));
            let mut random = ChaCha8Rng::seed_from_u64(seed ^ ((low * 64 + high) as u64));
            let outcome = [Outcome::First, Outcome::Second, Outcome::Tie][random.random_range(0..3)];
            if low == pair.first { outcome } else { outcome.reversed() }
        };
        let beats = |x: usize, y: usize| verdict(&Pair { first: x, second: y }) == Outcome::First;
        let heap = finish(PairwiseHeapsort::new(n, top), verdict);
        prop_assert_eq!(heap.order(), top_then_initial(&plain::heapsort(n, top.min(n), &beats), n));
        prop_assert_eq!(heap.counts().asked, heap.verdicts().len());
        let wanted = plain::bubble(n, top, &beats);
        let settled = if top + 1 >= n { n } else { top };
        for skip in [false, true] {
            let sliding = finish(SlidingPasses::new(n, top, skip), verdict);
            prop_assert_eq!(sliding.order(n), Permutation::new(wanted.clone()).unwrap());
            prop_assert_eq!(sliding.order(top), top_then_initial(&wanted[..top.min(n)], n));
            prop_assert_eq!(sliding.counts().asked, sliding.verdicts().len());
        }
        let one_child = |set: &Set| Some(match set.items[..] {
            [first, second] => usize::from(beats(second, first)),
            _ => 0,
        });
        let bubble = finish(SetwiseBubblesort::new(n, top, 1), one_child);
        prop_assert_eq!(bubble.order(), top_then_initial(&wanted[..settled], n));
        let all = finish(AllPairs::in_batches(n, 7), verdict);
        prop_assert_eq!(all.scores().iter().sum::<f64>(), all_pairs_comparisons(n) as f64);
        prop_assert_eq!(all.order(), finish(AllPairs::new(n), verdict).order());
        let any_set = |set: &Set| {
            let mut random = ChaCha8Rng::seed_from_u64(seed ^ set.items.iter().sum::<usize>() as u64);
            random.random::<bool>().then(|| random.random_range(0..set.items.len() + 1))
        };
        for children in [1, 2, 5] {
            finish(SetwiseHeapsort::new(n, top, children), any_set).order();
            finish(SetwiseBubblesort::new(n, top, children), any_set).order();
        }
    }

    #[test]
    fn verdicts_are_antisymmetric(pairs in prop::collection::vec((0usize..6, 0usize..6, 0usize..3), 0..30)) {
        let mut cache = VerdictCache::default();
        for (first, second, outcome) in pairs {
            let (pair, outcome) = (Pair { first, second }, [Outcome::First, Outcome::Second, Outcome::Tie][outcome]);
            cache.insert(pair, outcome);
            let swapped = cache.get(Pair { first: second, second: first });
            prop_assert_eq!(cache.get(pair).map(Outcome::reversed), swapped);
            prop_assert_eq!(cache.get(pair), Some(if first == second { Outcome::Tie } else { outcome }));
        }
        prop_assert_eq!(cache.comparisons().len(), cache.len());
    }
}
