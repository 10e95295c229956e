//! BlockRank: documents as blocks that do not see each other, and the attention of the answer's beginning to them.

use super::check;
use crate::REMARK;
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{
    AttentionLayers, AttentionOptions, AttentionOver, AttentionRequest, BlockLayout, CallError, Need,
    PromptPart, PromptParts, StoredBlockPrompt,
};
use crate::prompt::{
    BuiltinPrompt, PROMPT, Passage, STYLE, TOKENS, Template, TemplateError, WORDS, builtin_prompt,
};
use crate::prompting::{BlockRecipe, Order, PromptMethod, RankContext};

/// The part of the depth at which attention is read (the paper: layer 20 of 32).
const DEPTH: f64 = 0.6;
/// Tokens whose attention is read: the bracket that opens the answer and the colon before it.
const SIGNAL_TOKENS: usize = 2;

/// The method's own prompt, and the one whose blocks an index can store.
static PROMPTS: [BuiltinPrompt; 2] = [builtin_prompt!("block-rank"), builtin_prompt!("block-rank-stored")];
/// Options that say how blocks are made.
const OF_BLOCKS: [&str; 4] = ["prompt", "words", "tokens", "style"];

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "block-rank",
    aliases: &["blockrank"],
    family: Family::InContext,
    gives_scores: |_| true,
    paper: "Gupta et al., Scalable In-context Ranking with Generative Models, 2025",
    summary: "Reads each document as a block behind the instruction that sees no other document, and scores it by its share of \
              the attention of the beginning answer at one middle layer, where the pass ends.",
    needs: |_| vec![Need::Attention, Need::Tokenizer],
    options: &[
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
        OptionSpec {
            name: "layer",
            kind: OptionKind::Integer(0, i64::MAX),
            default: None,
            help: "the layer whose attention is read, from 0, the last that is computed; without it the one at 60 % of the \
                   depth",
        },
        OptionSpec {
            name: "query-position",
            kind: OptionKind::Integer(1, i64::MAX),
            default: Some("8192"),
            help: "where the positions of the query block begin; less where the model has not so many, more where documents \
                   are longer, as the trace says",
        },
        OptionSpec {
            name: "blocks",
            kind: OptionKind::Choice(&["auto", "never", "always"]),
            default: Some("auto"),
            help: "whether documents of an index are read from its block index (`plackett index --blocks`), with the prompt, \
                   cuts and layer that it was made with: auto where there is one, never, or always, which is an error where \
                   there is none",
        },
        OptionSpec {
            name: "answer",
            kind: OptionKind::Choice(&["attention", "decode"]),
            default: Some("attention"),
            help: "what scores documents: their attention, or with decode the log-probability that their id is written as the \
                   answer, for which all layers are computed",
        },
    ],
    calls: Calls {
        formula: "1, with answer=decode 1 + N",
        count: Some(|n, options| 1 + if decodes(options) { n as u64 } else { 0 }),
    },
    prompts: &PROMPTS,
    build: |build| {
        let language = build.model.clone().language_model().ok();
        let stored = language.as_ref().and_then(|model| model.stored_blocks());
        let method = match stored {
            Some(stored) => BlockRank::stored(stored, &build.options)?,
            None if build.options.get_choice("blocks") == Some("always") => {
                let problem = "blocks=always, and there is no block index here; make one with `plackett index -o DIR --blocks \
                               MODEL` and search it, or leave the option out";
                return Err(build.options.problem(problem).into());
            }
            None => BlockRank::new(build.template()?.with(&build.options), &build.options)?,
        };
        build.prompting(method)
    },
};

/// How the blocks of an index are made with these options: by default with the prompt `block-rank-stored`.
///
/// # Errors
/// A prompt that cannot be read, or whose blocks depend on the query; options that have no effect on blocks.
pub fn block_recipe(options: &OptionValues) -> Result<BlockRecipe, MethodError> {
    for name in ["query-position", "blocks", "answer", "model", "long"] {
        if options.is_given(name) {
            let problem = format!("{name} has no effect on the blocks of an index; leave it out");
            return Err(options.problem(problem).into());
        }
    }
    let asked = options.get_text("prompt").unwrap_or(PROMPTS[1].name);
    let template = Template::choose(Some(asked), &PROMPTS)?.with(options);
    check_blocks(&template)?;
    if !knows_no_query(&template) {
        let problem = "the query stands before the passages, so that nothing can be stored of them; write {query} into the \
                       suffix alone, as the prompt block-rank-stored does";
        return Err(template.lacks(problem).into());
    }
    Ok(BlockRecipe { template, layers: layers_of(options) })
}

/// Whether documents are scored by the probabilities of their ids (the paper's decode mode, of which the most probable id is the first).
fn decodes(options: &OptionValues) -> bool {
    options.get_choice("answer") == Some("decode")
}

/// The layer of an option, or the usual one.
fn layers_of(options: &OptionValues) -> AttentionLayers {
    match options.get_count("layer") {
        Some(layer) => AttentionLayers::At(vec![layer]),
        None => AttentionLayers::Depth(DEPTH),
    }
}

/// Refuses a template whose documents are not blocks.
fn check_blocks(template: &Template) -> Result<(), TemplateError> {
    check(template, &[], true)?;
    let passages = [Passage { label: "0", text: "text" }; 2];
    let (one, two) = (template.parts("query", &passages[..1], &[]), template.parts("query", &passages, &[]));
    if two.parts.len() != 3 || one.endings != two.endings || one.parts.first() != two.parts.first() {
        let problem = "documents are blocks behind one instruction: it needs a prefix, no separator, and neither {num} nor \
                       {example}";
        return Err(template.lacks(problem));
    }
    Ok(())
}

/// Whether all but the ending is the same for every query. Then a block must not know its place either, and documents are
/// called by their own ids.
fn knows_no_query(template: &Template) -> bool {
    let passages = [Passage { label: "0", text: "text" }];
    let of = |query| template.parts(query, &passages, &[]);
    let (one, other) = (of("one"), of("other"));
    (one.system, one.parts) == (other.system, other.parts)
}

struct BlockRank {
    template: Template,
    attention: AttentionOptions,
    /// Documents are called by their own ids, not by their places.
    own_ids: bool,
    /// Documents are scored by the probabilities of their ids.
    decode: bool,
}

impl BlockRank {
    /// With the prompt, cuts and layers of a block index.
    fn stored(stored: &StoredBlockPrompt, options: &OptionValues) -> Result<BlockRank, MethodError> {
        if let Some(name) = OF_BLOCKS.into_iter().find(|name| options.is_given(name)) {
            let problem = format!(
                "{name} is that of the block index, which was made with the prompt {}; leave it out, or let documents be \
                 computed anew with blocks=never",
                stored.name
            );
            return Err(options.problem(problem).into());
        }
        if decodes(options) {
            let problem = "answer=decode computes all layers, and a block index is read up to the one of the attention; let \
                           documents be computed anew with blocks=never";
            return Err(options.problem(problem).into());
        }
        let last = stored.layers.saturating_sub(1);
        if let Some(layer) = options.get_count("layer").filter(|layer| *layer > last) {
            let problem = format!(
                "layer is {layer}, and the block index has the layers 0 to {last}; give one of them, or let documents be \
                 computed anew with blocks=never"
            );
            return Err(options.problem(problem).into());
        }
        let mut method = BlockRank::new(Template::of_stored(stored)?, options)?;
        if !options.is_given("layer") {
            method.attention.layers = AttentionLayers::At(vec![last]);
        }
        Ok(method)
    }

    fn new(template: Template, options: &OptionValues) -> Result<BlockRank, MethodError> {
        check_blocks(&template)?;
        let decode = decodes(options);
        let passages = [Passage { label: "0", text: "text" }];
        if decode && !template.parts("query", &passages, &[]).answer.ends_with('[') {
            let problem = "answer=decode reads which id follows the bracket that opens the answer; let `answer` end with [";
            return Err(template.lacks(problem).into());
        }
        if decode && options.is_given("layer") {
            let problem =
                "layer says whose attention is read, and answer=decode scores by none; leave it out";
            return Err(options.problem(problem).into());
        }
        let layers = layers_of(options);
        let query_position = options.count("query-position");
        let attention = AttentionOptions {
            layout: BlockLayout::Blocks { query_position },
            layers,
            heads: Vec::new(),
            last: Some(SIGNAL_TOKENS),
            over: AttentionOver::Documents,
            per_token: false,
            per_head: false,
            answers: Vec::new(),
        };
        let own_ids = knows_no_query(&template);
        Ok(BlockRank { template, attention, own_ids, decode })
    }

    /// What a document is called.
    fn label(&self, context: &RankContext<'_>, candidate: usize) -> String {
        match self.own_ids {
            true => context.request().candidates[candidate].document.id.clone(),
            false => candidate.to_string(),
        }
    }

    /// The prompt of all documents. Each is cut by itself: only the instruction, one block and the query share positions.
    fn parts(&self, context: &mut RankContext<'_>) -> Result<PromptParts, CallError> {
        let mut all: Option<PromptParts> = None;
        for candidate in 0..context.len() {
            let label = self.label(context, candidate);
            let one = context.parts(&self.template, &[(&label, candidate)], &[], &[])?;
            match &mut all {
                None => all = Some(one),
                Some(all) => {
                    all.parts
                        .extend(one.parts.into_iter().filter(|part| matches!(part, PromptPart::Document(_))));
                }
            }
        }
        all.ok_or_else(|| CallError::Argument("there are no candidates; the method's code is wrong".into()))
    }
}

impl PromptMethod for BlockRank {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let parts = self.parts(context)?;
        let mut options = self.attention.clone();
        if self.decode {
            let written = |candidate| format!("{}]", self.label(context, candidate));
            options.answers = (0..context.len()).map(written).collect();
        }
        let mass = context.attention(&[AttentionRequest { parts: &parts, options: &options }])?;
        let Some(mass) = mass.into_iter().next() else {
            return Err(CallError::Argument("the model gave too few answers".into()));
        };
        if !self.decode {
            let layers: Vec<String> = mass.layers.iter().map(usize::to_string).collect();
            context.note("attention-layer", layers.join(", "));
        }
        if let Some(position) = mass.query_position {
            context.note("query-position", position);
        }
        if let Some(stored) = mass.stored {
            let computed = context.len().saturating_sub(stored);
            context.note("blocks", format!("{stored} of {} documents from the block index", context.len()));
            if computed > 0 {
                context.note(
                    format!("{REMARK}{}", SPEC.name),
                    format!(
                        "{}: {computed} of {} documents are not in the block index and were computed; `plackett index -o DIR \
                         --blocks MODEL` makes their blocks",
                        SPEC.name,
                        context.len()
                    ),
                );
            }
        }
        let heads = mass.heads.max(1) as f64;
        let scores: Vec<f64> = match self.decode {
            true => mass.answers.into_iter().next().unwrap_or_default(),
            false => {
                let scores = mass.endings.into_iter().next().unwrap_or_default();
                scores.iter().map(|sums| sums.iter().sum::<f64>() / heads).collect()
            }
        };
        context.parsed(0, &scores);
        Ok(Order::Scores(scores))
    }
}
