//! Query and document read together by one model (Nogueira and Cho, Passage Re-ranking with BERT, 2019).

use crate::batch::{Account, Place, Settings, in_calls, rank_together};
use crate::long_text::LongText;
use crate::method::{Build, Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec};
use crate::model::{Need, PairPrompting, PairScore, PairScorer, TextLength};
use crate::ranker::{RankError, Ranker};
use crate::reading::{Count, beyond, count, note_pieces, pieces, refusal};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use std::borrow::Cow;
use std::sync::Arc;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "cross-encoder",
    aliases: &[],
    family: Family::Pointwise,
    gives_scores: |_| true,
    paper: "Nogueira and Cho, Passage Re-ranking with BERT, 2019",
    summary: "Reads the query and each document together with a model that was trained to score such pairs.",
    needs: |_| vec![Need::PairScores],
    options: &[PROMPT],
    calls: Calls { formula: "N", count: Some(|n, _| n as u64) },
    prompts: &[],
    build: |build| {
        check_prompt(&build)?;
        Ok(Arc::new(CrossEncoder::new(
            build.pair_scorer(build.options.get_choice("prompt"))?,
            build.settings,
        )))
    },
};

/// How a model is asked that has no scores of its own.
const PROMPT: OptionSpec = OptionSpec {
    name: "prompt",
    kind: OptionKind::Choice(&["yes-no", "mxbai", "bge", "query-document", "rankllama"]),
    default: None,
    help: "for decoders: the prompt that one was trained to score pairs with, where its files or its name do not say so: yes-no \
           of Qwen3-Reranker, mxbai of mxbai-rerank-v2, bge of bge-reranker-v2-gemma, rankllama of RankLLaMA and DeAR; \
           query-document is that of other decoders with a score head; other models have scores of their own",
};

/// Refuses a model that was made to write text unless its files or the options say how it is asked, and a prompt for one
/// that has scores of its own.
fn check_prompt(build: &Build) -> Result<(), MethodError> {
    let reason = match (build.model.pair_prompt(), build.options.get_choice("prompt")) {
        (Some(PairPrompting::Unknown), None) => {
            "it is a decoder, which writes text and has no scores of its own, and nothing says that it was trained to score \
             pairs; if it was trained like Qwen3-Reranker, write cross-encoder(prompt=yes-no) (or prompt=mxbai, \
             prompt=bge), for its answer to another question use the method yes-no, else give a cross-encoder with --model"
                .into()
        }
        (Some(PairPrompting::Wrong(problem)), _) => problem,
        (None, Some(_)) => "it has scores of its own, and no prompt; leave `prompt` out".into(),
        _ => return Ok(()),
    };
    Err(MethodError::WrongModel { method: build.spec.name, model: build.model.model_name(), reason })
}

/// Reranks by a model that reads each (query, document) pair. The order is that of the raw logits.
pub struct CrossEncoder {
    model: Arc<dyn PairScorer>,
    settings: Settings,
}

/// One candidate's text.
struct Wanted<'a> {
    place: Place,
    text: Cow<'a, str>,
    query: &'a str,
}

impl CrossEncoder {
    /// A ranker over a model with a scoring head.
    pub fn new(model: Arc<dyn PairScorer>, settings: Settings) -> Self {
        CrossEncoder { model, settings }
    }

    fn score(&self, requests: &[&RankRequest]) -> Result<Vec<Account>, LmError> {
        let mut accounts: Vec<Account> = requests.iter().map(|r| Account::new(r, true)).collect();
        let rooms: Vec<usize> =
            requests.iter().map(|r| self.room_beside(&r.query.text)).collect::<Result<_, _>>()?;
        let wanted: Vec<Wanted> =
            requests.iter().enumerate().flat_map(|(request, r)| wanted(request, r)).collect();
        let model = self.model.as_ref();
        for (account, room) in accounts.iter_mut().zip(&rooms) {
            account.trace.facts.extend(model.facts());
            note_pieces(account, self.settings.long_text, *room);
        }
        let mut read: Vec<Vec<PairScore>> = wanted.iter().map(|_| Vec::new()).collect();
        let pieces_of = |nth: usize| {
            let Wanted { place, text, .. } = &wanted[nth];
            pieces(model, self.settings.long_text, rooms[place.request], text)
        };
        in_calls(
            wanted.len(),
            pieces_of,
            |nth| wanted[nth].query.len(),
            |first, cut| {
                let end = first + cut.len();
                let pairs = wanted[first..end].iter().zip(cut);
                let pairs: Vec<(&str, &str)> =
                    pairs.flat_map(|(w, parts)| parts.iter().map(|part| (w.query, *part))).collect();
                let answers = if pairs.is_empty() { Vec::new() } else { model.score_text_pairs(&pairs)? };
                let mut answers = answers.into_iter();
                for (own, parts) in read[first..end].iter_mut().zip(cut) {
                    own.extend(answers.by_ref().take(parts.len()));
                }
                self.settings.report(end, wanted.len());
                Ok(())
            },
        )?;
        for (w, parts) in wanted.iter().zip(&read) {
            let account = &mut accounts[w.place.request];
            if parts.is_empty() {
                account.empty.push(w.place.candidate);
                continue;
            }
            let join =
                |of: fn(&PairScore) -> f64| self.settings.join().of(parts.iter().map(of)).unwrap_or(f64::NAN);
            account.scores[w.place.candidate] = join(|p| p.logit);
            account.activated[w.place.candidate] = join(|p| p.activated);
            let id = &requests[w.place.request].candidates[w.place.candidate].document.id;
            let lengths: Vec<TextLength> = parts.iter().map(|p| p.length).collect();
            account.enter(id, &lengths, true);
        }
        Ok(accounts)
    }

    /// Tokens that a query leaves for a piece of a document: at least a quarter of the input, so that a very long query
    /// (which the model will cut, and report) cannot grind a document to single words.
    fn room_beside(&self, query: &str) -> Result<usize, LmError> {
        if !matches!(self.settings.long_text, LongText::Chunks(_)) {
            return Ok(self.model.max_tokens());
        }
        let limit = self.model.max_tokens();
        let taken = count(self.model.as_ref(), query, limit)?.tokens + self.model.pair_overhead();
        Ok(limit.saturating_sub(taken).max(limit / 4).max(1))
    }

    /// The first document of a request that does not fit the model beside the query.
    fn too_long(&self, request: &RankRequest) -> Result<Option<String>, LmError> {
        let model = self.model.as_ref();
        if request.candidates.is_empty() {
            return Ok(None);
        }
        let limit = model.max_tokens();
        let query = count(model, &request.query.text, limit)?;
        let taken = query.tokens + model.pair_overhead();
        if taken > limit {
            return Ok(Some(refusal("the query", Count { tokens: taken, ..query }, limit)));
        }
        for candidate in &request.candidates {
            if let Some(count) = beyond(model, &candidate.document.model_text(), limit - taken)? {
                let what = format!("document `{}` with the query", candidate.document.id);
                let whole = Count { tokens: count.tokens + taken, ..count };
                return Ok(Some(refusal(&what, whole, limit)));
            }
        }
        Ok(None)
    }
}

fn wanted(request: usize, r: &RankRequest) -> impl Iterator<Item = Wanted<'_>> {
    r.candidates.iter().enumerate().map(move |(candidate, c)| Wanted {
        place: Place { request, candidate },
        text: c.document.model_text(),
        query: &r.query.text,
    })
}

impl Ranker for CrossEncoder {
    fn name(&self) -> &str {
        "cross-encoder"
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let too_long = |r: &RankRequest| self.too_long(r);
        rank_together(self.name(), &self.settings, requests, too_long, |r| self.score(r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_lm::decoder::PAIR_PROMPTS;

    #[test]
    fn every_prompt_of_the_engine_can_be_chosen() {
        let OptionKind::Choice(names) = PROMPT.kind else { panic!("a choice") };
        assert_eq!(names, PAIR_PROMPTS.map(|prompt| prompt.name));
        for prompt in PAIR_PROMPTS {
            assert!(PROMPT.help.contains(prompt.models), "{}", prompt.models);
        }
    }
}
