use super::*;
use crate::{EvaluationOptions, TestCase, borrowed, evaluate};
use plackett_train::random::Stream;

/// Users go around in one of two circles of four items.
pub(crate) fn circles() -> Vec<Vec<Event>> {
    let user = |user: u32| {
        let event = |at: u32| Event {
            item: user % 2 * 4 + (user / 2 + at) % 4,
            rating: 1.0,
            time: i64::from(at) * 60,
        };
        (0..3 + user % 3).map(event).collect()
    };
    (0..24).map(user).collect()
}

/// Drawn vectors of texts.
fn texts(items: usize) -> Vec<f32> {
    (0..items as u64 * 6).map(|at| Stream::new(2, 1).normal(at)).collect()
}

#[test]
fn times_count_where_options_say_so() {
    for (text, reads) in [
        ("hstu", true),
        ("hstu(time-bias=false)", false),
        ("hstu(variant=production)", true),
        ("synergen", true),
        ("synergen(time=false)", false),
        ("onerec", false),
    ] {
        let configured = parse(text).unwrap();
        assert_eq!(configured.reads_time(), reads, "{text}");
        assert_eq!(configured.check_without_times().is_err(), reads, "{text}");
    }
    let unused = parse("hstu(variant=production, time-bias=false)").unwrap().check(8).unwrap_err();
    assert!(unused.to_string().contains("has no choice of `time-bias`"), "{unused}");
}

#[test]
fn every_recommender_learns_the_circles_and_comes_back_from_its_matrices() {
    let sequences = circles();
    let data = FitData { catalogue: 8, sequences: &borrowed(&sequences), texts: &texts(8) };
    let event = |item: u32, at: i64| Event { item, rating: 1.0, time: at * 60 };
    let history = [event(4, 0), event(5, 1), event(6, 2)];
    let case = TestCase { user: 0, history: &history, target: event(7, 3) };
    for spec in RECOMMENDERS {
        let options = match spec.name {
            "sasrec" | "hstu" | "gru4rec" => {
                "(epochs=60, batch=8, width=16, max-length=8, dropout=0, rate=0.01, negatives=8)"
            }
            "ease" => "(l2=0.5)",
            "tiger" => {
                "(epochs=60, batch=16, width=16, blocks=1, heads=2, levels=1, codes=4, max-history=8, dropout=0, rate=0.01)"
            }
            "p5" => {
                "(epochs=60, batch=16, width=16, blocks=1, heads=2, clusters=2, most=4, max-history=8, dropout=0, rate=0.01)"
            }
            "minionerec" => {
                "(epochs=60, batch=16, width=16, blocks=1, heads=2, levels=1, codes=4, max-history=8, dropout=0, rate=0.01, rewarded-steps=5, group=4)"
            }
            "onerec" => {
                "(steps=300, batch=16, width=16, blocks=1, heads=2, inner=16, experts=4, levels=1, codes=8, session=2, dropout=0, rate=0.01)"
            }
            "setrec" => {
                "(epochs=100, batch=8, width=16, blocks=1, max-history=8, sasrec-epochs=5, dropout=0, rate=0.005)"
            }
            "synergen" => {
                "(epochs=100, batch=8, width=32, heads=2, blocks=1, max-history=8, ranking=0, dropout=0, rate=0.005)"
            }
            "ials" => "(width=4)",
            "bpr" => "(width=8, epochs=300)",
            _ => "",
        };
        let configured = parse(&format!("{}{options}", spec.name)).unwrap();
        let mut fitting = Fitting { compute: Compute::new(1), seed: 3, kept: None, progress: &mut |_| {} };
        let fitted = configured.fit(&data, &mut fitting).unwrap();
        let rank = evaluate(&*fitted, std::slice::from_ref(&case), EvaluationOptions::default()).unwrap();
        assert!(rank[0].rank == 1 || spec.name == "popularity", "{}: {:?}", spec.name, rank[0]);
        let restored = configured.restore(8, &fitted.parameters()).unwrap();
        let requests = [Request { history: case.history, now: 180 }, Request { history: &[], now: 0 }];
        let (one, other) = (fitted.scores(&requests).unwrap(), restored.scores(&requests).unwrap());
        assert_eq!(one, other, "{}", spec.name);
        // A request gives the same alone and beside others, and an empty history is defined.
        assert_eq!(one[..8], fitted.scores(&requests[..1]).unwrap()[..], "{}", spec.name);
        assert!(one.iter().all(|score| score.is_finite()), "{}", spec.name);
        // What is asked for is before another item among candidates too.
        let pair = fitted.candidate_scores(&requests[0], &[0, 7]).unwrap();
        assert!(pair[1] > pair[0] || spec.name == "popularity", "{}: {pair:?}", spec.name);
        assert!(fitted.candidate_scores(&requests[0], &[8]).is_err(), "{}", spec.name);
        assert!(configured.restore(9, &fitted.parameters()).is_err(), "{}", spec.name);
        assert!(configured.restore(0, &fitted.parameters()).is_err(), "{}", spec.name);
        let mut damaged = fitted.parameters();
        damaged.iter_mut().for_each(|(_, parameter)| parameter.values_mut()[0] = f32::NAN);
        let error = configured.restore(8, &damaged).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("no numbers")), "{}", spec.name);
        let mut more = fitted.parameters();
        more.add("left-over", (1, 1), vec![1.0]);
        let error = configured.restore(8, &more).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("`left-over` is no part")), "{}", spec.name);
    }
}

#[test]
fn events_without_a_next_one_are_no_sequences() {
    let event = |item: u32| [Event { item, rating: 1.0, time: 0 }];
    let (one, other) = (event(0), event(1));
    let data = FitData { catalogue: 2, sequences: &[&one[..], &other[..]], texts: &[] };
    for name in ["sasrec", "gru4rec", "hstu", "tiger", "p5", "minionerec", "onerec", "setrec", "synergen"] {
        let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
        let error = parse(name).unwrap().fit(&data, &mut fitting).err().unwrap().to_string();
        assert!(
            error.contains("nobody has two events") && error.contains("take popularity"),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_catalogue_of_one_item_is_fitted_asked_and_restored() {
    let event = |time: i64| Event { item: 0, rating: 1.0, time };
    let sequences = vec![vec![event(0), event(60), event(120)], vec![event(5)]];
    let data = FitData { catalogue: 1, sequences: &borrowed(&sequences), texts: &texts(1) };
    for spec in RECOMMENDERS {
        let options = match spec.name {
            "sasrec" | "hstu" | "gru4rec" => "(epochs=2, batch=2, width=4, max-length=4, negatives=2)",
            "tiger" => "(epochs=2, batch=2, width=4, blocks=1, heads=2, levels=1, codes=2)",
            "p5" => "(epochs=2, batch=2, width=4, blocks=1, heads=2)",
            "minionerec" => {
                "(epochs=2, batch=2, width=4, blocks=1, heads=2, levels=1, codes=2, rewarded-steps=2)"
            }
            "onerec" => {
                "(steps=2, batch=2, width=4, blocks=1, heads=2, inner=4, experts=2, levels=1, codes=2, session=3)"
            }
            "setrec" => "(epochs=2, batch=2, width=4, blocks=1, sasrec-epochs=1)",
            "synergen" => "(epochs=2, batch=2, width=16, heads=2, blocks=1, ranking=0)",
            "ials" => "(width=2, epochs=2)",
            "bpr" => "(width=2, epochs=2)",
            _ => "",
        };
        let configured = parse(&format!("{}{options}", spec.name)).unwrap();
        let mut fitting = Fitting { compute: Compute::new(1), seed: 3, kept: None, progress: &mut |_| {} };
        let fitted = configured.fit(&data, &mut fitting).unwrap();
        let requests = [Request { history: &sequences[0], now: 180 }, Request { history: &[], now: 0 }];
        let scores = fitted.finite_scores(&requests).unwrap();
        assert_eq!(scores.len(), 2, "{}", spec.name);
        let restored = configured.restore(1, &fitted.parameters()).unwrap();
        assert_eq!(restored.scores(&requests).unwrap(), scores, "{}", spec.name);
        // The only item is the first, also for who had it before: it is what is asked for.
        let case = TestCase { user: 0, history: &sequences[0][..2], target: sequences[0][2] };
        let options = EvaluationOptions { exclude_seen: true, keep: 5 };
        let rank = evaluate(&*fitted, &[case], options).unwrap().remove(0);
        assert_eq!((rank.rank, rank.tied, rank.list), (1, 0, vec![0]), "{}", spec.name);
    }
}

#[test]
fn names_and_options_that_are_not_there_are_refused_with_the_nearest() {
    for (text, said) in [
        ("hsu", "did you mean `hstu`"),
        ("ease(l3=1)", "did you mean `l2`"),
        ("hstu(blocks=0)", "a whole number from 1"),
        ("hstu(width=10, heads=3)", "heads"),
        ("sasrec(width=65536, blocks=1000)", "smaller width"),
        ("hstu(width=65536, head-size=65536, heads=64)", "smaller width"),
        ("onerec(width=4096, inner=65536, experts=1024)", "smaller width"),
        ("onerec(experts=2, active=3)", "3 active experts of 2"),
        ("p5(width=4096, blocks=100)", "smaller width"),
        ("minionerec(width=4096, blocks=100)", "smaller width"),
        ("setrec(width=10, heads=3)", "heads"),
        ("setrec(width=4096, blocks=100)", "smaller width"),
        ("setrec(beta=2)", "a number from 0 to 1"),
        ("setrec", "reads the texts of the items"),
        ("synergen(width=10, heads=3)", "heads = 3 need a width that is a multiple of 12"),
        ("synergen(depth=5, ranking=0)", "leave depth out"),
        ("synergen(width=4096, blocks=100)", "smaller width"),
        ("synergen", "reads the texts of the items"),
        ("popularity", ""),
    ] {
        let said_of = parse(text).and_then(|configured| {
            let sequences = circles();
            let mut fitting =
                Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
            let data = FitData { catalogue: 8, sequences: &borrowed(&sequences), texts: &[] };
            configured.fit(&data, &mut fitting)
        });
        match said.is_empty() {
            true => assert!(said_of.is_ok()),
            false => {
                let error = said_of.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(error.contains(said), "{text}: {error}");
            }
        }
    }
    let mut fitting = Fitting { compute: Compute::new(1), seed: 1, kept: None, progress: &mut |_| {} };
    let empty = FitData { catalogue: 4, sequences: &[&[]], texts: &[] };
    assert!(parse("ease").unwrap().fit(&empty, &mut fitting).is_err());
}
