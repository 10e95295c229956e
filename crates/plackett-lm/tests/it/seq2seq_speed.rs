//! How long an encoder–decoder takes: `PLACKETT_SEQ2SEQ=DIRECTORY cargo test --release -p plackett-lm --test it seq2seq_speed
//! -- --ignored --nocapture`, on any model directory of a supported family.

use plackett_lm::Precision;
use plackett_lm::decode::*;
use plackett_lm::seq2seq::{EncoderDecoder, EncoderDecoderOptions};
use std::time::Instant;

#[test]
#[ignore = "a measurement"]
fn speed_of_encoder_decoders() {
    let Some(directory) = std::env::var_os("PLACKETT_SEQ2SEQ") else {
        return println!("skipped: set PLACKETT_SEQ2SEQ to a model directory");
    };
    for precision in [Precision::F32, Precision::Int8] {
        let options = EncoderDecoderOptions { precision, ..EncoderDecoderOptions::default() };
        let model = EncoderDecoder::open(&directory, &options).expect("model");
        let source: Vec<u32> = (0..256).map(|i| 3 + i * 7919 % (model.vocabulary() as u32 - 3)).collect();
        let best = |what: &str, work: &dyn Fn()| {
            let once = || {
                let start = Instant::now();
                work();
                start.elapsed().as_secs_f64()
            };
            let seconds = (0..4).map(|_| once()).fold(f64::INFINITY, f64::min);
            println!("{precision:?} {what}: {:.1} ms", 1e3 * seconds);
        };
        best("encoder, 256 tokens", &|| drop(model.states(&[&source]).expect("states")));
        let grow = |width: usize, steps: u32| {
            let mut session = model.session();
            let mut at = vec![session.sources(&[&source]).expect("source")[0]; width];
            for step in 0..steps {
                let tokens: Vec<[u32; 1]> = (0..width as u32).map(|branch| [3 + branch + step]).collect();
                let branches: Vec<Branch<'_>> = at
                    .iter()
                    .zip(&tokens)
                    .map(|(parent, tokens)| Branch {
                        parent: *parent,
                        tokens,
                        logit_ids: LogitIds::All,
                        normalizer: false,
                    })
                    .collect();
                at = session
                    .extend(&branches, &[])
                    .expect("logits")
                    .iter()
                    .map(|grown| grown.prefix)
                    .collect();
            }
        };
        best("source and 32 steps", &|| grow(1, 32));
        best("source and 16 steps of 32 branches", &|| grow(32, 16));
    }
}
