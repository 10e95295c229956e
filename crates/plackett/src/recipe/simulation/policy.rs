//! `graded-policy`: reinforcement learning of grades with a table in place of the model.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_eval::reward::{CrossDocument, squared_error};
use plackett_train::rl::group_advantages;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LEVELS: usize = 11;
const NUMBERS: [&str; 3] = ["above_before", "above", "error"];

/// The declaration.
pub static GRADED_POLICY: Simulation = Simulation {
    name: "graded-policy",
    help: "each document of a query has a table of probabilities of the grades 0 to 10, first even, which group-relative policy gradients \
           change by a reward. The teacher's grades are random: those of relevant documents from 3 to 8, of others from 0 to 6. \
           `above_before` and `above` are the share of pairs in which the relevant document's expected grade is the greater one, before \
           and after, and `error` is the mean distance of expected grades from the teacher's",
    version: 2,
    fields: &[
        FieldSpec::required(
            "reward",
            FieldKind::Choice(&["cross-document", "squared-error"]),
            "cross-document: ERank's, over the grades of all documents; squared-error: distance from the teacher's grade",
        ),
        FieldSpec::new("items", FieldKind::Whole(2, 100), Default::Whole(8), "documents of the query"),
        FieldSpec::new(
            "relevant",
            FieldKind::Whole(1, 100),
            Default::Whole(2),
            "how many of them are relevant",
        ),
        FieldSpec::new(
            "rollouts",
            FieldKind::Whole(2, 1000),
            Default::Whole(5),
            "grades that are drawn for each document",
        ),
        FieldSpec::new("steps", FieldKind::Whole(0, 100_000), Default::Whole(300), "steps of training"),
        FieldSpec::new("rate", FieldKind::Number(0.0, 10.0), Default::Number(0.2), "how far each step goes"),
    ],
    check: |values| {
        use crate::recipe::error::Problem;
        if values.count("relevant") < values.count("items") {
            return Ok(());
        }
        let problem = "all documents would be relevant; write a number below `items`";
        Err(values.wrong("relevant", 0, Problem::Said(problem.into())))
    },
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run,
};

/// Logits of the grades of one document.
type Table = [f64; LEVELS];

fn chances(table: &Table) -> [f64; LEVELS] {
    let most = table.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts = table.map(|logit| (logit - most).exp());
    let sum: f64 = parts.iter().sum();
    parts.map(|part| part / sum)
}

fn expected(table: &Table) -> f64 {
    chances(table).iter().enumerate().map(|(grade, chance)| grade as f64 * chance).sum()
}

fn draw(table: &Table, random: &mut ChaCha8Rng) -> usize {
    let mut left = random.random::<f64>();
    let chances = chances(table);
    chances
        .iter()
        .position(|chance| {
            left -= chance;
            left < 0.0
        })
        .unwrap_or(LEVELS - 1)
}

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, String> {
    let values = given.values;
    let (items, rollouts) = (values.count("items"), values.count("rollouts"));
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let relevant: Vec<bool> = (0..items).map(|item| item < values.count("relevant")).collect();
    let teacher: Vec<f64> = relevant
        .iter()
        .map(|relevant| {
            f64::from(if *relevant { random.random_range(3..=8_i32) } else { random.random_range(0..=6_i32) })
        })
        .collect();
    let mut tables = vec![[0.0; LEVELS]; items];
    let before = above(&tables, &relevant);
    let rate = values.real("rate");
    for _ in 0..values.count("steps") {
        let drawn: Vec<Vec<usize>> =
            tables.iter().map(|table| (0..rollouts).map(|_| draw(table, &mut random)).collect()).collect();
        let rewards = if values.word("reward") == "cross-document" {
            let grades: Vec<Vec<Option<f64>>> =
                drawn.iter().map(|own| own.iter().map(|grade| Some(*grade as f64)).collect()).collect();
            CrossDocument::default().rewards(&grades, &relevant, &teacher)
        } else {
            let of = |(own, teacher): (&Vec<usize>, &f64)| {
                own.iter().map(|grade| squared_error(*grade as f64, *teacher, 10.0)).collect()
            };
            drawn.iter().zip(&teacher).map(of).collect()
        };
        for ((table, own), rewards) in tables.iter_mut().zip(&drawn).zip(&rewards) {
            let chances = chances(table);
            for (grade, advantage) in own.iter().zip(group_advantages(rewards)) {
                // The gradient of the log-probability of a drawn grade.
                for (level, logit) in table.iter_mut().enumerate() {
                    let drawn = f64::from(u8::from(level == *grade));
                    *logit += rate * advantage * (drawn - chances[level]) / rollouts as f64;
                }
            }
        }
    }
    let error: f64 =
        tables.iter().zip(&teacher).map(|(table, teacher)| (expected(table) - teacher).abs()).sum();
    Ok(vec![before, above(&tables, &relevant), error / items as f64])
}

/// The share of pairs of a relevant and another document in which the relevant one has the greater expected grade.
fn above(tables: &[Table], relevant: &[bool]) -> f64 {
    let grades: Vec<f64> = tables.iter().map(expected).collect();
    let of = |wanted: bool| {
        grades.iter().zip(relevant).filter(move |(_, r)| **r == wanted).map(|(grade, _)| *grade)
    };
    let pairs: Vec<bool> = of(true).flat_map(|good| of(false).map(move |other| good > other)).collect();
    pairs.iter().filter(|above| **above).count() as f64 / pairs.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_by_hand() {
        let mut table = [f64::NEG_INFINITY; LEVELS];
        (table[2], table[4]) = (0.0, 0.0);
        assert_eq!(expected(&table), 3.0);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<usize> = (0..100).map(|_| draw(&table, &mut random)).collect();
        assert!(drawn.contains(&2) && drawn.contains(&4) && drawn.iter().all(|grade| [2, 4].contains(grade)));
        assert_eq!(above(&[table, [0.0; LEVELS], table], &[true, false, false]), 0.0);
        assert_eq!(above(&[[0.0; LEVELS], table], &[true, false]), 1.0);
    }
}
