//! Adapters as a training file writes them: `lora`, `nola(k=512, l=256)`.

use super::{ADAPTERS, AdapterSpec, Configured};
use crate::TrainError;
use plackett_core::declaration::{self, Expression, suggestion};

/// The declaration of a name or alias; case and `_` for `-` do not matter.
///
/// # Errors
/// There is none; the message has the names there are and the nearest one.
pub fn find(name: &str) -> Result<&'static AdapterSpec, TrainError> {
    declaration::find(ADAPTERS, name).map_err(|unknown| {
        let (known, suggested) = (unknown.known, suggestion(&unknown.nearest));
        TrainError::Setting(format!("`{name}` is not an adapter ({known}){suggested}"))
    })
}

/// Reads `name` or `name(option=value, …)`.
///
/// # Errors
/// An adapter or option is unknown, a value is not allowed, or the text has another form.
pub fn parse(text: &str) -> Result<Configured, TrainError> {
    let form = |problem: String| {
        let text = format!("cannot read `{text}`: {problem}; write an adapter as name(option=value, …)");
        TrainError::Setting(text)
    };
    let expression = Expression::split(text).map_err(form)?;
    let spec = find(expression.name)?;
    spec.configure(expression.options().map_err(form)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_read_back() {
        for (written, ours) in [
            ("lora", "lora"),
            (" LoRA( rank = 4 , alpha=8)", "lora(rank=4, alpha=8)"),
            ("randlora()", "rand-lora"),
            ("sora(xi=0/0.0001/0.0003)", "sora(xi=0/0.0001/0.0003)"),
        ] {
            let adapter = parse(written).unwrap();
            assert_eq!(adapter.to_string(), ours);
            assert_eq!(parse(ours).unwrap().to_string(), ours);
        }
    }

    #[test]
    fn errors_name_what_is_wrong_and_the_nearest() {
        for (written, parts) in [
            ("lorra", vec!["`lorra` is not an adapter (lora, dora", "; did you mean `lora`?", "nola"]),
            ("lora(rnk=1)", vec!["`rnk`", "did you mean `rank`?", "rank, alpha"]),
            ("lora(rank=0)", vec!["rank is `0`", "a whole number from 1"]),
            ("lora(scaling=rslor)", vec!["one of lora, rslora", "did you mean `rslora`?"]),
            ("sora(xi=3/2)", vec!["xi is `3/2`", "that rise"]),
            ("lora(dropout=NaN)", vec!["dropout is `NaN`"]),
            ("lora(rank)", vec!["`rank` has no `=`"]),
            ("lora(rank=1, rank=1)", vec!["stands twice"]),
            ("lora(rank=1", vec!["`)` is missing"]),
            ("", vec!["nothing is written"]),
        ] {
            let message = parse(written).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{written}: {message}");
            }
        }
    }
}
