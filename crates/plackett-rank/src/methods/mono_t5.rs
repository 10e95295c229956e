//! monoT5: an encoder–decoder that was trained to say true or false of a query and a document (Nogueira et al., Document
//! Ranking with a Pretrained Sequence-to-Sequence Model, 2020).

use super::next_label::{LabelQuestion, NextLabel};
use crate::method::{Calls, Family, MethodSpec};
use crate::model::{CallError, Need};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, TemplateError, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "mono-t5",
    aliases: &["monot5"],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "Nogueira et al., Document Ranking with a Pretrained Sequence-to-Sequence Model, 2020",
    summary: "Scores a document by the log-probability of true against false as the first word of the answer.",
    needs: |_| vec![Need::LabelLogits],
    options: &[PROMPT, WORDS, TOKENS, STYLE],
    calls: Calls { formula: "N", count: Some(|n, _| n as u64) },
    prompts: &[builtin_prompt!("mono-t5")],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = MonoT5::new(template)?;
        build.prompting(method)
    },
};

struct MonoT5 {
    template: Template,
    /// The good label and the bad one.
    labels: Vec<String>,
}

impl MonoT5 {
    fn new(template: Template) -> Result<MonoT5, TemplateError> {
        if template.alphabet().most() != 2 {
            return Err(template
                .lacks("two labels are expected, the good one first; write labels = [\"true\", \"false\"]"));
        }
        let labels = template.labels(2)?;
        Ok(MonoT5 { template, labels })
    }
}

/// The logarithm of the first of two logits' share in their softmax.
fn log_softmax_of_first(good: f64, bad: f64) -> f64 {
    // −ln(1 + e^d), where e^d may overflow.
    let d = bad - good;
    if d > 0.0 { -d - (-d).exp().ln_1p() } else { -d.exp().ln_1p() }
}

impl PromptMethod for MonoT5 {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let questions = (0..context.len())
            .map(|candidate| {
                let prompt = context.prompt(&self.template, &[("", candidate)], &[], 2)?;
                Ok(LabelQuestion { prompt, labels: self.labels.clone() })
            })
            .collect::<Result<Vec<LabelQuestion>, CallError>>()?;
        let found = NextLabel::default().scores(context, &questions)?;
        let score = |logits: &Vec<f64>| log_softmax_of_first(logits[0], logits[1]);
        Ok(Order::Scores(found.iter().map(score).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::tests::{ids, ranked, request};
    use crate::testing::ScriptedModel;
    use std::sync::Arc;

    #[test]
    fn the_log_probability_of_true_among_the_two_decides() {
        // Shares of true: 1/4, 3/4, 1/2.
        let model = Arc::new(ScriptedModel::new().labels(|prompt, label| {
            let share = match prompt {
                "Query: why Document: one Relevant:" => 0.25_f64,
                "Query: why Document: two Relevant:" => 0.75,
                "Query: why Document: three Relevant:" => 0.5,
                other => panic!("{other}"),
            };
            Ok(7.0 + if label == "true" { share.ln() } else { (1.0 - share).ln() })
        }));
        let ranking = ranked("mono-t5", &[], &model, &request("why", &["one", "two", "three"])).unwrap();
        assert_eq!(ids(&ranking), ["d1", "d2", "d0"]);
        for (entry, share) in ranking.entries.iter().zip([0.75_f64, 0.5, 0.25]) {
            assert!((entry.score - share.ln()).abs() < 1e-12, "{entry:?}");
        }
        assert_eq!((ranking.trace.passes, model.calls().len()), (3, 1));
    }

    #[test]
    fn logits_far_apart_stay_finite() {
        assert_eq!(log_softmax_of_first(0.0, 2000.0), -2000.0);
        assert_eq!(log_softmax_of_first(2000.0, 0.0), 0.0);
    }
}
