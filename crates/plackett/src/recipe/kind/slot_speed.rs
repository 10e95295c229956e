//! `slot-speed`: what an answer of SETRec costs beside a beam over identifiers on the same backbone.

use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::repeated_measures::{ROUNDS, SEEDS, of_each_seed};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use plackett_rec::setrec::{SetRecConfig, SpeedShape, measure_speed};
use plackett_train::Compute;

const NUMBERS: [&str; 2] = ["slots_seconds", "beams_seconds"];

/// The declaration.
pub static SLOT_SPEED: StageKind = StageKind {
    name: "slot-speed",
    help: "a transformer with drawn weights reads drawn histories in two ways: as sets of vectors, with slots that ask for all vectors of the next \
           item at once and score the catalogue (SETRec; the vectors of items are there already), and as identifiers of several tokens, with a beam \
           over the identifiers of the catalogue (keys and values of a history are made once, and kept). Both in turn, with the threads of the \
           machine. Gives by seed, as the least of several rounds, `slots_seconds` and `beams_seconds` for all histories",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::new("catalogue", FieldKind::Whole(1, 1_000_000), Default::Whole(1682), "items"),
        FieldSpec::new("events", FieldKind::Whole(1, 10_000), Default::Whole(20), "items of a history"),
        FieldSpec::new("width", FieldKind::Whole(2, 4096), Default::Whole(48), "numbers of a state; even"),
        FieldSpec::new("blocks", FieldKind::Whole(1, 100), Default::Whole(2), "layers"),
        FieldSpec::new(
            "semantic",
            FieldKind::Whole(1, 64),
            Default::Whole(4),
            "vectors of an item's text, beside one of what users did",
        ),
        FieldSpec::new("levels", FieldKind::Whole(1, 16), Default::Whole(4), "tokens of an identifier"),
        FieldSpec::new(
            "codebook",
            FieldKind::Whole(1, 65_536),
            Default::Whole(256),
            "different tokens at each of its places",
        ),
        FieldSpec::new("beams", FieldKind::Whole(1, 1000), Default::Whole(20), "of the search"),
        FieldSpec::new(
            "histories",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(128),
            "that are answered together",
        ),
        ROUNDS,
        SEEDS,
    ],
    chooses: None,
    check: |values, _| match values.count("width").is_multiple_of(2) {
        true => Ok(()),
        false => {
            Err(values.wrong("width", 0, Problem::Said("two heads share it: write an even number".into())))
        }
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let values = task.values;
        let rounds = values.count("seeds") * values.count("rounds");
        let seconds = Some(1.0 + rounds as f64 * values.count("histories") as f64 * 4e-3);
        Ok(Estimate { work: format!("{rounds} rounds"), seconds, ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let count = |name| task.values.count(name);
    let shape = SpeedShape {
        config: SetRecConfig {
            width: count("width"),
            blocks: count("blocks"),
            heads: 2,
            max_items: count("events"),
            collaborative: true,
            semantic: count("semantic"),
            sparse: true,
        },
        catalogue: count("catalogue"),
        levels: count("levels"),
        codebook: count("codebook"),
        beams: count("beams"),
        histories: count("histories"),
        rounds: count("rounds"),
    };
    let compute = Compute::new(rayon::current_num_threads());
    let numbers = of_each_seed(task, NUMBERS, |seed| {
        let speed = measure_speed(&shape, &compute, seed)?;
        Ok([speed.slots, speed.beams])
    })?;
    Ok(StageOutput { numbers, ..StageOutput::default() })
}
