//! A decoder that reads many documents and then the query, and compares what it has understood of each: the layout of
//! jina-reranker-v3 (Wang, Li and Xiao, Last but Not Late Interaction for Document Reranking, 2025).
//!
//! After each document and after the query stands a token whose last state a small projector turns into a vector; scores
//! are cosines. Prompt, limits and the way in which blocks are joined are those of the authors' code
//! (<https://huggingface.co/jinaai/jina-reranker-v3>). Unlike there, control tokens that are written in a text are text.

use crate::decoder::model::{DecoderModel, DecoderOptions};
use crate::decoder::request::{AttentionPattern, OutputRequest, Positions, Request};
use crate::encoder::heads::{Layer, through};
use crate::encoder::outputs::ModelInfo;
use crate::error::LmError;
use crate::files::weights::WeightSet;
use crate::text::beginning::{Beginning, beginning};
use plackett_kernel::Activation;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

const BEGIN: &str = "<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages based \
                     on how relevant they are to the query. If the query is a question, how relevant a passage is depends on \
                     how well it answers the question. If not, try to analyze the intent of the query and assess how well \
                     each passage satisfies the intent. If an instruction is provided, you should follow the instruction \
                     when determining the ranking.<|im_end|>\n<|im_start|>user\n";
const END: &str = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
const DOCUMENT_TOKEN: &str = "<|embed_token|>";
const QUERY_TOKEN: &str = "<|rerank_token|>";
/// Tokens of a query that are read.
const QUERY_TOKENS: usize = 512;
/// Tokens of a document that are read.
const DOCUMENT_TOKENS: usize = 2048;
/// Documents in one prompt.
pub const BLOCK: usize = 125;
/// What stands in a prompt beside its texts: about as many tokens for the whole, and for each document.
const PROMPT_TOKENS: usize = 160;
const TAG_TOKENS: usize = 16;

/// A decoder with a projector, ready for calls from any number of threads.
pub struct ListScorer {
    model: Arc<DecoderModel>,
    info: ModelInfo,
    projector: Vec<Layer>,
    begin: Vec<u32>,
    end: Vec<u32>,
    document_token: u32,
    query_token: u32,
}

/// How much of a text was read, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLength {
    /// Of the whole text.
    pub tokens: usize,
    /// That went through the model.
    pub kept: usize,
    /// Whether `tokens` is an estimate.
    pub estimated: bool,
}

/// What a list of documents got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListScores {
    /// A cosine for each document.
    pub scores: Vec<f64>,
    /// How much of each document was read.
    pub documents: Vec<ReadLength>,
    /// How much of the query was read.
    pub query: Option<ReadLength>,
    /// Prompts that were read.
    pub passes: usize,
    /// Their tokens.
    pub tokens: usize,
}

/// A text as it is put into a prompt.
struct Cut<'a> {
    text: &'a str,
    length: ReadLength,
}

/// The vectors of one prompt.
struct PromptEmbeddings {
    query: Vec<f32>,
    documents: Vec<Vec<f32>>,
    tokens: usize,
}

impl ListScorer {
    /// Whether a directory has the weights of such a projector.
    ///
    /// # Errors
    /// Its weights cannot be read.
    pub fn is_one(path: impl AsRef<Path>) -> Result<bool, LmError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Ok(false);
        }
        let has_weights = |name: &str| path.join(name).exists();
        if !has_weights("model.safetensors") && !has_weights("model.safetensors.index.json") {
            return Ok(false);
        }
        Ok(WeightSet::open(path)?.has("projector.0.weight"))
    }

    /// Opens a directory with a decoder and a projector.
    ///
    /// # Errors
    /// Names the file, tensor or field that is missing or wrong.
    pub fn open(path: impl AsRef<Path>, options: &DecoderOptions) -> Result<ListScorer, LmError> {
        ListScorer::new(Arc::new(DecoderModel::open(path, options)?))
    }

    /// The same of an open decoder, which others may use too.
    ///
    /// # Errors
    /// A tensor is missing or wrong; [`LmError::Unsupported`] when the tokenizer has not the tokens that the prompt needs.
    pub fn new(model: Arc<DecoderModel>) -> Result<ListScorer, LmError> {
        let id = |token: &str| {
            model.tokenizer().backend().token_to_id(token).ok_or_else(|| LmError::Unsupported {
                model: model.info().name.clone(),
                wanted: "score lists of documents".into(),
                reason: format!("its tokenizer has no token `{token}`; give a model like jina-reranker-v3"),
            })
        };
        let (document_token, query_token) = (id(DOCUMENT_TOKEN)?, id(QUERY_TOKEN)?);
        let encode = |text| model.tokenizer().encode(text, false, true);
        let (begin, end) = (encode(BEGIN)?, encode(END)?);
        let projector = projector(&WeightSet::open(model.path())?, model.info().hidden)?;
        let dim = projector.iter().fold(model.info().hidden, |inputs, layer| layer.outputs(inputs));
        let info = model.text_info(dim, usize::MAX, None, false);
        Ok(ListScorer { model, info, projector, begin, end, document_token, query_token })
    }

    /// Facts about the model; `dim` is the length of the vectors that are compared.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Byte ranges of a text's tokens.
    ///
    /// # Errors
    /// [`LmError::Tokenization`].
    pub fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.model.tokenizer().spans(text)
    }

    /// The most tokens of a document that are read.
    pub fn document_tokens(&self) -> usize {
        DOCUMENT_TOKENS.min(self.room() / 2)
    }

    /// The most tokens of a query that are read.
    pub fn query_tokens(&self) -> usize {
        // It stands twice in the prompt.
        QUERY_TOKENS.min(self.room() / 8)
    }

    /// Tokens of a prompt for texts.
    fn room(&self) -> usize {
        self.info.max_tokens.saturating_sub(self.begin.len() + self.end.len() + PROMPT_TOKENS)
    }

    /// How well each document answers the query, at most `block` of them in one prompt. Documents of one prompt see those
    /// before them, so scores depend on the list and its order.
    ///
    /// # Errors
    /// `block` is 0; a text the tokenizer refuses; a model whose context has no room for one document; the memory budget.
    pub fn score(&self, query: &str, documents: &[&str], block: usize) -> Result<ListScores, LmError> {
        if block == 0 {
            return Err(LmError::Argument("block 0 would read no document".into()));
        }
        if documents.is_empty() {
            return Ok(ListScores::default());
        }
        if self.document_tokens() == 0 || self.query_tokens() == 0 {
            let problem =
                format!("its context of {} tokens has no room beside the prompt", self.info.max_tokens);
            let wanted = "score lists of documents".into();
            return Err(LmError::Unsupported { model: self.info.name.clone(), wanted, reason: problem });
        }
        let query = self.cut(query, self.query_tokens())?;
        let cuts = documents
            .iter()
            .map(|text| self.cut(text, self.document_tokens()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut blocks = Vec::new();
        for range in self.blocks(&query, &cuts, block) {
            blocks.push(self.read(query.text, &cuts[range])?);
        }
        Ok(ListScores {
            scores: joined_scores(&blocks),
            documents: cuts.iter().map(|cut| cut.length).collect(),
            query: Some(query.length),
            passes: blocks.len(),
            tokens: blocks.iter().map(|block| block.tokens).sum(),
        })
    }

    /// The beginning of a text, of so many tokens.
    fn cut<'a>(&self, text: &'a str, most: usize) -> Result<Cut<'a>, LmError> {
        let Beginning { tokens, estimate } = beginning(text, most, |text| self.token_spans(text), Vec::len)?;
        let whole = estimate.unwrap_or(tokens.len());
        let kept = tokens.len().min(most);
        let end = match tokens.get(kept) {
            Some(next) => next.start,
            None => text.len(),
        };
        // A token may be a part of a letter.
        let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let length = ReadLength { tokens: whole, kept, estimated: estimate.is_some() };
        Ok(Cut { text: &text[..end], length })
    }

    /// Documents of each prompt: a prompt is full when it has `most`, or no room for another of the longest ones.
    fn blocks(&self, query: &Cut<'_>, documents: &[Cut<'_>], most: usize) -> Vec<Range<usize>> {
        let room = self.room().saturating_sub(2 * query.length.kept);
        let (mut blocks, mut start, mut used) = (Vec::new(), 0, 0);
        for (index, document) in documents.iter().enumerate() {
            used += document.length.kept + TAG_TOKENS;
            let is_last = index + 1 == documents.len();
            if is_last || index + 1 - start >= most || used + self.document_tokens() + TAG_TOKENS > room {
                blocks.push(start..index + 1);
                (start, used) = (index + 1, 0);
            }
        }
        blocks
    }

    /// One prompt.
    fn read(&self, query: &str, documents: &[Cut<'_>]) -> Result<PromptEmbeddings, LmError> {
        let encode = |text: &str| self.model.tokenizer().encode(text, false, false);
        let mut tokens = self.begin.clone();
        let mut places = Vec::with_capacity(documents.len() + 1);
        let mut before = format!(
            "I will provide you with {} passages, each indicated by a numerical identifier. Rank the passages based on their \
             relevance to query: {query}\n",
            documents.len()
        );
        for (number, document) in documents.iter().enumerate() {
            tokens.extend(encode(&format!("{before}<passage id=\"{number}\">\n{}", document.text))?);
            places.push(tokens.len());
            tokens.push(self.document_token);
            before = "\n</passage>\n".into();
        }
        tokens.extend(encode(&format!("{before}<query>\n{query}"))?);
        places.push(tokens.len());
        tokens.push(self.query_token);
        tokens.extend(encode("\n</query>")?);
        tokens.extend_from_slice(&self.end);
        let outputs = OutputRequest { hidden: Positions::At(&places), ..OutputRequest::default() };
        let pattern = AttentionPattern::Causal;
        let request = Request { tokens: &tokens, cache: None, pattern, adapter: None, outputs };
        let states = self.model.forward(&[request])?.pop().map(|answer| answer.hidden).unwrap_or_default();
        let rows = through(&self.projector, self.info.isa, states, self.info.hidden);
        let mut vectors: Vec<Vec<f32>> = rows.chunks_exact(self.info.dim).map(<[f32]>::to_vec).collect();
        let query = vectors.pop().unwrap_or_default();
        Ok(PromptEmbeddings { query, documents: vectors, tokens: tokens.len() })
    }
}

/// Two layers without bias, a ReLU between them.
fn projector(weights: &WeightSet, hidden: usize) -> Result<Vec<Layer>, LmError> {
    let mut layers = Vec::new();
    let mut inputs = hidden;
    for (name, activation) in [("projector.0", Activation::Relu), ("projector.2", Activation::None)] {
        let outputs = weights.tensor(&format!("{name}.weight"))?.shape().first().copied().unwrap_or(0);
        layers.push(Layer::dense(weights, name, (outputs, inputs), activation)?);
        inputs = outputs;
    }
    Ok(layers)
}

/// Cosines between each document's vector and that of the query, which is the mean over the prompts, weighted by how near
/// the nearest document of each comes to it.
fn joined_scores(prompts: &[PromptEmbeddings]) -> Vec<f64> {
    let mut query = vec![0.0; prompts.first().map_or(0, |prompt| prompt.query.len())];
    let mut weights = 0.0;
    for prompt in prompts {
        let own: Vec<f64> = prompt.query.iter().map(|x| f64::from(*x)).collect();
        let nearest = prompt.documents.iter().map(|document| cosine(&own, document)).fold(-1.0, f64::max);
        let weight = (1.0 + nearest) / 2.0;
        weights += weight;
        query.iter_mut().zip(&own).for_each(|(sum, x)| *sum += weight * x);
    }
    if weights > 0.0 {
        query.iter_mut().for_each(|x| *x /= weights);
    }
    prompts.iter().flat_map(|prompt| &prompt.documents).map(|document| cosine(&query, document)).collect()
}

/// 0 where one of them has no direction.
fn cosine(a: &[f64], b: &[f32]) -> f64 {
    let product: f64 = a.iter().zip(b).map(|(x, y)| x * f64::from(*y)).sum();
    let length_a = a.iter().map(|x| x * x).sum::<f64>().sqrt();
    let length_b = b.iter().map(|y| f64::from(*y) * f64::from(*y)).sum::<f64>().sqrt();
    if length_a * length_b > 0.0 { product / (length_a * length_b) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_joined_by_how_near_their_documents_come() {
        let block = |query: [f32; 2], documents: &[[f32; 2]]| PromptEmbeddings {
            query: query.to_vec(),
            documents: documents.iter().map(|d| d.to_vec()).collect(),
            tokens: 0,
        };
        // One prompt: plain cosines.
        let one = joined_scores(&[block([1.0, 0.0], &[[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])]);
        assert_eq!(one, [1.0, 0.0, -1.0]);
        // Weights 1 and 1/2: the query is (1 · (1, 0) + ½ · (0, 1)) / 1.5.
        let two = joined_scores(&[block([1.0, 0.0], &[[1.0, 0.0]]), block([0.0, 1.0], &[[1.0, 0.0]])]);
        let expected = 2.0 / 5.0_f64.sqrt();
        assert!(two.iter().all(|score| (score - expected).abs() < 1e-12), "{two:?}");
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
    }
}
