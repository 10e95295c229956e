//! Schemes as they are written: `atomic`, `rq(levels=3, codes=64)`.

use super::{SCHEMES, Scheme, SchemeSpec};
use crate::IdsError;
use plackett_core::declaration::{self, Expression, OptionValues, suggestion};

/// The declaration of a name or alias; case and `_` for `-` do not matter.
///
/// # Errors
/// There is none; the message has the names there are and the nearest one.
pub fn find(name: &str) -> Result<&'static SchemeSpec, IdsError> {
    declaration::find(SCHEMES, name).map_err(|unknown| {
        let (known, suggested) = (unknown.known, suggestion(&unknown.nearest));
        IdsError::Scheme(format!("`{name}` is not an identifier scheme ({known}){suggested}"))
    })
}

/// Reads `name` or `name(option=value, …)`.
///
/// # Errors
/// A scheme or option is unknown, a value is not allowed, or the text has another form.
pub fn parse(text: &str) -> Result<Scheme, IdsError> {
    let form = |problem: String| {
        IdsError::Scheme(format!("cannot read `{text}`: {problem}; write a scheme as name(option=value, …)"))
    };
    let expression = Expression::split(text).map_err(form)?;
    let spec = find(expression.name)?;
    let options = OptionValues::parse(spec.name, spec.options, expression.options().map_err(form)?)?;
    Ok(Scheme { spec, options })
}
