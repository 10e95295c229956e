//! What the answers of each format look like: as a form that decoding is held to, and as what the teacher writes.

use super::language::{MOST, ReasonLanguage};
use super::showing::{Format, Shape, Showing};
use super::teacher::Teacher;
use super::world::{Document, JudgedList, MOST_NUMBER, SOURCES, WORDS};
use plackett_train::TrainError;
use plackett_train::rl::{Form, Place};
use plackett_train::trainer::END_TOKEN;

/// The form of answers about so many documents as the shape shows together.
///
/// # Errors
/// There is none for a shape that has been checked.
pub fn form_of(shape: &Shape, language: &ReasonLanguage) -> Result<Form, TrainError> {
    let [think, think_end, answer, answer_end] = language.tags();
    let numbers = |most: usize| Place::OneOf((0..=most).map(|number| language.number(number)).collect());
    let sources = || Place::OneOf((0..SOURCES.len()).map(|source| language.source(source)).collect());
    let labels: Vec<u32> = (0..shape.shown).map(|shown| language.label(shown)).collect();
    let mut places = vec![Place::Only(think)];
    match shape.format {
        Format::Groups => places.push(numbers(MOST_NUMBER)),
        Format::Pointwise => places.extend([sources(), numbers(WORDS)]),
        Format::Setwise | Format::Listwise => {
            places.extend(labels.iter().flat_map(|label| [Place::Only(*label), sources(), numbers(WORDS)]));
        }
    }
    places.extend([Place::Only(think_end), Place::Only(answer)]);
    match shape.format {
        Format::Setwise => places.push(Place::OneOf(labels.clone().into())),
        Format::Pointwise => places.push(numbers(MOST)),
        Format::Groups => {
            places.extend(labels.iter().flat_map(|label| [Place::Only(*label), numbers(MOST)]));
            places.push(Place::Only(language.brace()));
        }
        Format::Listwise => {
            places.push(Place::Once);
            let others = (1..shape.shown).flat_map(|_| [Place::Only(language.before()), Place::Once]);
            places.extend(others);
        }
    }
    places.extend([Place::Only(answer_end), Place::Only(END_TOKEN)]);
    let once = if shape.format == Format::Listwise { labels } else { Vec::new() };
    Form::new(places, once)
}

impl Teacher {
    /// What the teacher writes about what is shown of a list: source and counted words of each document, or the largest number, and then
    /// the answer.
    pub fn answer(
        &self,
        language: &ReasonLanguage,
        format: Format,
        (list, showing): (&JudgedList, &Showing),
    ) -> Vec<u32> {
        let [think, think_end, answer, answer_end] = language.tags();
        let shown = || showing.documents.iter().copied().enumerate();
        let mut tokens = vec![think];
        match format {
            Format::Groups => tokens.push(language.number(list.largest)),
            Format::Pointwise => tokens.extend(shown().flat_map(|(_, at)| seen(language, list, at))),
            Format::Setwise | Format::Listwise => {
                for (label, at) in shown() {
                    tokens.push(language.label(label));
                    tokens.extend(seen(language, list, at));
                }
            }
        }
        tokens.extend([think_end, answer]);
        let label = |document: &usize| showing.documents.iter().position(|at| at == document);
        let order = || self.order(list).into_iter().filter_map(|at| label(&at)).map(|at| language.label(at));
        match format {
            Format::Setwise => tokens.extend(order().take(1)),
            Format::Pointwise => {
                let grade = |at: usize| language.number(self.grade(list, at, self.level(list, at)));
                tokens.extend(shown().map(|(_, at)| grade(at)));
            }
            Format::Groups => {
                let grade = |at: usize| language.number(self.grade(list, at, list.grades[at]));
                tokens.extend(shown().flat_map(|(label, at)| [language.label(label), grade(at)]));
                tokens.push(language.brace());
            }
            Format::Listwise => {
                for (rank, label) in order().enumerate() {
                    tokens.extend((rank > 0).then_some(language.before()));
                    tokens.push(label);
                }
            }
        }
        tokens.extend([answer_end, END_TOKEN]);
        tokens
    }
}

/// The source of a text and how many words it shares with the query.
fn seen(language: &ReasonLanguage, list: &JudgedList, document: usize) -> [u32; 2] {
    let source = match list.documents[document] {
        Document::Text { source, .. } => source,
        Document::Number(_) => 0,
    };
    [language.source(source), language.number(list.about(document))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::parse::{
        AnswerClass, LabelStyle, OrderFormat, parse_choice, parse_order, parse_scores,
    };

    const TEACHER: Teacher = Teacher { faults: 0.0, is_right: false };

    /// The text of the teacher's answers to the showings of some lists, after a look at their form.
    fn answers(format: Format, shown: usize) -> Vec<(JudgedList, Showing, String)> {
        let shape = Shape { format, items: 6, relevant: 2, decoys: 2, shown };
        let language = ReasonLanguage::new(format);
        let form = form_of(&shape, &language).unwrap();
        let lists: Vec<JudgedList> = (0..10).map(|number| JudgedList::drawn(&shape, 5, number)).collect();
        let answer = |showing: Showing| {
            let list = lists[showing.list].clone();
            let tokens = TEACHER.answer(&language, format, (&list, &showing));
            assert!(form.fits(&tokens), "{}", language.text(&tokens));
            (list, showing, language.text(&tokens))
        };
        shape.showings(&lists, 1).into_iter().map(answer).collect()
    }

    #[test]
    fn a_choice_is_the_first_of_the_order() {
        for (list, _, text) in answers(Format::Setwise, 6) {
            assert_eq!(parse_choice(&text, 6, LabelStyle::Numbers), Some(TEACHER.order(&list)[0]), "{text}");
        }
    }

    #[test]
    fn an_order_is_read_as_it_was_meant() {
        let format = OrderFormat { needs_answer_tag: true, ..OrderFormat::default() };
        for (list, _, text) in answers(Format::Listwise, 6) {
            let parsed = parse_order(&text, 6, &format);
            assert_eq!((parsed.class, parsed.order.items()), (AnswerClass::Ok, &TEACHER.order(&list)[..]));
        }
    }

    #[test]
    fn sheets_have_a_grade_for_each_document_of_the_group() {
        for (list, showing, text) in answers(Format::Groups, 3) {
            assert!(text.starts_with("<reason> ") && text.contains("<answer> {\"[1]\": "), "{text}");
            let sheet = parse_scores(&text, 3, 0.0, 10.0);
            assert!(!sheet.mended && sheet.dropped == 0, "{text}");
            let grade = |at: &usize| Some(TEACHER.grade(&list, *at, list.grades[*at]) as f64);
            assert_eq!(sheet.scores, showing.documents.iter().map(grade).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_document_has_one_grade() {
        for (list, showing, text) in answers(Format::Pointwise, 1) {
            let at = showing.documents[0];
            let Document::Text { source, .. } = list.documents[at] else { panic!("a number") };
            let (source, about) = (SOURCES[source], list.about(at));
            let grade = TEACHER.grade(&list, at, about);
            assert_eq!(text, format!("<think> {source} {about} </think> <answer> {grade} </answer>"));
        }
    }
}
