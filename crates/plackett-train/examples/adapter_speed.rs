//! Seconds of a training step, forwards and backwards, with each adapter on an encoder of MiniLM's size (six layers of 384 and
//! 1536, drawn weights) over 2,048 tokens.

use plackett_train::adapter::{Targets, parse};
use plackett_train::nn::{Bert, BertConfig, Initializer, Mode, TokenBatch};
use plackett_train::random::Stream;
use plackett_train::tape::Gradients;
use plackett_train::{Compute, Engine, Parameters, Tape, TrainError};
use std::time::Instant;

const CASES: &[(&str, &str)] = &[
    ("lora(rank=1)", "query,value"),
    ("lora(rank=8)", "query,value"),
    ("nola(k=384, rank=8, cache=true)", "query,value"),
    ("nola(k=384, rank=8)", "query,value"),
    ("nola(k=384, rank=16)", "query,value"),
    ("lora(rank=8)", "all"),
    ("sora(rank=8)", "all"),
    ("dora(rank=8)", "all"),
    ("vera(rank=256)", "all"),
    ("rand-lora(rank=96, form=factored)", "all"),
    ("rand-lora(rank=96, form=materialized)", "all"),
    ("bottleneck(reduction=2)", "all"),
];

fn main() -> Result<(), TrainError> {
    let config = BertConfig {
        vocab_size: 1000,
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1536,
        max_position_embeddings: 512,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        hidden_act: "gelu".into(),
    };
    let stream = Stream::new(1, 1);
    let tokens: Vec<Vec<u32>> = (0..16)
        .map(|at| (0..128).map(|token| stream.below(at * 128 + token, 1000) as u32).collect())
        .collect();
    let batch = TokenBatch::new(tokens.iter().map(Vec::as_slice));
    for (text, targets) in CASES {
        let mut parameters = Parameters::default();
        let mut bert = Bert::load(&mut parameters, &mut Initializer::new(1), &config, "", false)?;
        let adapter = parse(text)?;
        let attached = adapter.attach(&mut parameters, &mut bert, &Targets::parse(targets), 1, |_| false)?;
        let compute = Compute::new(std::thread::available_parallelism().map_or(1, usize::from));
        let mut seconds = Vec::new();
        for _ in 0..6 {
            let start = Instant::now();
            let tape = Tape::new(&parameters, &compute);
            let hidden = bert.forward(&tape, &batch, Mode::default());
            let pooled = bert.pooled(&tape, &hidden, &batch);
            let loss = tape.sum(&tape.square(&tape.add(&pooled, &pooled)));
            tape.backward(&loss, &mut Gradients::default());
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!(
            "{:<40} {targets:<12} {:>9} numbers {:.3} s",
            text,
            attached.trainable_count(&parameters),
            seconds[1]
        );
    }
    Ok(())
}
