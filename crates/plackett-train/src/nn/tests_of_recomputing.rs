//! Layers that are run once more on the way back, against layers that are kept.

use super::{Bert, BertConfig, Initializer, Llama, LlamaConfig, Mode, T5, T5Config, TokenBatch};
use crate::tape::{Compute, Gradients, Parameters, Tape, Var};
use serde_json::{from_value, json};

const MODE: Mode = Mode { dropout: 0.2, key: 5, is_training: true };

/// Two sequences in two parts each, 32 tokens together.
fn batch() -> TokenBatch {
    let tokens: Vec<u32> = (0..32).map(|at| (at * 7 + 3) % 30).collect();
    TokenBatch::pairs([(&tokens[..9], &tokens[9..20]), (&tokens[20..26], &tokens[26..])])
}

/// Makes matrices large enough that layers differ from their residuals.
fn widened(mut parameters: Parameters) -> Parameters {
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.is_vector()) {
        parameter.values_mut().iter_mut().for_each(|x| *x *= 10.0);
    }
    parameters
}

/// A BERT whose first layer keeps texts apart.
fn bert(layers: usize) -> (Parameters, Bert) {
    let config: BertConfig = from_value(json!({
        "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 40,
    }))
    .unwrap();
    let mut parameters = Parameters::default();
    let mut bert = Bert::load(&mut parameters, &mut Initializer::new(4), &config, "", false).unwrap();
    bert.separate_layers = 1;
    (widened(parameters), bert)
}

fn llama() -> (Parameters, Llama) {
    let mut parameters = Parameters::default();
    let config = LlamaConfig { tie_word_embeddings: true, ..LlamaConfig::small(30, 3, (16, 32), 2) };
    let llama = Llama::load(&mut parameters, &mut Initializer::new(4), &config).unwrap();
    (widened(parameters), llama)
}

fn t5() -> (Parameters, T5) {
    let config: T5Config = from_value(json!({
        "vocab_size": 30, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2,
    }))
    .unwrap();
    let mut parameters = Parameters::default();
    let t5 = T5::load(&mut parameters, &mut Initializer::new(4), &config).unwrap();
    (widened(parameters), t5)
}

/// What two passes leave whose gradients add up.
#[derive(Debug, PartialEq)]
struct Learned {
    /// The bits of the loss.
    loss: u32,
    /// Those of the gradient of each parameter that has one.
    gradients: Vec<Option<Vec<u32>>>,
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Two passes, and the most bytes that values and gradients took in the second one, when the gradients of parameters are there.
fn passes(parameters: &Parameters, is_on: bool, forward: &dyn Fn(&Tape) -> Var) -> (Learned, usize) {
    let (mut gradients, mut loss, mut peak) = (Gradients::default(), 0, 0);
    for _ in 0..2 {
        let compute = Compute::new(1);
        let tape = Tape::new(parameters, &compute).recomputing(is_on);
        let value = tape.mean(&tape.tanh(&forward(&tape)));
        loss = value.item().to_bits();
        tape.backward(&value, &mut gradients);
        peak = compute.peak_bytes();
    }
    let gradients = parameters.iter().map(|(id, _)| gradients.get(id).map(bits)).collect();
    (Learned { loss, gradients }, peak)
}

/// Checks that running layers again changes no bit and takes less memory.
fn assert_same(parameters: &Parameters, forward: &dyn Fn(&Tape) -> Var) {
    let ((kept, most), (again, least)) =
        (passes(parameters, false, forward), passes(parameters, true, forward));
    assert_eq!(again, kept);
    assert!(least < most, "{least} bytes, and {most} without");
    let numbers = kept.gradients.iter().flatten().flatten();
    assert!(numbers.map(|bits| f32::from_bits(*bits)).any(|x| x != 0.0 && x.is_finite()));
    let reached = kept.gradients.iter().filter(|gradient| gradient.is_some()).count();
    assert!(reached <= parameters.iter().filter(|(_, parameter)| parameter.trainable).count());
}

#[test]
fn a_bert_learns_the_same_bits() {
    let (mut parameters, bert) = bert(3);
    let forward: &dyn Fn(&Tape) -> Var = &|tape| bert.forward(tape, &batch(), MODE);
    assert_same(&parameters, forward);
    // Frozen but for one layer: below it nothing wants a gradient, above it gradients only go through.
    parameters.train_only(|parameter| parameter.name.contains("layer.1."));
    assert_same(&parameters, forward);
}

#[test]
fn a_llama_learns_the_same_bits_at_each_depth() {
    let (mut parameters, llama) = llama();
    // Read out after each layer, by the matrix that the embeddings are too.
    let forward: &dyn Fn(&Tape) -> Var = &|tape| {
        let mut logits = Vec::new();
        llama.each_layer(tape, &batch(), |_, hidden| logits.push(llama.logits(tape, hidden, &[3, 19, 31])));
        tape.stack(&logits.iter().collect::<Vec<_>>())
    };
    assert_same(&parameters, forward);
    assert_same(&parameters, &|tape| llama.noisy_hidden(tape, &batch(), 5.0, MODE));
    parameters.train_only(|parameter| parameter.name.contains("mlp"));
    assert_same(&parameters, forward);
}

#[test]
fn a_t5_learns_the_same_bits() {
    let (parameters, t5) = t5();
    let targets: [&[u32]; 2] = [&[7, 8, 9, 4], &[5, 6]];
    assert_same(&parameters, &|tape| {
        let encoded = t5.encode(tape, &batch(), MODE);
        t5.decode(tape, (&encoded, &batch()), &t5.decoder_batch(targets), MODE)
    });
}

#[test]
fn memory_grows_with_what_goes_into_layers_alone() {
    let peak = |layers: usize, is_on: bool| {
        let (parameters, bert) = bert(layers);
        passes(&parameters, is_on, &|tape| bert.forward(tape, &batch(), MODE)).1
    };
    // 32 tokens of 16 numbers. A layer that is kept has queries, keys, values, what is attended, both sums and both norms, and twice
    // the four times wider feed-forward network: 16 such matrices.
    let (matrix, more) = (4 * 32 * 16, 4);
    assert!(peak(8, true) - peak(4, true) <= more * matrix);
    assert!(peak(8, false) - peak(4, false) >= more * 12 * matrix);
}
