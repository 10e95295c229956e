//! `judge-auc`: whether a judge tells questions that a paragraph answers from those that it does not.

use super::text_vectors::{VECTORS, vectors_of};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{StageKind, StageOutput, a_moment, nothing_outside, nothing_to_check};
use crate::recipe::task::Task;
use crate::recipe::worlds::choosing::{Judge, PairJudge, QuestionSet, TextVectors, cosine, read_questions};
use plackett_eval::roc_auc;

/// The declaration.
pub static JUDGE_AUC: StageKind = StageKind {
    name: "judge-auc",
    help: "a judge's scores of questions with their paragraph, of which people have said whether it answers them; gives `auc` (the \
           probability that an answered one has the greater score), by article, and `auc_of_all` of all pairs together",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[VECTORS, JUDGE, NOISE, super::SEED],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| vec!["auc".into(), "auc_of_all".into()],
    outside: nothing_outside,
    estimate: a_moment,
    run,
};

/// Who judges.
pub(super) const JUDGE: FieldSpec = FieldSpec::new(
    "judge",
    FieldKind::Choice(&["oracle", "words", "encoder"]),
    Default::Text("oracle"),
    "oracle: knows the answer, and the words in common; words: these alone; encoder: the bundled encoder's cosine",
);
/// How badly.
pub(super) const NOISE: FieldSpec = FieldSpec::new(
    "noise",
    FieldKind::Number(0.0, 100.0),
    Default::Number(0.5),
    "deviation of what is added to the logit of a judge's score",
);

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let (vectors, file) = vectors_of(task)?;
    let set = read_questions(&file, "squad2-a")?;
    let scores = scores(task, &set, &vectors)?;
    let labels: Vec<bool> = set.questions.iter().map(|(_, _, label)| *label == Some(true)).collect();
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (title, places) in set.articles() {
        let own: Vec<usize> =
            (0..labels.len()).filter(|at| places.binary_search(&set.questions[*at].1).is_ok()).collect();
        let part = |of: &dyn Fn(usize) -> f64| own.iter().map(|at| of(*at)).collect::<Vec<f64>>();
        let positives: Vec<bool> = own.iter().map(|at| labels[*at]).collect();
        if let Some(auc) = roc_auc(&part(&|at| scores[at]), &positives) {
            names.push(title);
            values.push(auc);
        }
    }
    let all = roc_auc(&scores, &labels).unwrap_or(0.5);
    Ok(StageOutput {
        numbers: vec![
            Quantity::by_query("auc", names, values),
            Quantity::of_seed("auc_of_all", task.values.count("seed"), all),
        ],
        facts: vec![("pairs".into(), labels.len().to_string())],
        ..StageOutput::default()
    })
}

fn scores(task: &Task<'_>, set: &QuestionSet, vectors: &TextVectors) -> Result<Vec<f64>, StageError> {
    let values = task.values;
    let passages: Vec<&str> = set.passages.iter().map(String::as_str).collect();
    let judge = match values.word("judge") {
        "encoder" => {
            let of = |(question, place, _): &(String, usize, Option<bool>)| {
                Ok(cosine(vectors.get(question)?, vectors.get(&set.passages[*place])?))
            };
            return set.questions.iter().map(of).collect();
        }
        "words" => Judge::Words,
        _ => Judge::Oracle,
    };
    let noise = values.real("noise");
    let judge = PairJudge::new(judge, noise, values.count("seed") as u64, &passages);
    let of = |(at, (question, place, label)): (usize, &(String, usize, Option<bool>))| {
        judge.score((at, question), *place, *label == Some(true))
    };
    Ok(set.questions.iter().enumerate().map(of).collect())
}
