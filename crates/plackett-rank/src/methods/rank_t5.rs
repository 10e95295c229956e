//! RankT5: an encoder–decoder that was trained with ranking losses on the logit of one unused token (Zhuang et al., RankT5:
//! Fine-Tuning T5 for Text Ranking with Ranking Losses, 2022).

use crate::method::{Calls, Family, MethodSpec};
use crate::model::{CallError, LabelRequest, Need, Prompt};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, TemplateError, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "rank-t5",
    aliases: &["rankt5"],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "Zhuang et al., RankT5: Fine-Tuning T5 for Text Ranking with Ranking Losses, 2022",
    summary: "Scores a document by the logit of one token, which the model was trained to use as a score.",
    needs: |_| vec![Need::LabelLogits],
    options: &[PROMPT, WORDS, TOKENS, STYLE],
    calls: Calls { formula: "N", count: Some(|n, _| n as u64) },
    prompts: &[builtin_prompt!("rank-t5")],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = RankT5::new(template)?;
        build.prompting(method)
    },
};

struct RankT5 {
    template: Template,
    /// The token, alone.
    label: Vec<String>,
}

impl RankT5 {
    fn new(template: Template) -> Result<RankT5, TemplateError> {
        if template.alphabet().most() != 1 {
            return Err(template
                .lacks("one label is expected, the token that scores; write labels = [\"<extra_id_10>\"]"));
        }
        let label = template.labels(1)?;
        Ok(RankT5 { template, label })
    }
}

impl PromptMethod for RankT5 {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let prompts = (0..context.len())
            .map(|candidate| context.prompt(&self.template, &[("", candidate)], &[], 1))
            .collect::<Result<Vec<Prompt>, CallError>>()?;
        let request = |prompt| LabelRequest { prompt, labels: &self.label, normalizer: false };
        let found = context.label_logits(&prompts.iter().map(request).collect::<Vec<_>>())?;
        // Servers tell log-probabilities, whose normaliser is 0: logits minus a number of each prompt's own, which must not be
        // compared between prompts.
        if found.iter().any(|reply| reply.untold() > 0 || reply.log_normalizer == Some(0.0)) {
            let problem = "the server tells log-probabilities and not logits, and those of different documents do not compare; \
                           use a model on this machine";
            return Err(CallError::Label { label: self.label[0].clone(), problem: problem.into() });
        }
        Ok(Order::Scores(found.iter().map(|reply| reply.bounded(0)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::methods::tests::{ids, ranked, request};
    use crate::testing::ScriptedModel;
    use std::sync::Arc;

    #[test]
    fn the_logit_of_the_one_token_is_the_score() {
        let model = Arc::new(ScriptedModel::new().labels(|prompt, label| {
            assert_eq!(label, "<extra_id_10>");
            Ok(match prompt {
                "Query: why Document: one" => -1.5,
                "Query: why Document: two" => 12.0,
                other => panic!("{other}"),
            })
        }));
        let ranking = ranked("rank-t5", &[], &model, &request("why", &["one", "two"])).unwrap();
        assert_eq!(ids(&ranking), ["d1", "d0"]);
        assert_eq!(ranking.entries.iter().map(|entry| entry.score).collect::<Vec<_>>(), [12.0, -1.5]);
        assert_eq!((ranking.trace.passes, model.calls().len()), (2, 1));
    }
}
