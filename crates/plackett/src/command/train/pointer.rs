//! `plackett train` with a table `[pointer]`: questions with sides become vectors, and a small decoder learns to point at passages that cover
//! the sides together.

use super::base::{Base, FoundBase};
use super::file::TrainingFile;
use super::keys::{DEPTHS, Key, LAYERS, NEGATIVES, ORDERS, TOKENS, TRAINED, WINDOW};
use super::kind::{Form, Kind, Measured, Prepared, Run, Shared, Source, Training};
use crate::command::means::Change;
use crate::command::{Global, Output};
use anyhow::{Context, anyhow, bail};
use plackett::group_ranker::embedder;
use plackett::pipeline::Models;
use plackett::pointer_ranker::{read_question, silver_example};
use plackett_core::Document;
use plackett_core::formats::read_json_lines;
use plackett_rank::ask::{Aspect, AspectFileError, read_aspects};
use plackett_rank::model::TextEmbedder;
use plackett_train::TrainError;
use plackett_train::list_ranker::{ListRankerJob, SilverExample};
use plackett_train::trainer::{Outcome as Learned, VectorOrigin};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// Passages of a list that is learned, where nothing is said.
const USUAL_K: usize = 10;
/// The most passages of a list.
const MOST_K: usize = 1000;

/// The objective, which the table has the numbers of.
const OBJECTIVE: Key = Key { name: "objective", is_given: |file| file.objective.is_some() };
/// The table.
const POINTER: Key = Key { name: "[pointer]", is_given: |file| file.pointer.is_some() };
/// Lists in which nothing is chosen.
const UNUSABLE_K: Key = Key {
    name: "k",
    is_given: |file| file.pointer.as_ref().is_some_and(|table| !(1..=MOST_K).contains(&table.passages())),
};
/// Why keys of other trainings are refused.
const OF_OTHERS: &str = "is not for the training of a list ranker, which reads vectors of its base and all candidates; leave it out";

/// The kind.
pub const KIND: Kind = Kind {
    help: "With an embedding model as base and a table [pointer], a small decoder over its vectors learns to\n\
           point at passages that cover the sides of a question together (RichRAG). Its folder is for\n\
           `plackett ask --ranker pointer`; the table has k, disturb, temperature, width, heads, layers.",
    form: Form::Shared(Shared {
        takes: &[POINTER],
        refuses: &[
            (OBJECTIVE, "is that of RichRAG; the table [pointer] has its `disturb` and `temperature`"),
            (WINDOW, OF_OTHERS),
            (ORDERS, OF_OTHERS),
            (NEGATIVES, OF_OTHERS),
            (TOKENS, OF_OTHERS),
            (DEPTHS, OF_OTHERS),
            (LAYERS, OF_OTHERS),
            (TRAINED, OF_OTHERS),
            (UNUSABLE_K, "a whole number from 1 to 1000 is expected"),
        ],
        own: &[],
        keeps_memory_budget: true,
        training: &PointerTraining,
    }),
};

/// The shape of a list ranker, and what it learns; what is not said is as usual.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PointerShape {
    /// Passages of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<usize>,
    /// Weight of steps after random beginnings.
    #[serde(skip_serializing_if = "Option::is_none")]
    disturb: Option<f64>,
    /// What logits are divided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    /// Numbers of a state.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
    /// Heads of attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    heads: Option<usize>,
    /// Layers of the decoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<usize>,
}

impl PointerShape {
    /// Passages of a list.
    fn passages(&self) -> usize {
        self.k.unwrap_or(USUAL_K)
    }
}

struct PointerTraining;

impl Training for PointerTraining {
    fn is_asked(&self, file: &TrainingFile, _base: Option<Base>) -> bool {
        file.pointer.is_some()
    }

    fn check_method(&self, file: &TrainingFile, _base: Base) -> anyhow::Result<()> {
        match &file.method {
            Some(method) => bail!(
                "method = \"{method}\": a file with a table [pointer] trains a ranker of `plackett ask`; leave one of them out"
            ),
            None => Ok(()),
        }
    }

    fn fill(&self, _file: &mut TrainingFile) {}

    fn check(&self, file: &TrainingFile) -> Result<(), TrainError> {
        job(file).check()
    }

    fn find_base(&self, file: &TrainingFile, _global: &Global) -> anyhow::Result<FoundBase> {
        Ok(FoundBase::of_vectors(&file.base))
    }

    fn fingerprint(&self, file: &TrainingFile, _base: &FoundBase, global: &Global) -> anyhow::Result<String> {
        FoundBase::fingerprint_of_vectors(&file.base, global)
    }

    fn read(&self, source: &Source<'_>) -> anyhow::Result<Box<dyn Prepared>> {
        Ok(Box::new(PointerData::read(source)?))
    }
}

/// The training of a file.
fn job(file: &TrainingFile) -> ListRankerJob {
    let shape = file.pointer.clone().unwrap_or_default();
    let usual = ListRankerJob::default();
    ListRankerJob {
        width: shape.width.unwrap_or(usual.width),
        heads: shape.heads.unwrap_or(usual.heads),
        layers: shape.layers.unwrap_or(usual.layers),
        temperature: shape.temperature.map_or(usual.temperature, |temperature| temperature as f32),
        disturb: shape.disturb.unwrap_or(usual.disturb),
        settings: file.settings.clone(),
    }
}

/// A line of the examples.
#[derive(Deserialize)]
struct Line {
    question: String,
    aspects: Vec<Value>,
    candidates: Vec<Passage>,
}

/// A candidate of a line.
#[derive(Deserialize)]
struct Passage {
    #[serde(default)]
    title: String,
    text: String,
}

/// A question that is checked.
struct Question {
    /// Its line, from 1.
    line: u64,
    text: String,
    aspects: Vec<Aspect>,
    documents: Vec<Document>,
}

/// What a ranker learns from and is measured on.
struct PointerData {
    job: ListRankerJob,
    objective: String,
    origin: VectorOrigin,
    taught: Vec<SilverExample>,
    held: Vec<SilverExample>,
    cut: usize,
}

impl PointerData {
    /// Reads questions and makes vectors of their texts; says how many were cut, and of how many sides no answer is known.
    ///
    /// # Errors
    /// A line from which no list can be learned, or lines that all teach nothing; a model that gives no vectors.
    fn read(source: &Source<'_>) -> anyhow::Result<PointerData> {
        let (file, output) = (source.file, source.output);
        let questions = read(source.examples)?;
        let held = source.validation.map(read).transpose()?.unwrap_or_default();
        let model = embedder(&Models::new(None, source.global.models()), &file.base)?;
        let (name, fingerprint) = (Models::lasting_name(&file.base), source.fingerprint.to_string());
        let bar = output.progress("vectors", (questions.len() + held.len()) as u64);
        let job = job(file);
        let mut data = PointerData {
            objective: job.objective(),
            job,
            origin: VectorOrigin { name, fingerprint },
            taught: Vec::new(),
            held: Vec::new(),
            cut: 0,
        };
        let k = file.pointer.as_ref().map_or(USUAL_K, PointerShape::passages);
        for question in &questions {
            let example = data.example(model.as_ref(), question, k)?;
            data.taught.push(example);
            bar.inc(1);
        }
        for question in &held {
            let example = data.example(model.as_ref(), question, k)?;
            data.held.push(example);
            bar.inc(1);
        }
        bar.finish_and_clear();
        let idle = data.job.idle(&data.taught).with_context(|| source.examples.display().to_string())?;
        if let Some(first) = idle.first() {
            output.warn(&format!(
                "{} of {} lists can teach nothing, the first is {first}: all candidates of such a list cover its sides alike",
                idle.len(),
                data.taught.len()
            ));
        }
        data.remark(questions.iter().chain(&held), output);
        Ok(data)
    }

    /// The vectors of a question, and its silver list.
    fn example(
        &mut self,
        model: &dyn TextEmbedder,
        question: &Question,
        k: usize,
    ) -> anyhow::Result<SilverExample> {
        let Question { line, text, aspects, documents } = question;
        let documents: Vec<&Document> = documents.iter().collect();
        let name = format!("line {line}");
        let (read, trace) = read_question(model, (&name, text), aspects, &documents)?;
        self.cut += trace.truncated.len();
        Ok(silver_example(read, aspects, &documents, k)?)
    }

    fn remark<'q>(&self, questions: impl Iterator<Item = &'q Question>, output: &Output) {
        if self.cut > 0 {
            output.warn(&format!("{} texts are longer than the base reads and were cut", self.cut));
        }
        let sides: Vec<&Aspect> = questions.flat_map(|question| &question.aspects).collect();
        let unknown = sides.iter().filter(|side| side.answer.is_none()).count();
        if unknown > 0 {
            output.warn(&format!(
                "{unknown} of {} aspects have no `answer`, so that a passage covers them by the words that it has in common with the aspect \
                 itself",
                sides.len()
            ));
        }
    }
}

impl Prepared for PointerData {
    fn model(&self) -> &'static str {
        "list ranker"
    }

    fn does(&self) -> String {
        "It points at passages, one after another, so that they cover the sides of a question together."
            .into()
    }

    fn next(&self, model: &str) -> String {
        format!("ask INDEX \"a broad question\" --ranker pointer --ranker-model {model}")
    }

    fn count(&self) -> ([&'static str; 2], usize) {
        (["query", "queries"], self.taught.len())
    }

    fn learns(&self) -> (&'static str, &str) {
        ("lists", self.objective.as_str())
    }

    fn learn(&self, run: Run<'_>) -> anyhow::Result<(Learned, Measured)> {
        let Run { places, identity, compute, progress, .. } = run;
        let examples = (&self.taught[..], &self.held[..]);
        let (outcome, divs) = self.job.run(examples, &self.origin, places, identity, compute, progress)?;
        let div = divs.map(|[before, after]| Change::of_pairs(&before, &after));
        Ok((outcome, Measured { div, ..Measured::default() }))
    }

    fn tell(&self, measured: &Measured, document: &mut Value) {
        document["cut"] = self.cut.into();
        document["div"] = json!(measured.div.as_ref().map(|div| [div.before, div.after]));
        document["div_change"] = json!(measured.div);
    }
}

/// Questions of a file.
fn read(path: &Path) -> anyhow::Result<Vec<Question>> {
    let expected = "{\"question\": …, \"aspects\": […], \"candidates\": [{\"title\": …, \"text\": …}, …]}";
    let lines = read_json_lines::<Line>(path, usize::MAX, expected)?;
    if lines.is_empty() {
        bail!("{}: there is no example in it", path.display());
    }
    let checked = |(at, line): (u64, Line)| {
        question(at, line).with_context(|| format!("{}, line {at}", path.display()))
    };
    lines.into_iter().map(checked).collect()
}

/// A line as a question.
///
/// # Errors
/// It asks nothing, has no aspect or a wrong one, or too few candidates to choose from.
fn question(at: u64, line: Line) -> anyhow::Result<Question> {
    let Line { question: text, aspects, candidates } = line;
    if text.trim().is_empty() {
        bail!("`question` is empty; write what is asked, or leave the line out");
    }
    if let Some(other) = aspects.iter().find(|aspect| !aspect.is_string() && !aspect.is_object()) {
        bail!("`aspects` has {other}; a text or an object {{\"aspect\": …, \"answer\": …}} is expected");
    }
    let written = |aspect: &Value| aspect.as_str().map_or_else(|| aspect.to_string(), str::to_string);
    let written: Vec<String> = aspects.iter().map(written).collect();
    let aspects = read_aspects(written.iter().map(String::as_str)).map_err(|error| match error {
        AspectFileError::Line { line, problem } => anyhow!("`aspects`, number {line}: {problem}"),
        other => anyhow!("`aspects`: {other}"),
    })?;
    if let Some(side) = aspects.iter().find(|side| !side.answered_by.is_empty()) {
        let text = &side.text;
        bail!(
            "`aspects`: `answered_by` of `{text}` has no effect here, where words are compared; leave it out"
        );
    }
    if aspects.len() < written.len() {
        bail!("`aspects`: one is empty; give it words, or leave it out");
    }
    if candidates.len() < 2 {
        bail!("`candidates`: there is nothing to choose among; give two or more, or leave the line out");
    }
    let document = |(n, passage): (usize, Passage)| {
        let Passage { title, text } = passage;
        Document { title, ..Document::new(format!("candidate {}", n + 1), text) }
    };
    let documents: Vec<Document> = candidates.into_iter().enumerate().map(document).collect();
    let has_words = |document: &Document| document.model_text().chars().any(char::is_alphanumeric);
    if let Some(document) = documents.iter().find(|document| !has_words(document)) {
        bail!("{} has no word; leave it out", document.id);
    }
    Ok(Question { line: at, text, aspects, documents })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(text: &str) -> Result<Question, String> {
        question(3, serde_json::from_str(text).unwrap()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn lines_are_questions_or_say_what_is_wrong() {
        let two = "[{\"text\": \"rap is old\"}, {\"title\": \"Rap\", \"text\": \"sales grew\"}]";
        let line = |aspects: &str, candidates: &str| {
            read_line(&format!(
                "{{\"question\": \"rap?\", \"aspects\": {aspects}, \"candidates\": {candidates}}}"
            ))
        };
        let found = line("[\"origins\", {\"aspect\": \"sales\", \"answer\": \"They grew.\"}]", two).unwrap();
        let targets: Vec<&str> = found.aspects.iter().map(Aspect::target).collect();
        assert_eq!((found.line, targets), (3, vec!["origins", "They grew."]));
        assert_eq!(found.documents[1].model_text(), "Rap sales grew");
        for (aspects, candidates, said) in [
            ("[]", two, "`aspects`: there is no aspect"),
            ("[\"a\", {\"aspekt\": \"b\"}]", two, "number 2: unknown field `aspekt`"),
            ("[\"a\", \"\"]", two, "one is empty"),
            ("[\"a\", 5]", two, "`aspects` has 5"),
            ("[\"a\"]", "[{\"text\": \"alone\"}]", "two or more"),
            ("[\"a\"]", "[{\"text\": \"one\"}, {\"text\": \"…\"}]", "candidate 2 has no word"),
        ] {
            let refused = line(aspects, candidates).err().unwrap();
            assert!(refused.contains(said), "{refused}");
        }
        let empty = read_line("{\"question\": \" \", \"aspects\": [], \"candidates\": []}").err().unwrap();
        assert!(empty.contains("`question` is empty"), "{empty}");
    }
}
