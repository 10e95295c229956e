//! `content-plans`: which clauses of an article its summaries are about (EDU-Sum).

use crate::recipe::error::StageError;
use crate::recipe::field::{FieldKind, FieldSpec, OutputKind};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, StageKind, StageOutput, nothing_to_check};
use crate::recipe::task::{Task, hash_file};
use crate::recipe::worlds::choosing::{Article, SUMMARIES, read_articles};
use plackett_arena::choosing::{content_plan, overlap, segments, sentence_spans};
use plackett_eval::correlation::spearman;
use rayon::prelude::*;
use std::collections::HashSet;
use std::ops::Range;

const NUMBERS: [&str; 8] = [
    "clauses/overlap",
    "sentences/overlap",
    "clauses/picked",
    "sentences/picked",
    "clauses_a_sentence",
    "unique/abstractive",
    "unique/extractive",
    "correlation",
];

/// The declaration.
pub static CONTENT_PLANS: StageKind = StageKind {
    name: "content-plans",
    help: "articles cut into clauses by rules, and the plan of a summary: the clauses that it is about. Gives by article \
           `clauses/overlap` and `sentences/overlap` (F1 of words between the reference and its plan's text, of clauses or of whole sentences), \
           `clauses/picked` and `sentences/picked` (how many are in it), `clauses_a_sentence`, `unique/abstractive` and `unique/extractive` \
           (share of different plans among the summaries of systems that write or copy), and `correlation` (of the F1 of a summary's plan \
           with what people found in the summary; Spearman's, 0 where one of both is constant)",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[FieldSpec::required(
        "collection",
        FieldKind::Text,
        "a folder's name in PLACKETT_DATA, or a path",
    )],
    chooses: None,
    check: nothing_to_check,
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |values, environment| {
        let file = environment.collection(values.word("collection"))?.join(SUMMARIES);
        Ok(vec![("articles".into(), hash_file(&file)?)])
    },
    estimate: |_| Ok(Estimate { work: "makes plans".into(), seconds: Some(30.0), ..Estimate::default() }),
    run,
};

fn texts<'t>(text: &'t str, spans: &[Range<usize>]) -> Vec<&'t str> {
    spans.iter().map(|span| text[span.clone()].trim()).collect()
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let file = task.environment.collection(task.values.word("collection"))?.join(SUMMARIES);
    let articles = read_articles(&file)?;
    let all: Vec<[f64; NUMBERS.len()]> = articles.par_iter().map(measured).collect();
    let keys: Vec<String> = articles.iter().map(|article| article.id.clone()).collect();
    let quantity = |(at, name): (usize, &&str)| {
        Quantity::by_query(*name, keys.clone(), all.iter().map(|numbers| numbers[at]).collect())
    };
    Ok(StageOutput {
        numbers: NUMBERS.iter().enumerate().map(quantity).collect(),
        facts: vec![("articles".into(), articles.len().to_string())],
        ..StageOutput::default()
    })
}

fn measured(article: &Article) -> [f64; NUMBERS.len()] {
    let clauses = texts(&article.source, &segments(&article.source));
    let sentences = texts(&article.source, &sentence_spans(&article.source));
    let joined =
        |units: &[&str], plan: &[usize]| plan.iter().map(|at| units[*at]).collect::<Vec<_>>().join(" ");
    let reference = &article.reference;
    let of_reference = |units: &[&str], own: &[Range<usize>]| {
        let plan = content_plan(units, reference, &texts(reference, own));
        (overlap(&joined(units, &plan), reference).one, plan.len() as f64)
    };
    let (by_clause, picked) = of_reference(&clauses, &segments(reference));
    let (by_sentence, sentences_picked) = of_reference(&sentences, &sentence_spans(reference));
    let mut plans = Vec::new();
    let mut overlaps = Vec::new();
    for summary in &article.summaries {
        let plan = content_plan(&clauses, &summary.text, &texts(&summary.text, &segments(&summary.text)));
        overlaps.push(overlap(&joined(&clauses, &plan), reference).one);
        plans.push((summary.is_extract, plan));
    }
    let unique = |extract: bool| {
        let own: Vec<&Vec<usize>> =
            plans.iter().filter(|(is_extract, _)| *is_extract == extract).map(|(_, plan)| plan).collect();
        let different: HashSet<&Vec<usize>> = own.iter().copied().collect();
        different.len() as f64 / own.len().max(1) as f64
    };
    let human: Vec<f64> = article.summaries.iter().map(|summary| summary.human).collect();
    [
        by_clause,
        by_sentence,
        picked,
        sentences_picked,
        clauses.len() as f64 / sentences.len().max(1) as f64,
        unique(false),
        unique(true),
        spearman(&overlaps, &human).unwrap_or(0.0),
    ]
}
