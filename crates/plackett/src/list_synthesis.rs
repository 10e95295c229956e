//! Lists to imitate, made of those of a teacher that does not know a catalogue: remap, reflect and adjust (ConvRec-R1; Rank-GRPO, 2025,
//! stage 1).
//!
//! *Remap*: every item of the catalogue is scored by how near it is to the teacher's items and to the conversation. *Reflect*: a judge grades the items with
//! the greatest scores. *Adjust*: scores are scaled and shifted item by item, so that what people wanted is likely, which takes out the teacher's
//! liking for what is popular. The items with the greatest scores are the list.

use crate::text_vectors::{count_cut, embed};
use crate::unfinished::{Unfinished, UnfinishedError};
use plackett_core::remap::{ScoreAdjustment, greatest_places, reflect, remapped_scores};
use plackett_core::title_list::{bare_line, read_title_line, title_key};
use plackett_lm::LmError;
use plackett_rank::model::{
    AnswerForm, CallError, ChatMessage, ChatRole, Generated, GenerationOptions, GenerationRequest,
    LanguageModel, Need, Prompt, Role, TextEmbedder, Value,
};
use plackett_train::random::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// Contexts whose texts are embedded together.
const CONTEXTS_TOGETHER: usize = 32;
/// Tokens of a judge's free reply.
const REPLY: usize = 16;
/// Scores that are held from the first time that they are computed, all conversations together: a gigabyte of them.
const SCORES_HELD: usize = 1 << 27;

/// The grades of a judge, from what fits very well to what does not fit at all.
pub const GRADES: [i64; 5] = [2, 1, 0, -1, -2];

/// Why lists cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ListSynthesisError {
    /// The embedding model failed.
    #[error("embedding {what}: {source}")]
    Embed {
        /// What was embedded.
        what: &'static str,
        /// What it said.
        source: Box<LmError>,
    },
    /// A text whose vector cannot be compared.
    #[error(
        "the vector of the text `{text}` has no direction, or an entry that is no number; leave the text out, or name another embedding model"
    )]
    NoDirection {
        /// The beginning of the text.
        text: String,
    },
    /// The judge failed.
    #[error("the judge: {0}")]
    Judge(#[from] CallError),
    /// Grades cannot be kept, or taken up again.
    #[error(transparent)]
    Kept(#[from] UnfinishedError),
}

/// A teacher's list.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum TeacherList {
    /// Its lines, the best first.
    Lines(Vec<String>),
    /// Its reply, a title a line.
    Reply(String),
}

impl TeacherList {
    /// The lines that name something, each title once. Of a reply in which one of them is a title with its year, those that are none
    /// are left out: a model says more than its list.
    fn titles(&self) -> Vec<&str> {
        let lines: Vec<&str> = match self {
            TeacherList::Lines(lines) => lines.iter().map(String::as_str).collect(),
            TeacherList::Reply(text) => text.lines().collect(),
        };
        let is_reply = matches!(self, TeacherList::Reply(_));
        let is_dated = is_reply && lines.iter().any(|line| read_title_line(line).is_some());
        let mut seen = HashSet::new();
        let is_title = |line: &&str| {
            let key = title_key(line);
            !key.is_empty() && (!is_dated || read_title_line(line).is_some()) && seen.insert(key)
        };
        lines.into_iter().filter(is_title).map(bare_line).collect()
    }
}

/// A conversation in which somebody asks for items, and what a teacher has recommended.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct TaughtContext {
    /// What was said, as the model that imitates will read it.
    pub conversation: String,
    /// What the teacher has recommended.
    pub teacher: TeacherList,
    /// Titles that were mentioned: they are not recommended.
    #[serde(default)]
    pub mentioned: Vec<String>,
    /// Titles that are known to be right.
    #[serde(default)]
    pub wanted: Vec<String>,
}

/// The items that lists may have.
#[derive(Clone, Debug, Default)]
pub struct ListCatalogue {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// Of the length 1.
    vectors: Vec<Vec<f32>>,
    /// Items that cannot be told from one before them, and are left out.
    pub repeated: usize,
    /// Texts that the embedding model has not read whole.
    pub cut: usize,
}

impl ListCatalogue {
    /// `items` are the lines that are written for them, and what is said of them in words, which is embedded.
    ///
    /// # Errors
    /// The embedding model fails, or a text has a vector that cannot be compared.
    pub fn embed(
        items: &[(String, String)],
        embedder: &dyn TextEmbedder,
        progress: &dyn Fn(usize),
    ) -> Result<ListCatalogue, ListSynthesisError> {
        let (mut names, mut texts, mut places) = (Vec::new(), Vec::new(), HashMap::new());
        for (name, text) in items {
            let Entry::Vacant(free) = places.entry(title_key(name)) else { continue };
            free.insert(names.len());
            // A line has one title.
            names.push(name.split_whitespace().collect::<Vec<_>>().join(" "));
            texts.push(text.as_str());
        }
        let mut told = progress;
        let (vectors, cut) = unit_vectors(embedder, Role::Document, &texts, "the catalogue", &mut told)?;
        Ok(ListCatalogue { repeated: items.len() - names.len(), names, places, vectors, cut })
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The line that is written for the item at a place.
    pub fn name(&self, place: usize) -> &str {
        &self.names[place]
    }

    /// The place of the item that a line names.
    fn find(&self, line: &str) -> Option<usize> {
        self.places.get(&title_key(line)).copied()
    }

    /// The cosines of a vector of the length 1 with those of all items.
    fn similarities(&self, vector: &[f32]) -> Vec<f64> {
        let cosine = |item: &Vec<f32>| -> f64 {
            let products = item.iter().zip(vector).map(|(a, b)| f64::from(a * b));
            products.sum()
        };
        self.vectors.iter().map(cosine).collect()
    }
}

/// Vectors of the length 1, and how many texts were not read whole; `progress` is told how many of `what` are done.
fn unit_vectors(
    embedder: &dyn TextEmbedder,
    role: Role,
    texts: &[&str],
    what: &'static str,
    progress: &mut dyn FnMut(usize),
) -> Result<(Vec<Vec<f32>>, usize), ListSynthesisError> {
    let failed = |source| ListSynthesisError::Embed { what, source: Box::new(source) };
    let embedded = embed(embedder, role, texts, progress).map_err(failed)?;
    let cut = count_cut(&embedded);
    let mut vectors = Vec::with_capacity(texts.len());
    for (text, made) in texts.iter().zip(embedded) {
        let length = made.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let has_direction = length.is_finite() && length > 0.0;
        if !has_direction {
            return Err(ListSynthesisError::NoDirection { text: text.chars().take(60).collect() });
        }
        vectors.push(made.values.iter().map(|x| (f64::from(*x) / length) as f32).collect());
    }
    Ok((vectors, cut))
}

/// How lists are made; the defaults are the paper's, but for `steps` and `fitted`, of which it says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListSettings {
    /// Items of a list.
    pub count: usize,
    /// λ: what the similarity to the conversation counts.
    pub lambda: f64,
    /// γ: what a grade counts.
    pub gamma: f64,
    /// Items that a judge grades, those with the greatest scores.
    pub judged: usize,
    /// Steps of the fit of the adjustment; 0 for none.
    pub steps: usize,
    /// Contexts that it is fitted to, at most, drawn among those that say what was wanted.
    pub fitted: usize,
    /// Seed of these draws.
    pub seed: u64,
}

impl Default for ListSettings {
    fn default() -> ListSettings {
        ListSettings { count: 20, lambda: 1.0, gamma: 0.5, judged: 100, steps: 25, fitted: 1000, seed: 1 }
    }
}

/// Makes lists.
pub struct ListSynthesis<'m> {
    /// What may be recommended.
    pub catalogue: &'m ListCatalogue,
    /// The model that the catalogue was embedded with.
    pub embedder: &'m dyn TextEmbedder,
    /// Who grades items; without one there is no reflect step.
    pub judge: Option<&'m dyn LanguageModel>,
    /// How.
    pub settings: ListSettings,
}

/// What lists were made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListAccount {
    /// Titles of the teacher, each once in its list.
    pub titles: usize,
    /// Those that are in the catalogue.
    pub exact: usize,
    /// Items of all lists that the teacher had named.
    pub kept: usize,
    /// Items of all lists.
    pub listed: usize,
    /// Items that the judge has graded, by [`GRADES`].
    pub grades: [usize; GRADES.len()],
    /// Replies of the judge that are no grade.
    pub unread: usize,
    /// Contexts that the adjustment was fitted to.
    pub fitted: usize,
    /// Wanted titles that are not in the catalogue, or were mentioned.
    pub unwanted: usize,
    /// Mentioned titles that are not in the catalogue.
    pub unmentioned: usize,
    /// Contexts in which the teacher names nothing.
    pub untaught: usize,
    /// Conversations and titles that the embedding model has not read whole.
    pub cut: usize,
}

impl ListAccount {
    /// Items that the judge has graded.
    pub fn graded(&self) -> usize {
        self.grades.iter().sum()
    }

    fn add(&mut self, graded: &Grades) {
        for (_, grade) in &graded.grades {
            let same = GRADES.into_iter().zip(&mut self.grades).filter(|(known, _)| known == grade);
            same.for_each(|(_, count)| *count += 1);
        }
        self.unread += graded.unread;
    }

    /// The grade that all of them have, where it is one: it then changes no order among them.
    pub fn constant_grade(&self) -> Option<i64> {
        let graded = self.graded();
        let is_all = |(grade, count): (i64, usize)| (graded > 0 && count == graded).then_some(grade);
        GRADES.into_iter().zip(self.grades).find_map(is_all)
    }
}

/// Lists, one for each context, as places in the catalogue, the best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SynthesizedLists {
    /// The lists.
    pub lists: Vec<Vec<usize>>,
    /// What they were made of.
    pub account: ListAccount,
}

/// What a judge has said of the items for one conversation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Grades {
    /// Places in the catalogue with their grades.
    pub grades: Vec<(usize, i64)>,
    /// Replies that are no grade.
    pub unread: usize,
}

/// A title of a teacher.
enum Line {
    /// An item of the catalogue.
    Item(usize),
    /// The vector of any other one, of the length 1.
    Other(Vec<f32>),
}

/// What is known of a context.
struct Known {
    /// The vector of the conversation, of the length 1.
    conversation: Vec<f32>,
    lines: Vec<Line>,
    mentioned: Vec<usize>,
    wanted: Vec<usize>,
    /// Places that were graded, with their grades.
    grades: Vec<(usize, i64)>,
    /// The remapped scores of all items, where they are held.
    remapped: Option<Vec<f64>>,
}

impl Known {
    /// The places of the teacher's titles.
    fn exact(&self) -> Vec<Option<usize>> {
        let place = |line: &Line| if let Line::Item(place) = line { Some(*place) } else { None };
        self.lines.iter().map(place).collect()
    }
}

impl ListSynthesis<'_> {
    /// A list for each context; `progress` is told how many are read and graded. Grades of the judge may be kept.
    ///
    /// # Errors
    /// A model fails, a text has a vector that cannot be compared, or grades cannot be kept.
    pub fn make(
        &self,
        contexts: &[TaughtContext],
        mut kept: Option<&mut Unfinished<Grades>>,
        progress: &dyn Fn(usize),
    ) -> Result<SynthesizedLists, ListSynthesisError> {
        let mut account = ListAccount::default();
        let mut known: Vec<Known> = Vec::with_capacity(contexts.len());
        for contexts in contexts.chunks(CONTEXTS_TOGETHER) {
            let mut read = self.read(contexts, &mut account)?;
            self.hold_scores(&mut read, known.len());
            for (mut read, context) in read.into_iter().zip(contexts) {
                progress(known.len());
                if let Some(judge) = self.judge {
                    let grade = || self.grade(judge, context, &read);
                    let graded = match &mut kept {
                        Some(kept) => kept.take_or(known.len() as u64, grade)?,
                        None => grade()?,
                    };
                    account.add(&graded);
                    read.grades = graded.grades;
                }
                known.push(read);
            }
        }
        let adjustment = self.adjustment(&known, &mut account);
        let list = |known: &Known| {
            let mut scores = self.scores(known);
            if let Some(adjustment) = &adjustment {
                scores = adjustment.apply(&scores);
            }
            greatest_places(&scores, &known.mentioned, self.settings.count)
        };
        let lists: Vec<Vec<usize>> = known.par_iter().map(list).collect();
        for (list, known) in lists.iter().zip(&known) {
            let exact = known.exact();
            account.listed += list.len();
            account.kept += list.iter().filter(|place| exact.contains(&Some(**place))).count();
        }
        Ok(SynthesizedLists { lists, account })
    }

    /// Finds titles in the catalogue and embeds all that is not there.
    fn read(
        &self,
        contexts: &[TaughtContext],
        account: &mut ListAccount,
    ) -> Result<Vec<Known>, ListSynthesisError> {
        let conversations: Vec<&str> = contexts.iter().map(|context| context.conversation.as_str()).collect();
        let titles: Vec<Vec<&str>> = contexts.iter().map(|context| context.teacher.titles()).collect();
        let is_other = |title: &&&str| self.catalogue.find(title).is_none();
        let others: Vec<&str> = titles.iter().flatten().filter(is_other).copied().collect();
        let (conversations, cut) =
            unit_vectors(self.embedder, Role::Query, &conversations, "the conversations", &mut |_| {})?;
        let what = "the teacher's titles";
        let (others, more) = unit_vectors(self.embedder, Role::Document, &others, what, &mut |_| {})?;
        account.cut += cut + more;
        let mut others = others.into_iter();
        let mut all = Vec::with_capacity(contexts.len());
        for ((context, titles), conversation) in contexts.iter().zip(titles).zip(conversations) {
            let line = |title: &str| match self.catalogue.find(title) {
                Some(place) => Some(Line::Item(place)),
                None => others.next().map(Line::Other),
            };
            let lines: Vec<Line> = titles.into_iter().filter_map(line).collect();
            let places = |titles: &[String]| -> Vec<usize> {
                titles.iter().filter_map(|title| self.catalogue.find(title)).collect()
            };
            let mentioned = places(&context.mentioned);
            let mut wanted = places(&context.wanted);
            wanted.retain(|place| !mentioned.contains(place));
            account.unwanted += context.wanted.len() - wanted.len();
            account.unmentioned += context.mentioned.len() - mentioned.len();
            account.untaught += usize::from(lines.is_empty());
            account.titles += lines.len();
            account.exact += lines.iter().filter(|line| matches!(line, Line::Item(_))).count();
            all.push(Known { conversation, lines, mentioned, wanted, grades: Vec::new(), remapped: None });
        }
        Ok(all)
    }

    /// Remaps once what judging, adjusting and listing all look at, as far as there is room behind the contexts `before`.
    fn hold_scores(&self, contexts: &mut [Known], before: usize) {
        if self.judge.is_none() && self.settings.steps == 0 {
            return;
        }
        let most = SCORES_HELD / self.catalogue.len().max(1);
        let room = most.saturating_sub(before).min(contexts.len());
        contexts[..room].par_iter_mut().for_each(|known| known.remapped = Some(self.remap(known)));
    }

    /// Remap.
    fn remap(&self, known: &Known) -> Vec<f64> {
        let similarities = |line: &Line| match line {
            Line::Item(place) => self.catalogue.similarities(&self.catalogue.vectors[*place]),
            Line::Other(vector) => self.catalogue.similarities(vector),
        };
        let teacher: Vec<Vec<f64>> = known.lines.iter().map(similarities).collect();
        let conversation = self.catalogue.similarities(&known.conversation);
        remapped_scores(&teacher, &known.exact(), &conversation, self.settings.lambda)
    }

    /// Remap, and reflect as far as items are graded.
    fn scores(&self, known: &Known) -> Vec<f64> {
        let mut scores = known.remapped.clone().unwrap_or_else(|| self.remap(known));
        reflect(&mut scores, &known.grades, self.settings.gamma);
        scores
    }

    /// Lets the judge grade the items with the greatest scores.
    fn grade(
        &self,
        judge: &dyn LanguageModel,
        context: &TaughtContext,
        known: &Known,
    ) -> Result<Grades, ListSynthesisError> {
        let places = greatest_places(&self.scores(known), &known.mentioned, self.settings.judged);
        let prompt = |place: &usize| judge_prompt(&context.conversation, self.catalogue.name(*place));
        let prompts: Vec<Prompt> = places.iter().map(prompt).collect();
        let form = match judge.can(Need::ConstrainedGeneration) {
            Ok(()) => AnswerForm::OneOf(GRADES.iter().map(ToString::to_string).collect()),
            Err(_) => AnswerForm::Text,
        };
        let request = |prompt| GenerationRequest { prompt, form: &form, sample: 0 };
        let requests: Vec<GenerationRequest<'_>> = prompts.iter().map(request).collect();
        let options = GenerationOptions { max_tokens: REPLY, ..GenerationOptions::default() };
        let mut grades = Grades::default();
        for (place, reply) in places.into_iter().zip(judge.generate(&requests, &options)) {
            match grade_of(&reply?) {
                Some(grade) => grades.grades.push((place, grade)),
                None => grades.unread += 1,
            }
        }
        Ok(grades)
    }

    /// What is fitted to wanted items, where there are some; each context has one of its own, which is drawn.
    fn adjustment(&self, known: &[Known], account: &mut ListAccount) -> Option<ScoreAdjustment> {
        let ListSettings { steps, fitted, seed, .. } = self.settings;
        let wanting: Vec<&Known> = known.iter().filter(|known| !known.wanted.is_empty()).collect();
        if steps == 0 || wanting.is_empty() {
            return None;
        }
        let mut drawn = Stream::new(seed, 0).permutation(wanting.len());
        drawn.truncate(fitted);
        let example = |at: &usize| {
            let known = wanting[*at];
            let right = Stream::new(seed, 1).below(*at as u64, known.wanted.len());
            (self.scores(known), known.wanted[right])
        };
        let examples: Vec<(Vec<f64>, usize)> = drawn.par_iter().map(example).collect();
        account.fitted = examples.len();
        Some(ScoreAdjustment::fit(&examples, steps))
    }
}

/// What a judge is asked of one item. Prompts of one conversation begin alike, so that an engine reads that part once.
fn judge_prompt(conversation: &str, item: &str) -> Prompt {
    let asked = format!(
        "In this conversation somebody asks for recommendations:\n\n{}\n\nGrade how well one item answers what they ask for and what they like. \
         2: very well. 1: well. 0: it is hard to say. -1: badly. -2: not at all. Reply with the number alone.\n\nItem: {item}\nGrade:",
        conversation.trim()
    );
    Prompt::chat(vec![ChatMessage::new(ChatRole::User, asked)])
}

/// The grade that a reply gives.
fn grade_of(reply: &Generated) -> Option<i64> {
    match &reply.value {
        Some(Value::Choice(at)) => GRADES.get(*at).copied(),
        _ => read_grade(&reply.text),
    }
}

/// The first number of a text; `None` where it is no grade.
fn read_grade(text: &str) -> Option<i64> {
    let text = text.replace('−', "-");
    let is_number = |c: char| c.is_ascii_digit() || c == '-' || c == '.';
    let mut words = text.split(|c: char| !is_number(c));
    let word = words.find(|word| word.bytes().any(|byte| byte.is_ascii_digit()))?;
    let grade: i64 = word.trim_end_matches(['.', '-']).parse().ok()?;
    GRADES.contains(&grade).then_some(grade)
}

#[cfg(test)]
mod tests;
