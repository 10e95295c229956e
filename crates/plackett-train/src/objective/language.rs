//! Log-likelihoods of answers, token by token.

use super::error::{DIVERGED, REPAIR, check_finite, check_length, check_weights};
use super::{Batch, Group, Input, Loss, ObjectiveSpec, Problem, Tokens};
use crate::tape::{Tape, Var};
use plackett_core::declaration::{OptionKind, OptionSpec};

/// The language model's loss.
pub const LANGUAGE: ObjectiveSpec = ObjectiveSpec {
    name: "language",
    aliases: &["nll", "lm"],
    group: Group::Language,
    summary: "Makes the tokens of the answers likely: fine-tuning on answers that are given.",
    formula: "−Σ_t w_t ln p_t / Σ_t w_t, over all tokens of the batch, or over each sequence and then their mean",
    source: "Bengio and others, A Neural Probabilistic Language Model, 2003",
    takes: &[Input::TokenLogProbabilities],
    options: &[OptionSpec {
        name: "mean",
        kind: OptionKind::Choice(&["tokens", "sequences"]),
        default: Some("tokens"),
        help: "whether each token or each sequence counts equally",
    }],
    build: |options| {
        let by_sequence = options.choice("mean") == "sequences";
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let tokens = tokens_of(batch)?;
            let weight = |at: usize| tokens.weights.map_or(1.0, |weights| weights[at]);
            let total = |sequence: usize| tokens.sequences[sequence].clone().map(weight).sum::<f32>();
            let (taught, skipped): (Vec<usize>, Vec<usize>) =
                (0..tokens.sequences.len()).partition(|sequence| total(*sequence) > 0.0);
            let all: f32 = taught.iter().map(|sequence| total(*sequence)).sum();
            let scale = |sequence: usize| match by_sequence {
                true => 1.0 / (total(sequence) * taught.len() as f32),
                false => 1.0 / all,
            };
            let places = taught.iter().flat_map(|sequence| {
                let scale = scale(*sequence);
                tokens.sequences[*sequence].clone().map(move |at| (at, -weight(at) * scale))
            });
            let value = weighted_sum(tape, tokens.log_probabilities, places);
            let places_of = |sequence: &usize| tokens.sequences[*sequence].clone();
            let used = match by_sequence {
                true => taught.len(),
                false => taught.iter().flat_map(places_of).filter(|at| weight(*at) > 0.0).count(),
            };
            Ok(Loss { value, used, skipped: skipped.len() })
        }))
    },
};

/// The importance-aware loss of FullRank.
pub const IMPORTANCE_AWARE: ObjectiveSpec = ObjectiveSpec {
    name: "importance-aware",
    aliases: &["fullrank"],
    group: Group::Language,
    summary: "The language loss of an answer that is a ranking, in which the tokens of an identifier weigh more the nearer it stands to the top.",
    formula: "−(1/T) Σ_t w_t ln p_t, w = 1 + 1/log2(r + 1) for tokens of the identifier at rank r, α for separators, T the number of tokens",
    source: "Liu and others, Sliding Windows Are Not the End (FullRank), 2024",
    takes: &[Input::TokenLogProbabilities, Input::Ranks],
    options: &[OptionSpec {
        name: "alpha",
        kind: OptionKind::Number(0.0, 1.0),
        default: Some("1"),
        help: "weight of separators",
    }],
    build: |options| {
        let alpha = options.number("alpha") as f32;
        Ok(Box::new(move |tape: &Tape, batch: &Batch| {
            let tokens = tokens_of(batch)?;
            let remedy = "say of which rank the identifier of each token is";
            let ranks = tokens.ranks.ok_or(Problem::Missing { input: "ranks of tokens", remedy })?;
            if tokens.weights.is_some() {
                let remedy = "it makes its own from ranks; leave them out";
                return Err(Problem::Unused { input: "weights of tokens", remedy });
            }
            let count: usize = tokens.sequences.iter().map(ExactSizeIterator::len).sum();
            let weight = |at: usize| ranks[at].map_or(alpha, importance);
            let all = tokens.sequences.iter().flat_map(Clone::clone);
            let value =
                weighted_sum(tape, tokens.log_probabilities, all.map(|at| (at, -weight(at) / count as f32)));
            Ok(Loss { value, used: count, skipped: 0 })
        }))
    },
};

/// The weight of the tokens of an identifier at a rank.
fn importance(rank: usize) -> f32 {
    1.0 + 1.0 / (rank as f32 + 1.0).log2()
}

/// The tokens of a batch, checked.
pub(super) fn tokens_of<'b, 'a>(batch: &'b Batch<'a>) -> Result<&'b Tokens<'a>, Problem> {
    let Batch::Tokens(tokens) = batch else {
        return Err(Problem::Batch { expected: "log-probabilities of tokens", given: batch.name() });
    };
    let (count, columns) = (tokens.log_probabilities.rows, tokens.log_probabilities.columns);
    if columns != 1 {
        let expected = "one for each token is needed".to_string();
        return Err(Problem::Shape { what: "log-probabilities", rows: count, columns, expected });
    }
    check_length("weights", tokens.weights.map_or(count, <[f32]>::len), "tokens", count)?;
    check_length("ranks", tokens.ranks.map_or(count, <[_]>::len), "tokens", count)?;
    check_length(
        "reference log-probabilities",
        tokens.reference.map_or(count, <[f32]>::len),
        "tokens",
        count,
    )?;
    let sequences = tokens.sequences.len();
    check_length(
        "marks of what is retained",
        tokens.retained.map_or(sequences, <[_]>::len),
        "sequences",
        sequences,
    )?;
    check_weights(tokens.weights.unwrap_or_default())?;
    for (at, range) in tokens.sequences.iter().enumerate() {
        let (start, end) = (range.start, range.end);
        if start > end || end > count {
            return Err(Problem::Range { what: "sequence", at, start, end, count, of: "tokens" });
        }
        if range.is_empty() {
            return Err(Problem::Empty { what: "sequence", at });
        }
        check_finite(
            "log-probability",
            &tokens.log_probabilities.value[start..end],
            ("sequence", at),
            DIVERGED,
        )?;
        let reference = tokens.reference.map(|reference| &reference[start..end]).unwrap_or_default();
        check_finite("reference log-probability", reference, ("sequence", at), REPAIR)?;
        let ranks = tokens.ranks.map(|ranks| &ranks[start..end]).unwrap_or_default();
        if let Some(token) = ranks.iter().position(|rank| *rank == Some(0)) {
            let expected = "ranks count from 1".to_string();
            return Err(Problem::Value {
                what: "rank",
                at: token,
                of: "sequence",
                within: at,
                value: 0.0,
                expected,
            });
        }
    }
    Ok(tokens)
}

/// The sum of numbers by their places, each times a factor; of none it is 0.
pub(super) fn weighted_sum(tape: &Tape, column: &Var, terms: impl Iterator<Item = (usize, f32)>) -> Var {
    let (places, factors): (Vec<usize>, Vec<f32>) = terms.unzip();
    let shape = (places.len(), 1);
    tape.sum(&tape.times(&tape.gather(column, &places, shape), &tape.constant(shape, &factors)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, on_tape};
    use super::super::{ObjectiveError, parse};
    use super::*;
    use crate::tape::assert_gradients;

    const LOGS: [f32; 5] = [-1.0, -2.0, -0.5, -0.1, -0.4];

    fn loss_of(text: &str, change: impl Fn(&mut Tokens)) -> Result<(f32, usize, usize), ObjectiveError> {
        on_tape(|tape| {
            let logs = tape.constant((5, 1), &LOGS);
            let mut tokens = Tokens::new(&logs, &[0..2, 2..5]);
            change(&mut tokens);
            let loss = parse(text).unwrap().loss(tape, &Batch::Tokens(tokens))?;
            Ok((loss.value.item(), loss.used, loss.skipped))
        })
    }

    #[test]
    fn likelihoods_by_hand() {
        // (1 + 2 + 0.5 + 0.1 + 0.4) / 5 = 0.8; by sequence: 3/2 and 1/3: 11/12.
        assert_close("tokens", loss_of("language", |_| ()).unwrap().0, 0.8);
        assert_close("sequences", loss_of("language(mean=sequences)", |_| ()).unwrap().0, 11.0 / 12.0);
        // Weights 1, 3 and nothing of the second: (1 + 6) / 4.
        let weighted =
            loss_of("language", |tokens| tokens.weights = Some(&[1.0, 3.0, 0.0, 0.0, 0.0])).unwrap();
        assert_close("weights", weighted.0, 1.75);
        assert_eq!((weighted.1, weighted.2), (2, 1));
        // What the mean is over: tokens, or sequences.
        for (text, used) in [("language", 5), ("language(mean=sequences)", 2)] {
            assert_eq!(loss_of(text, |_| ()).unwrap().1, used, "{text}");
        }
        let nothing = loss_of("language", |tokens| tokens.weights = Some(&[0.0; 5])).unwrap();
        assert_eq!(nothing, (0.0, 0, 2));
    }

    const RANKS: &[Option<usize>] = &[Some(1), None, Some(2), None, Some(3)];

    #[test]
    fn importance_by_hand() {
        // `[i] > [j] > [k]` with a token for each identifier and separator: 2, α, 1.631, α, 1.5.
        let weights: Vec<f32> = [1, 2, 3, 10].iter().map(|rank| importance(*rank)).collect();
        for (weight, expected) in weights.iter().zip([2.0, 1.631, 1.5, 1.289]) {
            assert!((weight - expected).abs() < 1e-3, "{weight} is not {expected}");
        }
        // α = 0.5: 2 · 1 + 0.5 · 2 + 1.630930 · 0.5 + 0.5 · 0.1 + 1.5 · 0.4 = 4.465465; / 5 = 0.893093.
        let given = loss_of("importance-aware(alpha=0.5)", |tokens| tokens.ranks = Some(RANKS)).unwrap();
        assert_close("importance", given.0, 0.893093);
        assert_eq!(given.1, 5, "the mean is over tokens");
        // Weights of 1 for all are plain cross-entropy.
        let plain = loss_of("importance-aware", |tokens| tokens.ranks = Some(&[None; 5])).unwrap().0;
        assert_close("plain", plain, 0.8);
    }

    #[test]
    fn gradients_are_differences() {
        for text in ["language", "language(mean=sequences)", "importance-aware(alpha=0.3)"] {
            assert_gradients(&[((5, 1), LOGS.to_vec())], |tape, inputs| {
                let tokens = Tokens { ranks: Some(RANKS), ..Tokens::new(&inputs[0], &[0..2, 2..5]) };
                parse(text).unwrap().loss(tape, &Batch::Tokens(tokens)).unwrap().value
            });
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let message = |change: fn(&mut Tokens)| loss_of("importance-aware", change).unwrap_err().to_string();
        assert!(message(|_| ()).contains("needs ranks of tokens"));
        assert!(
            message(|tokens| tokens.ranks = Some(&[Some(0); 5]))
                .contains("rank 0 of sequence 0 is 0; ranks count from 1")
        );
        assert!(
            message(|tokens| tokens.sequences = std::slice::from_ref(&(0..6)))
                .contains("sequence 0 covers 0..6, and there are 5 tokens")
        );
        assert!(
            message(|tokens| tokens.sequences = std::slice::from_ref(&(2..2)))
                .contains("sequence 0 is empty")
        );
        assert!(
            message(|tokens| {
                tokens.ranks = Some(RANKS);
                tokens.weights = Some(&[1.0; 5]);
            })
            .contains("no use for weights")
        );
    }
}
