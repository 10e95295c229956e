//! What answers are rewarded with: the papers' rewards, from what the parsers read.

use super::language::ReasonLanguage;
use super::showing::{Format, Shape, Showing};
use super::teacher::Teacher;
use super::world::JudgedList;
use plackett_eval::reward::{CrossDocument, GroupReward, MultiView, choice_reward};
use plackett_train::rl::{Answered, Credit, Form, Rewarder, Sampled, group_advantages};
use std::collections::HashSet;

/// Gold grades of groups for the grades of a list.
const GOLD: f64 = 5.0;

/// Rewards of answers about showings.
pub struct ReasonRewarder<'r> {
    /// What is asked.
    pub shape: &'r Shape,
    /// The tokens.
    pub language: &'r ReasonLanguage,
    /// What answers look like.
    pub form: &'r Form,
    /// Whether answers are held to it; free ones have chosen every one of their tokens.
    pub constrained: bool,
    /// The lists.
    pub lists: &'r [JudgedList],
    /// What is shown of them; those of a list stand one after another.
    pub showings: &'r [Showing],
    /// Whose orders a reward compares with.
    pub teacher: Teacher,
    /// Ranks that rewards look at.
    pub depth: usize,
    /// For each showing of one document the grade that the model gave before.
    pub reference: &'r [f64],
}

impl ReasonRewarder<'_> {
    /// What a reply about a showing is worth by itself.
    fn reward(&self, showing: &Showing, reply: &str) -> f64 {
        let list = &self.lists[showing.list];
        let shown = || showing.documents.iter().enumerate();
        let relevant = || shown().filter(|(_, at)| list.is_relevant(**at)).map(|(label, _)| label);
        match self.shape.format {
            Format::Setwise => relevant().next().map_or(0.0, |right| choice_reward(reply, right)),
            Format::Groups => {
                let gold: Vec<f64> = shown().map(|(_, at)| GOLD * list.grades[*at] as f64).collect();
                GroupReward { depth: self.depth, ..GroupReward::default() }.of_reply(reply, &gold)
            }
            Format::Listwise => {
                let view = MultiView { depth: self.depth, ..MultiView::default() };
                let relevant: HashSet<usize> = relevant().collect();
                view.of_reply(reply, &relevant, &self.teacher.order(list))
            }
            // A grade is worth nothing by itself: see `judge_together`.
            Format::Pointwise => 0.0,
        }
    }

    /// Rewards that see the grades of all documents of a list.
    fn cross_document(&self, first: usize, groups: &[Vec<Sampled>]) -> Vec<Vec<f64>> {
        let reward = CrossDocument::default();
        let grade = |answer: &Sampled| reward.grade(&self.language.text(&answer.tokens));
        let grades: Vec<Vec<Option<f64>>> =
            groups.iter().map(|answers| answers.iter().map(grade).collect()).collect();
        let showings = &self.showings[first..first + groups.len()];
        let is_relevant = |showing: &Showing| self.lists[showing.list].is_relevant(showing.documents[0]);
        let relevant: Vec<bool> = showings.iter().map(is_relevant).collect();
        reward.rewards(&grades, &relevant, &self.reference[first..first + groups.len()])
    }

    /// Answers to one prompt, compared with each other: what was chosen answers for the reward.
    fn compared(&self, answers: &[Sampled], rewards: &[f64]) -> Vec<Answered> {
        let advantages = group_advantages(rewards);
        let worth = |((answer, reward), advantage): ((&Sampled, &f64), f64)| Answered {
            reward: *reward,
            credits: self.credits(answer, advantage),
            differs: advantage != 0.0,
        };
        answers.iter().zip(rewards).zip(advantages).map(worth).collect()
    }

    /// Tags, labels and the end of a free answer are chosen like its grade: where they had no part in good answers and one in bad ones, they
    /// would only ever become rarer. Held to the form they are given, and no choice.
    fn credits(&self, answer: &Sampled, advantage: f64) -> Vec<Credit> {
        if !self.constrained {
            return vec![Credit { tokens: 0..answer.tokens.len(), advantage, share: 1.0 }];
        }
        let runs = self.form.choices();
        let chosen: usize = runs.iter().map(ExactSizeIterator::len).sum();
        let credit = |run: std::ops::Range<usize>| {
            let share = run.len() as f64 / chosen.max(1) as f64;
            Credit { tokens: run, advantage, share }
        };
        runs.into_iter().map(credit).collect()
    }
}

impl Rewarder for ReasonRewarder<'_> {
    fn judge(&self, prompt: usize, answers: &[Sampled]) -> Vec<Answered> {
        let showing = &self.showings[prompt];
        let reward = |answer: &Sampled| self.reward(showing, &self.language.text(&answer.tokens));
        let rewards: Vec<f64> = answers.iter().map(reward).collect();
        self.compared(answers, &rewards)
    }

    fn together(&self) -> usize {
        if self.shape.format == Format::Pointwise { self.shape.showings_of_list() } else { 1 }
    }

    fn judge_together(&self, first: usize, groups: &[Vec<Sampled>]) -> Vec<Vec<Answered>> {
        if self.shape.format != Format::Pointwise {
            return groups.iter().enumerate().map(|(at, answers)| self.judge(first + at, answers)).collect();
        }
        let rewards = self.cross_document(first, groups);
        groups.iter().zip(rewards).map(|(answers, rewards)| self.compared(answers, &rewards)).collect()
    }

    fn is_well_formed(&self, _prompt: usize, answer: &Sampled) -> bool {
        self.form.fits(&answer.tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::worlds::reasoner::form_of;

    fn sampled(tokens: Vec<u32>) -> Sampled {
        Sampled { tokens, is_ended: true, log_probability: 0.0 }
    }

    /// Runs a look at the rewarder of some lists.
    fn with_rewarder(
        (format, constrained): (Format, bool),
        shown: usize,
        look: impl Fn(&ReasonRewarder<'_>),
    ) {
        let shape = Shape { format, items: 6, relevant: 1, decoys: 2, shown };
        let language = ReasonLanguage::new(format);
        let form = form_of(&shape, &language).unwrap();
        let lists: Vec<JudgedList> = (0..5).map(|number| JudgedList::drawn(&shape, 9, number)).collect();
        let showings = shape.showings(&lists, 1);
        let teacher = Teacher { faults: 0.0, is_right: false };
        let reference = vec![1.0; showings.len()];
        look(&ReasonRewarder {
            shape: &shape,
            language: &language,
            form: &form,
            constrained,
            lists: &lists,
            showings: &showings,
            teacher,
            depth: 10,
            reference: &reference,
        });
    }

    #[test]
    fn the_right_label_is_worth_one_and_choices_alone_answer_for_it() {
        with_rewarder((Format::Setwise, true), 6, |rewarder| {
            let showing = &rewarder.showings[0];
            let list = &rewarder.lists[0];
            let mut answer = rewarder.teacher.answer(rewarder.language, Format::Setwise, (list, showing));
            let place = answer.len() - 3;
            let right = (0..6).find(|at| list.is_relevant(*at)).unwrap();
            answer[place] = rewarder.language.label(right);
            let mut wrong = answer.clone();
            wrong[place] = rewarder.language.label((right + 1) % 6);
            let judged = rewarder.judge(0, &[sampled(answer), sampled(wrong)]);
            assert_eq!(judged.iter().map(|worth| worth.reward).collect::<Vec<_>>(), [1.0, 0.0]);
            let credits = &judged[0].credits;
            // Source and count of six documents, each behind its label, and the answer.
            assert_eq!(credits.len(), 7);
            assert_eq!((credits[0].tokens.clone(), credits[6].tokens.clone()), (2..4, place..place + 1));
            assert!((credits.iter().map(|credit| credit.share).sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(judged[0].credits[0].advantage > 0.0 && judged[1].credits[0].advantage < 0.0);
        });
    }

    #[test]
    fn all_tokens_of_a_free_answer_answer_for_it_whether_it_fits_or_not() {
        with_rewarder((Format::Setwise, false), 6, |rewarder| {
            let list = &rewarder.lists[0];
            let showing = &rewarder.showings[0];
            let mut answer = rewarder.teacher.answer(rewarder.language, Format::Setwise, (list, showing));
            let (place, right) = (answer.len() - 3, (0..6).find(|at| list.is_relevant(*at)).unwrap());
            answer[place] = rewarder.language.label(right);
            let whole = answer.len();
            assert!(rewarder.is_well_formed(0, &sampled(answer.clone())));
            let judged = rewarder.judge(0, &[sampled(answer), sampled(vec![0, 1])]);
            assert_eq!(judged.iter().map(|worth| worth.reward).collect::<Vec<_>>(), [1.0, 0.0]);
            for (worth, tokens) in judged.iter().zip([whole, 2]) {
                let [credit] = &worth.credits[..] else { panic!("{:?}", worth.credits) };
                assert_eq!((credit.tokens.clone(), credit.share), (0..tokens, 1.0));
            }
            assert!(judged[0].credits[0].advantage > 0.0 && judged[1].credits[0].advantage < 0.0);
        });
    }

    #[test]
    fn grades_of_one_document_are_compared_over_the_list() {
        with_rewarder((Format::Pointwise, true), 1, |rewarder| {
            assert_eq!(rewarder.together(), 6);
            let list = &rewarder.lists[1];
            let grade = |grade: usize| {
                let [think, think_end, answer, answer_end] = rewarder.language.tags();
                let [count, grade] = [0, grade].map(|number| rewarder.language.number(number));
                let source = rewarder.language.source(0);
                sampled(vec![think, source, count, think_end, answer, grade, answer_end, 1])
            };
            // The relevant document has 9 and 4; all others 6 and 1, the grade of the reference.
            let groups: Vec<Vec<Sampled>> =
                (0..6)
                    .map(|at| {
                        if list.is_relevant(at) { vec![grade(9), grade(4)] } else { vec![grade(6), grade(1)] }
                    })
                    .collect();
            for (at, judged) in rewarder.judge_together(6, &groups).into_iter().enumerate() {
                let rewards: Vec<f64> = judged.iter().map(|worth| worth.reward).collect();
                let wanted = if list.is_relevant(at) { vec![1.0, 1.0 / 7.0] } else { vec![-1.0, 0.1] };
                assert_eq!(rewards, wanted);
            }
        });
    }

    /// A group of one has the same nDCG and the same shares whatever its grade is.
    #[test]
    fn a_grade_alone_in_its_group_is_never_worth_more() {
        with_rewarder((Format::Groups, true), 1, |rewarder| {
            let [think, think_end, answer, answer_end] = rewarder.language.tags();
            let language = rewarder.language;
            let graded = |grade: usize| {
                let sheet = [language.label(0), language.number(grade), language.brace()];
                sampled(
                    [vec![think, language.number(3), think_end, answer], sheet.to_vec(), vec![answer_end, 1]]
                        .concat(),
                )
            };
            for prompt in 0..6 {
                let judged = rewarder.judge(prompt, &[graded(0), graded(3), graded(10)]);
                assert!(judged.iter().all(|worth| !worth.differs && worth.reward > 0.0));
            }
        });
    }
}
