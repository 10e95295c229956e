//! Lists of a stage as what a decoder reads and has to write, in the prompts of a listwise method.

use super::dataset::seed_of;
use super::error::StageError;
use super::kind::{dataset_of, rankings_of};
use super::task::Task;
use plackett_core::pipeline::{Pipeline, Stage};
use plackett_core::{Document, Query, RankRequest};
use plackett_rank::MethodSpec;
use plackett_rank::lesson::{LessonError, ListLesson, ListTeacher};
use plackett_train::random::Stream;
use plackett_train::trainer::ListExample;

/// Makes lessons for the fields `method`, `depth` and `seed` of a stage.
pub struct Lessons<'t> {
    task: &'t Task<'t>,
    teacher: ListTeacher,
}

/// Lists as they are taught.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taught {
    /// Those that can be.
    pub lists: Vec<ListExample>,
    /// Those with fewer than two passages.
    short: usize,
    /// Passages and queries that were cut to fit their prompts.
    cut: usize,
}

impl Taught {
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
}

/// The listwise method of an expression, and its options as they are written.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn method_of(expression: &str) -> Result<(&'static MethodSpec, Vec<(String, String)>), String> {
    let parsed: Pipeline =
        expression.parse().map_err(|error: plackett_core::pipeline::ParseError| error.to_string())?;
    let [stage] = &parsed.stages[..] else {
        return Err("one method is expected, without `>>`".into());
    };
    let Stage { name, options, inputs, depth } = stage;
    if !inputs.is_empty() || depth.is_some() {
        return Err("a listwise method with options is expected, as `first(words=20)`; `depth` says how many candidates there are".into());
    }
    let method = MethodSpec::find(name).map_err(|error| error.to_string())?;
    if options.iter().any(|(name, _)| name == "model") {
        return Err("the model is named in the field `model`".into());
    }
    method
        .values(options.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        .map_err(|error| error.to_string())?;
    Ok((method, options.clone()))
}

impl<'t> Lessons<'t> {
    /// For a model of a name or folder.
    ///
    /// # Errors
    /// A model that cannot be opened or reads no prompts, or a method that cannot be taught.
    pub fn new(task: &'t Task<'t>, model: &str) -> Result<Lessons<'t>, StageError> {
        let wrong = |field, problem: String| StageError::Field { field, problem };
        let opened = task.surroundings.models(Some(model)).reranker(None)?;
        let language = opened.language_model().map_err(|problem| wrong("model", problem))?;
        let (method, options) =
            method_of(task.values.word("method")).map_err(|problem| wrong("method", problem))?;
        let options: Vec<(&str, &str)> =
            options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let teacher = ListTeacher::new(language, method, &options)
            .map_err(|error| wrong("method", error.to_string()))?;
        Ok(Lessons { task, teacher })
    }

    /// The lists of a stage, each shown in so many drawn orders; its own order is the one that is taught.
    ///
    /// # Errors
    /// The collection cannot be read, or a list cannot be taught with this method and model.
    pub fn of(&self, stage: &str, orders: usize) -> Result<Taught, StageError> {
        let task = self.task;
        let (rankings, dataset) = (rankings_of(task, stage)?, dataset_of(task, stage)?);
        let most = Some(task.values.count("depth")).filter(|&depth| depth > 0).unwrap_or(usize::MAX);
        let entries = rankings.iter().flat_map(|ranking| ranking.entries.iter().take(most));
        let documents = dataset.documents(entries.map(|entry| entry.id.as_str()))?;
        let mut taught = Taught::default();
        for (nth, (query, ranking)) in dataset.queries.iter().zip(&rankings).enumerate() {
            (task.progress)("prompts", nth as u64, rankings.len() as u64);
            let best = ranking.entries.iter().take(most);
            let best: Vec<&Document> = best.filter_map(|entry| documents.get(&entry.id)).collect();
            if best.len() < 2 {
                taught.short += 1;
                continue;
            }
            for round in 0..orders {
                let seed = seed_of(task.values.count("seed") as u64, &query.id);
                let drawn = Stream::new(seed, round as u64).permutation(best.len());
                let (example, cut) =
                    self.lesson(query, &best, &drawn).map_err(|error| StageError::Field {
                        field: "candidates",
                        problem: format!("query `{}`: {error}", query.id),
                    })?;
                taught.cut += cut;
                taught.lists.push(example);
            }
        }
        Ok(taught)
    }

    /// A list whose passages, the best first, are shown in the order of their places in `shown`; and how many texts were cut.
    fn lesson(
        &self,
        query: &Query,
        best: &[&Document],
        shown: &[usize],
    ) -> Result<(ListExample, usize), LessonError> {
        let request = RankRequest::new(query.clone(), shown.iter().map(|rank| best[*rank].clone()));
        let mut order = vec![0; shown.len()];
        shown.iter().enumerate().for_each(|(place, rank)| order[*rank] = place);
        let ListLesson { prompt, answer, ranks, labels, opening, cut } =
            self.teacher.lesson(&request, &order)?;
        Ok((ListExample { name: query.id.clone(), prompt, answer, ranks, labels, opening, order }, cut))
    }

    /// Checks that another model reads and writes the same tokens: one that was trained and saved, so that it is asked what
    /// it has learned.
    ///
    /// # Errors
    /// It does not.
    pub fn check_same(&self, other: &Lessons<'_>) -> Result<(), StageError> {
        let query = Query::new("q", "Which of these is [1] the oldest, or the best?");
        let texts = ["An old house of 1881 [A].", "A ship’s bell;  it rings twice."];
        let documents: Vec<Document> =
            texts.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text)).collect();
        let best: Vec<&Document> = documents.iter().collect();
        let of = |lessons: &Lessons<'_>| {
            lessons.lesson(&query, &best, &[1, 0]).map_err(|error| StageError::Simulation(error.to_string()))
        };
        match of(self)? == of(other)? {
            true => Ok(()),
            false => Err(StageError::Simulation(
                "the model that was saved splits prompts into other tokens than the one that it was made from, so that it would \
                 not be asked what it has learned; report this, with the name of the model"
                    .into(),
            )),
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
            ("first(model=x)", "field `model`"),
            ("first(wrods=2)", "wrods"),
        ] {
            let message = method_of(text).unwrap_err();
            assert!(message.contains(problem), "{text}: {message}");
        }
    }
}
