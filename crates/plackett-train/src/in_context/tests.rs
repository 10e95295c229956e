//! Losses are those of the formulas, their gradients reach what they should, and a planted passage is found.

use super::*;
use crate::nn::{BlockBatch, Initializer, Llama, LlamaConfig, Mode};
use crate::random::Stream;
use crate::tape::{Compute, Gradients, ParameterId, Parameters, Tape, assert_parameter_gradients};
use crate::trainer::{Settings, Task, train};

/// Tokens: 0 asks, 1 opens, 2 to 4 identifiers, 5 to 12 words.
const IDENTIFIERS: [u32; 3] = [2, 3, 4];

fn model(parameters: &mut Parameters, (layers, width): (usize, usize)) -> Llama {
    let config = LlamaConfig::small(13, layers, (width, 2 * width), 2);
    Llama::load(parameters, &mut Initializer::new(5), &config).unwrap()
}

/// Three passages of one word each, of which one is asked for.
fn prompts(count: usize, seed: u64) -> Vec<InContextPrompt> {
    let prompt = |at: usize| {
        let words = Stream::new(seed, at as u64).permutation(8);
        let right = Stream::new(seed + 1, at as u64).below(0, 3);
        let word = |at: usize| 5 + words[at] as u32;
        InContextPrompt {
            instruction: vec![0, word(right)],
            passages: (0..3).map(|at| vec![IDENTIFIERS[at], word(at)]).collect(),
            question: vec![0, word(right), 1],
            answer: vec![IDENTIFIERS[right]],
            labels: (0..3).map(|at| if at == right { 1.0 } else { 0.0 }).collect(),
        }
    };
    (0..count).map(prompt).collect()
}

#[test]
fn the_loss_is_the_weighted_sum_of_both() {
    let mut parameters = Parameters::default();
    let llama = model(&mut parameters, (2, 8));
    let prompts = prompts(2, 1);
    let compute = Compute::new(1);
    let value = |answer: f32, auxiliary: f32| {
        let settings = InContextSettings { answer, auxiliary, ..InContextSettings::at(1) };
        let task = InContextTask::new(&llama, &prompts, settings).unwrap();
        let tape = Tape::inference(&parameters, &compute);
        task.loss(&tape, &[0, 1], Mode::default()).unwrap().value.item()
    };
    let (written, attended) = (value(1.0, 0.0), value(0.0, 1.0));
    assert!((value(1.0, 0.1) - written - 0.1 * attended).abs() < 1e-5);
    // The attention loss by hand from the shares.
    let tape = Tape::inference(&parameters, &compute);
    let settings = InContextSettings::at(1);
    let blocks = BlockBatch::new(prompts.iter().map(|prompt| prompt.blocks(false)), settings.query_position);
    let shares = llama.block_shares(&tape, &blocks, &llama.read_blocks(&tape, &blocks, 1));
    let mut expected = 0.0;
    for (shares, prompt) in shares.value.chunks(3).zip(&prompts) {
        let powers: Vec<f32> = shares.iter().map(|share| (share / 0.05).exp()).collect();
        let right = prompt.labels.iter().position(|label| *label > 0.0).unwrap();
        expected -= (powers[right] / powers.iter().sum::<f32>()).ln() / 2.0;
    }
    assert!((attended - expected).abs() < 1e-4, "{attended} {expected}");
}

#[test]
fn gradients_are_differences_and_the_attention_loss_ends_at_its_layer() {
    let mut parameters = Parameters::default();
    let llama = model(&mut parameters, (2, 8));
    // Embeddings of the size of 1, so that norms are nearly straight within the steps of the differences.
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.name.contains("norm")) {
        let by = if parameter.name.contains("embed") { 50.0 } else { 10.0 };
        parameter.values_mut().iter_mut().for_each(|x| *x *= by);
    }
    let prompts = prompts(2, 1);
    let ids: Vec<ParameterId> = parameters.iter().map(|(id, _)| id).collect();
    let both = InContextSettings { auxiliary: 0.5, temperature: 0.5, ..InContextSettings::at(2) };
    let task = InContextTask::new(&llama, &prompts, both).unwrap();
    let mut checked = parameters.clone();
    assert_parameter_gradients(&mut checked, &ids, 3, |tape| {
        task.loss(tape, &[0, 1], Mode::default()).unwrap().value
    });
    let alone = InContextSettings { answer: 0.0, auxiliary: 1.0, ..InContextSettings::at(1) };
    let task = InContextTask::new(&llama, &prompts, alone).unwrap();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let loss = task.loss(&tape, &[0, 1], Mode::default()).unwrap().value;
    let mut gradients = Gradients::default();
    tape.backward(&loss, &mut gradients);
    for (id, parameter) in parameters.iter() {
        let reads = [
            "embed_tokens",
            "layers.0.input_layernorm",
            "layers.0.self_attn.q_proj",
            "layers.0.self_attn.k_proj",
        ];
        let expected = reads.iter().any(|name| parameter.name.contains(name));
        let found = gradients.get(id).is_some_and(|gradient| gradient.iter().any(|x| *x != 0.0));
        assert_eq!(found, expected, "{}", parameter.name);
    }
}

#[test]
fn a_planted_passage_is_attended_to() {
    let mut parameters = Parameters::default();
    let llama = model(&mut parameters, (2, 16));
    let (learned, asked) = (prompts(3200, 1), prompts(60, 100));
    let settings = InContextSettings { answer: 0.0, auxiliary: 1.0, ..InContextSettings::at(2) };
    let task = InContextTask::new(&llama, &learned, settings).unwrap();
    let schedule = Settings { batch: 16, steps: 200, rate: 1e-2, checkpoint: 0, ..Settings::default() };
    let compute = Compute::new(1);
    let trained =
        train(&task, &compute, &mut parameters, &schedule, (None, ""), None, &mut |_, _| {}).unwrap();
    let first = trained.steps.first().map_or(0.0, |step| step.loss);
    assert!(trained.final_loss() < first, "{first} {}", trained.final_loss());
    let read = read_prompts((&llama, &parameters, &compute), &asked, &IDENTIFIERS, &settings).unwrap();
    let right =
        |(reading, prompt): &(&InContextReading, &InContextPrompt)| prompt.labels[reading.attended()] > 0.0;
    let found = read.iter().zip(&asked).filter(right).count();
    assert!(found > 30, "{found} of 60, and 20 by chance");
    assert!(read.iter().all(|reading| (reading.shares.iter().sum::<f32>() - 1.0).abs() < 1e-4));
    assert!(read.iter().all(|reading| reading.written() < 3));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut parameters = Parameters::default();
    let llama = model(&mut parameters, (2, 8));
    let good = prompts(1, 1);
    let refused = |prompts: &[InContextPrompt], settings| {
        InContextTask::new(&llama, prompts, settings).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let at = InContextSettings::at;
    assert!(refused(&good, at(3)).contains("from 1 to 2"));
    assert!(refused(&good, InContextSettings { answer: 0.0, auxiliary: 0.0, ..at(1) }).contains("above 0"));
    let mut far = good.clone();
    far[0].passages[1][1] = 13;
    assert!(refused(&far, at(1)).contains("prompt 1: token 13"));
    let labels = InContextPrompt { labels: vec![1.0], ..good[0].clone() };
    assert!(refused(&[labels], at(1)).contains("1 labels for 3 passages"));
    let short = InContextPrompt { question: vec![1], ..good[0].clone() };
    assert!(refused(&[short], at(1)).contains("two tokens"));
    assert_eq!(refused(&good, at(1)), "");
}
