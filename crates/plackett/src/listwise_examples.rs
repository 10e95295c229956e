//! Lists as what a decoder reads and has to write, in the prompts of a listwise method: for `plackett train` and for recipes.

use crate::pipeline::{ModelError, Models};
use plackett_core::pipeline::{ParseError, Pipeline, Stage};
use plackett_core::{Document, Query, RankRequest};
use plackett_lm::sha256::Sha256;
use plackett_rank::method::OptionKind;
use plackett_rank::training_example::{ListwiseExample, ListwiseExampleBuilder, TrainingExampleError};
use plackett_rank::{Abilities, MethodSpec, Ranker, Settings};
use plackett_train::random::Stream;
use plackett_train::trainer::ListExample;
use std::sync::Arc;

/// A method with its options as they are written.
type Configured = (&'static MethodSpec, Vec<(String, String)>);

/// Makes a reasoning of a query, its passages as they are shown, and their places, the best first.
pub type Reasoner = fn(&str, &[&str], &[usize]) -> String;

/// Why lists cannot be taught.
#[derive(Debug, thiserror::Error)]
pub enum ListwiseExamplesError {
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The method or the model is none that lists can be taught with.
    #[error("{field}: {problem}")]
    Field {
        /// `method` or `model`.
        field: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// One list.
    #[error("{name}: {problem}")]
    List {
        /// The id of its query.
        name: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A model that was trained is not asked what it has learned.
    #[error(
        "the model that was saved splits prompts into other tokens than the one that it was made from, so that it would not be \
         asked what it has learned; report this, with the name of the model"
    )]
    OtherTokens,
}

/// Makes examples for one model and one method.
pub struct ListwiseExamples {
    teacher: ListwiseExampleBuilder,
    model: Arc<dyn Abilities>,
    method: Configured,
}

/// Lists as they are taught.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListwiseTrainingSet {
    /// Those that can be.
    pub lists: Vec<ListExample>,
    /// Those with fewer than two passages.
    pub short: usize,
    /// Passages and queries that were cut to fit their prompts.
    pub cut: usize,
}

impl ListwiseTrainingSet {
    /// What is to be said of them.
    pub fn remarks(&self, what: &str) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.short > 0 {
            remarks.push(format!(
                "{what}: {} with fewer than two passages teach nothing and are left out",
                self.short
            ));
        }
        if self.cut > 0 {
            let count = self.lists.len();
            remarks.push(format!(
                "{what}: {} texts of {count} lists were cut, as the method cuts them",
                self.cut
            ));
        }
        remarks
    }

    /// SHA-256 of all tokens that are read and written: it changes with the prompt of the method, too.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for list in &self.lists {
            for part in [&list.prompt, &list.answer] {
                hash.update((part.len() as u64).to_le_bytes());
                part.iter().for_each(|token| hash.update(token.to_le_bytes()));
            }
        }
        hash.hex_digest()
    }
}

/// The method of an expression, and its options as they are written.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn method_of(expression: &str) -> Result<Configured, String> {
    let parsed: Pipeline = expression.parse().map_err(|error: ParseError| error.to_string())?;
    let [stage] = &parsed.stages[..] else {
        return Err("one method is expected, without `>>`".into());
    };
    let Stage { name, options, inputs, depth } = stage;
    if !inputs.is_empty() || depth.is_some() {
        return Err(
            "a method with options is expected, as `first(words=20)`, without a depth or stages in it".into(),
        );
    }
    let method = MethodSpec::find(name).map_err(|error| error.to_string())?;
    if options.iter().any(|(name, _)| name == "model") {
        return Err("leave its option `model` out; the model has a key or a flag of its own".into());
    }
    method.values(written(options)).map_err(|error| error.to_string())?;
    Ok((method, options.clone()))
}

/// The objective of a method's own paper: monoT5's, or the best of RankT5's; of methods of lists FIRST's where labels are read at the
/// first token, else FullRank's.
pub fn usual_objective(method: &MethodSpec) -> &'static str {
    match method.name {
        "mono-t5" => return "language",
        "rank-t5" => return "softmax-cross-entropy",
        _ => {}
    }
    let reads_labels = method.options.iter().any(|option| {
        option.name == "mode" && matches!(option.kind, OptionKind::Choice(modes) if modes.contains(&"logits"))
    });
    if reads_labels { "language + 10*weighted-ranknet" } else { "importance-aware" }
}

fn written(options: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    options.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Passages, the best first, as they are shown: in the order of their places in `shown`.
pub fn request_of(query: &Query, best: &[&Document], shown: &[usize]) -> RankRequest {
    RankRequest::new(query.clone(), shown.iter().map(|rank| best[*rank].clone()))
}

/// For each rank the place of its passage, of the ranks in the order in which they are shown.
fn places_of(shown: &[usize]) -> Vec<usize> {
    let mut places = vec![0; shown.len()];
    shown.iter().enumerate().for_each(|(place, rank)| places[*rank] = place);
    places
}

/// The order in which so many passages are shown in a round of a seed.
pub fn drawn_order(count: usize, seed: u64, round: usize) -> Vec<usize> {
    Stream::new(seed, round as u64).permutation(count)
}

impl ListwiseExamples {
    /// For the model of a name or folder, or the default one.
    ///
    /// # Errors
    /// A model that cannot be opened or reads no prompts, or a method that cannot be taught.
    pub fn new(
        models: &Models,
        model: Option<&str>,
        method: &str,
    ) -> Result<ListwiseExamples, ListwiseExamplesError> {
        let wrong = |field, problem: String| ListwiseExamplesError::Field { field, problem };
        let model = models.reranker(model)?;
        let language = model.clone().language_model().map_err(|problem| wrong("model", problem))?;
        let (spec, options) = method_of(method).map_err(|problem| wrong("method", problem))?;
        let given: Vec<(&str, &str)> = written(&options).collect();
        let teacher = ListwiseExampleBuilder::new(language, spec, &given)
            .map_err(|error| wrong("method", error.to_string()))?;
        Ok(ListwiseExamples { teacher, model, method: (spec, options) })
    }

    /// The method over the model, as it ranks.
    ///
    /// # Errors
    /// They do not go together.
    pub fn ranker(&self) -> Result<Arc<dyn Ranker>, ListwiseExamplesError> {
        let (method, options) = &self.method;
        let wrong = |problem: String| ListwiseExamplesError::Field { field: "method", problem };
        let values = method.values(written(options)).map_err(|error| wrong(error.to_string()))?;
        method
            .ranker(self.model.clone(), values, Settings::default())
            .map_err(|error| wrong(error.to_string()))
    }

    /// What is to be said of lists with more tokens before their order than the method lets a model write there.
    pub fn long_reasonings(&self, taught: &ListwiseTrainingSet) -> Option<String> {
        let (method, options) = &self.method;
        let values = method.values(written(options)).ok().filter(|_| self.teacher.reasons())?;
        let most = values.get_count("max-tokens")?;
        let before = |list: &ListExample| list.ranks.iter().take_while(|rank| rank.is_none()).count();
        let longer: Vec<usize> = taught.lists.iter().map(before).filter(|tokens| *tokens > most).collect();
        let longest = longer.iter().max()?;
        Some(format!(
            "{} of {} lists have more tokens before their order than max-tokens={most} lets the model write there, so that it will be \
             cut off while it reasons; give the method max-tokens={longest}",
            longer.len(),
            taught.lists.len()
        ))
    }

    /// Adds a list to those that are taught, shown in so many orders that follow from the seed. The order of `best` is the one
    /// that is taught, after what the `reasoner` makes of it, where the method reasons.
    ///
    /// # Errors
    /// It cannot be taught with this method and model.
    pub fn teach(
        &self,
        (query, best): (&Query, &[&Document]),
        (seed, orders): (u64, usize),
        reasoner: Option<Reasoner>,
        taught: &mut ListwiseTrainingSet,
    ) -> Result<(), ListwiseExamplesError> {
        if best.len() < 2 {
            taught.short += 1;
            return Ok(());
        }
        for round in 0..orders {
            let shown = drawn_order(best.len(), seed, round);
            let reasoning = reasoner.map(|reasoner| {
                let texts: Vec<_> = shown.iter().map(|rank| best[*rank].model_text()).collect();
                let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
                reasoner(&query.text, &texts, &places_of(&shown))
            });
            self.add((query, best), (&shown, reasoning.as_deref()), taught)?;
        }
        Ok(())
    }

    /// The same for a list with a reasoning, which is shown as the reasoning has seen it: in the order of the ranks `shown`.
    ///
    /// # Errors
    /// As [`ListwiseExamples::teach`].
    pub fn teach_reasoned(
        &self,
        list: (&Query, &[&Document]),
        (shown, reasoning): (&[usize], &str),
        taught: &mut ListwiseTrainingSet,
    ) -> Result<(), ListwiseExamplesError> {
        self.add(list, (shown, Some(reasoning)), taught)
    }

    fn add(
        &self,
        (query, best): (&Query, &[&Document]),
        (shown, reasoning): (&[usize], Option<&str>),
        taught: &mut ListwiseTrainingSet,
    ) -> Result<(), ListwiseExamplesError> {
        let (example, cut) = self.example((query, best), shown, reasoning).map_err(|error| {
            ListwiseExamplesError::List { name: query.id.clone(), problem: error.to_string() }
        })?;
        taught.cut += cut;
        taught.lists.push(example);
        Ok(())
    }

    /// A list as it is shown, and how many texts were cut.
    fn example(
        &self,
        (query, best): (&Query, &[&Document]),
        shown: &[usize],
        reasoning: Option<&str>,
    ) -> Result<(ListExample, usize), TrainingExampleError> {
        let (request, order) = (request_of(query, best, shown), places_of(shown));
        let ListwiseExample { prompt, answer, ranks, labels, opening, cut } = match reasoning {
            Some(reasoning) => self.teacher.reasoned_example(&request, &order, reasoning)?,
            None => self.teacher.example(&request, &order)?,
        };
        Ok((ListExample { name: query.id.clone(), prompt, answer, ranks, labels, opening, order }, cut))
    }

    /// Checks that another model reads and writes the same tokens: one that was trained and saved, so that it is asked what
    /// it has learned.
    ///
    /// # Errors
    /// It does not.
    pub fn check_same(&self, other: &ListwiseExamples) -> Result<(), ListwiseExamplesError> {
        let query = Query::new("q", "Which of these is [1] the oldest, or the best?");
        let texts = ["An old house of 1881 [A].", "A ship’s bell;  it rings twice."];
        let documents: Vec<Document> =
            texts.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text)).collect();
        let best: Vec<&Document> = documents.iter().collect();
        let reasoning = self.teacher.reasons().then_some("The first one [1] is of 1881.");
        let of = |examples: &ListwiseExamples| {
            examples
                .example((&query, &best), &[1, 0], reasoning)
                .map_err(|error| ListwiseExamplesError::Field { field: "method", problem: error.to_string() })
        };
        match of(self)? == of(other)? {
            true => Ok(()),
            false => Err(ListwiseExamplesError::OtherTokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_one_stage_with_options() {
        let (method, options) = method_of("first(words=20)").unwrap();
        assert_eq!((method.name, options), ("first", vec![("words".to_string(), "20".to_string())]));
        for (text, problem) in [
            ("first >> full-rank", "without `>>`"),
            ("first:10", "depth"),
            ("frist", "first"),
            ("first(model=x)", "option `model`"),
            ("first(wrods=2)", "wrods"),
        ] {
            let message = method_of(text).unwrap_err();
            assert!(message.contains(problem), "{text}: {message}");
        }
    }

    #[test]
    fn objectives_are_those_of_the_papers() {
        let of = |method: &str| usual_objective(method_of(method).unwrap().0);
        assert_eq!(of("first"), "language + 10*weighted-ranknet");
        assert_eq!(of("full-rank"), "importance-aware");
        assert_eq!((of("mono-t5"), of("rank-t5")), ("language", "softmax-cross-entropy"));
    }

    #[test]
    fn fingerprints_tell_where_prompts_end() {
        let of = |prompt: &[u32], answer: &[u32]| {
            let list =
                ListExample { prompt: prompt.to_vec(), answer: answer.to_vec(), ..ListExample::default() };
            ListwiseTrainingSet { lists: vec![list], ..ListwiseTrainingSet::default() }.fingerprint()
        };
        assert_eq!(of(&[1, 2], &[3]), of(&[1, 2], &[3]));
        assert_ne!(of(&[1, 2], &[3]), of(&[1], &[2, 3]));
    }
}
