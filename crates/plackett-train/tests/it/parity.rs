//! Losses, gradients and steps against PyTorch's, on ragged batches that the reference pads and masks.

use crate::golden::Golden;
use plackett_train::nn::{Mode, SafetensorsSource, T5, TokenBatch};
use plackett_train::trainer::{CrossEncoder, LanguageModel};
use plackett_train::{Parameters, Tape};

#[test]
fn a_bert_cross_encoder_takes_the_steps_of_pytorch() {
    let golden = Golden::read("bert");
    let mut parameters = Parameters::default();
    let folder = golden.with_tokenizer("parity/bert-cross");
    let model = CrossEncoder::open(folder.path(), &mut parameters, 32, 0).unwrap();
    let (sequences, first) = (golden.sequences("tokens", "lengths"), golden.sizes("first"));
    let batch =
        TokenBatch::pairs(sequences.iter().zip(&first).map(|(tokens, first)| tokens.split_at(*first)));
    let labels = golden.floats("labels");
    golden.follow(&mut parameters, |tape| {
        let hidden = model.bert.forward(tape, &batch, Mode::default());
        let pooled = model.bert.pooled(tape, &hidden, &batch);
        let scores = model.classifier.forward(tape, &pooled, None);
        // −y ln σ(s) − (1 − y) ln(1 − σ(s)) = ln(1 + eˢ) − y·s.
        let labels = tape.constant((labels.len(), 1), &labels);
        tape.mean(&tape.minus(&tape.softplus(&scores), &tape.times(&labels, &scores)))
    });
}

#[test]
fn llamas_take_the_steps_of_pytorch() {
    for name in ["llama", "llama-tied"] {
        println!("{name}");
        let golden = Golden::read(name);
        let mut parameters = Parameters::default();
        let folder = golden.with_tokenizer("golden/decoder/llama");
        let model = LanguageModel::open(folder.path(), &mut parameters).unwrap().llama;
        let (sequences, given) = (golden.sequences("tokens", "lengths"), golden.sizes("given"));
        let batch = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        let mut targets = Vec::new();
        for ((tokens, rows), given) in sequences.iter().zip(batch.sequences.iter()).zip(&given) {
            let places = (*given).max(1)..tokens.len();
            targets.extend(places.map(|place| (rows.start + place - 1, tokens[place])));
        }
        golden.follow(&mut parameters, |tape: &Tape| {
            let hidden = model.hidden(tape, &batch);
            let log_probabilities = model.log_probabilities(tape, &hidden, &targets);
            tape.scale(&tape.mean(&log_probabilities), -1.0)
        });
    }
}

#[test]
fn encoder_decoders_take_the_steps_of_pytorch() {
    for name in ["t5", "t5-gated"] {
        println!("{name}");
        let golden = Golden::read(name);
        let mut parameters = Parameters::default();
        let config = std::fs::read_to_string(golden.folder.join("config.json")).unwrap();
        let config = serde_json::from_str(&config).unwrap();
        let mut source = SafetensorsSource::open(&golden.folder.join("model.safetensors")).unwrap();
        let model = T5::load(&mut parameters, &mut source, &config).unwrap();
        let sequences = golden.sequences("tokens", "lengths");
        let written = golden.sequences("targets", "target_lengths");
        let sources = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        let read = model.decoder_batch(written.iter().map(Vec::as_slice));
        let targets: Vec<(usize, u32)> = written.concat().into_iter().enumerate().collect();
        golden.follow(&mut parameters, |tape: &Tape| {
            let encoded = model.encode(tape, &sources, Mode::default());
            let decoded = model.decode(tape, (&encoded, &sources), &read, Mode::default());
            let log_probabilities = model.log_probabilities(tape, &decoded, &targets);
            tape.scale(&tape.mean(&log_probabilities), -1.0)
        });
    }
}
