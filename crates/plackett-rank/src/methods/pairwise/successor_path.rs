//! TSPRank with a model that was trained to give scores of succession: the whole list goes to it, and the best path through what
//! comes back is the order.

use super::aggregate::{path_problem, solved};
use crate::PLACES;
use crate::batch::{Account, Settings, rank_together};
use crate::long_text::LongText;
use crate::method::{Build, MethodError};
use crate::model::{SuccessorAnswer, SuccessorScorer};
use crate::ranker::{RankError, Ranker};
use crate::reading::{has_words, too_long};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use std::sync::Arc;

/// Reranks by the best path.
pub(super) struct SuccessorPath {
    name: &'static str,
    model: Arc<dyn SuccessorScorer>,
    settings: Settings,
}

impl SuccessorPath {
    /// A ranker over such a model.
    ///
    /// # Errors
    /// Options of prompts, which it does not read; long texts in pieces.
    pub(super) fn new(build: Build, model: Arc<dyn SuccessorScorer>) -> Result<SuccessorPath, MethodError> {
        if let Some(option) = build.spec.options.iter().find(|option| build.options.is_given(option.name)) {
            let problem = format!(
                "{} is for models that are asked with prompts, and this one scores whole lists; leave it out",
                option.name
            );
            return Err(build.options.problem(problem).into());
        }
        if let LongText::Chunks(_) = build.settings.long_text {
            let problem =
                "each document is one item of the path and not read in pieces; use truncate or refuse";
            return Err(MethodError::Settings { method: build.spec.name, problem: problem.into() });
        }
        Ok(SuccessorPath { name: build.spec.name, model, settings: build.settings })
    }

    fn score_request(&self, request: &RankRequest) -> Result<Account, LmError> {
        let mut account = Account::new(request, false);
        account.trace.facts.extend(self.model.facts());
        let texts: Vec<_> =
            request.candidates.iter().map(|candidate| candidate.document.model_text()).collect();
        let mut read = Vec::with_capacity(texts.len());
        for (candidate, text) in texts.iter().enumerate() {
            match has_words(self.model.as_ref(), text)? {
                true => read.push(candidate),
                false => account.empty.push(candidate),
            }
        }
        if let Some(problem) = path_problem(read.len()) {
            return Err(self.failed(problem));
        }
        let given: Vec<&str> = read.iter().map(|candidate| texts[*candidate].as_ref()).collect();
        let SuccessorAnswer { scores, documents, query } =
            self.model.successor_scores(&request.query.text, &given)?;
        let (order, facts) = solved(read.len(), scores).map_err(|error| self.failed(error.to_string()))?;
        account.enter_query(&request.query.id, query);
        for (candidate, length) in read.iter().zip(documents) {
            account.enter(&request.candidates[*candidate].document.id, &[length], true);
        }
        for (place, item) in order.items().iter().enumerate() {
            account.scores[read[*item]] = (read.len() - place) as f64;
        }
        account.trace.facts.push(("scores".into(), PLACES.into()));
        account.trace.facts.extend(facts);
        Ok(account)
    }

    fn failed(&self, reason: String) -> LmError {
        LmError::Unsupported { model: self.model.name().into(), wanted: "order the list".into(), reason }
    }
}

impl Ranker for SuccessorPath {
    fn name(&self) -> &str {
        self.name
    }

    fn rank(&self, requests: &[RankRequest]) -> Vec<Result<Ranking, RankError>> {
        let score = |requests: &[&RankRequest]| {
            let mut accounts = Vec::with_capacity(requests.len());
            for (done, request) in requests.iter().enumerate() {
                accounts.push(self.score_request(request)?);
                self.settings.report(done + 1, requests.len());
            }
            Ok(accounts)
        };
        let too_long = |request: &RankRequest| too_long(self.model.as_ref(), request);
        rank_together(self.name, &self.settings, requests, too_long, score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Budget, Probe};
    use crate::method::MethodSpec;
    use crate::methods::tests::{ids, request};
    use crate::model::{Abilities, Role, TextLength, TextModel};
    use std::ops::Range;

    /// A document that begins with n comes best right after one that begins with n − 1.
    struct Chain;

    impl TextModel for Chain {
        fn name(&self) -> &str {
            "chain"
        }

        fn max_tokens(&self) -> usize {
            4
        }

        fn overhead(&self, _: Role) -> Result<usize, LmError> {
            Ok(0)
        }

        fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
            let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
            Ok(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect())
        }
    }

    fn length(text: &str) -> TextLength {
        let tokens = text.split_whitespace().count();
        TextLength { tokens, kept: tokens.min(4), estimated: false }
    }

    impl SuccessorScorer for Chain {
        fn successor_scores(&self, query: &str, documents: &[&str]) -> Result<SuccessorAnswer, LmError> {
            let number = |text: &str| text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
            let numbers: Vec<f64> = documents.iter().map(|text| number(text).unwrap_or(f64::NAN)).collect();
            let score = |(i, j): (f64, f64)| if (j - i - 1.0).abs() < 1e-9 { 1.0 } else { 0.0 * (i + j) };
            let pairs = numbers.iter().flat_map(|i| numbers.iter().map(|j| (*i, *j)));
            Ok(SuccessorAnswer {
                scores: pairs.map(score).collect(),
                documents: documents.iter().map(|text| length(text)).collect(),
                query: length(query),
            })
        }
    }

    impl Abilities for Chain {
        fn model_name(&self) -> String {
            "chain".into()
        }

        fn successor_scorer(self: Arc<Self>) -> Option<Arc<dyn SuccessorScorer>> {
            Some(self)
        }
    }

    fn ranker(options: &[(&str, &str)], settings: Settings) -> Result<Arc<dyn Ranker>, MethodError> {
        let spec = MethodSpec::find("tsprank").unwrap();
        spec.ranker(Arc::new(Chain), spec.values(options.iter().copied()).unwrap(), settings)
    }

    #[test]
    fn the_best_path_through_the_models_scores_is_the_order() {
        let request = request("why", &["3 a b c d", "1", " ", "4", "2"]);
        let ranking = ranker(&[], Settings::default()).unwrap().rank(&[request]).remove(0).unwrap();
        assert_eq!(ids(&ranking), ["d1", "d4", "d0", "d3", "d2"]);
        // A query and four documents, of which one has five words and four are read.
        assert_eq!((ranking.trace.passes, ranking.trace.prompt_tokens), (5, 8));
        assert_eq!(ranking.trace.truncated.len(), 1);
        let fact = |name: &str| ranking.trace.facts.iter().find(|(own, _)| own == name);
        assert_eq!(fact("path-value").map(|(_, value)| value.as_str()), Some("3"));
        assert!(fact("scores").is_some() && fact("path-gap").is_none(), "{:?}", ranking.trace.facts);
    }

    /// A word for the query and one for each document: n candidates are n + 1 calls and tokens, and not the n (n − 1) of prompts.
    #[test]
    fn a_budget_counts_texts_and_not_pairs() {
        let numbers: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let request = request("why", &numbers.iter().map(String::as_str).collect::<Vec<_>>());
        let method = MethodSpec::find("tsprank").unwrap();
        let probe = Probe { method, model: Arc::new(Chain), written: &[], settings: Settings::default() };
        let choice = probe.choose(&[&request], &Budget { tokens: Some(13), seconds: None }).unwrap();
        assert_eq!((choice.depth, choice.calls, choice.expected.tokens), (12, 13, 13.0));
    }

    #[test]
    fn what_has_no_effect_or_no_path_is_refused() {
        let refused = ranker(&[("words", "3")], Settings::default()).err().unwrap().to_string();
        assert!(refused.contains("words is for models that are asked with prompts"), "{refused}");
        let refuse = Settings { long_text: LongText::Refuse, ..Settings::default() };
        let rank = |settings: Settings, texts: &[&str]| {
            let ranker = ranker(&[], settings).unwrap();
            ranker.rank(&[request("why", texts)]).remove(0).unwrap_err().to_string()
        };
        assert!(rank(refuse, &["1 2 3 4 5", "2"]).contains("document `d0` has 5 tokens"));
        assert!(rank(Settings::default(), &["1", "x"]).contains("scores must be finite"));
        let many: Vec<String> = (0..301).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(rank(Settings::default(), &many).contains("301 candidates is not searched"));
    }
}
