//! `summary-reranker`: one of the summaries of an article, chosen by a likelihood or by a small model that has learned their order
//! (EDU-Sum's last step, after BRIO).

use super::language_continuations::{MODEL, language_model, of_model};
use crate::recipe::error::StageError;
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind};
use crate::recipe::models::training::{ScorerTraining, learn_scorer};
use crate::recipe::models::training_fields::{rate, steps};
use crate::recipe::quantity::{Quantity, mean};
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Task, hash_file};
use crate::recipe::worlds::choosing::{Article, SUMMARIES, read_articles};
use plackett_arena::choosing::{content_plan, overlap, segments};
use plackett_eval::correlation::kendall_tau_b;
use plackett_rank::model::{ContinuationRequest, Prompt};
use plackett_train::Compute;
use plackett_train::trainer::{VectorList, score_lists};
use rayon::prelude::*;
use std::ops::Range;

/// Every how many articles one is held out.
const HELD_OUT: usize = 5;
/// The margin between neighbouring ranks, as of log-likelihoods by length in BRIO times ten: scores here spread more.
const OBJECTIVE: &str = "rank-margin(margin=0.01)";
/// Words of an article that a language model reads.
const READ: usize = 200;
const NUMBERS: [&str; 8] = [
    "order/likelihood",
    "order/learned",
    "order/rouge",
    "picked/likelihood",
    "picked/learned",
    "picked/rouge",
    "picked/mean",
    "picked/best",
];

/// The declaration.
pub static SUMMARY_RERANKER: StageKind = StageKind {
    name: "summary-reranker",
    help: "the summaries of articles, ordered by the log-likelihood of a language model by token (after the first 200 words of the article), by a \
           small network that has learned the order of ROUGE-1 on four fifths of the articles with BRIO's margin by ranks, and by ROUGE-1 \
           itself. The network sees which clauses of the article a summary is about (how many, how early, how well they cover it), its length and \
           how much it is like the other summaries. Gives by article that is held out `order/…` (Kendall's tau with what people found in the \
           summaries; 0 where one of both is constant) and `picked/…` (what they found in the first one), also of the `mean` and the `best` summary",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::required("collection", FieldKind::Text, "a folder's name in PLACKETT_DATA, or a path"),
        MODEL,
        FieldSpec::new("hidden", FieldKind::Whole(1, 4096), Default::Whole(16), "units of the layer"),
        steps((1, 1_000_000), 300, "of AdamW"),
        rate(5e-3),
        FieldSpec::new("seeds", FieldKind::Whole(1, 1000), Default::Whole(3), "how many"),
    ],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let file = environment.collection(values.word("collection"))?.join(SUMMARIES);
        let model = environment.fingerprint(values.word("model"))?;
        Ok(vec![("articles".into(), hash_file(&file)?), ("model".into(), model)])
    },
    estimate: |task| {
        let missing = task.environment.model_size(task.values.word("model"))?.err();
        Ok(Estimate {
            work: "reads summaries".into(),
            seconds: Some(150.0),
            missing: missing.into_iter().collect(),
            ..Estimate::default()
        })
    },
    run,
};

fn texts<'t>(text: &'t str, spans: &[Range<usize>]) -> Vec<&'t str> {
    spans.iter().map(|span| text[span.clone()].trim()).collect()
}

/// What the network sees of the summaries of an article.
fn features(article: &Article) -> VectorList {
    let units = texts(&article.source, &segments(&article.source));
    let mut list = VectorList { name: article.id.clone(), ..VectorList::default() };
    let count = units.len().max(1) as f64;
    for (at, summary) in article.summaries.iter().enumerate() {
        let plan = content_plan(&units, &summary.text, &texts(&summary.text, &segments(&summary.text)));
        let joined = plan.iter().map(|at| units[*at]).collect::<Vec<_>>().join(" ");
        let covered = overlap(&joined, &summary.text);
        let place = plan.iter().map(|at| *at as f64 / count).sum::<f64>() / plan.len().max(1) as f64;
        let first = plan.first().map_or(1.0, |at| *at as f64 / count);
        let others: Vec<f64> = article
            .summaries
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, other)| overlap(&summary.text, &other.text).mean())
            .collect();
        let length = summary.text.split_whitespace().count() as f64;
        let own = [
            plan.len() as f64 / 5.0,
            place,
            first,
            covered.one,
            covered.two,
            (length + 1.0).ln() - 4.0,
            length / 50.0 - 1.0,
            5.0 * mean(&others),
        ];
        list.candidates.extend(own.map(|x| x as f32));
        list.labels.push(summary.rouge as f32);
    }
    list
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let file = task.environment.collection(values.word("collection"))?.join(SUMMARIES);
    let articles = read_articles(&file)?;
    let lists: Vec<VectorList> = articles.par_iter().map(features).collect();
    let is_held = |at: &usize| at.is_multiple_of(HELD_OUT);
    let held: Vec<usize> = (0..articles.len()).filter(is_held).collect();
    let learned: Vec<VectorList> =
        (0..articles.len()).filter(|at| !is_held(at)).map(|at| lists[at].clone()).collect();
    let tested: Vec<VectorList> = held.iter().map(|at| lists[*at].clone()).collect();
    let by_seed = (1..=values.count("seeds"))
        .map(|seed| scores_of_network(task, &learned, &tested, seed))
        .collect::<Result<Vec<_>, _>>()?;
    let likelihoods = likelihoods(task, &articles, &held)?;
    let all: Vec<[f64; NUMBERS.len()]> = held
        .iter()
        .enumerate()
        .map(|(at, place)| {
            let summaries = &articles[*place].summaries;
            let human: Vec<f64> = summaries.iter().map(|summary| summary.human).collect();
            let rouge: Vec<f64> = summaries.iter().map(|summary| summary.rouge).collect();
            let order = |scores: &[f64]| kendall_tau_b(scores, &human).unwrap_or(0.0);
            let of_seeds = |of: &dyn Fn(&[f64]) -> f64| {
                mean(&by_seed.iter().map(|scores: &Vec<Vec<f64>>| of(&scores[at])).collect::<Vec<_>>())
            };
            let picked = |scores: &[f64]| human[first(scores)];
            [
                order(&likelihoods[at]),
                of_seeds(&order),
                order(&rouge),
                picked(&likelihoods[at]),
                of_seeds(&picked),
                picked(&rouge),
                mean(&human),
                human.iter().copied().fold(0.0, f64::max),
            ]
        })
        .collect();
    let keys: Vec<String> = held.iter().map(|at| articles[*at].id.clone()).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), all.iter().map(|numbers| numbers[at]).collect())
    };
    Ok(StageOutput {
        numbers: NUMBERS.iter().enumerate().map(quantity).collect(),
        facts: vec![
            ("articles to learn from".into(), learned.len().to_string()),
            ("articles held out".into(), held.len().to_string()),
        ],
        ..StageOutput::default()
    })
}

/// The place of the greatest score; of equal ones the first.
fn first(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best })
}

fn scores_of_network(
    task: &Task<'_>,
    learned: &[VectorList],
    tested: &[VectorList],
    seed: usize,
) -> Result<Vec<Vec<f64>>, StageError> {
    let width = learned.first().map_or(0, |list| list.candidates.len() / list.labels.len().max(1));
    let training = ScorerTraining { objective: OBJECTIVE, width, batch: 8, decay: 1e-3, seed: seed as u64 };
    let (scorer, parameters) = learn_scorer(task, learned, &training)?;
    let compute = Compute::new(rayon::current_num_threads());
    let scores = score_lists(&scorer, &parameters, &compute, tested);
    Ok(scores.into_iter().map(|scores| scores.into_iter().map(f64::from).collect()).collect())
}

/// Mean log-probabilities of a summary's tokens after the beginning of its article.
fn likelihoods(task: &Task<'_>, articles: &[Article], held: &[usize]) -> Result<Vec<Vec<f64>>, StageError> {
    let model = language_model(task)?;
    let mut all = Vec::with_capacity(held.len());
    for (done, at) in held.iter().enumerate() {
        (task.progress)("likelihoods", done as u64, held.len() as u64);
        let article = &articles[*at];
        let read = article.source.split_whitespace().take(READ).collect::<Vec<_>>().join(" ");
        let prompt = Prompt::text(format!("article : {read}\nsummary :"));
        let texts: Vec<String> =
            article.summaries.iter().map(|summary| format!(" {}", summary.text)).collect();
        let requests: Vec<ContinuationRequest<'_>> =
            texts.iter().map(|continuation| ContinuationRequest { prompt: &prompt, continuation }).collect();
        let replies = model.log_likelihoods(&requests).into_iter();
        all.push(
            replies.map(|reply| Ok(reply.map_err(of_model)?.mean())).collect::<Result<_, StageError>>()?,
        );
    }
    Ok(all)
}
