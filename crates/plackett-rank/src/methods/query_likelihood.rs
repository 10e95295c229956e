//! How probable the query is after each passage (Sachan et al., Improving Passage Retrieval with Zero-Shot Question
//! Generation, 2022; Ponte and Croft, A Language Modeling Approach to Information Retrieval, 1998).

use crate::method::{Calls, Family, MethodSpec};
use crate::model::{CallError, ContinuationRequest, Need, Prompt};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, TemplateError, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "query-likelihood",
    aliases: &["ql", "upr"],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "Sachan et al., Improving Passage Retrieval with Zero-Shot Question Generation, 2022",
    summary: "Scores a document by the mean log-probability of the query's tokens after a prompt that shows the document.",
    needs: |_| vec![Need::Likelihoods],
    options: &[PROMPT, WORDS, TOKENS, STYLE],
    calls: Calls { formula: "N", count: Some(|n, _| n as u64) },
    prompts: &[builtin_prompt!("query-likelihood")],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = QueryLikelihood::new(template)?;
        build.prompting(method)
    },
};

struct QueryLikelihood {
    template: Template,
}

impl QueryLikelihood {
    fn new(template: Template) -> Result<QueryLikelihood, TemplateError> {
        if template.continuation("query").is_empty() {
            return Err(
                template.lacks("it does not say how the query follows it; write continuation = \" {query}\"")
            );
        }
        Ok(QueryLikelihood { template })
    }
}

impl PromptMethod for QueryLikelihood {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let continuation = self.template.continuation(context.query());
        let answer = context.tokens_of(&continuation)?;
        let prompts = (0..context.len())
            .map(|candidate| context.prompt(&self.template, &[("", candidate)], &[], answer))
            .collect::<Result<Vec<Prompt>, CallError>>()?;
        let request = |prompt| ContinuationRequest { prompt, continuation: &continuation };
        let found = context.log_likelihoods(&prompts.iter().map(request).collect::<Vec<_>>())?;
        Ok(Order::Scores(found.iter().map(|likelihood| likelihood.mean()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use crate::methods::tests::{ids, ranked, request};
    use crate::testing::ScriptedModel;
    use std::sync::Arc;

    #[test]
    fn the_mean_per_token_decides_and_ties_keep_the_given_order() {
        // The query has two tokens; sums of −2, −6, −2 are means of −1, −3, −1.
        let model = Arc::new(ScriptedModel::new().likelihoods(|prompt, continuation| {
            assert_eq!(continuation, " red apples");
            assert!(
                prompt.ends_with("\nPlease write a question based on this passage.\nQuestion:"),
                "{prompt}"
            );
            Ok(if prompt.starts_with("Passage: bad\n") { -6.0 } else { -2.0 })
        }));
        let request = request("red apples", &["good", "bad", "fine"]);
        let ranking = ranked("query-likelihood", &[], &model, &request).unwrap();
        assert_eq!(ids(&ranking), ["d0", "d2", "d1"]);
        assert_eq!(ranking.entries.iter().map(|e| e.score).collect::<Vec<_>>(), [-1.0, -1.0, -3.0]);
        assert_eq!((ranking.trace.ties.documents, ranking.trace.ties.broken_by.as_str()), (2, "input-order"));
        assert_eq!((ranking.trace.passes, model.calls().len()), (3, 1));
    }
}
