//! TSPRank's decoder over a model's margins: the ranking is the best path through directed scores of ordered pairs.
//!
//! The decoder takes a score as one of succession: the second passage comes *right after* the first. A model that was trained
//! for that gives such scores (`plackett train` makes one, which reads whole lists: `successor_path`); one that is only asked which passage is better gives precedence, of which many paths are best,
//! and sums of preference (`prp-allpair(aggregate=borda)`) are the better order.

use super::aggregate::{check_path, path};
use super::allpair::{compare_all, prompts};
use super::comparator::{Comparator, Judge};
use super::successor_path::SuccessorPath;
use super::{INPUT, PROMPTS, SEED, places};
use crate::method::{Calls, Family, MethodSpec};
use crate::model::{CallError, Need};
use crate::prompt::{PROMPT, STYLE, TOKENS, WORDS};
use crate::prompting::{Order, PromptMethod, RankContext};
use std::sync::Arc;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "tsprank",
    aliases: &[],
    family: Family::Pairwise,
    gives_scores: |_| false,
    paper: "Li et al., TSPRank: Bridging Pairwise and Listwise Methods with a Bilinear Travelling Salesman Model, 2024",
    summary: "Scores every ordered pair by the logit of its first passage minus that of its second and ranks by the best path \
              through these scores, taken as scores of succession (the second right after the first), for which a model has to be \
              trained (`plackett train` makes a model that scores whole lists at once); an untrained one says which is better, and for \
              that `prp-allpair(aggregate=borda)` is the choice.",
    needs: |_| vec![Need::LabelLogits],
    options: &[PROMPT, WORDS, TOKENS, STYLE, INPUT, SEED],
    calls: Calls {
        formula: "N (N − 1); N + 1 with a model that scores whole lists",
        count: Some(|n, _| prompts(n)),
    },
    prompts: PROMPTS,
    build: |build| {
        if let Some(scorer) = build.model.clone().successor_scorer() {
            return Ok(Arc::new(SuccessorPath::new(build, scorer)?));
        }
        let judge = Judge::new(&build)?;
        build.prompting(TspRank { judge })
    },
};

struct TspRank {
    judge: Judge,
}

impl PromptMethod for TspRank {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        check_path(context.len())?;
        let mut comparator = Comparator::new(&self.judge, context);
        compare_all(context, &mut comparator)?;
        // Each ordered pair has a prompt of its own and so a score of its own. A model that prefers the first passage by a
        // constant adds the same to all scores, which changes no path.
        let leads = comparator.leads();
        let score = |i: usize, j: usize| {
            let lead = |key: (usize, usize), order: usize| leads.get(&key).map_or(0.0, |both| both[order]);
            if i < j { lead((i, j), 0) } else { lead((j, i), 1) }
        };
        let order = path(context, context.len(), score)?;
        Ok(places(&comparator, &order))
    }
}
