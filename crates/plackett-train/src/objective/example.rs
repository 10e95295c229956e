//! The objective that docs/objectives.md shows: what a file of a new one looks like.

use super::{Group, Input, ObjectiveSpec, on_pairs};

// The page shows what follows: a squared hinge.
pub const SQUARED_HINGE: ObjectiveSpec = ObjectiveSpec {
    name: "squared-hinge",
    aliases: &[],
    group: Group::Pairwise,
    summary: "Asks that the better candidate is ahead by 1, and more strongly the more is missing.",
    formula: "mean over pairs with y_i > y_j of max(0, 1 − (s_i − s_j))²",
    source: "Chapelle and Keerthi, Efficient Algorithms for Ranking with SVMs, 2010",
    takes: &[Input::Scores, Input::Labels],
    options: &[],
    build: |_| Ok(on_pairs(|tape, d| tape.square(&tape.relu(&tape.shift(&tape.scale(d, -1.0), 1.0))))),
};

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::SQUARED_HINGE;

    #[test]
    fn squares_by_hand_and_gradients_as_differences() {
        let objective = SQUARED_HINGE.configure([]).unwrap();
        // Differences 0.5, 0.75 and 0.25: (0.25 + 0.0625 + 0.5625) / 3 = 0.291667.
        let case = Case::new("", &[&[0.5, 0.0, -0.25]], &[&[2.0, 1.0, 0.0]]);
        case.assert_value_of(&objective, 0.291667);
        case.assert_gradients_of(&objective);
    }
}
