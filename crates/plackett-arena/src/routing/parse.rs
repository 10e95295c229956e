//! Policies as they are written: `greedy`, `pak-ucb(eta=1)`.

use super::{Configured, POLICIES, PolicySpec};
use crate::ArenaError;
use plackett_core::declaration::{self, Expression, OptionValues, suggestion};

/// The declaration of a name or alias; case and `_` for `-` do not matter.
///
/// # Errors
/// There is none; the message has the names there are and the nearest one.
pub fn find(name: &str) -> Result<&'static PolicySpec, ArenaError> {
    declaration::find(POLICIES, name).map_err(|unknown| {
        let (known, suggested) = (unknown.known, suggestion(&unknown.nearest));
        ArenaError::Setting(format!("`{name}` is not a policy ({known}){suggested}"))
    })
}

/// Reads `name` or `name(option=value, …)`.
///
/// # Errors
/// A policy or option is unknown, a value is not allowed, or the text has another form.
pub fn parse(text: &str) -> Result<Configured, ArenaError> {
    let form = |problem: String| {
        ArenaError::Setting(format!(
            "cannot read `{text}`: {problem}; write a policy as name(option=value, …)"
        ))
    };
    let expression = Expression::split(text).map_err(form)?;
    let spec = find(expression.name)?;
    let options = OptionValues::parse(spec.name, spec.options, expression.options().map_err(form)?)?;
    Ok(Configured { spec, options })
}
