//! A new method in one file: how much of a passage is about the query, from 0 to 3, as an expected value.

use plackett_core::{Document, Query, RankRequest};
use plackett_rank::Settings;
use plackett_rank::method::{Calls, Family, MethodSpec, OptionKind, OptionSpec};
use plackett_rank::model::{CallError, LabelLogits, LabelRequest, Need, Prompt};
use plackett_rank::prompt::{BuiltinPrompt, PROMPT, Template, WORDS};
use plackett_rank::prompting::{Order, PromptMethod, RankContext};
use plackett_rank::testing::ScriptedModel;
use std::sync::Arc;

/// The prompt, as data. In Plackett itself it is a file in `prompts/`.
const GRADE: &str = r#"
body = "Passage: {doc}\n"
suffix = "How much of it is about {query}, from 0 to 3?\nGrade:"
labels = [" 0", " 1", " 2", " 3"]
words = 200
"#;

/// The declaration: pipelines, help, documentation and refusals are read off it.
static SPEC: MethodSpec = MethodSpec {
    name: "expected-grade",
    aliases: &[],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "an example",
    summary: "Scores a document by the grade that the model expects to give it.",
    needs: |_| vec![Need::LabelLogits],
    options: &[
        PROMPT,
        WORDS,
        OptionSpec {
            name: "temperature",
            kind: OptionKind::Number(0.01, 100.0),
            default: Some("1"),
            help: "divides the logits before they become probabilities",
        },
    ],
    calls: Calls { formula: "N", count: Some(|n, _| n as u64) },
    prompts: &[BuiltinPrompt { name: "expected-grade", text: GRADE, placeholders: &[] }],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let labels = template.labels(4)?;
        let temperature = build.options.get_number("temperature").unwrap_or(1.0);
        build.prompting(ExpectedGrade { template, labels, temperature })
    },
};

struct ExpectedGrade {
    template: Template,
    labels: Vec<String>,
    temperature: f64,
}

impl PromptMethod for ExpectedGrade {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let prompts = (0..context.len())
            .map(|candidate| context.prompt(&self.template, &[("", candidate)], &[], 1))
            .collect::<Result<Vec<Prompt>, CallError>>()?;
        let request = |prompt| LabelRequest { prompt, labels: &self.labels, normalizer: false };
        let replies = context.label_logits(&prompts.iter().map(request).collect::<Vec<_>>())?;
        Ok(Order::Scores(replies.iter().map(|reply| self.expected(reply)).collect()))
    }
}

impl ExpectedGrade {
    /// Σ grade · p(grade), where p is the softmax over the four labels.
    fn expected(&self, reply: &LabelLogits) -> f64 {
        let logits: Vec<f64> = (0..4).map(|grade| reply.bounded(grade) / self.temperature).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().enumerate().map(|(grade, weight)| grade as f64 * weight / sum).sum()
    }
}

/// Ranks two passages with a model whose answers are written down.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = ScriptedModel::new().labels(|prompt, label| {
        let grade = if prompt.contains("erupts") { " 3" } else { " 0" };
        Ok(if label == grade { 5.0 } else { 0.0 })
    });
    let options = SPEC.values([("words", "50")])?;
    let ranker = SPEC.ranker(Arc::new(model), options, Settings::default())?;
    let documents = [Document::new("cake", "Apples and sugar."), Document::new("lava", "A volcano erupts.")];
    let request = RankRequest::new(Query::new("q", "volcanoes"), documents);
    let ranking = ranker.rank(&[request]).remove(0)?;
    assert_eq!(ranking.entries[0].id, "lava");
    println!(
        "{} {:.3}, after {} prompts",
        ranking.entries[0].id, ranking.entries[0].score, ranking.trace.passes
    );
    Ok(())
}
