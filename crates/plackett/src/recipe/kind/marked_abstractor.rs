//! `marked-abstractor`: a decoder learns to write titles of abstracts in which the clauses of a plan are marked (EDU-Sum's abstractor).

use super::{SEED, attention};
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::training_fields::{batch, rate, settings_of};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Hashes, StageKind, StageOutput};
use crate::recipe::task::{Environment, Task, hash_file};
use crate::recipe::worlds::choosing::{Titled, read_titled, source};
use plackett_arena::choosing::content_plan;
use plackett_train::adapter::{self, Targets};
use plackett_train::random::Stream;
use plackett_train::trainer::{
    GuidedTask, GuidedText, Hooks, LanguageModel, PlanCondition, Settings, StepRecord, train,
};
use plackett_train::{Compute, Parameters};
use std::path::PathBuf;

/// Numbers by abstract that is held out, and one of all.
const NUMBERS: [&str; 5] = ["nll/oracle", "nll/random", "nll/none", "gap", "loss"];
/// The marks: a token each in the vocabularies of decoders, where the paper adds two.
const MARKS: (&str, &str) = ("[", "]");
/// What stands between a source and its title.
const ASKED: &str = "\nTitle:";

/// The declaration.
pub static MARKED_ABSTRACTOR: StageKind = StageKind {
    name: "marked-abstractor",
    help: "a decoder learns, with an adapter, to write the titles of abstracts in which the clauses that the title is about are marked with brackets: \
           −ln p of a token, and with weights of their own −ln(1 − p) of one behind as many other clauses' marks, and −ln p of one without marks. Gives, \
           by abstract that is held out, the mean −ln p of a token of the title behind the marks of its own plan (`nll/oracle`), of a random \
           one (`nll/random`) and without any (`nll/none`), and `gap` (random minus none); and `loss` (the mean of the last tenth of the steps)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required(
            "collection",
            FieldKind::Text,
            "whose documents have titles: a folder's name in PLACKETT_DATA, or a path",
        ),
        attention::MODEL,
        FieldSpec::new(
            "adapter",
            FieldKind::Text,
            Default::Text("lora(rank=8, alpha=16)"),
            "an adapter with its options, on all linear layers",
        ),
        FieldSpec::new(
            "unlikelihood",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(0.0),
            "weight of the loss behind wrong plans",
        ),
        FieldSpec::new(
            "unmarked",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(0.0),
            "weight of the loss without marks",
        ),
        FieldSpec::new("abstracts", FieldKind::Whole(1, 1_000_000), Default::Whole(64), "to learn from"),
        FieldSpec::new("held", FieldKind::Whole(2, 1_000_000), Default::Whole(48), "that are held out"),
        FieldSpec::new(
            "words",
            FieldKind::Whole(10, 100_000),
            Default::Whole(70),
            "words of an abstract: as many whole clauses as fit, two at least",
        ),
        batch(4, "abstracts in a step"),
        FieldSpec::new(
            "epochs",
            FieldKind::Number(0.0, 1000.0),
            Default::Number(1.0),
            "how often each is seen",
        ),
        rate(1e-3),
        SEED,
    ],
    chooses: None,
    check: |values, _| {
        let wrong = |error: String| values.wrong("adapter", 0, Problem::Said(error));
        let parsed = adapter::parse(values.word("adapter")).map_err(|error| wrong(error.to_string()))?;
        parsed.check_begins_alone().map_err(|error| wrong(error.to_string()))
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside,
    estimate: |task| {
        let values = task.values;
        let passes =
            1.0 + f64::from(weights(values).iter().skip(1).map(|w| f32::from(*w > 0.0)).sum::<f32>());
        let learned = values.count("abstracts") as f64 * values.real("epochs");
        Ok(Estimate {
            work: format!("learns from {} abstracts", values.count("abstracts")),
            seconds: Some(learned * passes + values.count("held") as f64),
            ..Estimate::default()
        })
    },
    run,
};

fn outside(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    let mut hashes = attention::fingerprint(values, environment)?;
    hashes.push(("abstracts".into(), hash_file(&file_of(values, environment)?)?));
    Ok(hashes)
}

fn file_of(values: &Values, environment: &Environment) -> Result<PathBuf, StageError> {
    Ok(environment.collection(values.word("collection"))?.join(source("clauses").file))
}

/// Of the losses behind the right plan, a wrong one and none.
fn weights(values: &Values) -> [f32; 3] {
    let weight = |name| values.real(name) as f32;
    [1.0, weight("unlikelihood"), weight("unmarked")]
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let seed = values.count("seed") as u64;
    let mut parameters = Parameters::default();
    let directory = task.environment.directory(values.word("model"))?;
    let mut model = LanguageModel::open(&directory, &mut parameters)?;
    let (texts, mut made) = texts(task, &model)?;
    let (learned, held) = texts.split_at(values.count("abstracts"));
    let wrong = |problem: String| StageError::Field { field: "adapter", problem };
    let configured = adapter::parse(values.word("adapter")).map_err(|error| wrong(error.to_string()))?;
    let targets = Targets::parse("all");
    let mut attached = configured.attach(&mut parameters, &mut model.llama, &targets, seed, |_| false)?;
    let settings = Settings { warmup: 2, seed, checkpoint: 0, ..settings_of(values) };
    let compute = Compute::new(rayon::current_num_threads());
    let mut progress =
        |record: &StepRecord, total: usize| (task.progress)(task.name, record.step as u64, total as u64);
    let lesson = GuidedTask::new(&model, learned, weights(values))?;
    let hooks: &mut dyn Hooks = &mut attached;
    let report =
        train(&lesson, &compute, &mut parameters, &settings, (None, ""), Some(hooks), &mut progress)?;
    let tested = GuidedTask::new(&model, held, weights(values))?;
    let mut columns = [const { Vec::new() }; 4];
    for at in 0..held.len() {
        (task.progress)("measuring", at as u64, held.len() as u64);
        let [right, random, none] =
            PlanCondition::ALL.map(|guide| tested.measure(&compute, &parameters, at, guide));
        columns.iter_mut().zip([right, random, none, random - none]).for_each(|(column, x)| column.push(x));
    }
    let keys: Vec<String> = (0..held.len()).map(|at| at.to_string()).collect();
    let by_abstract = NUMBERS.into_iter().zip(columns);
    made.numbers = by_abstract.map(|(name, values)| Quantity::by_query(name, keys.clone(), values)).collect();
    made.numbers.push(Quantity::of_seed(NUMBERS[4], values.count("seed"), f64::from(report.final_loss())));
    Ok(made)
}

/// The abstracts to learn from and behind them those that are held out, as tokens.
fn texts(task: &Task<'_>, model: &LanguageModel) -> Result<(Vec<GuidedText>, StageOutput), StageError> {
    let values = task.values;
    let seed = values.count("seed") as u64;
    let all = read_titled(&file_of(values, task.environment)?)?;
    let wanted = values.count("abstracts") + values.count("held");
    let mut texts = Vec::with_capacity(wanted);
    let (mut tried, mut without) = (0, 0);
    for at in Stream::new(seed, 0).permutation(all.len()) {
        if texts.len() == wanted {
            break;
        }
        tried += 1;
        match Plans::of(&all[at], values.count("words"), &Stream::new(seed, 1 + at as u64)) {
            Some(plans) => texts.push(plans.text(&all[at].title, model)?),
            None => without += 1,
        }
    }
    if texts.len() < wanted {
        let problem = format!("{wanted} are wanted with those of `held`, and {} can be used", texts.len());
        return Err(StageError::Field { field: "abstracts", problem });
    }
    let mut made = StageOutput::default();
    if without > 0 {
        made.warnings.push(format!(
            "{without} of {tried} abstracts are left out: their first {} words have no clause with a word of the title, or no other one",
            values.count("words")
        ));
    }
    Ok((texts, made))
}

/// The first clauses of an abstract, those that its title is about, and as many others.
struct Plans<'t> {
    units: &'t [String],
    right: Vec<usize>,
    wrong: Vec<usize>,
}

impl<'t> Plans<'t> {
    /// `None` where there is no right clause, or no other one.
    fn of(titled: &'t Titled, words: usize, stream: &Stream) -> Option<Plans<'t>> {
        let mut left = words;
        let fits = |unit: &&String| {
            let length = unit.split_whitespace().count();
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        };
        let count = titled.units.iter().take_while(fits).count().max(2).min(titled.units.len());
        let units = &titled.units[..count];
        let views: Vec<&str> = units.iter().map(String::as_str).collect();
        let right = content_plan(&views, &titled.title, &[&titled.title]);
        let mut wrong: Vec<usize> = stream
            .permutation(count)
            .into_iter()
            .filter(|at| !right.contains(at))
            .take(right.len())
            .collect();
        wrong.sort_unstable();
        (!right.is_empty() && !wrong.is_empty()).then_some(Plans { units, right, wrong })
    }

    fn text(&self, title: &str, model: &LanguageModel) -> Result<GuidedText, StageError> {
        let source = |plan: &[usize]| model.encode(&(marked(self.units, plan) + ASKED));
        Ok(GuidedText {
            name: title.into(),
            sources: [source(&self.right)?, source(&self.wrong)?, source(&[])?],
            target: model.encode(&format!(" {}", title.trim()))?,
        })
    }
}

/// The clauses with blanks between them, those of the plan within marks.
fn marked(units: &[String], plan: &[usize]) -> String {
    let unit = |(at, unit): (usize, &String)| match plan.contains(&at) {
        true => format!("{}{unit}{}", MARKS.0, MARKS.1),
        false => unit.clone(),
    };
    units.iter().enumerate().map(unit).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_by_hand() {
        let units = ["cats purr at night", "since they are glad", "dogs bark", "and that is all"];
        let titled = Titled { title: "Why cats purr".into(), units: units.map(str::to_string).to_vec() };
        let plans = Plans::of(&titled, 10, &Stream::new(1, 1)).unwrap();
        assert_eq!((plans.units.len(), &plans.right[..]), (3, &[0][..]));
        assert!(plans.wrong == [1] || plans.wrong == [2], "{:?}", plans.wrong);
        assert_eq!(marked(plans.units, &[0, 2]), "[cats purr at night] since they are glad [dogs bark]");
        // Two clauses are kept however long they are; without a word of the title there is no plan.
        assert_eq!(Plans::of(&titled, 1, &Stream::new(1, 1)).unwrap().units.len(), 2);
        let other = Titled { title: "Tea".into(), ..titled };
        assert!(Plans::of(&other, 10, &Stream::new(1, 1)).is_none());
    }
}
