//! What an answer costs: slots that are emitted at once against a beam over identifiers, on one backbone. Time hangs on sizes alone, so that
//! weights and histories are drawn.

use super::identifiers::IdentifierModel;
use super::model::{ItemVectors, SetRec, SetRecConfig};
use crate::RecError;
use crate::evaluation::best;
use crate::onerec::ItemTokens;
use plackett_train::random::Stream;
use plackett_train::{Compute, Parameters};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Numbers of a vector of what users did.
const COLLABORATIVE: usize = 64;
/// Numbers of a vector of a text.
const TEXT: usize = 384;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeedShape {
    /// The backbone and its slots.
    pub config: SetRecConfig,
    /// Items.
    pub catalogue: usize,
    /// Tokens of an identifier.
    pub levels: usize,
    /// Different tokens at each of its places.
    pub codebook: usize,
    /// Beams, and as many items are wanted of the slots.
    pub beams: usize,
    /// Histories, each of as many items as are read.
    pub histories: usize,
    /// Measurements, of which the least time counts.
    pub rounds: usize,
}

/// Seconds for all histories, from items to ranked items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotSpeed {
    /// By slots: one pass, the scores of all items, and the best of them. The tokens of items are there already.
    pub slots: f64,
    /// By beams: keys and values of a history are made once for all of them.
    pub beams: f64,
}

/// Measures both ways in turn.
///
/// # Errors
/// Sizes that cannot be.
pub fn measure_speed(shape: &SpeedShape, compute: &Arc<Compute>, seed: u64) -> Result<SlotSpeed, RecError> {
    if shape.rounds == 0 || shape.histories == 0 || shape.catalogue == 0 || shape.codebook == 0 {
        return Err(RecError::Setting(
            "setrec: rounds, histories, catalogue and codebook are 1 at least".into(),
        ));
    }
    let mut parameters = Parameters::default();
    let model = SetRec::new(shape.config, vectors(shape, seed), &mut parameters, seed)?;
    let codes = codes(shape, seed);
    let tokens = ItemTokens::new(&codes, shape.codebook, &vec![0; shape.catalogue])?;
    let identifiers = IdentifierModel::new(&model, tokens, &mut parameters, seed);
    let tables = model.tables(&parameters, compute);
    let histories = histories(shape, seed);
    let histories: Vec<&[u32]> = histories.iter().map(Vec::as_slice).collect();
    let mut least = SlotSpeed { slots: f64::INFINITY, beams: f64::INFINITY };
    for _ in 0..shape.rounds {
        let begun = Instant::now();
        for scores in model.scores_by((&parameters, compute), &tables, &histories, None) {
            black_box(best(&scores.mixed(0.5), shape.beams));
        }
        least.slots = least.slots.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        black_box(identifiers.search((&parameters, compute), &histories, shape.beams)?);
        least.beams = least.beams.min(begun.elapsed().as_secs_f64());
    }
    Ok(least)
}

fn vectors(shape: &SpeedShape, seed: u64) -> ItemVectors {
    let drawn = |stream, width: usize| -> Vec<f32> {
        let stream = Stream::new(seed, stream);
        (0..(shape.catalogue * width) as u64).map(|at| stream.normal(at)).collect()
    };
    ItemVectors { collaborative: drawn(1, COLLABORATIVE), text: drawn(2, TEXT), items: shape.catalogue }
}

/// A code a level of each item.
fn codes(shape: &SpeedShape, seed: u64) -> Vec<Vec<u32>> {
    let stream = Stream::new(seed, 3);
    let code = |place: usize| stream.below(place as u64, shape.codebook) as u32;
    let of_item = |item: usize| (0..shape.levels).map(|level| code(item * shape.levels + level)).collect();
    (0..shape.catalogue).map(of_item).collect()
}

fn histories(shape: &SpeedShape, seed: u64) -> Vec<Vec<u32>> {
    let (stream, items) = (Stream::new(seed, 4), shape.config.max_items);
    let item = |place: usize| stream.below(place as u64, shape.catalogue) as u32;
    (0..shape.histories).map(|user| (0..items).map(|at| item(user * items + at)).collect()).collect()
}
