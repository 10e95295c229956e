//! ICR: attention from the query to documents, less what a query without content gets.

use super::outliers::kept_sum;
use super::{check, heads, layers};
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{
    AttentionLayers, AttentionOptions, AttentionOver, AttentionRequest, BlockLayout, CallError, Need,
};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::windows::window_ranges;
use serde_json::json;

/// The query without content.
const CONTENT_FREE: &str = "N/A";
const MODES: &[&str] =
    &["calibrated", "uncalibrated", "last-token", "calibrated-last-token", "calibration-only"];

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "icr",
    aliases: &["in-context-reranking"],
    family: Family::InContext,
    gives_scores: |_| true,
    paper: "Chen et al., Attention in Large Language Models Yields Efficient Zero-Shot Re-Rankers, 2024",
    summary: "Shows all documents before the query and scores each by the attention that its tokens get from the query's, \
              minus what they get when the query is N/A; nothing is generated.",
    needs: |_| vec![Need::Attention, Need::Tokenizer],
    options: &[
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
        OptionSpec {
            name: "wording",
            kind: OptionKind::Choice(&["qa", "ie"]),
            default: Some("ie"),
            help: "what the prompt asks for behind the documents: to answer a question from them (qa), or to find what is \
                   relevant to a query in them (ie)",
        },
        OptionSpec {
            name: "mode",
            kind: OptionKind::Choice(MODES),
            default: Some("calibrated"),
            help: "calibrated subtracts the attention of N/A, uncalibrated does not, last-token reads the last token of the \
                   prompt alone (attention sorting), with or without calibration, and calibration-only ranks by the \
                   attention of N/A, which shows the model's bias",
        },
        OptionSpec {
            name: "order",
            kind: OptionKind::Choice(&["reversed", "given"]),
            default: Some("reversed"),
            help: "how documents stand in the prompt: reversed puts the first candidate last, next to the query",
        },
        OptionSpec {
            name: "window",
            kind: OptionKind::Integer(2, 10_000),
            default: None,
            help: "documents in one prompt, in windows that slide from the tail to the head; without it all at once, which is \
                   better where they fit",
        },
        OptionSpec {
            name: "stride",
            kind: OptionKind::Integer(1, 10_000),
            default: None,
            help: "places by which the next window is nearer to the head; without it half of the window",
        },
        OptionSpec {
            name: "layers",
            kind: OptionKind::Text("LAYERS"),
            default: None,
            help: "the layers that are read, one as 12 or several as 8-20, from 0; later ones are not computed; without it all",
        },
        OptionSpec {
            name: "heads",
            kind: OptionKind::Text("HEADS"),
            default: None,
            help: "the heads that are read, as layer.head with + between: 8.3+12.0; without it all of the layers",
        },
    ],
    calls: Calls {
        formula: "2 (N/A and the query, over the same documents); 1 without calibration; in each window",
        count: Some(|n, options| {
            Windows::read(options).ranges(n).len().max(1) as u64 * Mode::read(options).passes()
        }),
    },
    prompts: &[builtin_prompt!("icr", ["wording"])],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = Icr::new(template, &build.options)?;
        build.prompting(method)
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    /// The query is read.
    query: bool,
    /// The query without content is read.
    calibration: bool,
    /// Only from the last token.
    last: bool,
}

impl Mode {
    fn read(options: &OptionValues) -> Mode {
        let word = options.get_choice("mode").unwrap_or("calibrated");
        Mode {
            query: word != "calibration-only",
            calibration: !matches!(word, "uncalibrated" | "last-token"),
            last: word.ends_with("last-token"),
        }
    }

    fn passes(self) -> u64 {
        u64::from(self.query) + u64::from(self.calibration)
    }
}

#[derive(Clone, Copy, Debug)]
struct Windows {
    size: Option<usize>,
    stride: usize,
}

impl Windows {
    fn read(options: &OptionValues) -> Windows {
        let size = options.get_count("window");
        let stride = options.get_count("stride").unwrap_or(size.map_or(1, |size| size / 2));
        Windows { size, stride: stride.max(1) }
    }

    /// Places of the windows, from the tail to the head.
    fn ranges(self, count: usize) -> Vec<std::ops::Range<usize>> {
        match self.size {
            Some(size) if size < count => window_ranges(count, size, self.stride),
            _ => std::iter::once(0..count).collect(),
        }
    }
}

struct Icr {
    template: Template,
    wording: String,
    mode: Mode,
    reversed: bool,
    windows: Windows,
    attention: AttentionOptions,
}

impl Icr {
    fn new(template: Template, options: &OptionValues) -> Result<Icr, MethodError> {
        let name = options.get_choice("wording").unwrap_or("ie");
        let wording = match template.part(name, &[]) {
            Some(wording) => wording,
            None if options.is_given("wording") => {
                return Err(template
                    .lacks(format!("it has no text `{name}` in [parts]; leave wording out"))
                    .into());
            }
            None => String::new(),
        };
        check(&template, &[("wording", &wording)], false)?;
        let windows = Windows::read(options);
        match windows.size {
            None if options.is_given("stride") => {
                return Err(options
                    .problem("stride has no effect without window; leave it out, or give window")
                    .into());
            }
            Some(size) if windows.stride > size => {
                let problem = format!(
                    "stride is {} and window {size}; candidates between two windows would never be read, so give a stride \
                     up to {size}",
                    windows.stride
                );
                return Err(options.problem(problem).into());
            }
            _ => {}
        }
        let heads = options.get_text("heads").map_or(Ok(Vec::new()), |text| heads(options, text))?;
        let layers = match (options.get_text("layers"), heads.is_empty()) {
            (Some(_), false) => {
                let problem = "heads names its layers itself, so that layers has no effect; leave layers out";
                return Err(options.problem(problem).into());
            }
            (Some(text), true) => AttentionLayers::At(layers(options, text)?),
            (None, false) => AttentionLayers::At(heads.iter().map(|(layer, _)| *layer).collect()),
            (None, true) => AttentionLayers::All,
        };
        let mode = Mode::read(options);
        let last = mode.last.then_some(1);
        let (layout, over) = (BlockLayout::Causal, AttentionOver::All);
        let (per_token, per_head, answers) = (true, false, Vec::new());
        let attention = AttentionOptions { layout, layers, heads, last, over, per_token, per_head, answers };
        let reversed = options.get_choice("order") == Some("reversed");
        Ok(Icr { template, wording, mode, reversed, windows, attention })
    }

    /// Scores of some candidates in one prompt.
    fn scores(&self, context: &mut RankContext<'_>, places: &[usize]) -> Result<Vec<f64>, CallError> {
        let labels: Vec<String> = (1..=places.len()).map(|label| label.to_string()).collect();
        let mut shown = places.to_vec();
        if self.reversed {
            shown.reverse();
        }
        let passages: Vec<(&str, usize)> = labels.iter().map(String::as_str).zip(shown).collect();
        let others: &[&str] = if self.mode.calibration { &[CONTENT_FREE] } else { &[] };
        let mut parts = context.parts(&self.template, &passages, &[("wording", &self.wording)], others)?;
        if !self.mode.query {
            parts.endings.remove(0);
        }
        let mass = context.attention(&[AttentionRequest { parts: &parts, options: &self.attention }])?;
        let endings = mass.first().map_or(&[][..], |mass| &mass.endings);
        let mut left_out = 0;
        let mut scores: Vec<f64> = match endings {
            [own, free] => own
                .iter()
                .zip(free)
                .map(|(own, free)| {
                    let tokens: Vec<f64> = own.iter().zip(free).map(|(own, free)| own - free).collect();
                    let (sum, outliers) = kept_sum(&tokens);
                    left_out += outliers as u64;
                    sum
                })
                .collect(),
            [own] => own.iter().map(|tokens| tokens.iter().sum()).collect(),
            _ => return Err(CallError::Argument("the model gave too few answers".into())),
        };
        if self.mode.query && self.mode.calibration {
            context.count("outlier-tokens", left_out);
        }
        if self.reversed {
            scores.reverse();
        }
        let ids: Vec<&str> =
            places.iter().map(|place| context.request().candidates[*place].document.id.as_str()).collect();
        context.parsed(0, &json!({"documents": ids, "scores": scores}));
        Ok(scores)
    }
}

impl PromptMethod for Icr {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let mut order: Vec<usize> = (0..context.len()).collect();
        let ranges = self.windows.ranges(order.len());
        if let [_] = ranges[..] {
            return Ok(Order::Scores(self.scores(context, &order)?));
        }
        for range in ranges {
            let places = order[range.clone()].to_vec();
            let scores = self.scores(context, &places)?;
            let mut sorted: Vec<usize> = (0..places.len()).collect();
            // Stable: equal scores keep their order.
            sorted.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            for (at, place) in range.zip(sorted) {
                order[at] = places[place];
            }
        }
        Ok(Order::Places(order))
    }
}
