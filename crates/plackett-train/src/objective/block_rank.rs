//! The auxiliary loss of BlockRank, on shares of attention.

use super::{Group, Input, ObjectiveSpec, on_lists};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// BlockRank's auxiliary loss.
pub const BLOCK_RANK: ObjectiveSpec = ObjectiveSpec {
    name: "blockrank-auxiliary",
    aliases: &["block-rank", "multi-positive-info-nce"],
    group: Group::Auxiliary,
    summary: "Draws the attention of the answer to the documents with labels above 0, of which any may get it.",
    formula: "−ln( Σ_{p: y_p > 0} e^(S_p/τ) / Σ_k e^(S_k/τ) ), S the documents' shares of the attention at one middle layer",
    source: "Gupta and others, Scalable In-context Ranking with Generative Models (BlockRank), 2025 (with a weight of 0.1 beside the language loss)",
    takes: &[Input::Scores, Input::Labels],
    options: &[OptionSpec {
        name: "temperature",
        kind: OptionKind::Positive,
        default: Some("0.05"),
        help: "number that shares are divided by",
    }],
    build: |options| {
        let temperature = options.number("temperature") as f32;
        Ok(on_lists(move |tape, list| {
            let positives: Vec<usize> = (0..list.count()).filter(|at| list.labels[*at] > 0.0).collect();
            let Some(first) = positives.first().filter(|_| positives.len() < list.count()) else {
                return Ok(None);
            };
            let row = tape.scale(&list.row(tape), 1.0 / temperature);
            // ln Σ of any set is s − ln softmax of one of its members, so that s of the first positive falls out.
            let all = tape.gather(&tape.log_softmax(&row), &[*first], (1, 1));
            let among = tape.log_softmax(&tape.gather(&row, &positives, (1, positives.len())));
            Ok(Some(tape.minus(&tape.gather(&among, &[0], (1, 1)), &all)))
        }))
    },
};

#[cfg(test)]
mod tests {
    use super::super::testing::Case;

    #[test]
    fn shares_by_hand() {
        // S = (0.1, 0.05, 0), τ = 0.05: powers e², e¹, e⁰ = 7.389056, 2.718282, 1, together 11.107338.
        let case = |labels: &[f32]| Case::new("blockrank-auxiliary", &[&[0.1, 0.05, 0.0]], &[labels]);
        // −ln(7.389056 / 11.107338) = 0.407606; with the first two −ln(10.107338 / 11.107338) = 0.094344.
        case(&[1.0, 0.0, 0.0]).assert_value(0.407606);
        case(&[1.0, 1.0, 0.0]).assert_value(0.094344);
        assert_eq!(case(&[1.0, 1.0, 1.0]).loss().unwrap().2, 1);
        assert_eq!(case(&[0.0, 0.0, 0.0]).loss().unwrap().2, 1);
        // The greatest share that there is costs nothing that can be seen: 2 e⁻²⁰.
        Case::new("blockrank-auxiliary", &[&[1.0, 0.0, 0.0]], &[&[1.0, 0.0, 0.0]]).assert_value(0.0);
    }

    #[test]
    fn gradients_are_differences() {
        let text = "blockrank-auxiliary(temperature=0.5)";
        Case::new(text, &[&[0.3, -0.2, 0.6, 0.1]], &[&[0.0, 1.0, 0.0, 2.0]]).assert_gradients();
    }
}
