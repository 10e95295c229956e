//! Several steps from one rollout, by hand.

use super::*;
use crate::nn::{LlamaConfig, Mode};
use crate::tape::{Compute, Gradients, Parameters, Tape};
use crate::trainer::{LanguageModel, StepLoss, Task};
use std::sync::{Arc, Mutex};

/// All answers have the same advantage.
struct Same(f64);

impl Rewarder for Same {
    fn judge(&self, _prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        let credit =
            |answer: &Sampled| Credit { tokens: 0..answer.tokens.len(), advantage: self.0, share: 1.0 };
        let worth =
            |answer: &Sampled| Answered { reward: self.0, credits: vec![credit(answer)], differs: true };
        answers.iter().map(worth).collect()
    }
}

const MODE: Mode = Mode { dropout: 0.0, key: 5, is_training: true };

/// Loss and norm of the gradients of the first and the second update of a rollout. Before the second one the policy gives all its answers
/// e^0.5 times the probability of a token that it had when they were drawn.
fn updates_of(advantage: f64, level: RatioLevel) -> [(f64, f64); 2] {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = Parameters::default();
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    let model = LanguageModel::of_bytes(&config, 16, 3, &mut parameters).unwrap();
    let digits: Vec<u32> = (b'0'..=b'9').map(u32::from).collect();
    let form =
        Form::new(vec![Place::OneOf(digits.into()), Place::Only(u32::from(b']'))], Vec::new()).unwrap();
    let prompts = ["a", "bc"].map(|text| text.bytes().map(u32::from).collect::<Vec<u32>>());
    let rewarder = Same(advantage);
    let task = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: Generation::Form { form: Arc::new(form), group: 4, temperature: 1.0 },
        rewarder: &rewarder,
        loss: PolicyLoss { level, clip: (0.2, 0.28), ..PolicyLoss::default() },
        by_token: false,
        updates: Updates::new(2),
        reference: None,
        folder: folder.path().to_path_buf(),
        records: Mutex::default(),
    };
    let compute = Compute::new(1);
    let update = || {
        let tape = Tape::new(&parameters, &compute);
        let StepLoss { value, used, .. } = task.loss(&tape, &[0, 1], MODE).unwrap();
        assert_eq!(used, 4, "each update has the answers to one of the two prompts");
        let mut gradients = Gradients::default();
        let number = f64::from(value.item());
        tape.backward(&value, &mut gradients);
        (number, gradients.norm())
    };
    let first = update();
    let mut waiting = task.updates.waiting();
    assert_eq!((waiting.lots.len(), waiting.lots[0].old.len()), (1, 8));
    waiting.lots[0].old.iter_mut().for_each(|old| *old -= 0.5);
    task.updates.fill(waiting);
    let second = update();
    assert!(task.updates.are_done(), "the next step rolls out");
    assert_eq!(task.records.lock().unwrap().len(), 2);
    [first, second]
}

#[test]
fn the_clip_acts_at_the_second_update_and_not_at_the_first() {
    for level in [RatioLevel::Token, RatioLevel::Part] {
        // Good answers: the ratio is 1, then e^0.5 = 1.6487, above 1.28, where it teaches no more.
        let [(loss, norm), (clipped, none)] = updates_of(1.0, level);
        assert!((loss + 1.0).abs() < 1e-5 && norm > 0.0, "{loss} {norm}");
        assert!((clipped + 1.28).abs() < 1e-5 && none == 0.0, "{clipped} {none}");
        // Bad ones, which are likelier now: the ratio goes on to teach.
        let [(loss, norm), (plain, more)] = updates_of(-1.0, level);
        assert!((loss - 1.0).abs() < 1e-5 && norm > 0.0, "{loss} {norm}");
        assert!((plain - 0.5f64.exp()).abs() < 1e-4 && more > 0.0, "{plain} {more}");
    }
}

/// Writes down which prompts were answered.
struct Seen(Mutex<Vec<usize>>);

impl Rewarder for Seen {
    fn judge(&self, prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        self.0.lock().unwrap().push(prompt);
        Same(1.0).judge(prompt, answers)
    }
}

#[test]
fn examples_that_were_passed_over_have_their_turn() {
    let folder = tempfile::tempdir().unwrap();
    let mut parameters = Parameters::default();
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    let model = LanguageModel::of_bytes(&config, 16, 3, &mut parameters).unwrap();
    let digits: Vec<u32> = (b'0'..=b'9').map(u32::from).collect();
    let form = Form::new(vec![Place::OneOf(digits.into())], Vec::new()).unwrap();
    let prompts = ["a", "b", "c", "d"].map(|text| text.bytes().map(u32::from).collect::<Vec<u32>>());
    let rewarder = Seen(Mutex::default());
    let task = PolicyTask {
        model: &model,
        prompts: &prompts,
        generation: Generation::Form { form: Arc::new(form), group: 2, temperature: 1.0 },
        rewarder: &rewarder,
        loss: PolicyLoss { level: RatioLevel::Token, ..PolicyLoss::default() },
        by_token: false,
        updates: Updates::new(2),
        reference: None,
        folder: folder.path().to_path_buf(),
        records: Mutex::default(),
    };
    let compute = Compute::new(1);
    // Two times through the four prompts.
    for examples in [[0, 1], [2, 3], [1, 3], [0, 2]] {
        task.loss(&Tape::new(&parameters, &compute), &examples, MODE).unwrap();
    }
    assert_eq!(*rewarder.0.lock().unwrap(), [0, 1, 2, 3]);
    assert_eq!(task.updates.due(&[0, 1]), (vec![1, 3], vec![0, 2, 1]), "those of the second time, each once");
}

#[test]
fn with_one_update_each_step_has_its_own_examples() {
    let updates = Updates::new(1);
    assert_eq!(updates.due(&[4, 4, 2]), (vec![4, 4, 2], Vec::new()));
}
