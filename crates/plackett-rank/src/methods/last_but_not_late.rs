//! Many documents and the query in one prompt, compared by what the model has understood at the end of each (Wang, Li and
//! Xiao, jina-reranker-v3: Last but Not Late Interaction for Document Reranking, 2025).

use crate::batch::{Account, Settings, rank_together};
use crate::long_text::LongText;
use crate::method::{Calls, Family, MethodError, MethodSpec, OptionKind, OptionSpec};
use crate::model::{ListScorer, Need};
use crate::ranker::{RankError, Ranker};
use crate::reading::{beyond, has_words, refusal};
use plackett_core::{RankRequest, Ranking};
use plackett_lm::LmError;
use std::sync::Arc;

/// The declaration.
pub(crate) static SPEC: MethodSpec = MethodSpec {
    name: "last-but-not-late",
    aliases: &["jina-v3"],
    family: Family::Listwise,
    gives_scores: |_| true,
    paper: "Wang, Li and Xiao, jina-reranker-v3: Last but Not Late Interaction for Document Reranking, 2025",
    summary: "Reads many documents and then the query in one prompt, and compares the states after each of them.",
    needs: |_| vec![Need::ListScores],
    options: &[BLOCK],
    calls: Calls {
        formula: "⌈N / block⌉",
        count: Some(|n, options| n.div_ceil(options.count("block").max(1)) as u64),
    },
    prompts: &[],
    build: |build| {
        if let LongText::Chunks(_) = build.settings.long_text {
            let problem = "long documents are cut to what the model reads or refused, not read in pieces; use truncate or refuse";
            return Err(MethodError::Settings { method: build.spec.name, problem: problem.into() });
        }
        let block = build.options.count("block");
        Ok(Arc::new(LastButNotLate { model: build.list_scorer()?, settings: build.settings, block }))
    },
};

const BLOCK: OptionSpec = OptionSpec {
    name: "block",
    kind: OptionKind::Integer(1, 10_000),
    default: Some("125"),
    help: "documents in one prompt; fewer where the model's context has no room for more, which the trace says in `passes`",
};

/// Reranks by cosines of states of one prompt. Documents see those before them, so their order can matter.
struct LastButNotLate {
    model: Arc<dyn ListScorer>,
    settings: Settings,
    block: usize,
}

impl LastButNotLate {
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
        let given: Vec<&str> = read.iter().map(|candidate| texts[*candidate].as_ref()).collect();
        let answer = self.model.score_list(&request.query.text, &given, self.block)?;
        account.trace.passes += answer.passes as u64;
        account.trace.prompt_tokens += answer.tokens as u64;
        if let Some(length) = answer.query {
            account.enter_cut(&request.query.id, length, true);
        }
        for ((candidate, score), length) in read.iter().zip(&answer.scores).zip(&answer.documents) {
            account.scores[*candidate] = *score;
            account.enter_cut(&request.candidates[*candidate].document.id, *length, false);
        }
        Ok(account)
    }

    /// The first text of a request of which the model would read the beginning only.
    fn too_long(&self, request: &RankRequest) -> Result<Option<String>, LmError> {
        let model = self.model.as_ref();
        if request.candidates.is_empty() {
            return Ok(None);
        }
        let (query_room, room) = (model.query_tokens(), model.document_tokens());
        if let Some(count) = beyond(model, &request.query.text, query_room)? {
            return Ok(Some(refusal("the query", count, query_room)));
        }
        for candidate in &request.candidates {
            if let Some(count) = beyond(model, &candidate.document.model_text(), room)? {
                return Ok(Some(refusal(&format!("document `{}`", candidate.document.id), count, room)));
            }
        }
        Ok(None)
    }
}

impl Ranker for LastButNotLate {
    fn name(&self) -> &str {
        SPEC.name
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
        rank_together(self.name(), &self.settings, requests, |request| self.too_long(request), score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::MethodSpec;
    use crate::methods::tests::{ids, request};
    use crate::model::{Abilities, ListAnswer, Role, TextLength, TextModel};
    use crate::testing::ScriptedModel;
    use std::ops::Range;
    use std::sync::Mutex;

    /// Scores a document by its number of words; reads three words of each, and one of the query.
    #[derive(Default)]
    struct Words {
        calls: Mutex<Vec<(usize, usize)>>,
    }

    impl TextModel for Words {
        fn name(&self) -> &str {
            "words"
        }

        fn max_tokens(&self) -> usize {
            100
        }

        fn overhead(&self, _: Role) -> Result<usize, LmError> {
            Ok(0)
        }

        fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
            let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
            Ok(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect())
        }
    }

    fn length(text: &str, most: usize) -> TextLength {
        let tokens = text.split_whitespace().count();
        TextLength { tokens, kept: tokens.min(most), estimated: false }
    }

    impl ListScorer for Words {
        fn query_tokens(&self) -> usize {
            1
        }

        fn document_tokens(&self) -> usize {
            3
        }

        fn score_list(&self, query: &str, documents: &[&str], block: usize) -> Result<ListAnswer, LmError> {
            self.calls.lock().unwrap().push((documents.len(), block));
            Ok(ListAnswer {
                scores: documents.iter().map(|text| text.split_whitespace().count() as f64).collect(),
                documents: documents.iter().map(|text| length(text, 3)).collect(),
                query: Some(length(query, 1)),
                passes: documents.len().div_ceil(block),
                tokens: 7 * documents.len(),
            })
        }
    }

    struct Model(Arc<Words>);

    impl Abilities for Model {
        fn model_name(&self) -> String {
            "words".into()
        }

        fn list_scorer(self: Arc<Self>) -> Result<Arc<dyn ListScorer>, String> {
            Ok(self.0.clone())
        }
    }

    fn ranker(settings: Settings) -> Arc<dyn Ranker> {
        let spec = MethodSpec::find("jina-v3").unwrap();
        let options = spec.values([("block", "2")]).unwrap();
        spec.ranker(Arc::new(Model(Arc::new(Words::default()))), options, settings).unwrap()
    }

    #[test]
    fn lists_are_ranked_with_an_account() {
        let request = request("why", &["one", "", "one two three four", "one two"]);
        let ranking = ranker(Settings::default()).rank(&[request]).remove(0).unwrap();
        assert_eq!(ids(&ranking), ["d2", "d3", "d0", "d1"]);
        assert_eq!((ranking.trace.passes, ranking.trace.prompt_tokens), (2, 21));
        let cut: Vec<(&str, usize, usize)> =
            ranking.trace.truncated.iter().map(|cut| (cut.id.as_str(), cut.tokens, cut.kept)).collect();
        assert_eq!(cut, [("d2", 4, 3)]);
        // An empty document is said, and last.
        assert!(
            ranking.trace.facts.iter().any(|(name, _)| name.contains("empty")),
            "{:?}",
            ranking.trace.facts
        );
    }

    #[test]
    fn long_texts_can_be_refused_and_not_read_in_pieces() {
        let refuse = Settings { long_text: LongText::Refuse, ..Settings::default() };
        let refused = |query: &str, text: &str| {
            ranker(refuse.clone()).rank(&[request(query, &[text])]).remove(0).unwrap_err().to_string()
        };
        assert!(
            refused("why", "one two three four").contains("document `d0` has 4 tokens, the model reads 3")
        );
        assert!(refused("why so", "one").contains("the query has 2 tokens"));
    }

    #[test]
    fn another_model_is_refused_by_what_it_lacks() {
        let spec = MethodSpec::find("last-but-not-late").unwrap();
        let refused = spec.ranker(Arc::new(ScriptedModel::new()), spec.defaults(), Settings::default());
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("does not score lists") && error.contains("jina-reranker-v3"), "{error}");
        assert_eq!(spec.calls.count.map(|count| count(250, &spec.defaults())), Some(2));
    }
}
