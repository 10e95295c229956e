//! Policies against identities, against each other, and against a kill.

use super::off_policy::{Logged, OffPolicy};
use super::*;
use nalgebra::DMatrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

fn unit(random: &mut ChaCha8Rng, dimension: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..dimension).map(|_| StandardNormal.sample(random)).collect();
    let length = kernel::dot(&raw, &raw).sqrt();
    raw.iter().map(|x| x / length).collect()
}

#[test]
fn the_grown_inverse_is_the_inverse() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for kernel in [
        Kernel::Rbf { sigma: 0.7 },
        Kernel::Linear,
        Kernel::Polynomial { gamma: 1.0, constant: 1.0, degree: 3 },
    ] {
        let mut model = KernelRidge::new(kernel, 1.0);
        let points: Vec<Vec<f64>> = (0..200).map(|_| unit(&mut random, 6)).collect();
        for point in &points {
            model.add(point, random.random());
        }
        let full = DMatrix::from_fn(200, 200, |i, j| {
            kernel.of(&points[i], &points[j]) + f64::from(u8::from(i == j))
        });
        let inverse = full.try_inverse().unwrap();
        for i in 0..200 {
            for j in 0..200 {
                assert!((model.inverse()[i][j] - inverse[(i, j)]).abs() < 1e-8, "{kernel:?}");
            }
        }
    }
    // The default kernel is badly conditioned on repeated prompts; nothing runs away.
    let mut model = KernelRidge::new(Kernel::Polynomial { gamma: 10.0, constant: 1.0, degree: 3 }, 1.0);
    let point = unit(&mut random, 6);
    for _ in 0..300 {
        model.add(&point, 0.5);
    }
    let (mean, deviation) = model.predict(&point);
    assert!((mean - 0.5).abs() < 1e-3 && (0.0..0.2).contains(&deviation), "{mean} {deviation}");
    // The first element is 1 / (k + α), not 1 / k + α.
    let mut model = KernelRidge::new(Kernel::Rbf { sigma: 1.0 }, 1.0);
    model.add(&[1.0, 0.0], 0.5);
    assert_eq!(model.inverse(), [[0.5]]);
    assert_eq!(model.predict(&[1.0, 0.0]).0, 0.25);
}

#[test]
fn features_are_the_kernel_and_their_deviation_is_the_kernels() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let points: Vec<Vec<f64>> = (0..40).map(|_| unit(&mut random, 8)).collect();
    let kernel = Kernel::Rbf { sigma: 1.0 };
    let worst = |form, draws, seed| {
        let features = RandomFeatures::new(form, (8, draws), 1.0, seed);
        let z: Vec<Vec<f64>> = points.iter().map(|point| features.of(point)).collect();
        let mut worst: f64 = 0.0;
        for i in 0..points.len() {
            for j in 0..=i {
                worst = worst.max((kernel::dot(&z[i], &z[j]) - kernel.of(&points[i], &points[j])).abs());
            }
        }
        worst
    };
    assert!(worst(FeatureForm::TwoD, 1000, 1) < 0.1);
    // Falls as one over the root of the draws: a hundred times as many, a tenth.
    let mean = |draws| (0..5).map(|seed| worst(FeatureForm::TwoD, draws, seed)).sum::<f64>() / 5.0;
    let ratio = mean(100) / mean(10_000);
    assert!((6.0..16.0).contains(&ratio), "{ratio}");
    let features = RandomFeatures::new(FeatureForm::TwoD, (8, 20), 1.0, 3);
    assert!((kernel::dot(&features.of(&points[0]), &features.of(&points[0])) - 1.0).abs() < 1e-12);
    // √(zᵀAz) = α^(−½) √(k(y, y) − kᵀ(K + αI)⁻¹k) for k(y, y′) = z·z′, and the means are the same.
    for form in [FeatureForm::D, FeatureForm::TwoD] {
        let features = RandomFeatures::new(form, (8, 20), 1.0, 3);
        let alpha = 0.7;
        let (mut ridge, mut kernel) =
            (Ridge::new(features.count(), alpha), KernelRidge::new(Kernel::Linear, alpha));
        for point in &points {
            let (z, reward) = (features.of(point), random.random());
            ridge.add(&z, reward);
            kernel.add(&z, reward);
        }
        let z = features.of(&unit(&mut random, 8));
        let ((mean, deviation), (other_mean, other)) = (ridge.predict(&z), kernel.predict(&z));
        assert!((mean - other_mean).abs() < 1e-8 && (deviation - other).abs() < 1e-8);
    }
}

#[test]
fn the_formulas_of_eta_have_their_golden_values() {
    let eta = |text: &str, arms: usize| {
        // A context that no arm knows: the bonus is η times the prior deviation, 1 for the Gaussian kernel and α = 1.
        let policy = parse(text).unwrap().make(Setting { dimension: 2, arms, seed: 1 }).unwrap();
        policy.expectations(&[1.0, 0.0], &mut ChaCha8Rng::seed_from_u64(1))[0].index
    };
    assert!((eta("pak-ucb(kernel=rbf)", 5) - 5.26).abs() < 0.005);
    assert!((eta("rff-ucb", 5) - 3.26).abs() < 0.005 && (eta("rff-ucb", 4) - 3.19).abs() < 0.005);
    let shared = 2.0 * (2.0 * 5.0 / 0.05f64).ln();
    assert!((eta("kernel-ucb(kernel=rbf)", 5) - shared).abs() < 1e-9);
}

#[test]
fn a_shared_linear_model_ranks_arms_alike_for_every_prompt() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut router = Router::new(&parse("lin-ucb(eta=1)").unwrap(), names(3), 5, 1).unwrap();
    for round in 0..60 {
        let context = unit(&mut random, 5);
        let arm = round % 3;
        router.update(arm, &context, if context[0] > 0.0 { arm as f64 } else { 2.0 - arm as f64 }).unwrap();
    }
    let order = |context: &[f64]| {
        let mut arms: Vec<usize> = (0..3).collect();
        let all = router.select(context).unwrap().expectations;
        arms.sort_by(|&a, &b| all[b].mean.total_cmp(&all[a].mean));
        arms
    };
    let first = order(&unit(&mut random, 5));
    assert!((0..20).all(|_| order(&unit(&mut random, 5)) == first));
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("arm{at}")).collect()
}

/// Two kinds of prompts; the first arm is better on one of them, the second on the other.
fn two_kinds(prompts: usize, seed: u64) -> ReplayTable {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut table = ReplayTable { arms: names(2), ..ReplayTable::default() };
    for at in 0..prompts {
        let kind = at % 2;
        let mut context: Vec<f64> = (0..6)
            .map(|_| {
                let x: f64 = StandardNormal.sample(&mut random);
                0.1 * x
            })
            .collect();
        context[kind] += 1.0;
        let length = kernel::dot(&context, &context).sqrt();
        table.contexts.push(context.iter().map(|x| x / length).collect());
        let samples = |arm: usize, random: &mut ChaCha8Rng| {
            let mean = if arm == kind { 0.65 } else { 0.35 };
            (0..5)
                .map(|_| {
                    let x: f64 = StandardNormal.sample(random);
                    mean + 0.1 * x
                })
                .collect()
        };
        table.rewards.push((0..2).map(|arm| samples(arm, &mut random)).collect());
    }
    table
}

#[test]
fn policies_that_see_the_prompt_find_the_better_arm() {
    let table = two_kinds(500, 4);
    let run = |text: &str| Replay::shuffled(&table, 1).run(&parse(text).unwrap(), 1).unwrap();
    for text in [
        "pak-ucb(kernel=rbf, sigma=0.5, eta=0.5)",
        "pak-ucb(eta=0.05)",
        "rff-ucb(sigma=0.5, eta=0.5)",
        "thompson(noise=0.1)",
        "clusters(radius=0.8, epsilon=0.02)",
    ] {
        let run = run(text);
        assert!(
            run.optimal > 0.9 && run.outscores_best > 0.1,
            "{text}: {} {}",
            run.optimal,
            run.outscores_best
        );
    }
    for text in ["greedy", "random", "lin-ucb(eta=0.5)"] {
        let run = run(text);
        assert!((0.35..0.65).contains(&run.optimal), "{text}: {}", run.optimal);
        assert!(run.outscores_best.abs() < 0.05, "{text}: {}", run.outscores_best);
    }
    let run = run("random");
    assert!((run.visits[0] - 0.5).abs() < 0.1 && run.chosen.len() == 500);
}

#[test]
fn arms_come_and_go() {
    let mut table = two_kinds(1000, 5);
    table.arms.push("better".into());
    table.rewards.iter_mut().for_each(|rewards| rewards.push(vec![0.9]));
    let replay = Replay::shuffled(&table, 1).last_arm_from(500);
    for text in [
        "rff-ucb(sigma=0.5, eta=0.5)",
        "pak-ucb(kernel=rbf, sigma=0.5, eta=0.5)",
        "kernel-ucb(kernel=rbf, eta=0.5)",
    ] {
        let run = replay.run(&parse(text).unwrap(), 1).unwrap();
        assert!(run.chosen[..500].iter().all(|arm| *arm < 2));
        assert_eq!(run.chosen[500], 2, "an arm that was never asked is asked next");
        let late = run.chosen[700..].iter().filter(|arm| **arm == 2).count();
        assert!(late > 150, "{text}: {late}");
    }
    for spec in POLICIES {
        let mut router = Router::new(&parse(spec.name).unwrap(), names(3), 6, 1).unwrap();
        for arm in 0..3 {
            router.update(arm, &table.contexts[arm], arm as f64).unwrap();
        }
        router.add("late").unwrap();
        router.remove("arm0").unwrap();
        router.update(2, &table.contexts[3], 5.0).unwrap();
        let selection = router.select(&table.contexts[3]).unwrap();
        assert_eq!(selection.expectations.len(), 3, "{}", spec.name);
        assert_eq!(router.names(), ["arm1", "arm2", "late"]);
    }
}

#[test]
fn the_first_rounds_ask_every_arm_and_the_same_seed_the_same() {
    let table = two_kinds(50, 6);
    for spec in POLICIES.iter().filter(|spec| spec.name != "random") {
        let configured = parse(spec.name).unwrap();
        let mut router = Router::new(&configured, names(5), 6, 9).unwrap();
        let mut first = Vec::new();
        for at in 0..5 {
            let selection = router.select(&table.contexts[at]).unwrap();
            assert!(selection.first_time);
            router.update(selection.arm, &table.contexts[at], 0.5).unwrap();
            first.push(selection.arm);
        }
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2, 3, 4], "{}", spec.name);
        let replay = Replay::shuffled(&table, 3);
        let (a, b) = (replay.run(&configured, 7).unwrap(), replay.run(&configured, 7).unwrap());
        assert_eq!(a.chosen, b.chosen);
    }
}

#[test]
fn a_killed_log_goes_on_with_the_same_choices() {
    let table = two_kinds(60, 7);
    let folder = tempfile::tempdir().unwrap();
    let configured = parse("rff-ucb(sigma=0.5, eta=1, draws=20)").unwrap();
    let step = |log: &mut RouteLog, at: usize| {
        let arm = log.select(&table.contexts[at]).unwrap().arm;
        let name = log.router().names()[arm].clone();
        log.reward(&name, &table.contexts[at], table.rewards[at][arm][0]).unwrap();
        arm
    };
    let whole = folder.path().join("whole.jsonl");
    let mut log = RouteLog::create(&whole, &configured, names(2), (6, 1), None).unwrap();
    let expected: Vec<usize> = (0..60).map(|at| step(&mut log, at)).collect();
    assert!(RouteLog::open(&whole, RouteAccess::Read).unwrap_err().to_string().contains("another process"));
    drop(log);
    // Several may look at it together, and none of them changes it.
    let mut readers: Vec<RouteLog> =
        (0..2).map(|_| RouteLog::open(&whole, RouteAccess::Read).unwrap()).collect();
    assert!(readers[0].add("late").unwrap_err().to_string().contains("open it again to write"));
    drop(readers);
    let path = folder.path().join("cut.jsonl");
    let mut chosen = Vec::new();
    let mut log = RouteLog::create(&path, &configured, names(2), (6, 1), None).unwrap();
    for at in 0..60 {
        if at % 20 == 19 {
            // A kill in the middle of a line.
            drop(log);
            let mut text = std::fs::read_to_string(&path).unwrap();
            text.push_str("{\"reward\":{\"arm\":\"arm0\",\"rew");
            std::fs::write(&path, text).unwrap();
            log = RouteLog::open(&path, RouteAccess::Write).unwrap();
            assert!(log.remarks()[0].contains("does not count"));
        }
        chosen.push(step(&mut log, at));
    }
    drop(log);
    assert_eq!(chosen, expected);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&whole).unwrap());
    // What is wrong in the middle is an error with its line.
    let broken =
        std::fs::read_to_string(&path).unwrap().replacen("\"arm0\",\"reward\"", "\"gone\",\"reward\"", 1);
    std::fs::write(&path, broken).unwrap();
    let error = RouteLog::open(&path, RouteAccess::Write).unwrap_err().to_string();
    assert!(error.contains("line ") && error.contains("no arm `gone`"), "{error}");
    let error = RouteLog::create(&path, &configured, names(2), (6, 1), None).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
}

#[test]
fn wrong_policies_contexts_and_rewards_are_refused() {
    for (text, expected) in [
        ("pak-ubc", "did you mean `pak-ucb`"),
        ("pak-ucb(kernel=rbf, gamma=2)", "`gamma` has no effect"),
        ("rff-ucb(eta=1, delta=0.1)", "`delta` is for the formula"),
        ("greedy(eta=1)", "it has none"),
        ("thompson(", "`)` is missing"),
    ] {
        let made = parse(text)
            .and_then(|configured| configured.make(Setting { dimension: 2, arms: 2, seed: 1 }).map(|_| ()));
        let error = made.unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let configured = parse("rff-ucb").unwrap();
    let refused = |names: Vec<String>, dimension| {
        Router::new(&configured, names, dimension, 1).unwrap_err().to_string()
    };
    assert!(refused(Vec::new(), 2).contains("no arm"));
    assert!(refused(vec!["a".into(), "a".into()], 2).contains("stands twice"));
    assert!(refused(names(2), 0).contains("has no numbers"));
    let mut router = Router::new(&configured, names(2), 2, 1).unwrap();
    for (result, expected) in [
        (router.select(&[1.0]).map(|_| ()), "1 numbers, and 2"),
        (router.select(&[1.0, f64::NAN]).map(|_| ()), "is NaN"),
        (router.select(&[1.0, 1e200]).map(|_| ()), "numbers from"),
        (router.update(0, &[1.0, 0.0], 1e308), "the reward is"),
        (router.update(0, &[1.0, 0.0], f64::INFINITY), "the reward is inf"),
        (router.update(5, &[1.0, 0.0], 0.0), "none at place 5"),
        (router.add("arm1"), "already"),
        (router.remove("arm7"), "there are: arm0, arm1"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    router.remove("arm0").unwrap();
    assert!(router.remove("arm1").unwrap_err().to_string().contains("the only arm"));
}

#[test]
fn logged_rewards_tell_what_another_policy_is_worth() {
    // Two arms worth 0.2 and 0.8; logged by chance, 3 to 1. A policy that always asks the second is worth 0.8.
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let logged: Vec<Logged> = (0..4000)
        .map(|_| {
            let second = random.random::<f64>() < 0.25;
            let worth: f64 = if second { 0.8 } else { 0.2 };
            Logged {
                reward: f64::from(u8::from(random.random::<f64>() < worth)),
                propensity: if second { 0.25 } else { 0.75 },
                target: f64::from(u8::from(second)),
                predicted: worth - 0.1,
                predicted_target: 0.7,
            }
        })
        .collect();
    let found = OffPolicy::new(&logged).unwrap();
    for estimate in [found.inverse_propensity, found.self_normalised, found.doubly_robust] {
        assert!(estimate.lower < 0.8 && 0.8 < estimate.upper, "{estimate:?}");
        assert!(estimate.upper - estimate.lower < 0.15);
    }
    let width = |estimate: off_policy::Estimate| estimate.upper - estimate.lower;
    assert!(width(found.doubly_robust) < width(found.inverse_propensity));
    assert!((found.effective - logged.iter().filter(|one| one.target == 1.0).count() as f64).abs() < 1e-6);
    assert_eq!(OffPolicy::new(&[]), None);
}
