//! `ngrams`: a first stage that finds documents by n-grams of theirs, which a language model writes (SEAL).

use super::collection::wordless;
use super::models::Models;
use super::run::BoxError;
use plackett_core::{Query, Ranking, Trace, Truncation};
use plackett_genir::corpus_ngrams::{
    CorpusConstraint, IntersectiveScoring, Ngram, NgramDocument, NgramIndex, NgramIndexBuilder,
    WrittenNgrams, write_ngrams,
};
use plackett_lm::LmError;
use plackett_lm::decode::DecodeModel;
use plackett_lm::decoder::LmTokenizer;
use plackett_lm::seq2seq::EncoderDecoder;
use plackett_rank::engine::Decoder;
use plackett_rank::model::{CallError, Prompt};
use plackett_rank::prompt::{BuiltinPrompt, Template};
use plackett_search::Index;
use rayon::prelude::*;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Documents whose texts are read and tokenised together.
const TOGETHER: usize = 512;
/// What a model is wanted for, in refusals.
pub(super) const WANTED: &str = "write n-grams of documents";
/// N-grams of a document that a trace names; the others are counted.
const NAMED: usize = 5;

/// Prompts of the stage: a continuation, an instruction, and the query alone.
static PROMPTS: &[BuiltinPrompt] = &[
    prompt("ngrams", include_str!("../../../../prompts/ngrams.toml")),
    prompt("ngrams-chat", include_str!("../../../../prompts/ngrams-chat.toml")),
    prompt("ngrams-query", include_str!("../../../../prompts/ngrams-query.toml")),
];

const fn prompt(name: &'static str, text: &'static str) -> BuiltinPrompt {
    BuiltinPrompt { name, text, placeholders: &[] }
}

/// How n-grams are written and documents scored by them.
#[derive(Clone, Debug, PartialEq)]
pub struct NgramSettings {
    /// N-grams that a query's search goes on with at each step.
    pub beams: usize,
    /// Tokens of an n-gram at most.
    pub length: usize,
    /// How n-grams make the score of a document.
    pub scoring: IntersectiveScoring,
    /// The prompt: a file, or one of the stage's own by name.
    pub prompt: Option<String>,
}

/// A local model that writes.
pub(super) enum WritingModel {
    /// A decoder with its output matrix.
    Decoder(Arc<Decoder>),
    /// An encoder–decoder.
    EncoderDecoder(Box<EncoderDecoder>),
}

/// A language model and all n-grams of the documents of an index, in the model's tokens.
pub struct NgramSearch {
    name: String,
    model: WritingModel,
    settings: NgramSettings,
    template: Template,
    index: NgramIndex,
    /// Of documents, or of passages where those are searched.
    ids: Vec<String>,
}

/// What a model wrote behind a prompt.
struct Answer {
    written: WrittenNgrams,
    /// Tokens of the prompt, and those that were read.
    tokens: usize,
    kept: usize,
    estimated: bool,
}

impl NgramSearch {
    /// The name of the stage.
    pub const NAME: &'static str = "ngrams";

    /// Opens a model and reads the documents of an index (its passages, where it is cut into such) into the index of their n-grams: a block of
    /// documents at a time, of which only the tokens are kept.
    ///
    /// # Errors
    /// The model is not here or does not write; a prompt that cannot be used; no document has a token; the index cannot be read.
    pub fn open(
        name: &str,
        models: &Models,
        index: &Index,
        settings: NgramSettings,
    ) -> Result<NgramSearch, BoxError> {
        let template = Template::choose_question(settings.prompt.as_deref(), PROMPTS)?;
        if template.query_words.is_some() {
            return Err("prompt: `query_words` has no effect, since queries are not cut; leave it out".into());
        }
        let model = models.writing(name)?;
        let (ngrams, ids) = read_ngrams(model.tokenizer(name)?, index, settings.length)?;
        Ok(NgramSearch { name: name.to_string(), model, settings, template, index: ngrams, ids })
    }

    /// A ranking for each query, of `depth` documents at most.
    pub fn rank(&self, queries: &[Query], depth: usize) -> Vec<Result<Ranking, BoxError>> {
        queries.iter().map(|query| self.ask(query, depth)).collect()
    }

    fn ask(&self, query: &Query, depth: usize) -> Result<Ranking, BoxError> {
        let start = Instant::now();
        let mut facts = vec![
            ("ngrams:model".to_string(), self.name.clone()),
            ("ngrams:prompt".into(), self.template.id()),
            ("ngrams:index".into(), self.described()),
        ];
        let remark = |why: &str| (format!("{}ngrams", super::REMARK), format!("ngrams finds nothing: {why}"));
        if let Some(why) = wordless(&query.text) {
            facts.push(remark(&format!("the query {why}")));
            return Ok(Ranking::from_scores(query.id.clone(), [], Trace { facts, ..Trace::default() }));
        }
        let constraint = CorpusConstraint::new(&self.index, self.settings.length)?;
        let prompt = self.template.render(&query.text, &[], &[]);
        let answer = self.model.write((self.name.as_str(), prompt), &constraint, self.settings.beams)?;
        let ngrams = &answer.written.ngrams;
        let found = self.settings.scoring.rank(&self.index, ngrams);
        facts.push(("ngrams:written".into(), ngrams.len().to_string()));
        if found.is_empty() {
            facts.push(remark("the model wrote no n-gram that is likelier after the query than anywhere"));
        }
        let by_id: HashMap<&str, &NgramDocument> =
            found.iter().filter_map(|hit| Some((self.ids.get(hit.document)?.as_str(), hit))).collect();
        let scored = by_id.iter().map(|(id, hit)| (id.to_string(), hit.score));
        let trace = answer.trace(query, facts, start);
        let mut ranking = Ranking::from_scores(query.id.clone(), scored, trace);
        ranking.keep_best(depth);
        let mut reasons = Vec::with_capacity(ranking.entries.len());
        for entry in &ranking.entries {
            let Some(hit) = by_id.get(entry.id.as_str()) else { continue };
            reasons.push((format!("ngrams:hit:{}", entry.id), self.reason(hit, ngrams)?));
        }
        ranking.trace.facts.extend(reasons);
        Ok(ranking)
    }

    /// The size of the index of n-grams.
    fn described(&self) -> String {
        let (documents, tokens, bytes) = (self.index.documents(), self.index.tokens(), self.index.bytes());
        format!("{tokens} tokens of {documents} texts in {bytes} bytes")
    }

    /// The best n-grams of a document, with their parts of its score.
    fn reason(&self, hit: &NgramDocument, ngrams: &[Ngram]) -> Result<String, LmError> {
        let tokenizer = self.model.tokenizer(&self.name)?;
        let mut named = Vec::new();
        for (n, part) in hit.ngrams.iter().take(NAMED) {
            let Some(ngram) = ngrams.get(*n) else { continue };
            named.push(format!("{:?} ({part:.4})", tokenizer.decode(&ngram.tokens, false)?));
        }
        let others = hit.ngrams.len().saturating_sub(NAMED);
        if others > 0 {
            named.push(format!("and {others} more"));
        }
        Ok(named.join(", "))
    }
}

/// The n-grams of all documents in the tokens of a tokenizer, and the documents' ids.
fn read_ngrams(
    tokenizer: &LmTokenizer,
    index: &Index,
    length: usize,
) -> Result<(NgramIndex, Vec<String>), BoxError> {
    let mut builder = NgramIndexBuilder::new(length)?;
    let ids: Vec<String> = index.passage_ids().map(str::to_string).collect();
    let read = |id: &String| -> Result<[Vec<u32>; 2], BoxError> {
        let missing = || format!("document `{id}` is in the index but its text is not there");
        let document = index.document(id)?.ok_or_else(missing)?;
        let tokens = |text: &str| tokenizer.encode(text, false, false);
        Ok([tokens(&document.title)?, tokens(&document.text)?])
    };
    for block in ids.chunks(TOGETHER) {
        let texts = block.par_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        for parts in &texts {
            builder.push(parts)?;
        }
    }
    Ok((builder.finish()?, ids))
}

impl WritingModel {
    fn tokenizer(&self, name: &str) -> Result<&LmTokenizer, LmError> {
        match self {
            WritingModel::Decoder(decoder) => Ok(decoder.model().tokenizer()),
            WritingModel::EncoderDecoder(model) => model.tokenizer().ok_or_else(|| LmError::Unsupported {
                model: name.to_string(),
                wanted: WANTED.into(),
                reason: "its directory has no tokenizer.json, and texts need one".into(),
            }),
        }
    }

    /// Lets the model write n-grams after the prompt of a query.
    fn write(
        &self,
        (name, mut prompt): (&str, Prompt),
        constraint: &CorpusConstraint<'_>,
        beams: usize,
    ) -> Result<Answer, BoxError> {
        let length = constraint.length();
        match self {
            WritingModel::Decoder(decoder) => {
                let (model, ids) = (decoder.model(), decoder.prompt_tokens(&prompt)?);
                fits(ids.len(), length, model.info().positions)?;
                let mut session = model.session();
                let root = session.root();
                let written = write_ngrams(&mut session, (root, ids.as_slice()), constraint, beams)?;
                Ok(Answer { written, tokens: ids.len(), kept: ids.len(), estimated: false })
            }
            WritingModel::EncoderDecoder(model) => {
                // The beginning of the answer is the output's, not the source's.
                let (Prompt::Text { answer, .. } | Prompt::Chat { answer, .. }) = &mut prompt;
                let mut output = vec![model.start()];
                output.extend(self.tokenizer(name)?.encode(&std::mem::take(answer), false, false)?);
                fits(output.len(), length, model.output_tokens())?;
                let (sources, cut) = model.encode(&[prompt.words().as_str()], usize::MAX)?;
                let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
                let kept: usize = sources.iter().map(|source| source.len()).sum();
                let mut session = model.session();
                let source = session.sources(&sources)?.pop().ok_or("the model took no source")?;
                let written = write_ngrams(&mut session, (source, output.as_slice()), constraint, beams)?;
                let whole = cut.first().map(|cut| (cut.tokens, cut.estimated));
                let (tokens, estimated) = whole.unwrap_or((kept, false));
                Ok(Answer { written, tokens, kept, estimated })
            }
        }
    }
}

/// Refuses a prompt that leaves no room for n-grams.
fn fits(tokens: usize, answer: usize, limit: usize) -> Result<(), CallError> {
    if tokens.saturating_add(answer) > limit {
        return Err(CallError::TooLong { tokens, answer, limit });
    }
    Ok(())
}

impl Answer {
    fn trace(&self, query: &Query, facts: Vec<(String, String)>, start: Instant) -> Trace {
        let (tokens, kept, estimated) = (self.tokens, self.kept, self.estimated);
        let cut = Truncation { id: query.id.clone(), tokens, kept, estimated, of_query: true };
        Trace {
            passes: self.written.branches as u64,
            prompt_tokens: kept as u64,
            // Each pass behind the prompt reads one token that was written.
            generated_tokens: self.written.branches.saturating_sub(1) as u64,
            seconds: start.elapsed().as_secs_f64(),
            truncated: (kept < tokens).then_some(cut).into_iter().collect(),
            facts,
            ..Trace::default()
        }
    }
}

impl fmt::Debug for NgramSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NgramSearch({}, {:?}, {})", self.name, self.settings, self.described())
    }
}

/// The same model asked in the same way.
impl PartialEq for NgramSearch {
    fn eq(&self, other: &NgramSearch) -> bool {
        self.name == other.name && self.settings == other.settings
    }
}
