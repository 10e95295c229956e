//! Lists that are made of a teacher's titles.

use super::*;
use crate::manifest::RunSettings;
use plackett_rank::model::{TextLength, TextModel, TextVector};
use plackett_rank::testing::ScriptedModel;
use std::ops::Range;

/// A text about space is (1, 0), one about crime (0, 1), and one about both (1, 1).
struct Subjects;

impl TextModel for Subjects {
    fn name(&self) -> &str {
        "subjects"
    }

    fn max_tokens(&self) -> usize {
        512
    }

    fn overhead(&self, _: Role) -> Result<usize, LmError> {
        Ok(0)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, LmError> {
        Ok(std::iter::once(0..text.len()).collect())
    }
}

impl TextEmbedder for Subjects {
    fn embed_texts(&self, _: Role, texts: &[&str]) -> Result<Vec<TextVector>, LmError> {
        let about =
            |text: &str, words: [&str; 2]| f32::from(u8::from(words.iter().any(|word| text.contains(word))));
        let vector = |&text: &&str| TextVector {
            values: vec![about(text, ["space", "Moon"]), about(text, ["crime", "Fargo"])],
            length: TextLength { tokens: text.len(), kept: text.len().min(40), estimated: false },
        };
        Ok(texts.iter().map(vector).collect())
    }
}

/// Alien (space), Heat (crime) and Solaris (both).
fn catalogue() -> ListCatalogue {
    let items = [("Alien (1979)", "space"), ("Heat (1995)", "crime"), ("Solaris (1972)", "space crime")];
    let items = items.map(|(name, text)| (name.to_string(), text.to_string()));
    ListCatalogue::embed(&items, &Subjects, &|_| {}).unwrap()
}

fn context(mentioned: &[&str], wanted: &[&str]) -> TaughtContext {
    let titles = |titles: &[&str]| titles.iter().map(ToString::to_string).collect();
    TaughtContext {
        conversation: "something in space".into(),
        teacher: TeacherList::Reply("Here are two:\n1. Solaris (1972)\n2. *Moon* (2009)\n".into()),
        mentioned: titles(mentioned),
        wanted: titles(wanted),
    }
}

fn settings() -> ListSettings {
    ListSettings { count: 2, steps: 0, ..ListSettings::default() }
}

fn made(
    judge: Option<&ScriptedModel>,
    settings: ListSettings,
    contexts: &[TaughtContext],
) -> SynthesizedLists {
    let catalogue = catalogue();
    let judge = judge.map(|judge| judge as &dyn LanguageModel);
    let synthesis = ListSynthesis { catalogue: &catalogue, embedder: &Subjects, judge, settings };
    synthesis.make(contexts, None, &|_| {}).unwrap()
}

/// A judge that likes Alien and dislikes Solaris.
fn judge() -> ScriptedModel {
    ScriptedModel::new().answers(|prompt, _, _| {
        let grade = |(title, grade): (&str, &str)| prompt.contains(title).then(|| grade.to_string());
        let known = [("Item: Alien", "2"), ("Item: Solaris", "-2")];
        Ok(known.into_iter().find_map(grade).unwrap_or_else(|| "0".into()))
    })
}

#[test]
fn remapped_scores_are_those_of_the_paper() {
    let catalogue = catalogue();
    let synthesis =
        ListSynthesis { catalogue: &catalogue, embedder: &Subjects, judge: None, settings: settings() };
    let mut account = ListAccount::default();
    let known = synthesis.read(&[context(&[], &[])], &mut account).unwrap();
    let found = synthesis.scores(&known[0]);
    // p = (1, 1/√2). Solaris is (1, 1)/√2 and in the catalogue, Moon and the conversation are (1, 0).
    let r = 0.5f64.sqrt();
    let expected = [r + r + 1.0, r, 1.0 + 1.0 + r * r + r];
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    assert_eq!((account.titles, account.exact), (2, 1), "the words before the list are no title");
}

#[test]
fn a_judge_changes_the_order_of_what_it_grades() {
    let contexts = [context(&[], &[])];
    assert_eq!(made(None, settings(), &contexts).lists, [[2, 0]]);
    let judge = judge();
    let reflected = made(Some(&judge), settings(), &contexts);
    // γ = 0.5: Alien has 2.41 + 1, Solaris 3.21 − 1.
    assert_eq!(reflected.lists, [[0, 2]]);
    assert_eq!(reflected.account.grades, [1, 0, 1, 0, 1]);
    assert_eq!(judge.prompts(), 3);
    // Of the first alone: Solaris falls to 2.21, behind Alien's 2.41.
    let one = made(Some(&judge), ListSettings { judged: 1, ..settings() }, &contexts);
    assert_eq!((one.lists, one.account.graded()), (vec![vec![0, 2]], 1));
    assert_eq!(one.account.constant_grade(), Some(-2));
    // A grade that counts nothing.
    let none = made(Some(&judge), ListSettings { gamma: 0.0, ..settings() }, &contexts);
    assert_eq!(none.lists, [[2, 0]]);
    assert_eq!((none.account.listed, none.account.kept), (2, 1));
}

#[test]
fn kept_grades_are_not_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (catalogue, judge) = (catalogue(), judge());
    let path = folder.path().join("grades");
    let synthesis = ListSynthesis {
        catalogue: &catalogue,
        embedder: &Subjects,
        judge: Some(&judge),
        settings: settings(),
    };
    let contexts = [context(&[], &[]), context(&["Heat (1995)"], &[])];
    let make = || {
        let of = RunSettings::without_stages("a test", serde_json::Map::new(), vec![], vec![]).unwrap();
        let mut kept = Unfinished::take_up(&path, &of).unwrap();
        synthesis.make(&contexts, Some(&mut kept), &|_| {}).unwrap()
    };
    let first = make();
    assert_eq!((first.lists.clone(), judge.prompts()), (vec![vec![0, 2]; 2], 3 + 2));
    assert_eq!((make(), judge.prompts()), (first, 5));
}

#[test]
fn scores_that_are_held_are_those_that_are_computed_again() {
    let catalogue = catalogue();
    let settings = ListSettings { steps: 1, ..settings() };
    let synthesis = ListSynthesis { catalogue: &catalogue, embedder: &Subjects, judge: None, settings };
    let read = || synthesis.read(&[context(&[], &[])], &mut ListAccount::default()).unwrap();
    let (mut held, mut full) = (read(), read());
    synthesis.hold_scores(&mut held, 0);
    synthesis.hold_scores(&mut full, SCORES_HELD);
    assert!(held[0].remapped.is_some() && full[0].remapped.is_none());
    assert_eq!(synthesis.scores(&held[0]), synthesis.scores(&full[0]));
}

#[test]
fn what_was_mentioned_is_not_recommended() {
    let mentioned = made(None, settings(), &[context(&["alien (1979)", "Unknown (2000)"], &[])]);
    assert_eq!(mentioned.lists, [[2, 1]]);
    assert_eq!((mentioned.account.unmentioned, mentioned.account.untaught), (1, 0));
}

#[test]
fn adjusted_scores_make_what_was_wanted_likely() {
    let wants = || context(&[], &["Heat (1995)", "Unknown (2000)"]);
    let contexts = [wants(), wants(), wants()];
    let adjusted = made(None, ListSettings { count: 1, steps: 100, fitted: 2, ..settings() }, &contexts);
    assert_eq!(adjusted.lists, [[1], [1], [1]]);
    assert_eq!((adjusted.account.fitted, adjusted.account.unwanted), (2, 3));
    // Without anything that was wanted there is nothing to fit.
    let plain = made(None, ListSettings { steps: 100, ..settings() }, &[context(&[], &[])]);
    assert_eq!((plain.lists, plain.account.fitted), (vec![vec![2, 0]], 0));
}

#[test]
fn a_judge_without_a_form_is_read_and_what_is_no_grade_is_counted() {
    let reply = |prompt: &str| if prompt.contains("Alien") { "Grade: 2." } else { "great" };
    let judge = ScriptedModel::new()
        .answers(move |prompt, _, _| Ok(reply(prompt).to_string()))
        .without(Need::ConstrainedGeneration, "it is a server");
    let read = made(Some(&judge), settings(), &[context(&[], &[])]);
    assert_eq!((read.account.graded(), read.account.unread), (1, 2));
    assert_eq!(read.lists, [[0, 2]]);
    let grades = ["-1", " −2 ", "I say 0", "7", "1.5", "none"].map(read_grade);
    assert_eq!(grades, [Some(-1), Some(-2), Some(0), None, None, None]);
}

#[test]
fn items_that_cannot_be_told_apart_and_cut_texts_are_counted() {
    let items = [("Alien (1979)", "space"), (" alien  (1979)", "crime")];
    let items = items.map(|(name, text)| (name.to_string(), text.to_string()));
    let catalogue = ListCatalogue::embed(&items, &Subjects, &|_| {}).unwrap();
    assert_eq!((catalogue.len(), catalogue.repeated, catalogue.cut), (1, 1, 0));
    let long = [("Alien (1979)".to_string(), format!("space {}", "far away ".repeat(9)))];
    assert_eq!(ListCatalogue::embed(&long, &Subjects, &|_| {}).unwrap().cut, 1);
    let nothing = [("Up (2009)".to_string(), "balloons".to_string())];
    let error = ListCatalogue::embed(&nothing, &Subjects, &|_| {}).unwrap_err().to_string();
    assert!(error.contains("`balloons` has no direction"), "{error}");
}

#[test]
fn a_line_is_a_title_once() {
    let lines = ["Heat (1995)", "", "2. heat (1995)", "And more"];
    let reply = TeacherList::Reply(lines.join("\n"));
    assert_eq!(reply.titles(), ["Heat (1995)"]);
    // A list says nothing but titles.
    let list = TeacherList::Lines(lines.map(str::to_string).to_vec());
    assert_eq!(list.titles(), ["Heat (1995)", "And more"]);
    // Without years every line is one.
    let plain = TeacherList::Reply("- Blue pump\n\n- Red pump".into());
    assert_eq!(plain.titles(), ["Blue pump", "Red pump"]);
}
