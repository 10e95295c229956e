//! Rerankers on other machines.

mod language;

use self::language::RemoteLanguage;
use crate::batch::{Account, Settings, check, ranking};
use crate::empty::without_text;
use crate::long_text::LongText;
use crate::method::MethodSpec;
use crate::model::{
    Abilities, LanguageModel, Need, PairScorer, Role, TextEmbedder, TextLength, TextModel, TextVector,
    TokenEmbedder,
};
use crate::ranker::{RankError, Ranker};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use plackett_remote::{Api, Capability, RemoteError, RemoteModel, Reranked};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Queries that are asked together for each request that may be under way: enough that none waits for the slowest, and
/// their bodies do not fill the memory.
const WAVES: usize = 16;

/// Reranks by the scores of a server: text-embeddings-inference's `/rerank`, Cohere's, or one like these.
///
/// The scores of a query are sorted as they came. A query with more candidates than go into one request is asked for in
/// several; its scores compare only when the server reads each text by itself, as cross-encoders do. A request that failed
/// does not take others with it, and the answers to its parts are kept for the next try.
pub struct RemoteReranker {
    model: Arc<RemoteModel>,
    settings: Settings,
}

impl RemoteReranker {
    /// A ranker over a server with a rerank interface. Sends nothing.
    ///
    /// # Errors
    /// When the interface has no scores; when long texts are to be cut here, for which the model's tokenizer is needed.
    pub fn new(model: Arc<RemoteModel>, settings: Settings) -> Result<RemoteReranker, LmError> {
        model.require(Capability::Scores)?;
        if settings.long_text != LongText::Truncate {
            model.require(Capability::Tokenizer)?;
        }
        Ok(RemoteReranker { model, settings })
    }

    /// Asks for requests that can be ranked.
    fn score(&self, requests: &[&RankRequest]) -> Result<Vec<Result<Account, RemoteError>>, LmError> {
        let empty: Vec<Vec<usize>> = requests.iter().map(|request| without_text(request)).collect();
        let texts: Vec<Vec<Cow<'_, str>>> = requests
            .iter()
            .zip(&empty)
            .map(|(request, empty)| {
                let candidates = request.candidates.iter().enumerate();
                let read = candidates.filter(|(place, _)| !empty.contains(place));
                read.map(|(_, candidate)| candidate.document.model_text()).collect()
            })
            .collect();
        let texts: Vec<Vec<&str>> = texts.iter().map(|t| t.iter().map(Cow::as_ref).collect()).collect();
        let queries: Vec<(&str, &[&str])> =
            requests.iter().zip(&texts).map(|(r, t)| (r.query.text.as_str(), t.as_slice())).collect();
        let start = Instant::now();
        let answers = self.model.rerank_each(&queries)?;
        let seconds = start.elapsed().as_secs_f64() / requests.len().max(1) as f64;
        let account = |((request, empty), answer): ((&&RankRequest, _), Result<Reranked, RemoteError>)| {
            let mut account = self.account(request, empty, answer?);
            account.trace.seconds = seconds;
            Ok(account)
        };
        Ok(requests.iter().zip(empty).zip(answers).map(account).collect())
    }

    /// The account of an answer about the candidates that have text.
    fn account(&self, request: &RankRequest, empty: Vec<usize>, answer: Reranked) -> Account {
        let mut account = Account::new(request, false);
        let trace = &mut account.trace;
        trace.passes = answer.scores.len() as u64;
        trace.prompt_tokens = answer.usage.prompt_tokens.unwrap_or(0);
        trace.facts.push(("remote".into(), RemoteModel::name(&self.model).into()));
        if answer.usage.prompt_tokens.is_none() && !answer.scores.is_empty() {
            trace.facts.push(("prompt-tokens".into(), "not told by the server".into()));
        }
        // text-embeddings-inference is told to refuse texts that are too long; the others have no such switch.
        if self.model.config().api != Api::TeiRerank {
            trace.facts.push(("truncated".into(), "not told by the server".into()));
        }
        let warnings = answer.warnings.into_iter().map(|warning| ("remote-warning".into(), warning));
        trace.facts.extend(warnings);
        let read = (0..request.candidates.len()).filter(|place| !empty.contains(place));
        read.zip(answer.scores).for_each(|(place, score)| account.scores[place] = score);
        account.empty = empty;
        account
    }

    fn failed(request: &RankRequest, source: impl Into<LmError>) -> RankError {
        RankError::Model { query: request.query.id.clone(), source: Box::new(source.into()) }
    }

    fn wave(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let open: Vec<&RankRequest> = requests.iter().filter(|request| check(request).is_none()).collect();
        let scored = self.score(&open);
        let mut scored = scored.map(Vec::into_iter);
        let one = |request: &RankRequest| {
            if let Some(error) = check(request) {
                return Err(error);
            }
            // An interface that cannot do it is refused when the ranker is made.
            let account = match &mut scored {
                Ok(accounts) => accounts.next(),
                Err(error) => {
                    return Err(RankError::Request {
                        query: request.query.id.clone(),
                        problem: error.to_string(),
                    });
                }
            };
            match account {
                Some(Ok(account)) => ranking(self.name(), &self.settings, request, account),
                Some(Err(error)) => Err(Self::failed(request, error)),
                None => {
                    Err(Self::failed(request, LmError::Argument("the server's answer is missing".into())))
                }
            }
        };
        requests.iter().map(one).collect()
    }
}

impl Ranker for RemoteReranker {
    fn name(&self) -> &str {
        "cross-encoder"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let mut results = Vec::with_capacity(requests.len());
        let total: usize = requests.iter().map(|r| r.candidates.len()).sum();
        let mut done = 0;
        for wave in requests.chunks(self.model.config().in_flight.saturating_mul(WAVES)) {
            results.extend(self.wave(wave));
            done += wave.iter().map(|r| r.candidates.len()).sum::<usize>();
            self.settings.report(done, total);
        }
        results
    }
}

impl TextModel for RemoteModel {
    fn name(&self) -> &str {
        RemoteModel::name(self)
    }

    fn max_tokens(&self) -> usize {
        self.config().max_tokens.unwrap_or(usize::MAX)
    }

    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(0)
    }

    fn token_spans(&self, _: &str) -> Result<Vec<Range<usize>>, LmError> {
        self.require(Capability::Tokenizer)?;
        Ok(Vec::new())
    }

    fn facts(&self) -> Vec<(String, String)> {
        let untold = "not told by the server";
        let mut facts = vec![("remote", RemoteModel::name(self)), ("prompt-tokens", untold)];
        if self.config().api != Api::TeiEmbed {
            facts.push(("truncated", untold));
        }
        facts.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }
}

impl TextEmbedder for RemoteModel {
    /// Vectors of length 1, whatever length the server gives them.
    fn embed_texts(&self, role: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        let prompt = match role {
            Role::Query => &self.config().query_prompt,
            Role::Document => &self.config().document_prompt,
        };
        let prompted: Vec<String> = texts.iter().map(|text| format!("{prompt}{text}")).collect();
        let prompted: Vec<&str> = prompted.iter().map(String::as_str).collect();
        let vectors = self.embed(&prompted)?.into_iter();
        Ok(vectors.map(|values| TextVector { values: unit(values), length: TextLength::default() }).collect())
    }
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    values
}

/// What its interface says it cannot do, without the address, which the caller names.
fn reason(model: &RemoteModel, wanted: Capability) -> String {
    match model.config().api.can(wanted) {
        Err(reason) => format!("the interface `{}` cannot give {wanted}: {reason}", model.config().api),
        Ok(()) => format!("{wanted} of a remote model are not used by this method; use a local model"),
    }
}

impl Abilities for RemoteModel {
    fn model_name(&self) -> String {
        RemoteModel::name(self).to_string()
    }

    fn text_embedder(self: Arc<Self>) -> Result<Arc<dyn TextEmbedder>, String> {
        match self.require(Capability::Embeddings) {
            Ok(()) => Ok(self),
            Err(_) => Err(reason(&self, Capability::Embeddings)),
        }
    }

    fn token_embedder(self: Arc<Self>) -> Result<Arc<dyn TokenEmbedder>, String> {
        Err(reason(&self, Capability::TokenEmbeddings))
    }

    fn pair_scorer(self: Arc<Self>, _: Option<&str>) -> Result<Arc<dyn PairScorer>, String> {
        Err(reason(&self, Capability::Scores))
    }

    fn language_model(self: Arc<Self>) -> Result<Arc<dyn LanguageModel>, String> {
        match self.config().api.can(Capability::Generation) {
            Ok(()) => Ok(Arc::new(RemoteLanguage::new(self))),
            Err(_) => Err(reason(&self, Capability::Generation)),
        }
    }

    fn own_ranker(
        self: Arc<Self>,
        method: &MethodSpec,
        settings: &Settings,
    ) -> Option<Result<Arc<dyn Ranker>, String>> {
        // Methods with prompts are refused by what they need of prompts.
        let needed = (method.needs)(&method.defaults()).into_iter().find_map(|need| match need {
            Need::TextVectors => Some(Capability::Embeddings),
            Need::TokenVectors => Some(Capability::TokenEmbeddings),
            Need::PairScores => Some(Capability::Scores),
            Need::ListScores => Some(Capability::HiddenStates),
            _ => None,
        })?;
        let cut = (settings.long_text != LongText::Truncate).then_some(Capability::Tokenizer);
        let lacking = [Some(needed), cut].into_iter().flatten().find(|wanted| self.require(*wanted).is_err());
        if let Some(lacking) = lacking {
            return Some(Err(reason(&self, lacking)));
        }
        if needed != Capability::Scores {
            return None;
        }
        let ranker = RemoteReranker::new(self, settings.clone()).map_err(|error| error.to_string());
        Some(ranker.map(|ranker| Arc::new(ranker) as Arc<dyn Ranker>))
    }
}
