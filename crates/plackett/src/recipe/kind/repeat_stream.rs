//! `repeat-stream`: a recommender on drawn users who come back to what they had, while the vocabulary drifts.

use super::recommend::{MODEL, SEEDS, check_model, fit_and_rank, number_names};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use plackett_rec::repeat_stream::RepeatStream;

/// The declaration.
pub static REPEAT_STREAM: StageKind = StageKind {
    name: "repeat-stream",
    help: "draws users one after another, each from a Chinese restaurant process: with a probability that falls with the length the next \
           item is new, from a window of the vocabulary that moves on from user to user, otherwise one of the user's, the more often it was \
           there the more likely. A recommender is fitted to the first users once and asked for the last item of the others, seen items not \
           left out. Gives the numbers of `recommend`, by user",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        MODEL,
        FieldSpec::new("users", FieldKind::Whole(10, 10_000_000), Default::Whole(4000), "how many are drawn"),
        FieldSpec::new("tested", FieldKind::Whole(1, 10_000_000), Default::Whole(500), "the last of them"),
        FieldSpec::new("length", FieldKind::Whole(2, 100_000), Default::Whole(48), "events of a user"),
        FieldSpec::new("vocabulary", FieldKind::Whole(10, 10_000_000), Default::Whole(4000), "items"),
        FieldSpec::new(
            "window",
            FieldKind::Whole(1, 10_000_000),
            Default::Whole(1000),
            "items that are new at a time",
        ),
        FieldSpec::new(
            "concentration",
            FieldKind::Number(0.01, 1e6),
            Default::Number(20.0),
            "the greatest concentration of a user; they are drawn evenly from 1 on",
        ),
        SEEDS,
    ],
    chooses: None,
    check: check_model,
    numbers: |_, _| number_names(),
    outside: nothing_outside,
    estimate: |task| {
        let work = format!("{} fits of {}", task.values.count("seeds"), task.values.word("model"));
        Ok(Estimate { work, ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let stream = RepeatStream {
        users: values.count("users"),
        tested: values.count("tested"),
        length: values.count("length"),
        vocabulary: values.count("vocabulary"),
        window: values.count("window"),
        concentration: values.real("concentration"),
    };
    let drawn = stream.draw(1)?;
    let mut made = fit_and_rank(task, &drawn.split(), stream.vocabulary, false)?;
    made.facts.push(("users".into(), stream.users.to_string()));
    Ok(made)
}
