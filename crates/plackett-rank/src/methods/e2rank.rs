//! E2Rank: one embedding model reads a prompt with the first candidates as an enriched query, and all candidates are compared
//! with it.

use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec, OptionValues};
use crate::model::{CallError, Need, Prompt, Role, VectorRequest};
use crate::prompt::{PROMPT, STYLE, TOKENS, Template, WORDS, builtin_prompt};
use crate::prompting::{Order, PromptMethod, RankContext};
use plackett_core::{Candidate, Document, cosine};
use plackett_lm::sha256;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Tokens that a chat template writes to close the thinking before it began; prompts are cut to leave them room.
const THINKING_TOKENS: usize = 16;
/// Bytes of the vectors of documents that a ranker keeps for later requests.
const KEPT_BYTES: usize = 256 << 20;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "e2rank",
    aliases: &[],
    family: Family::Listwise,
    gives_scores: |_| true,
    paper: "E2Rank: Your Text Embedding can Also be an Effective and Efficient Listwise Reranker, 2025",
    summary: "Embeds a prompt with the query and the first candidates as an enriched query, and compares it with the vectors of \
              all candidates by cosine.",
    needs: |_| vec![Need::PromptVectors],
    options: &[
        PROMPT,
        WORDS,
        TOKENS,
        STYLE,
        OptionSpec {
            name: "documents",
            kind: OptionKind::Integer(0, 10_000),
            default: Some("20"),
            help: "how many of the first candidates stand in the prompt; 0 for the vector of the query alone, with which the same \
                   model retrieves",
        },
    ],
    calls: Calls { formula: "N + 1, less texts that are empty or whose vectors are known", count: None },
    prompts: &[builtin_prompt!("e2rank")],
    build: |build| {
        let template = build.template()?.with(&build.options);
        let method = E2Rank::new(template, &build.options)?;
        build.prompting(method)
    },
};

struct E2Rank {
    /// The prompt over the first candidates.
    template: Template,
    /// A document alone.
    document: Template,
    /// Candidates in the prompt.
    documents: usize,
    /// Whether documents are read as anybody would who embeds them with this model.
    usual: bool,
    known: Mutex<KnownVectors>,
}

/// Vectors of documents that were read already, by the SHA-256 of their texts.
#[derive(Default)]
struct KnownVectors {
    vectors: HashMap<[u8; 32], Arc<[f32]>>,
    bytes: usize,
}

fn key(document: &Document) -> [u8; 32] {
    sha256::digest(document.model_text().as_bytes())
}

impl E2Rank {
    fn new(template: Template, options: &OptionValues) -> Result<E2Rank, MethodError> {
        let documents = options.count("documents");
        if template.has_turns() {
            let problem = "its passages are turns of a conversation; E2Rank embeds one message";
            return Err(template.lacks(problem).into());
        }
        if documents == 0 && template.part("query", &[]).is_none() {
            let problem = "documents=0 embeds the query alone; write [parts] with query = \"… {query}\"";
            return Err(template.lacks(problem).into());
        }
        if documents == 0 && !template.part_shows("query", "query") {
            return Err(template
                .lacks("query of [parts] does not show the query; write {query} in it")
                .into());
        }
        let document = template.alone("document");
        if !document.shows_document() {
            return Err(template.lacks("document of [parts] shows no passage; write {doc} in it").into());
        }
        let usual = !["prompt", "words", "tokens"].iter().any(|option| options.is_given(option));
        Ok(E2Rank { template, document, documents, usual, known: Mutex::default() })
    }

    /// The enriched query, or without documents in it the query as it retrieves; and whether an end token follows it.
    fn query(&self, context: &mut RankContext<'_>) -> Result<(Prompt, bool), CallError> {
        let shown = self.documents.min(context.len());
        if shown == 0 {
            let text = self.template.part("query", &[("query", context.query())]).unwrap_or_default();
            return Ok((Prompt::text(text), true));
        }
        let labels = self.template.labels(shown).map_err(|error| CallError::Argument(error.to_string()))?;
        let passages: Vec<(&str, usize)> = labels.iter().map(String::as_str).zip(0..).collect();
        let prompt = context.prompt(&self.template, &passages, &[], THINKING_TOKENS)?;
        Ok((prompt, false))
    }

    fn known(&self, documents: &[Candidate]) -> Vec<Option<Arc<[f32]>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        documents.iter().map(|candidate| known.vectors.get(&key(&candidate.document)).cloned()).collect()
    }

    fn keep(&self, document: &Document, vector: &Arc<[f32]>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let size = size_of_val::<[f32]>(vector);
        if known.bytes + size <= KEPT_BYTES && known.vectors.insert(key(document), vector.clone()).is_none() {
            known.bytes += size;
        }
    }
}

impl PromptMethod for E2Rank {
    fn rank(&self, context: &mut RankContext<'_>) -> Result<Order, CallError> {
        let (query, end) = self.query(context)?;
        let documents = (0..context.len())
            .map(|candidate| context.prompt(&self.document, &[("", candidate)], &[], 1))
            .collect::<Result<Vec<Prompt>, CallError>>()?;
        let candidates = &context.request().candidates;
        let mut vectors = self.known(candidates);
        context.known(vectors.iter().flatten().count() as u64);
        let mut requests = vec![VectorRequest { prompt: &query, role: Role::Query, end }];
        let mut places = Vec::new();
        for (place, (prompt, vector)) in documents.iter().zip(&vectors).enumerate() {
            if vector.is_none() {
                requests.push(VectorRequest { prompt, role: Role::Document, end: true });
                places.push(place);
            }
        }
        let mut found = context.prompt_vectors(&requests)?.into_iter();
        let Some(query) = found.next() else {
            return Err(CallError::Argument("the model gave too few vectors".into()));
        };
        for (place, vector) in places.into_iter().zip(found) {
            let vector: Arc<[f32]> = vector.values.into();
            self.keep(&candidates[place].document, &vector);
            vectors[place] = Some(vector);
        }
        context.note("documents-in-prompt", self.documents.min(context.len()));
        for (name, value) in context.model().vector_facts() {
            context.note(name, value);
        }
        let given = vectors.iter().flatten();
        Ok(Order::Scores(given.map(|vector| cosine(&query.values, vector)).collect()))
    }

    fn knows_vectors(&self) -> bool {
        self.usual
    }

    fn know_vector(&self, document: &Document, vector: Vec<f32>) {
        self.keep(document, &vector.into());
    }
}

#[cfg(test)]
#[path = "e2rank_tests.rs"]
mod tests;
