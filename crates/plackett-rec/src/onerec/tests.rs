//! Lengths, experts and histories; the engine gives what the tape does; what is written is what is likely; sessions are learned; preferences are
//! followed.

use super::model::source;
use super::*;
use crate::{Event, Interactions};
use plackett_lm::decode::{Branch, DecodeModel, LogitIds, PrefixId};
use plackett_lm::seq2seq::Session as EngineSession;
use plackett_train::nn::Mode;
use plackett_train::objective::parse;
use plackett_train::optimizer::Schedule;
use plackett_train::random::Stream;
use plackett_train::tape::{Gradients, assert_parameter_gradients};
use plackett_train::trainer::{Settings, Task, train};
use plackett_train::{Compute, Engine, ParameterId, Parameters, Tape};

fn tokens() -> ItemTokens {
    let codes: Vec<Vec<u32>> = (0..12).map(|item| vec![item / 4, item % 4]).collect();
    ItemTokens::new(&codes, 4, &[1; 12]).unwrap()
}

fn config(experts: usize) -> OneRecConfig {
    OneRecConfig { width: 16, blocks: 2, heads: 2, inner: 12, experts, active: 2, max_history: 4 }
}

fn model(experts: usize) -> (OneRec, Parameters) {
    let mut parameters = Parameters::default();
    let model = OneRec::new(config(experts), tokens().vocabulary(), &mut parameters, 5).unwrap();
    (model, parameters)
}

fn session(history: &[u32], items: &[u32]) -> Session {
    Session { user: 0, history: history.to_vec(), items: items.to_vec(), ratings: vec![4.0; items.len()] }
}

fn inference(model: &OneRec, parameters: &Parameters) -> OneRecInference {
    OneRecInference::new(model, parameters, 1).unwrap()
}

fn grow(session: &mut EngineSession<'_>, parent: PrefixId, tokens: &[u32]) -> (PrefixId, Vec<f32>) {
    let branch = Branch { parent, tokens, logit_ids: LogitIds::All, normalizer: false };
    let grown = session.extend(&[branch], &[]).unwrap().remove(0);
    (grown.prefix, grown.logits)
}

/// The logits of the tape after each token of `items` behind each history.
fn on_the_tape(
    (model, parameters): (&OneRec, &Parameters),
    histories: &[&[u32]],
    items: &[u32],
) -> Vec<Vec<f32>> {
    let tape = Tape::inference(parameters, &Compute::new(1));
    let of: Vec<(&[u32], Vec<&[u32]>)> = histories.iter().map(|history| (*history, vec![items])).collect();
    let batch = SessionBatch::new(&tokens(), model.config.max_history, &of).unwrap();
    let encoded = model.encode(&tape, &batch.sources, Mode::default());
    let (states, _) = model.decode(&tape, &encoded, &batch, Mode::default());
    let logits = Engine::linear(&tape, &states, &tape.parameter(model.head), None, None);
    logits.value.chunks(logits.columns).map(<[f32]>::to_vec).collect()
}

#[test]
fn the_engine_gives_the_logits_of_the_tape_from_a_cache_and_without() {
    // The first history is longer than what is read of it.
    let (histories, items): ([&[u32]; 3], [u32; 3]) = ([&[0, 3, 7, 1, 2], &[], &[11]], [4, 9, 4]);
    let tokens = tokens();
    let written = tokens.written(&items, true).unwrap();
    let read = histories.map(|history| source(&tokens, history, config(0).max_history).unwrap());
    let sources: Vec<&[u32]> = read.iter().map(Vec::as_slice).collect();
    for experts in [0, 2, 5] {
        let (model, parameters) = model(experts);
        let expected = on_the_tape((&model, &parameters), &histories, &items);
        assert_eq!(expected.len(), 3 * written.len());
        let mut of_one_thread = Vec::new();
        for threads in [1, 3] {
            let inference = OneRecInference::new(&model, &parameters, threads).unwrap();
            let mut session = inference.engine.session();
            let starts = session.sources(&sources).unwrap();
            let mut all = Vec::new();
            for start in starts {
                let mut at = start;
                for token in &written {
                    let (prefix, logits) = grow(&mut session, at, &[*token]);
                    at = prefix;
                    all.push(logits);
                }
                assert_eq!(all.last(), Some(&grow(&mut session, start, &written).1), "cached is uncached");
            }
            for (own, expected) in all.iter().flatten().zip(expected.iter().flatten()) {
                let near = 1e-5 * expected.abs().max(1.0);
                assert!((own - expected).abs() < near, "{experts}: {own} {expected}");
            }
            if threads == 1 {
                of_one_thread = all;
            } else {
                assert_eq!(all, of_one_thread, "{experts} experts");
            }
        }
    }
}

#[test]
fn sessions_depend_on_no_number_of_threads() {
    let (model, parameters) = model(5);
    let histories: [&[u32]; 3] = [&[3, 7, 1], &[], &[11]];
    for search in [SessionSearch::Beam(6), SessionSearch::Sample { count: 4, temperature: 0.7, seed: 9 }] {
        let [one, three] = [1, 3].map(|threads| {
            let inference = OneRecInference::new(&model, &parameters, threads).unwrap();
            inference.generate(&tokens(), &histories, 2, search).unwrap()
        });
        assert_eq!(one, three);
    }
}

#[test]
fn what_is_written_has_the_probability_of_what_is_read() {
    let mut repeated = 0;
    for experts in [0, 5] {
        let (model, parameters) = model(experts);
        let (tokens, compute) = (tokens(), Compute::new(1));
        let inference = inference(&model, &parameters);
        let histories: [&[u32]; 3] = [&[3, 7, 1], &[], &[11]];
        let sample = SessionSearch::Sample { count: 3, temperature: 1.0, seed: 4 };
        for (search, count) in [(SessionSearch::Beam(1), 1), (SessionSearch::Beam(4), 4), (sample, 3)] {
            let all = inference.generate(&tokens, &histories, 3, search).unwrap();
            assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [count; 3]);
            for (history, written) in histories.iter().zip(&all) {
                for own in written {
                    // Of an item that comes again the first is kept, and the others are counted.
                    let first = |at: &usize| !own.written[..*at].contains(&own.written[*at]);
                    let kept: Vec<u32> = (0..3).filter(first).map(|at| own.written[at]).collect();
                    assert_eq!((&own.items, own.repeated()), (&kept, 3 - kept.len()));
                    repeated += own.repeated();
                    let sessions = [session(history, &own.written)];
                    let (losses, loads) =
                        SessionTask::new(&model, &tokens, &sessions).measure(&parameters, &compute).unwrap();
                    assert!((losses[0] * 6.0 + own.log_probability).abs() < 1e-3, "{losses:?} {own:?}");
                    // Of nine rows each goes through two experts in both layers.
                    assert!(loads.iter().all(|loads| loads.iter().sum::<usize>() == 18));
                    assert_eq!(loads.len(), if experts > 0 { 2 } else { 0 });
                }
            }
            // What is written behind a history does not depend on the others.
            if search != sample {
                let alone = inference.generate(&tokens, &histories[2..], 3, search).unwrap();
                assert_eq!(
                    alone[0].iter().map(|own| &own.items).collect::<Vec<_>>(),
                    all[2].iter().map(|own| &own.items).collect::<Vec<_>>()
                );
            }
        }
    }
    assert!(repeated > 0, "models that have learned nothing write some item twice");
}

#[test]
fn a_wide_beam_of_one_item_is_the_order_of_all() {
    let (model, parameters) = model(4);
    let (tokens, inference) = (tokens(), inference(&model, &parameters));
    let history: &[u32] = &[2, 9];
    let all = inference.generate(&tokens, &[history], 1, SessionSearch::Beam(40)).unwrap();
    assert_eq!(all[0].len(), 12);
    assert!(all[0].windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
    let mut items: Vec<u32> = all[0].iter().map(|own| own.items[0]).collect();
    items.sort_unstable();
    assert_eq!(items, (0..12).collect::<Vec<u32>>());
    // Of several lengths each gives what it gives alone.
    let search = SessionSearch::Beam(3);
    let both = inference.generate_lengths(&tokens, &[history], &[1, 2], search).unwrap();
    for (length, found) in [1, 2].into_iter().zip(&both) {
        assert_eq!(&inference.generate(&tokens, &[history], length, search).unwrap(), found);
    }
    let nothing = inference.generate(&tokens, &[history], 0, SessionSearch::Beam(1));
    assert!(nothing.is_err());
    let unknown = inference.generate(&tokens, &[&[12]], 1, SessionSearch::Beam(1));
    assert!(unknown.unwrap_err().to_string().contains("no item 12"));
}

#[test]
fn gradients_are_differences_and_reach_everything() {
    let (model, mut parameters) = model(3);
    let tokens = tokens();
    let sessions = [session(&[3, 7, 1], &[2, 5]), session(&[], &[0, 11]), session(&[8], &[4, 6])];
    let task = SessionTask::new(&model, &tokens, &sessions).balanced(0.5);
    let checked: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
    let mut gradients = Gradients::default();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let loss = task.loss(&tape, &[0, 1, 2], Mode::default()).unwrap().value;
    tape.backward(&loss, &mut gradients);
    for id in &checked {
        let norm: f32 = gradients.get(*id).map_or(0.0, |gradient| gradient.iter().map(|x| x * x).sum());
        assert!(norm > 0.0, "{}", parameters[*id].name);
    }
    // Away from the kinks of ReLU and of the choice of experts.
    let smooth: Vec<ParameterId> = checked
        .into_iter()
        .filter(|id| {
            ["head.weight", "decoder.distance_bias", "decoder.norm.weight"]
                .contains(&&parameters[*id].name[..])
        })
        .collect();
    assert_eq!(smooth.len(), 3);
    assert_parameter_gradients(&mut parameters, &smooth, 3, |tape| {
        task.loss(tape, &[0, 1, 2], Mode::default()).unwrap().value
    });
}

/// Whoever liked items of a group gets the others of that group.
fn grouped(user: u64, length: usize) -> Session {
    let stream = Stream::new(17, user);
    let (group, first) = (stream.below(0, 3) as u32 * 4, stream.below(1, 4) as u32);
    let item = |at: u32| group + (first + at) % 4;
    session(&[item(0), item(1)], &(2..2 + length as u32).map(item).collect::<Vec<_>>())
}

/// Whoever liked anything gets anything.
fn scattered(user: u64) -> Session {
    let item = |at: u64| Stream::new(23, user).below(at, 12) as u32;
    session(&[item(0)], &[item(1), item(2)])
}

fn learned(sessions: &[Session], steps: usize) -> (OneRec, Parameters) {
    let (model, mut parameters) = model(4);
    let tokens = tokens();
    let settings = Settings {
        batch: 20,
        steps,
        rate: 0.01,
        schedule: Schedule::Cosine,
        checkpoint: 0,
        ..Settings::default()
    };
    let task = SessionTask::new(&model, &tokens, sessions);
    train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    (model, parameters)
}

#[test]
fn sessions_and_next_items_are_learned_by_one_path() {
    for length in [1, 2] {
        let sessions: Vec<Session> = (0..80).map(|user| grouped(user, length)).collect();
        let (model, parameters) = learned(&sessions, 150);
        let asked: Vec<Session> = (100..130).map(|user| grouped(user, length)).collect();
        let histories: Vec<&[u32]> = asked.iter().map(|session| &session.history[..]).collect();
        let search = SessionSearch::Beam(1);
        let all = inference(&model, &parameters).generate(&tokens(), &histories, length, search).unwrap();
        let right = asked.iter().zip(&all).filter(|(session, own)| session.items == own[0].items).count();
        assert!(right >= 28, "{length}: {right} of 30");
    }
}

/// A reward model that learns that even items are liked.
fn likes_even() -> (SessionReward, Parameters) {
    let mut parameters = Parameters::default();
    let texts: Vec<f32> = (0..12 * 4).map(|at| Stream::new(3, 1).normal(at)).collect();
    let config = RewardConfig { width: 8, hidden: 8, max_history: 4 };
    let reward = SessionReward::new(config, (texts, 12), &mut parameters, 1).unwrap();
    let sessions: Vec<Session> = (0..300u64)
        .map(|at| {
            let stream = Stream::new(8, at);
            let items: Vec<u32> = (0..2).map(|place| stream.below(place, 12) as u32).collect();
            let ratings = items.iter().map(|item| if item % 2 == 0 { 5.0 } else { 2.0 }).collect();
            Session { ratings, ..session(&[stream.below(7, 12) as u32], &items) }
        })
        .collect();
    let settings = Settings { batch: 50, steps: 200, rate: 0.02, checkpoint: 0, ..Settings::default() };
    let task = RewardTask::new(&reward, &sessions);
    train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    (reward, parameters)
}

#[test]
fn preferences_of_the_reward_model_are_followed() {
    assert_eq!(logged_targets(&[5.0, 1.0, 3.0, 4.0]), [0.5625, 0.75, 0.25, 0.5]);
    let (reward, reward_parameters) = likes_even();
    let compute = Compute::new(1);
    let history: &[u32] = &[1];
    let asked: [(&[u32], &[u32]); 3] = [(history, &[2, 4]), (history, &[2, 3]), (history, &[5, 3])];
    let rewards = reward.rewards((&reward_parameters, &compute), &asked).unwrap();
    assert!(rewards[0][3] > rewards[1][3] && rewards[1][3] > rewards[2][3], "{rewards:?}");
    assert!(reward.rewards((&reward_parameters, &compute), &[(&[], &[1])]).is_err());
    let sessions: Vec<Session> = (0..80).map(scattered).collect();
    let (model, mut parameters) = learned(&sessions, 20);
    let tokens = tokens();
    let histories: Vec<&[u32]> = sessions.iter().map(|session| &session.history[..]).collect();
    let mean_reward = |parameters: &Parameters| {
        let inference = inference(&model, parameters);
        let all = inference.generate(&tokens, &histories, 2, SessionSearch::Beam(1)).unwrap();
        let asked: Vec<(&[u32], &[u32])> =
            histories.iter().zip(&all).map(|(history, own)| (*history, &own[0].written[..])).collect();
        let rewards = reward.rewards((&reward_parameters, &compute), &asked).unwrap();
        rewards.iter().map(|rewards| rewards[3]).sum::<f64>() / rewards.len() as f64
    };
    let before = mean_reward(&parameters);
    let frozen = parameters.clone();
    for objective in ["dpo(beta=0.5)", "ipo(beta=0.5)", "dpo(beta=0.5, label_smoothing=0.1)", "simpo"] {
        let settings = AlignmentSettings {
            share: 0.5,
            search: SessionSearch::Sample { count: 8, temperature: 1.0, seed: 2 },
            lambda: 1.0,
            objective: parse(objective).unwrap(),
            seed: 3,
        };
        let task = SessionTask::new(&model, &tokens, &sessions);
        let round = AlignmentTask::new(
            task,
            [&frozen, &frozen],
            (&reward, &reward_parameters),
            compute.clone(),
            settings,
        )
        .unwrap();
        parameters = frozen.clone();
        let settings = Settings { batch: 20, steps: 25, rate: 0.003, checkpoint: 0, ..Settings::default() };
        train(&round, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
        let [found, none] = round.counts();
        assert!(found > 20 && found + none < 60, "{found} {none}");
        let after = mean_reward(&parameters);
        assert!(after > before + 0.01, "{objective}: {before} {after}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut parameters = Parameters::default();
    let mut new = |config| OneRec::new(config, 9, &mut parameters, 1).map(|_| ()).is_err();
    assert!(new(OneRecConfig { heads: 3, ..config(0) }));
    assert!(new(OneRecConfig { active: 5, ..config(4) }));
    assert!(new(OneRecConfig { blocks: 0, ..config(4) }));
    let mut parameters = Parameters::default();
    let config = RewardConfig { width: 8, hidden: 8, max_history: 4 };
    assert!(SessionReward::new(config, (vec![0.0; 7], 3), &mut parameters, 1).is_err());
    let all = Interactions {
        sequences: vec![vec![Event { item: 0, rating: 5.0, time: 0 }]],
        ..Interactions::default()
    };
    let rule = SessionRule {
        length: 2,
        within: 1,
        watched: 0.0,
        least_total: 0.0,
        liked: 4.0,
        least_liked: 0,
        least_history: 0,
    };
    assert_eq!(sessions(&all, &rule), Sessions { outside: 1, ..Sessions::default() });
}
