//! Fields of stages that train, and the settings that they stand for: what a kind declares under one of these names means the same everywhere.

use crate::recipe::error::{Problem, RecipeError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::registry::Registry;
use plackett_train::optimizer::Schedule;
use plackett_train::trainer::Settings;

/// `rate`.
pub const fn rate(default: f64) -> FieldSpec {
    FieldSpec::new("rate", FieldKind::Number(0.0, 1.0), Default::Number(default), "the learning rate")
}

/// `warmup`.
pub const fn warmup(default: i64) -> FieldSpec {
    FieldSpec::new("warmup", FieldKind::Whole(0, i64::MAX), Default::Whole(default), "steps of warm-up")
}

/// `decay`.
pub const fn decay(default: f64) -> FieldSpec {
    FieldSpec::new("decay", FieldKind::Number(0.0, 1.0), Default::Number(default), "weight decay")
}

/// `batch`; `help` says of what, as `queries in a step`.
pub const fn batch(default: i64, help: &'static str) -> FieldSpec {
    FieldSpec::new("batch", FieldKind::Whole(1, 4096), Default::Whole(default), help)
}

/// The same of what is so small that many go together.
pub const fn large_batch(default: i64, help: &'static str) -> FieldSpec {
    FieldSpec { kind: FieldKind::Whole(1, 65_536), ..batch(default, help) }
}

/// `steps`, from the least to the most.
pub const fn steps((least, most): (i64, i64), default: i64, help: &'static str) -> FieldSpec {
    FieldSpec::new("steps", FieldKind::Whole(least, most), Default::Whole(default), help)
}

/// `updates`, of policies; goes with [`check_updates`].
pub const UPDATES: FieldSpec = FieldSpec::new(
    "updates",
    FieldKind::Whole(1, 4096),
    Default::Whole(1),
    "steps that learn from one draw of answers, each from its part of the `batch` prompts; from the second one on ratios are not 1, and the clip acts; once \
     through all prompts takes so many times the steps",
);

/// Checks that each update has a prompt.
///
/// # Errors
/// There are more than prompts.
pub fn check_updates(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let (updates, batch) = (values.count("updates"), values.count("batch"));
    if updates <= batch {
        return Ok(());
    }
    let problem =
        format!("each of the {updates} needs a prompt, and `batch` has {batch}; write at most {batch}");
    Err(values.wrong("updates", 0, Problem::Said(problem)))
}

/// `seed`; `help` says what follows from it.
pub const fn seed(help: &'static str) -> FieldSpec {
    FieldSpec::new("seed", FieldKind::Whole(0, i64::MAX), Default::Whole(1), help)
}

/// `schedule`.
pub const SCHEDULE: FieldSpec = FieldSpec::new(
    "schedule",
    FieldKind::Choice(&["constant", "linear", "cosine"]),
    Default::Text("cosine"),
    "how the rate goes on",
);

/// The settings that the fields of a stage stand for: `batch`, `epochs`, `steps`, `rate`, `head_rate`, `warmup`, `schedule`, `decay`, `dropout`
/// and `seed`, each where the kind has it and as [`Settings::default`] says otherwise.
pub fn settings_of(values: &Values) -> Settings {
    let known = Settings::default();
    let count = |name: &str, otherwise: usize| if values.has(name) { values.count(name) } else { otherwise };
    let number = |name: &str, otherwise: f32| values.number(name).map_or(otherwise, |number| number as f32);
    Settings {
        batch: count("batch", known.batch),
        epochs: values.number("epochs").unwrap_or(known.epochs),
        steps: count("steps", known.steps),
        rate: number("rate", known.rate),
        head_rate: number("head_rate", known.head_rate),
        warmup: count("warmup", known.warmup),
        schedule: match values.text("schedule") {
            Some("constant") => Schedule::Constant,
            Some("linear") => Schedule::Linear,
            Some("cosine") => Schedule::Cosine,
            _ => known.schedule,
        },
        decay: number("decay", known.decay),
        dropout: number("dropout", known.dropout),
        seed: if values.has("seed") { values.count("seed") as u64 } else { known.seed },
        ..known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::field::{Reader, Scale};
    use crate::recipe::reading::source::Source;
    use toml::de::DeTable;

    fn settings(text: &str, specs: &[FieldSpec]) -> Settings {
        let source = Source::of_text("test", text);
        let table = DeTable::parse(&source.text).unwrap();
        let reader = Reader { source: &source, scale: Scale::Quick };
        settings_of(&reader.fields(table.get_ref(), 0..0, specs, &[], "a stage").unwrap())
    }

    #[test]
    fn settings_are_the_fields_that_a_kind_has_and_defaults_otherwise() {
        let specs = [rate(1e-3), large_batch(9, "queries"), warmup(5), SCHEDULE, seed("of draws")];
        let found = settings("rate = 0.5\nseed = 7\nschedule = \"constant\"", &specs);
        let expected = Settings {
            rate: 0.5,
            batch: 9,
            warmup: 5,
            schedule: Schedule::Constant,
            seed: 7,
            ..Settings::default()
        };
        assert_eq!(found, expected);
        assert_eq!(settings("", &[]), Settings::default());
        let decayed = settings("", &[decay(0.25), steps((0, 10), 3, "steps"), batch(2, "queries")]);
        assert_eq!((decayed.decay, decayed.steps, decayed.batch), (0.25, 3, 2));
    }

    #[test]
    fn there_are_not_more_updates_than_prompts() {
        let check = |text: &str| {
            let source = Source::of_text("test", text);
            let table = DeTable::parse(&source.text).unwrap();
            let reader = Reader { source: &source, scale: Scale::Quick };
            let specs = [batch(4, "prompts"), UPDATES];
            let values = reader.fields(table.get_ref(), 0..0, &specs, &[], "a stage").unwrap();
            check_updates(&values, &Registry::default()).map_err(|error| error.to_string())
        };
        assert!(check("").is_ok() && check("updates = 4").is_ok());
        assert!(check("updates = 5").unwrap_err().contains("`batch` has 4"));
    }
}
