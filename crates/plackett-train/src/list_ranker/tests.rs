use super::*;
use crate::nn::Mode;
use crate::objective::parse_sum;
use crate::random::Stream;
use crate::tape::{Compute, Parameters, Tape};
use crate::trainer::{Settings, Task, VectorOrigin, train};
use plackett_core::diversity::Coverage;

const DIMENSION: usize = 6;

fn config() -> ListRankerConfig {
    ListRankerConfig { dimension: DIMENSION, extra: 1, width: 16, heads: 2, layers: 2, temperature: 0.1 }
}

fn ranker(seed: u64) -> (ListRanker, Parameters) {
    let mut parameters = Parameters::default();
    let ranker = ListRanker::new(&mut parameters, config(), seed).unwrap();
    (ranker, parameters)
}

/// Rows of length 1 that are drawn.
fn unit_rows(rows: usize, stream: Stream) -> Vec<f32> {
    let mut all = Vec::new();
    for row in 0..rows {
        let drawn: Vec<f32> = (0..DIMENSION).map(|at| stream.normal((row * DIMENSION + at) as u64)).collect();
        let length = drawn.iter().map(|x| x * x).sum::<f32>().sqrt();
        all.extend(drawn.iter().map(|x| x / length));
    }
    all
}

fn question(candidates: usize, seed: u64) -> ListQuestion {
    ListQuestion {
        name: seed.to_string(),
        question: unit_rows(1, Stream::new(seed, 1)),
        sides: unit_rows(3, Stream::new(seed, 2)),
        candidates: unit_rows(candidates, Stream::new(seed, 3)),
        extra: (0..candidates).map(|at| at as f32 / 10.0).collect(),
    }
}

#[test]
fn probabilities_of_all_lists_sum_to_1() {
    let (ranker, parameters) = ranker(1);
    let question = question(5, 2);
    let pairs = (0..5).flat_map(|a| (0..5).filter(move |b| *b != a).map(move |b| vec![a, b]));
    let lists: Vec<Vec<usize>> = pairs.collect();
    let views: Vec<&[usize]> = lists.iter().map(Vec::as_slice).collect();
    let logs = ranker.log_probabilities_of(&parameters, &Compute::new(1), &question, &views).unwrap();
    let total: f64 = logs.iter().map(|log| f64::from(*log).exp()).sum();
    assert!((total - 1.0).abs() < 1e-4, "{total}");
    assert_eq!(lists.len(), 20);
}

#[test]
fn a_list_never_repeats_and_moves_with_its_candidates() {
    let (ranker, parameters) = ranker(3);
    let compute = Compute::new(1);
    for seed in 0..5 {
        let question = question(7, seed);
        let list = ranker.best(&parameters, &compute, &question, 100).unwrap();
        let mut sorted = list.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..7).collect::<Vec<_>>());
        // Candidate `at` of the moved question is candidate `order[at]`.
        let order = Stream::new(seed, 9).permutation(7);
        let rows = |values: &[f32], width: usize| -> Vec<f32> {
            order.iter().flat_map(|at| values[at * width..][..width].iter().copied()).collect()
        };
        let moved = ListQuestion {
            candidates: rows(&question.candidates, DIMENSION),
            extra: rows(&question.extra, 1),
            ..question.clone()
        };
        let found = ranker.best(&parameters, &compute, &moved, 100).unwrap();
        assert_eq!(found.iter().map(|at| order[*at]).collect::<Vec<_>>(), list);
    }
}

#[test]
fn writing_step_by_step_is_what_training_sees() {
    let (ranker, parameters) = ranker(4);
    let compute = Compute::new(1);
    let question = question(6, 5);
    let list = [4, 0, 3];
    let tape = Tape::inference(&parameters, &compute);
    let memory = ranker.read(&tape, &[&question, &question]).unwrap();
    let whole = ranker.log_probabilities(&tape, &memory, &[(0, &list), (1, &list)], Mode::default()).unwrap();
    assert!((whole.value[0] - whole.value[1]).abs() < 1e-5);
    let mut sum = 0.0;
    for step in 0..list.len() {
        let walk = Walk { question: 1, chosen: &list[..step], first: step };
        let pointed = ranker.point(&tape, &memory, &[walk], Mode::default()).unwrap();
        assert!(pointed.free[0].iter().all(|at| !list[..step].contains(at)));
        assert_eq!(pointed.free[0].len(), 6 - step);
        let of = |at: usize| f64::from(pointed.logits.value[at]) / 0.1;
        let total: f64 = (0..6 - step).map(|at| of(at).exp()).sum();
        let place = pointed.free[0].iter().position(|at| *at == list[step]).unwrap();
        sum += of(place) - total.ln();
    }
    assert!((f64::from(whole.value[0]) - sum).abs() < 1e-4, "{} {sum}", whole.value[0]);
}

#[test]
fn beginnings_are_gone_on_with_and_draws_follow_from_their_places() {
    let (ranker, parameters) = ranker(6);
    let compute = Compute::new(1);
    let question = question(6, 7);
    let go_on = |lists: Vec<Vec<usize>>, draw: Option<Draw>| {
        ranker.go_on(&parameters, &compute, &question, lists, 4, draw).unwrap()
    };
    let lists = go_on(vec![vec![5, 2], vec![1], vec![0, 1, 2, 3]], None);
    assert!(lists[0].starts_with(&[5, 2]) && lists[1].starts_with(&[1]) && lists[2] == [0, 1, 2, 3]);
    assert!(lists.iter().all(|list| list.len() == 4));
    let draw = |seed| Some(Draw { stream: Stream::new(seed, 0), temperature: 20.0 });
    let drawn = go_on(vec![Vec::new(); 30], draw(1));
    assert_eq!(drawn, go_on(vec![Vec::new(); 30], draw(1)));
    assert!(drawn.iter().any(|list| *list != drawn[0]));
    let wrong = ranker.go_on(&parameters, &compute, &question, vec![vec![2, 2]], 4, None);
    assert!(wrong.unwrap_err().to_string().contains("2 stands twice"));
    let other = ListQuestion { extra: Vec::new(), ..question.clone() };
    assert!(ranker.best(&parameters, &compute, &other, 2).unwrap_err().to_string().contains("0 beside them"));
}

/// Candidate `at` answers side `at` alone; those beyond the sides answer none.
fn example(seed: u64) -> SilverExample {
    let mut question = question(6, seed);
    question.sides = unit_rows(3, Stream::new(seed, 2));
    let sides = question.sides.clone();
    question.candidates[..sides.len()].copy_from_slice(&sides);
    let mut scores = vec![0.0; 18];
    // The first side is answered best, so that the order of the silver list is known: 0, 1, 2.
    (0..3).for_each(|side| scores[side * 6 + side] = 0.9 - 0.1 * side as f64);
    let coverage = Coverage::new(3, 6, scores).unwrap();
    let silver = coverage.silver(3).items;
    assert_eq!(silver, [0, 1, 2]);
    SilverExample { question, coverage, silver }
}

fn train_on(task: &dyn Task, parameters: &mut Parameters, steps: usize, rate: f32) -> Vec<f32> {
    let settings = Settings { batch: 4, steps, rate, checkpoint: 0, ..Settings::default() };
    let compute = Compute::new(1);
    let report = train(task, &compute, parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    report.steps.iter().map(|step| step.loss).collect()
}

#[test]
fn silver_lists_are_learned_then_preferences_turn_them_and_a_file_keeps_them() {
    let (ranker, mut parameters) = ranker(8);
    let examples: Vec<SilverExample> = (0..4).map(example).collect();
    let compute = Compute::new(1);
    let objective = parse_sum("richrag(temperature=0.1, disturb=0.5)").unwrap();
    let task = SilverTask { ranker: ranker.clone(), examples: &examples, objective, disturbed: true };
    let losses = train_on(&task, &mut parameters, 200, 3e-3);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    assert!(mean(&losses[190..]) < 0.6 * mean(&losses[..10]), "{losses:?}");
    for example in &examples {
        let list = ranker.best(&parameters, &compute, &example.question, 3).unwrap();
        assert_eq!(list, example.silver);
    }
    // The other way round is preferred.
    let questions: Vec<&ListQuestion> = examples.iter().map(|example| &example.question).collect();
    let pair = |question: usize| {
        let lists = [vec![2, 1, 0], vec![0, 1, 2]];
        ListPair::new((&ranker, &parameters, &compute), &questions, question, lists).unwrap()
    };
    let pairs: Vec<ListPair> = (0..4).map(pair).collect();
    let objective = parse_sum("dpo(beta=0.5)").unwrap();
    let task = PreferenceTask { ranker: ranker.clone(), questions: &questions, pairs: &pairs, objective };
    assert!(pairs[0].margin((&ranker, &parameters, &compute), &questions).unwrap().abs() < 1e-4);
    let losses = train_on(&task, &mut parameters, 30, 1e-3);
    // A ranker that is its own reference has a margin of 0.
    assert!((losses[0] - std::f32::consts::LN_2).abs() < 1e-3, "{}", losses[0]);
    assert!(losses[29] < 0.6, "{losses:?}");
    assert!(pairs[0].margin((&ranker, &parameters, &compute), &questions).unwrap() > 0.0);
    let folder = tempfile::tempdir().unwrap();
    ranker.save(&parameters, folder.path()).unwrap();
    let mut read = Parameters::default();
    let opened = ListRanker::open(folder.path(), &mut read).unwrap();
    assert_eq!(opened.config, ranker.config);
    let best = |ranker: &ListRanker, parameters: &Parameters| {
        ranker.best(parameters, &compute, &examples[0].question, 6).unwrap()
    };
    assert_eq!(best(&opened, &read), best(&ranker, &parameters));
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    for wrong in [
        ListRankerConfig { heads: 3, ..config() },
        ListRankerConfig { layers: 0, ..config() },
        ListRankerConfig { temperature: 0.0, ..config() },
    ] {
        assert!(ListRanker::new(&mut Parameters::default(), wrong, 1).is_err());
    }
}

#[test]
fn a_whole_training_leaves_a_folder_that_names_its_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let (work, output) = (folder.path().join("work"), folder.path().join("ranker"));
    let examples: Vec<SilverExample> = (0..4).map(example).collect();
    let settings = Settings { batch: 4, steps: 200, rate: 3e-3, checkpoint: 0, ..Settings::default() };
    let job = ListRankerJob { width: 16, heads: 2, settings, ..ListRankerJob::default() };
    let origin = VectorOrigin { name: "names".into(), fingerprint: "f".into() };
    let (compute, places) = (Compute::new(1), (work.as_path(), output.as_path()));
    let (outcome, divs) =
        job.run((&examples, &examples), &origin, places, "a training", &compute, &mut |_, _| {}).unwrap();
    let [before, after] = outcome.validation.unwrap();
    assert!(after < before, "{before} {after}");
    let [begun, learned] = divs.unwrap();
    assert!(begun.len() == 4 && begun.iter().all(|div| (0.0..=1.0 + 1e-9).contains(div)), "{begun:?}");
    assert!(ListRanker::is_in(&output) && !ListRanker::is_in(&work));
    assert_eq!(ListRanker::origin(&output).unwrap(), Some(origin));
    assert_eq!(ListRanker::origin(&work).unwrap(), None);
    let mut read = Parameters::default();
    let ranker = ListRanker::open(&output, &mut read).unwrap();
    for (example, div) in examples.iter().zip(learned) {
        let list = ranker.best(&read, &compute, &example.question, 3).unwrap();
        assert_eq!(example.coverage.div(&list).unwrap(), div);
    }
    std::fs::write(output.join("config.json"), "{\"model_type\": \"list-ranker\"}").unwrap();
    assert!(ListRanker::origin(&output).unwrap_err().to_string().contains("vectors"));
}

#[test]
fn lists_whose_candidates_are_alike_teach_nothing() {
    let with = |scores: &[f64], candidates: usize, k: usize| {
        let coverage = Coverage::new(scores.len() / candidates, candidates, scores.to_vec()).unwrap();
        let silver = coverage.silver(k).items;
        SilverExample { question: question(candidates, 1), coverage, silver }
    };
    let flat = with(&[0.5, 0.5, 0.5, 0.2, 0.2, 0.2], 3, 2);
    // Each covers a side of its own: all are worth the same at first, and of two one is left.
    let turns = with(&[1.0, 0.0, 0.0, 1.0], 2, 2);
    // After the first, which covers half of both sides, the others are worth the same; after the second, the third is worth more.
    let hidden = with(&[0.5, 1.0, 0.0, 0.5, 0.0, 1.0], 3, 2);
    assert_eq!(hidden.silver, [0, 1]);
    let learned = example(1);
    for (list, taught) in
        [(&flat, [false; 2]), (&turns, [false; 2]), (&hidden, [false, true]), (&learned, [true; 2])]
    {
        assert_eq!([false, true].map(|disturbed| list.can_teach(disturbed).unwrap()), taught);
    }
    let job = ListRankerJob::default();
    assert_eq!(job.idle(&[learned, flat.clone()]).unwrap(), ["1"]);
    assert!(job.idle(&[]).unwrap().is_empty());
    let refused = job.idle(&[flat, turns]).unwrap_err().to_string();
    assert!(refused.contains("none of the 2 lists") && refused.contains("the first is `1`"), "{refused}");
}

#[test]
fn trainings_that_cannot_be_are_refused() {
    let refused = |job: ListRankerJob| job.check().unwrap_err().to_string();
    let usual = ListRankerJob::default;
    assert!(usual().check().is_ok());
    assert_eq!(usual().objective(), "richrag(temperature=0.1, disturb=0.5)");
    assert!(refused(ListRankerJob { heads: 3, ..usual() }).contains("3 do not divide the width"));
    assert!(refused(ListRankerJob { width: 1 << 40, ..usual() }).contains("4096 at most"));
    assert!(refused(ListRankerJob { disturb: f64::NAN, ..usual() }).contains("disturb"));
    assert!(refused(ListRankerJob { temperature: 0.0, ..usual() }).contains("temperature"));
    let settings = Settings { recompute: true, ..Settings::default() };
    assert!(refused(ListRankerJob { settings, ..usual() }).contains("recompute"));
}
