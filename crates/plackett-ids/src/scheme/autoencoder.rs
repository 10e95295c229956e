//! Identifiers from vectors by codebooks that are trained with an autoencoder.

use super::memory::NUMBER;
use super::quantized::{CODES, LEVELS, check_tokens, encoding};
use super::{
    DUPLICATES, Encoding, PER_CODE, Reads, SchemeSpec, Sizes, Source, learned_from, most_learned_from,
};
use crate::codebook::sample;
use crate::quantizer::{AutoencoderSettings, TrainedQuantizer};
use crate::sinkhorn::{MOST_SHARES, colliding, separate};
use crate::vectors::READ_ROWS;
use crate::{IdsError, VectorTable};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The declaration.
pub static AUTOENCODER: SchemeSpec = SchemeSpec {
    name: "rq-vae",
    aliases: &["rqvae"],
    summary: "residual quantisation of what an autoencoder makes of the vectors, its codebooks trained with it; items that share all codes are \
              dealt out anew on the last level by Sinkhorn's algorithm",
    paper: "Recommender Systems with Generative Retrieval (2023); MiniOneRec (2025)",
    reads: &[Reads::Vectors, Reads::Trainer],
    options: &[
        LEVELS,
        CODES,
        OptionSpec {
            name: "width",
            kind: OptionKind::Integer(1, 4096),
            default: Some("32"),
            help: "numbers of a code's vector; before it the encoder has layers of 256, 128 and 64 numbers",
        },
        OptionSpec {
            name: "epochs",
            kind: OptionKind::Integer(1, 100_000),
            default: Some("200"),
            help: "how often the training sees each vector that codes are learned from (MiniOneRec: 10000)",
        },
        OptionSpec {
            name: "batch",
            kind: OptionKind::Integer(1, 65_536),
            default: Some("1024"),
            help: "vectors of a step",
        },
        OptionSpec {
            name: "rate",
            kind: OptionKind::Positive,
            default: Some("0.001"),
            help: "the learning rate",
        },
        PER_CODE,
        OptionSpec {
            name: "sinkhorn",
            kind: OptionKind::Integer(0, 10_000),
            default: Some("20"),
            help: "rounds at most in which items that share all codes are dealt out anew on the last level; 0 for none",
        },
        DUPLICATES,
    ],
    holds,
    encode,
};

/// Products of vectors with codes that the trainer makes at once, at most.
const PRODUCTS: u64 = 1 << 24;

fn holds(options: &OptionValues, sizes: &Sizes) -> u64 {
    let count = |name: &str| options.count(name) as u64;
    let (levels, codes, width) = (count("levels"), count("codes"), count("width"));
    let hidden = AutoencoderSettings::HIDDEN.map(|width| width as u64);
    let layers = sizes.dimension + hidden.iter().sum::<u64>() + 2 * width;
    // The sample and what the encoder makes of it at the beginning, blocks that are read, and a batch with its gradients on both sides.
    let rows = 3 * sizes.sample(options) + 2 * READ_ROWS as u64 + 8 * count("batch").min(sizes.items);
    // Weights, gradients, two moments, and weights in the order of the kernels.
    let weights = 6 * (2 * hidden[0] * layers + levels * codes * width);
    // Codes, what is left before the last level, and the order in which items of one sequence are found.
    let items = sizes.items * (levels + width + 8);
    // A distance and a share, of twice the width of a number, for each pair of item and code that Sinkhorn's algorithm weighs together.
    let pairs = (MOST_SHARES as u64).max(2 * codes).min(sizes.items * codes);
    let shares = if count("sinkhorn") > 0 { 4 * pairs } else { 0 };
    NUMBER * (rows * layers + weights + PRODUCTS.max(codes) + items + shares)
}

fn encode(options: &OptionValues, source: &Source<'_>) -> Result<Encoding, IdsError> {
    let levels = options.count("levels");
    check_tokens(options, levels)?;
    let vectors = source.vectors()?;
    let dimension = vectors.dimension();
    let most = most_learned_from(options, options.count("codes"));
    let drawn = sample(vectors.rows(), most, &mut ChaCha8Rng::seed_from_u64(source.seed));
    let mut rows = vectors.gather(&drawn)?;
    let factor = factor_of(&rows);
    let settings = settings_of(options, drawn.len(), source.seed);
    rows.iter_mut().for_each(|x| *x *= factor);
    let quantizer = source.trainer()?.train(&rows, dimension, &settings)?;
    let error = error_of(&*quantizer, &rows, dimension);
    drop(rows);
    let mut remarks = vec![format!(
        "{:.2} % of the squares of the vectors' numbers do not come back from their codes; more epochs, levels or codes leave less",
        100.0 * error
    )];
    remarks.extend(learned_from(drawn.len(), vectors.rows()));
    let rounds = options.count("sinkhorn");
    let left_width = if rounds > 0 { options.count("width") } else { 0 };
    let (mut codes, left) = codes_of(&*quantizer, (vectors, factor), (levels, left_width))?;
    let before = colliding(&codes, levels);
    if rounds > 0 && before > 0 {
        separate(&mut codes, levels, (&left, quantizer.last_book()), rounds);
        let after = colliding(&codes, levels);
        remarks.push(format!(
            "{before} items shared all codes with others before Sinkhorn's algorithm dealt them out anew, and {after} do after it"
        ));
    }
    Ok(encoding(&codes, levels, options, remarks))
}

fn settings_of(options: &OptionValues, rows: usize, seed: u64) -> AutoencoderSettings {
    let batch = options.count("batch");
    AutoencoderSettings {
        levels: options.count("levels"),
        codes: options.count("codes"),
        width: options.count("width"),
        steps: options.count("epochs") * rows.div_ceil(batch),
        batch,
        rate: options.number("rate") as f32,
        seed,
    }
}

/// What vectors are multiplied with, so that the mean square of their numbers is 1 and a learning rate means the same for all.
fn factor_of(rows: &[f32]) -> f32 {
    let squares: f64 = rows.iter().map(|x| f64::from(*x).powi(2)).sum();
    match squares > 0.0 {
        true => (rows.len() as f64 / squares).sqrt().min(1e30) as f32,
        false => 1.0,
    }
}

/// The mean squared error of what comes back, some rows at a time.
fn error_of(quantizer: &dyn TrainedQuantizer, rows: &[f32], dimension: usize) -> f64 {
    let squares = rows.chunks(READ_ROWS * dimension.max(1)).map(|rows| {
        let back = quantizer.reconstruct(rows);
        rows.iter().zip(back).map(|(x, back)| f64::from(x - back).powi(2)).sum::<f64>()
    });
    squares.sum::<f64>() / rows.len().max(1) as f64
}

/// The codes of all vectors, so many of each, and what is left of each before the last level: so many numbers, 0 where it is not asked for.
fn codes_of(
    quantizer: &dyn TrainedQuantizer,
    (vectors, factor): (&VectorTable, f32),
    (levels, left_width): (usize, usize),
) -> Result<(Vec<u32>, Vec<f32>), IdsError> {
    let mut codes = Vec::with_capacity(vectors.rows() * levels);
    let mut left = Vec::with_capacity(vectors.rows() * left_width);
    vectors.blocks(READ_ROWS, |_, rows| {
        rows.iter_mut().for_each(|x| *x *= factor);
        let (own, rest) = quantizer.encode(rows);
        codes.extend(own);
        if left_width > 0 {
            left.extend(rest);
        }
        Ok(())
    })?;
    Ok((codes, left))
}
