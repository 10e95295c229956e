//! Whether a passage answers the query, by the logits of two labels (Liang et al., Holistic Evaluation of Language Models,
//! 2022; Nogueira et al., Document Ranking with a Pretrained Sequence-to-Sequence Model, 2020).

use crate::method::{Calls, Family, MethodSpec};
use crate::model::{CallError, LabelLogits, LabelRequest, Need, Prompt};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, TemplateError, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "yes-no",
    aliases: &["relevance-generation"],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "Liang et al., Holistic Evaluation of Language Models, 2022",
    summary: "Scores a document by the logit of Yes minus that of No after the question whether it answers the query.",
    needs: |_| vec![Need::LabelLogits],
    options: &[PROMPT, WORDS, TOKENS, STYLE],
    calls: Calls { formula: "N", count: Some(|n, _| n as u64) },
    prompts: &[builtin_prompt!("yes-no")],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = YesNo::new(template)?;
        build.prompting(method)
    },
};

struct YesNo {
    template: Template,
    /// The good label and the bad one.
    labels: Vec<String>,
}

impl YesNo {
    fn new(template: Template) -> Result<YesNo, TemplateError> {
        if template.alphabet().most() != 2 {
            return Err(template
                .lacks("two labels are expected, the good one first; write labels = [\" Yes\", \" No\"]"));
        }
        let labels = template.labels(2)?;
        Ok(YesNo { template, labels })
    }
}

impl PromptMethod for YesNo {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let prompts = (0..context.len())
            .map(|candidate| context.prompt(&self.template, &[("", candidate)], &[], 1))
            .collect::<Result<Vec<Prompt>, CallError>>()?;
        let request = |prompt| LabelRequest { prompt, labels: &self.labels, normalizer: false };
        let found = context.label_logits(&prompts.iter().map(request).collect::<Vec<_>>())?;
        let unknown = found.iter().map(|reply| reply.untold() as u64).sum();
        if unknown > 0 {
            context.count("labels-not-told", unknown);
        }
        let score = |reply: &LabelLogits| reply.bounded(0) - reply.bounded(1);
        Ok(Order::Scores(found.iter().map(score).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::methods::tests::{ids, ranked, request};
    use crate::testing::ScriptedModel;
    use std::sync::Arc;

    #[test]
    fn the_difference_of_two_logits_decides() {
        // Yes − No: 2 − 1 = 1, 5 − 6 = −1, 1 − (−3) = 4.
        let model = Arc::new(ScriptedModel::new().labels(|prompt, label| {
            assert!(
                prompt
                    .ends_with("\nQuery: why\nDoes the passage answer the query? Answer Yes or No.\nAnswer:")
            );
            let yes = label == " Yes";
            Ok(match prompt.split(['\n', ' ']).nth(1) {
                Some("one") => {
                    if yes {
                        2.0
                    } else {
                        1.0
                    }
                }
                Some("two") => {
                    if yes {
                        5.0
                    } else {
                        6.0
                    }
                }
                _ => {
                    if yes {
                        1.0
                    } else {
                        -3.0
                    }
                }
            })
        }));
        let ranking = ranked("yes-no", &[], &model, &request("why", &["one", "two", "three"])).unwrap();
        assert_eq!(ids(&ranking), ["d2", "d0", "d1"]);
        assert_eq!(ranking.entries.iter().map(|e| e.score).collect::<Vec<_>>(), [4.0, 1.0, -1.0]);
        assert_eq!((ranking.trace.passes, model.calls().len()), (3, 1));
    }
}
