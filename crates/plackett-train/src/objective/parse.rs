//! Objectives as a training file writes them: `ranknet`, `lambda-loss(weights=ndcg-loss2, k=10)`, and weighted
//! sums of such.

use super::{Configured, OBJECTIVES, ObjectiveSpec};
use plackett_core::declaration::{self, Expression, OptionError, suggestion};

/// Why a training file's objective cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// An objective that does not exist.
    #[error("`{given}` is not an objective{}; use one of: {known}", suggestion(.nearest))]
    Unknown {
        /// What was written.
        given: String,
        /// The names there are.
        known: String,
        /// The one that is written most alike.
        nearest: Option<&'static str>,
    },
    /// Text that is no expression.
    #[error("cannot read `{text}`: {problem}; write an objective as name(option=value, …)")]
    Form {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A weight that is no number.
    #[error("`{given}` is not a weight; write a weighted objective as 0.5*name(…)")]
    Weight {
        /// What was written.
        given: String,
    },
    /// A weight with which an objective would be maximised.
    #[error(
        "the weight {weight} of `{objective}` is below 0, so that its loss would be made greater instead of less; give a weight from 0, \
         or an objective that teaches the contrary"
    )]
    NegativeWeight {
        /// The objective that has it.
        objective: String,
        /// The weight.
        weight: f32,
    },
    /// A sum of which nothing is left.
    #[error(
        "every objective of `{text}` has the weight 0, so that nothing would be learned; give one another weight"
    )]
    NoWeight {
        /// What was written.
        text: String,
    },
    /// Options that cannot be used.
    #[error(transparent)]
    Options(#[from] OptionError),
}

/// An objective of a weighted sum.
#[derive(Debug)]
pub struct Term {
    /// What its loss is multiplied with.
    pub weight: f32,
    /// The objective.
    pub objective: Configured,
}

/// The declaration of a name or alias; case and `_` for `-` do not matter.
///
/// # Errors
/// [`ParseError::Unknown`] with the names there are and the nearest one.
pub fn find(name: &str) -> Result<&'static ObjectiveSpec, ParseError> {
    declaration::find(OBJECTIVES, name).map_err(|unknown| ParseError::Unknown {
        given: name.to_string(),
        known: unknown.known,
        nearest: unknown.nearest,
    })
}

/// Reads `name` or `name(option=value, …)`.
///
/// # Errors
/// [`ParseError`] for an unknown objective or option, a value that is not allowed, or text of another form.
pub fn parse(text: &str) -> Result<Configured, ParseError> {
    let form = |problem: String| ParseError::Form { text: text.to_string(), problem };
    let expression = Expression::split(text).map_err(form)?;
    let spec = find(expression.name)?;
    Ok(spec.configure(expression.options().map_err(form)?)?)
}

/// Reads a weighted sum: `language + 10*weighted-ranknet(options…)`. A term without a number has the weight 1.
///
/// # Errors
/// [`ParseError`] of the first term that cannot be read or has a weight below 0, or of a sum in which every weight is 0.
pub fn parse_sum(text: &str) -> Result<Vec<Term>, ParseError> {
    let all: Vec<Term> = terms(text).into_iter().map(term).collect::<Result<_, _>>()?;
    match all.iter().all(|term| term.weight == 0.0) {
        true => Err(ParseError::NoWeight { text: text.to_string() }),
        false => Ok(all),
    }
}

fn term(text: &str) -> Result<Term, ParseError> {
    let head = text.split('(').next().unwrap_or_default();
    let Some((weight, rest)) = head.split_once('*').map(|(weight, _)| text.split_at(weight.len())) else {
        return Ok(Term { weight: 1.0, objective: parse(text)? });
    };
    let number = weight.trim().parse().ok().filter(|weight: &f32| weight.is_finite());
    let weight = number.ok_or_else(|| ParseError::Weight { given: weight.trim().to_string() })?;
    let objective = parse(&rest[1..])?;
    match weight < 0.0 {
        true => Err(ParseError::NegativeWeight { objective: objective.to_string(), weight }),
        false => Ok(Term { weight, objective }),
    }
}

/// The text between plus signs that stand in no parentheses. A plus belongs to a word as in `ndcg-loss2++` only
/// within them.
fn terms(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut all) = (0i32, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '+' if depth == 0 => {
                all.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(&text[start..]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_read_back() {
        for (written, ours) in [
            ("ranknet", "ranknet"),
            (" RankNet( temperature = 0.1 ) ", "ranknet(temperature=0.1)"),
            ("lambda_loss(weights=ndcg-loss2++, k=10)", "lambda-loss(weights=ndcg-loss2++, k=10)"),
            ("lambdarank()", "lambda-loss"),
        ] {
            let objective = parse(written).unwrap();
            assert_eq!(objective.to_string(), ours);
            assert_eq!(parse(ours).unwrap().to_string(), ours);
        }
    }

    #[test]
    fn sums_have_weights() {
        let terms =
            parse_sum("language + 10*weighted-ranknet + 1e-1*lambda-loss(weights=ndcg-loss2++)").unwrap();
        let read: Vec<(f32, String)> =
            terms.iter().map(|term| (term.weight, term.objective.to_string())).collect();
        let expected =
            [(1.0, "language"), (10.0, "weighted-ranknet"), (0.1, "lambda-loss(weights=ndcg-loss2++)")];
        assert_eq!(read, expected.map(|(weight, name)| (weight, name.to_string())));
    }

    #[test]
    fn errors_name_what_is_wrong_and_the_nearest() {
        for (written, parts) in [
            ("rank-net2", vec!["`rank-net2` is not an objective", "did you mean `ranknet`?", "listnet"]),
            ("ranknet(temprature=1)", vec!["`temprature`", "did you mean `temperature`?"]),
            ("ranknet(temperature=0)", vec!["temperature is `0`", "greater than 0"]),
            ("ranknet(temperature)", vec!["`temperature` has no `=`"]),
            ("ranknet(temperature=1", vec!["`)` is missing"]),
            ("", vec!["nothing is written"]),
            ("ten*ranknet", vec!["`ten` is not a weight"]),
            ("NaN*ranknet", vec!["`NaN` is not a weight"]),
            ("ranknet + ", vec!["nothing is written"]),
            (
                "language + -0.5*ranknet(temperature=0.1)",
                vec!["the weight -0.5 of `ranknet(temperature=0.1)` is below 0", "a weight from 0"],
            ),
            ("0*ranknet + 0*listnet", vec!["every objective", "has the weight 0"]),
        ] {
            let message = parse_sum(written).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{written}: {message}");
            }
        }
    }
}
