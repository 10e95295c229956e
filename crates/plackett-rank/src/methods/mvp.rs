//! MVP: every passage becomes some view vectors, one step of a decoder makes an anchor of all vectors of a view, and a
//! passage's score is how well its vectors fit the anchors.

use super::similarity::dot;
use crate::Join;
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{AnchorRequest, CallError, Need, Prompt, ViewRequest};
use crate::prompt::{PROMPT, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "mvp",
    aliases: &[],
    family: Family::Listwise,
    gives_scores: |_| true,
    paper: "Multi-view-guided Passage Reranking with Large Language Models, 2025",
    summary: "Reads each passage with the query into a vector for each view, makes one anchor of all vectors of a view, and scores \
              a passage by the dot products of its vectors and the anchors, whatever the order of the list.",
    needs: |options| match options.get_integer("untrained") {
        Some(_) => vec![Need::ViewVectors],
        None => vec![Need::ViewVectors, Need::Anchors],
    },
    options: &[
        PROMPT,
        WORDS,
        TOKENS,
        OptionSpec {
            name: "views",
            kind: OptionKind::Integer(1, 6),
            default: Some("4"),
            help: "how many view tokens stand before each passage; as many as the model was trained with",
        },
        OptionSpec {
            name: "first-view",
            kind: OptionKind::Integer(0, 99),
            default: Some("0"),
            help: "the number of the first view token: that of <extra_id_0> or [unused0] is 0",
        },
        OptionSpec {
            name: "length",
            kind: OptionKind::Integer(16, i64::MAX),
            default: Some("256"),
            help: "most tokens of view tokens, query and passage together; the paper reads 512 or 1024 of longer documents",
        },
        OptionSpec {
            name: "join",
            kind: OptionKind::Choice(&["mean", "max"]),
            default: Some("mean"),
            help: "how the scores of views become that of a passage",
        },
        OptionSpec {
            name: "view",
            kind: OptionKind::Integer(1, 6),
            default: None,
            help: "the score of this view alone, from 1, in the place of all",
        },
        OptionSpec {
            name: "untrained",
            kind: OptionKind::Integer(0, i64::MAX),
            default: None,
            help: "anchors by a decoder of random weights with this seed, for encoders that have none; its orders mean nothing",
        },
    ],
    calls: Calls {
        formula: "N + views",
        count: Some(|n, options| if n == 0 { 0 } else { (n + options.count("views")) as u64 }),
    },
    prompts: &[builtin_prompt!("mvp")],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = Mvp::new(template, &build.options)?;
        let model = build.language_model()?;
        if method.untrained.is_some() && model.can(Need::Anchors).is_ok() {
            let problem =
                "untrained draws a decoder for models without one, and this model has its own; leave it out";
            return Err(build.options.problem(problem).into());
        }
        if let Some(trained) = model.trained_views().filter(|trained| *trained != method.views) {
            let views = method.views;
            let problem =
                format!("views is {views}, and the model was trained with {trained}; write views={trained}");
            return Err(build.options.problem(problem).into());
        }
        build.prompting(method)
    },
};

/// From the scores of views to the score of a passage.
#[derive(Clone, Copy)]
enum Views {
    /// All of them.
    All(Join),
    /// That of one view, from 0.
    Only(usize),
}

struct Mvp {
    template: Template,
    views: usize,
    first: usize,
    length: usize,
    join: Views,
    untrained: Option<u64>,
}

impl Mvp {
    fn new(template: Template, options: &OptionValues) -> Result<Mvp, MethodError> {
        let views = options.count("views");
        let join = match (options.get_count("view"), options.get_choice("join")) {
            (Some(_), _) if options.is_given("join") => {
                return Err(options
                    .problem("view takes one view and join joins all; give one of them")
                    .into());
            }
            (Some(view), _) if view > views => {
                return Err(options.problem(format!("view is {view}, and there are {views} views")).into());
            }
            (Some(view), _) => Views::Only(view - 1),
            (None, Some("max")) => Views::All(Join::Max),
            (None, _) => Views::All(Join::Mean),
        };
        Ok(Mvp {
            template,
            views,
            first: options.count("first-view"),
            length: options.count("length"),
            join,
            untrained: options.get_integer("untrained").and_then(|seed| u64::try_from(seed).ok()),
        })
    }

    /// For each view a score for each passage.
    fn scores(&self, context: &mut RankContext<'_>, prompts: &[Prompt]) -> Result<Vec<Vec<f64>>, CallError> {
        let request = |prompt| ViewRequest { prompt, views: self.views, first: self.first };
        let requests: Vec<ViewRequest<'_>> = prompts.iter().map(request).collect();
        let vectors = context.view_vectors(&requests)?;
        let width = vectors.first().map_or(0, |one| one.values.len() / self.views);
        if width == 0 || vectors.iter().any(|one| one.values.len() != width * self.views) {
            return Err(CallError::Argument("the model gave vectors of different lengths".into()));
        }
        // The sums of attention are rounded: in an order of their own, they are the same whatever the order of the list.
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        let words: Vec<String> = prompts.iter().map(Prompt::words).collect();
        order.sort_by(|a, b| words[*a].cmp(&words[*b]));
        let of = |passage: usize, view: usize| &vectors[passage].values[view * width..][..width];
        let lists: Vec<Vec<f32>> = (0..self.views)
            .map(|view| order.iter().flat_map(|passage| of(*passage, view)).copied().collect())
            .collect();
        let requests: Vec<AnchorRequest<'_>> =
            lists.iter().map(|vectors| AnchorRequest { vectors, untrained: self.untrained }).collect();
        let anchors = context.anchors(&requests)?;
        let score = |passage, view: usize| f64::from(dot(&anchors[view].values, of(passage, view)));
        let scores: Vec<Vec<f64>> = (0..self.views)
            .map(|view| (0..prompts.len()).map(|passage| score(passage, view)).collect())
            .collect();
        for (view, scores) in scores.iter().enumerate() {
            context.parsed(view, scores);
        }
        Ok(scores)
    }
}

impl PromptMethod for Mvp {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        context.limit_tokens(self.length);
        let prompts = (0..context.len())
            .map(|candidate| context.prompt(&self.template, &[("", candidate)], &[], self.views))
            .collect::<Result<Vec<Prompt>, CallError>>()?;
        let scores = self.scores(context, &prompts)?;
        if let Some(seed) = self.untrained {
            context
                .note("anchors", format!("by an untrained decoder of seed {seed}; the order means nothing"));
        }
        let joined = |passage: usize| {
            let of_views = scores.iter().map(|view| view[passage]);
            match self.join {
                Views::All(join) => join.of(of_views).unwrap_or(f64::NAN),
                Views::Only(view) => scores[view][passage],
            }
        };
        Ok(Order::Scores((0..prompts.len()).map(joined).collect()))
    }
}

#[cfg(test)]
#[path = "mvp_tests.rs"]
mod tests;
