//! `imitate-reasoning`: a small decoder learns to reason in a few tokens and then to answer about documents.

use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::models::small_decoder::{
    BATCH, LAYERS, NARROW_WIDTH, RATE, SEEDS, check_width, folder_of, learn_pairs_kept, new_decoder,
};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput, nothing_outside};
use crate::recipe::task::Task;
use crate::recipe::worlds::reasoner::{
    Asked, Format, JudgedList, Measured, ReasonLanguage, Shape, Showing, Teacher, form_of,
};
use plackett_eval::reward::MultiView;
use plackett_train::Parameters;
use plackett_train::rl::{Form, Rollouts};
use plackett_train::trainer::LanguageModel;

/// Names of numbers by list.
pub(super) const MEASURES: [&str; 2] = ["ndcg", "right"];
/// The seed of the lists that are held out, the same for all trainings.
const HELD_OUT: u64 = u64::MAX;
/// The most documents that can be told apart by labels.
const LABELS: usize = 20;
/// The most documents of a list.
const ITEMS: i64 = 100;

/// The declaration.
pub static IMITATE_REASONING: StageKind = StageKind {
    name: "imitate-reasoning",
    help: "a small decoder over words, from drawn weights, learns to answer about documents with the teacher's few tokens of reasoning \
           before. Documents have two words and a source; words that the query has too are marked. `setwise` (Rank-R1): it notes source and count of \
           such words of each document and names the best one; `listwise` (ReasonRank): it orders all; `pointwise` (ERank): it grades one document from 0 to 10. \
           Adverts are full of such words and not relevant, which the teacher does not mind unless `teacher` says so. `groups` (GroupRank): documents mention numbers, the \
           decoder names the largest one and grades all of a drawn group; the grade of a document is relative to the largest number of its list. Gives of \
           greedy answers about held-out lists `ndcg` (at 10) and `right` (1 where the first document is relevant; both by list, mean of the \
           seeds), and by seed `well_formed` (share of the answers) and `kept` (share of the lists that passed the filter)",
    version: 1,
    gives: OutputKind::Model,
    fields: &[
        FieldSpec::required(
            "format",
            FieldKind::Choice(&["setwise", "groups", "pointwise", "listwise"]),
            "what is asked for",
        ),
        FieldSpec::new("items", FieldKind::Whole(2, ITEMS), Default::Whole(5), "documents of a list"),
        FieldSpec::new("relevant", FieldKind::Whole(1, ITEMS), Default::Whole(1), "how many are relevant"),
        FieldSpec::new("decoys", FieldKind::Whole(0, ITEMS), Default::Whole(2), "how many only look so"),
        FieldSpec::new(
            "shown",
            FieldKind::Whole(0, LABELS as i64),
            Default::Whole(0),
            "with `groups`, documents of a group, a part of `items`; 0 for all",
        ),
        FieldSpec::new(
            "lists",
            FieldKind::Whole(1, 10_000_000),
            Default::Whole(6000),
            "lists to learn from, before the filter",
        ),
        FieldSpec::new(
            "faults",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "share of the teacher's orders that run from the worst to the best",
        ),
        // Absent and not a word, which would stand in the keys of all stages.
        FieldSpec::new(
            "teacher",
            FieldKind::Choice(&["careless", "right"]),
            Default::Absent,
            "`careless`, as where it is left out, goes by words and does not mind adverts; `right` knows the true grades, so that what is better \
             after a reward is not better labels (with `groups` grades are true in any case)",
        ),
        FieldSpec::new(
            "least",
            FieldKind::Number(0.0, 1.0),
            Default::Number(0.0),
            "nDCG that the teacher's order of a list must have for the list to be kept (ReasonRank's filter); 0 for all lists",
        ),
        FieldSpec::new(
            "depth",
            FieldKind::Whole(1, 100),
            Default::Whole(10),
            "ranks that the filter and rewards look at",
        ),
        FieldSpec { default: Default::Whole(3), ..LAYERS },
        NARROW_WIDTH,
        BATCH,
        FieldSpec::required(
            "steps",
            FieldKind::Whole(0, i64::MAX),
            "steps of imitation; 0 leaves the weights as they are drawn",
        ),
        RATE,
        FieldSpec::new(
            "constrained",
            FieldKind::Switch,
            Default::Switch(true),
            "whether answers are held to their form while they are written",
        ),
        FieldSpec::new(
            "tested",
            FieldKind::Whole(1, 1_000_000),
            Default::Whole(300),
            "lists that are held out",
        ),
        SEEDS,
    ],
    chooses: None,
    check,
    numbers: |_, _| [MEASURES[0], MEASURES[1], "well_formed", "kept"].map(str::to_string).to_vec(),
    outside: nothing_outside,
    estimate: |task| {
        let (steps, seeds) = (task.values.count("steps"), task.values.count("seeds"));
        let seconds = Some(seeds as f64 * (5.0 + steps as f64 * 0.12));
        Ok(Estimate { work: format!("{seeds} trainings of {steps} steps"), seconds, ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, registry: &Registry) -> Result<(), RecipeError> {
    check_width(values, registry)?;
    let shape = Shape::of(values);
    let wrong = |field: &str, problem: String| Err(values.wrong(field, 0, Problem::Said(problem)));
    if shape.relevant + shape.decoys > shape.items {
        return wrong(
            "items",
            format!("{} relevant documents and decoys are more than that", shape.relevant + shape.decoys),
        );
    }
    if shape.shown > LABELS {
        return wrong("items", format!("at most {LABELS} documents can be shown together"));
    }
    if !shape.items.is_multiple_of(shape.shown) {
        return wrong(
            "shown",
            format!("groups of one size are expected: a part of {} documents", shape.items),
        );
    }
    if shape.format == Format::Setwise && shape.relevant != 1 {
        return wrong("relevant", "one right choice is expected with `setwise`: write 1".into());
    }
    Ok(())
}

/// What the stages of reasoning share: shape, language, form, teacher, lists that are held out.
pub(super) struct Reasoning {
    pub shape: Shape,
    pub language: ReasonLanguage,
    pub form: Form,
    pub teacher: Teacher,
    pub tested: Vec<JudgedList>,
    pub shown: Vec<Showing>,
}

impl Reasoning {
    /// As the fields of a stage of this kind say.
    pub(super) fn of(values: &Values) -> Result<Reasoning, StageError> {
        let shape = Shape::of(values);
        let language = ReasonLanguage::new(shape.format);
        let form = form_of(&shape, &language)?;
        let teacher = Teacher { faults: values.real("faults"), is_right: values.word("teacher") == "right" };
        let numbers = 0..values.count("tested") as u64;
        let tested: Vec<JudgedList> =
            numbers.map(|number| JudgedList::drawn(&shape, HELD_OUT, number)).collect();
        let shown = shape.showings(&tested, HELD_OUT);
        Ok(Reasoning { shape, language, form, teacher, tested, shown })
    }

    /// What is asked about some lists.
    pub(super) fn asked<'a>(
        &'a self,
        (lists, showings): (&'a [JudgedList], &'a [Showing]),
        constrained: bool,
    ) -> Asked<'a> {
        Asked { shape: &self.shape, language: &self.language, form: &self.form, constrained, lists, showings }
    }

    /// What a decoder's answers about the held-out lists are worth.
    pub(super) fn measure(
        &self,
        engine: &Rollouts,
        model: (&LanguageModel, &Parameters),
        constrained: bool,
    ) -> Result<Measured, StageError> {
        self.asked((&self.tested, &self.shown), constrained).measure(engine, model)
    }

    /// The lists of a seed that are learned from, and the share of all that passed the filter.
    pub(super) fn lists(&self, values: &Values, seed: usize) -> Result<(Vec<JudgedList>, f64), StageError> {
        let (count, least) = (values.count("lists"), values.real("least"));
        let view = MultiView { depth: values.count("depth"), ..MultiView::default() };
        let lists = (0..count as u64).map(|number| JudgedList::drawn(&self.shape, seed as u64, number));
        let is_kept = |list: &JudgedList| least == 0.0 || self.teacher.consistency(list, &view) >= least;
        let kept: Vec<JudgedList> = lists.filter(is_kept).collect();
        if kept.is_empty() {
            let problem =
                format!("the teacher's order of none of {count} lists has so much nDCG; write less");
            return Err(StageError::Field { field: "least", problem });
        }
        let share = kept.len() as f64 / count as f64;
        Ok((kept, share))
    }

    /// Positions that the longest answer needs.
    fn context(&self) -> usize {
        let prompts = self.asked((&self.tested, &self.shown[..1]), false);
        prompts.prompts().iter().map(Vec::len).sum::<usize>() + prompts.most()
    }

    /// The numbers of [`MEASURES`] and `well_formed`.
    pub(super) fn numbers(&self, all: &[Measured]) -> Vec<Quantity> {
        let keys: Vec<String> = (1..=self.tested.len()).map(|at| format!("list {at}")).collect();
        let by_list = |of: fn(&Measured) -> &Vec<f64>| -> Vec<f64> {
            (0..self.tested.len())
                .map(|at| mean(&all.iter().map(|seed| of(seed)[at]).collect::<Vec<_>>()))
                .collect()
        };
        vec![
            Quantity::by_query(MEASURES[0], keys.clone(), by_list(|seed| &seed.ndcg)),
            Quantity::by_query(MEASURES[1], keys, by_list(|seed| &seed.right)),
            Quantity::of_seeds("well_formed", all.iter().map(|seed| seed.well_formed).collect()),
        ]
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let reasoning = Reasoning::of(values)?;
    let vocabulary = &reasoning.language.vocabulary;
    let (mut all, mut kept) = (Vec::new(), Vec::new());
    for seed in 1..=values.count("seeds") {
        let mut parameters = Parameters::default();
        let mut model = new_decoder(values, vocabulary, reasoning.context(), seed, &mut parameters)?;
        let (lists, share) = reasoning.lists(values, seed)?;
        kept.push(share);
        if values.count("steps") > 0 {
            learn(task, &reasoning, &lists, (&model, seed), &mut parameters)?;
        }
        let folder = folder_of(task.folder, seed);
        model.save(&folder, &parameters)?;
        vocabulary.save(&folder)?;
        let engine = Rollouts::open(&model, &parameters, &folder)?;
        all.push(reasoning.measure(&engine, (&model, &parameters), values.on("constrained"))?);
    }
    for seed in 1..=values.count("seeds") {
        remove(task, &part_of(seed))?;
    }
    let mut made = StageOutput { numbers: reasoning.numbers(&all), ..StageOutput::default() };
    made.facts.push((
        "tokens".into(),
        format!("{} known, {} of an answer", vocabulary.len(), reasoning.form.len()),
    ));
    made.facts.push(("lists".into(), format!("{:.0} % passed the filter", 100.0 * mean(&kept))));
    made.numbers.push(Quantity::of_seeds("kept", kept));
    Ok(made)
}

/// The folder of log and checkpoints of a seed.
fn part_of(seed: usize) -> String {
    format!("training-{seed}")
}

/// Removes what a training has kept in a folder of the stage, if there is such a one.
pub(super) fn remove(task: &Task<'_>, part: &str) -> Result<(), StageError> {
    let folder = task.folder.join(part);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StageError::cache(folder)(error)),
        _ => Ok(()),
    }
}

/// Lets a decoder imitate the teacher's answers about lists.
fn learn(
    task: &Task<'_>,
    reasoning: &Reasoning,
    lists: &[JudgedList],
    (model, seed): (&LanguageModel, usize),
    parameters: &mut Parameters,
) -> Result<(), StageError> {
    let (language, format) = (&reasoning.language, reasoning.shape.format);
    let pair = |showing: &Showing| {
        let list = &lists[showing.list];
        let prompt = language.prompt(list, &showing.documents);
        (prompt, reasoning.teacher.answer(language, format, (list, showing)))
    };
    let showings = reasoning.shape.showings(lists, seed as u64);
    let pairs = showings.iter().map(pair).collect();
    learn_pairs_kept(task, &part_of(seed), pairs, (model, seed), parameters)
}
