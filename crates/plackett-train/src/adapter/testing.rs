//! Models of a few hundred numbers, on which adapters are tried.

use super::{Adaptable, Attached, Configured, Targets, parse};
use crate::nn::{
    Bert, BertConfig, Initializer, Llama, LlamaConfig, Mode, SafetensorsSource, TokenBatch, WeightSource,
};
use crate::random::Stream;
use crate::tape::{Compute, Gradients, ParameterId, Parameters, Tape, Var, assert_parameter_gradients};
use crate::{Engine, TrainError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Larger weights than models begin with, so that outputs depend on every one.
struct WideInitializer(Initializer);

impl WeightSource for WideInitializer {
    fn take(&mut self, name: &str, (rows, columns): (usize, usize)) -> Result<Vec<f32>, TrainError> {
        match rows {
            1 => self.0.take(name, (rows, columns)),
            _ => Ok(self.0.normal(rows * columns, 0.3)),
        }
    }
}

/// An encoder with a head, or a decoder.
pub struct Toy {
    pub parameters: Parameters,
    pub bert: Bert,
    pub llama: Llama,
    decoder: bool,
    head: ParameterId,
    batch: TokenBatch,
}

impl Toy {
    /// Two layers of 8 and 12.
    pub fn bert() -> Toy {
        Toy::new(false)
    }

    /// Two layers of 8 and 12, with two heads and one of keys.
    pub fn llama() -> Toy {
        Toy::new(true)
    }

    fn new(decoder: bool) -> Toy {
        let bert: BertConfig = serde_json::from_str(
            r#"{"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 12, "max_position_embeddings": 9}"#,
        )
        .unwrap();
        let llama: LlamaConfig = serde_json::from_str(
            r#"{"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
                "num_key_value_heads": 1, "intermediate_size": 12, "rms_norm_eps": 1e-5}"#,
        )
        .unwrap();
        let mut source = WideInitializer(Initializer::new(3));
        let (mut parameters, mut others) = (Parameters::default(), Parameters::default());
        let (bert, llama) = match decoder {
            false => {
                let bert = Bert::load(&mut parameters, &mut source, &bert, "bert.", true).unwrap();
                (bert, Llama::load(&mut others, &mut source, &llama).unwrap())
            }
            true => {
                let llama = Llama::load(&mut parameters, &mut source, &llama).unwrap();
                (Bert::load(&mut others, &mut source, &bert, "bert.", true).unwrap(), llama)
            }
        };
        let head = parameters.add("classifier.weight", (1, 8), Initializer::new(4).normal(8, 0.5));
        let batch = TokenBatch::pairs([(&[1, 2, 3][..], &[4, 5][..]), (&[6, 7], &[8])]);
        Toy { parameters, bert, llama, decoder, head, batch }
    }

    /// Attaches an adapter; the classifier stays trainable.
    pub fn attach(&mut self, text: &str, targets: &str) -> Attached {
        self.attach_seeded(text, targets, 7).unwrap()
    }

    pub fn attach_seeded(&mut self, text: &str, targets: &str, seed: u64) -> Result<Attached, TrainError> {
        self.attach_configured(&parse(text)?, targets, seed)
    }

    pub fn attach_configured(
        &mut self,
        adapter: &Configured,
        targets: &str,
        seed: u64,
    ) -> Result<Attached, TrainError> {
        let Toy { parameters, bert, llama, decoder, .. } = self;
        let model: &mut dyn Adaptable = if *decoder { llama } else { bert };
        let is_head = |name: &str| name.starts_with("classifier");
        adapter.attach(parameters, model, &Targets::parse(targets), seed, is_head)
    }

    /// Puts other parameters in place of these, with this head.
    pub fn set_head(&mut self, parameters: Parameters, value: Vec<f32>) {
        self.parameters = parameters;
        self.head = self.parameters.add("classifier.weight", (1, 8), value);
    }

    /// Puts all tokens in the first segment.
    pub fn join_segments(&mut self) {
        self.batch.segments.fill(0);
    }

    /// Numbers of the head.
    pub fn head_numbers(&self) -> usize {
        self.parameters[self.head].value.len()
    }

    /// Adds noise to what the adapter trains.
    pub fn shake(&mut self, attached: &Attached, deviation: f32) {
        self.shake_by(attached, deviation, 99);
    }

    /// The same with noise of another seed.
    pub fn shake_by(&mut self, attached: &Attached, deviation: f32, seed: u64) {
        for (at, id) in attached.parameters().iter().enumerate() {
            let stream = Stream::new(seed, at as u64);
            if self.parameters[*id].trainable {
                let values = self.parameters[*id].values_mut();
                values.iter_mut().enumerate().for_each(|(at, x)| *x += deviation * stream.normal(at as u64));
            }
        }
    }

    /// One number a sequence, and all vectors.
    fn run(&self, tape: &Tape) -> (Var, Var) {
        let hidden = match self.decoder {
            true => self.llama.hidden(tape, &self.batch),
            false => self.bert.forward(tape, &self.batch, Mode::default()),
        };
        let pooled = match self.decoder {
            true => tape.pool(&hidden, &self.batch.sequences, crate::engine::Pooling::Last),
            false => self.bert.pooled(tape, &hidden, &self.batch),
        };
        let scores = tape.linear(&pooled, &tape.parameter(self.head), None, None);
        (scores, hidden)
    }

    pub fn outputs_on(&self, tape: &Tape) -> Vec<f32> {
        let (scores, hidden) = self.run(tape);
        scores.value.iter().chain(hidden.value.iter()).copied().collect()
    }

    pub fn outputs(&self) -> Vec<f32> {
        self.outputs_on(&Tape::inference(&self.parameters, &Compute::new(1)))
    }

    fn loss(&self, tape: &Tape) -> Var {
        let (scores, _) = self.run(tape);
        tape.sum(&tape.square(&tape.shift(&scores, -0.3)))
    }

    pub fn loss_gradients(&self, gradients: &mut Gradients) {
        self.loss_gradients_on(Tape::new(&self.parameters, &Compute::new(1)), gradients);
    }

    /// The same on a tape over its parameters.
    pub fn loss_gradients_on(&self, tape: Tape, gradients: &mut Gradients) {
        let loss = self.loss(&tape);
        tape.backward(&loss, gradients);
    }

    pub fn assert_gradients(&mut self, ids: &[ParameterId]) {
        let mut parameters = self.parameters.clone();
        assert_parameter_gradients(&mut parameters, ids, 40, |tape| self.loss(tape));
    }
}

/// Checks that all numbers are as expected to some distance, times the number where that is greater than 1.
pub fn assert_close(given: &[f32], expected: &[f32], most: f32) {
    assert_eq!(given.len(), expected.len());
    for (at, (given, expected)) in given.iter().zip(expected).enumerate() {
        assert!(
            (given - expected).abs() <= most * expected.abs().max(1.0),
            "at {at}: {given}, not {expected}"
        );
    }
}

/// Shapes and numbers by name.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The settings and the tensors of a directory of PEFT's.
pub fn read_peft(folder: &Path) -> (Value, Tensors) {
    let config = std::fs::read(folder.join("adapter_config.json")).unwrap();
    let tensors = SafetensorsSource::open(&folder.join("adapter_model.safetensors")).unwrap().into_tensors();
    let tensors = tensors.into_iter().map(|(name, shape, values)| (name, (shape, values)));
    (serde_json::from_slice(&config).unwrap(), tensors.collect())
}

/// That an adapter on all layers changes nothing before it is trained, and trains as many numbers as its formula says.
pub fn assert_begins_as_the_base_model(text: &str) {
    let mut toy = Toy::bert();
    let attached = toy.attach(text, "all");
    assert_eq!(toy.outputs(), Toy::bert().outputs());
    let shapes: Vec<_> = attached.sites().iter().map(|site| (site.outputs, site.inputs)).collect();
    assert_eq!(attached.trainable_count(&toy.parameters), attached.configured.trainable_count(&shapes));
}
