//! In-context methods: all documents in one prompt, ranked by the attention that they get from its end.

pub(crate) mod block_rank;
pub(crate) mod icr;
pub(crate) mod outliers;
#[cfg(test)]
mod real_tests;
#[cfg(test)]
mod tests;

use crate::method::{OptionError, OptionValues};
use crate::prompt::{Passage, Template, TemplateError};

/// Refuses a template that has no parts, or whose passages or instructions change with their number or, where
/// `query_first` is not set, with the query.
fn check(template: &Template, values: &[(&str, &str)], query_first: bool) -> Result<(), TemplateError> {
    if template.has_turns() {
        return Err(template.lacks(
            "its passages are turns of a conversation; attention is read within one message, so take \
                                   body_reply out",
        ));
    }
    let one = Passage { label: "1", text: "text" };
    // A sign that no template has.
    let parts = template.parts("\u{1}query", &[one], values);
    if parts.endings.iter().all(|ending| !ending.contains("\u{1}query")) {
        return Err(
            template.lacks("the query does not stand behind the passages; write {query} in the suffix")
        );
    }
    if !query_first && template.parts("other", &[one], values).parts != parts.parts {
        return Err(template.lacks(
            "the query stands before or in the passages; it may stand in the suffix alone, so that the \
                                   passages are the same without it",
        ));
    }
    Ok(())
}

/// Layers as `12`, or from the first to the last as `8-20`.
fn layers(options: &OptionValues, text: &str) -> Result<Vec<usize>, OptionError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last && last < MOST_LAYERS => Ok((first..=last).collect()),
        _ => Err(options.problem(format!(
            "layers is `{text}`; write one layer as 12, or the first and the last of several as 8-20, from 0"
        ))),
    }
}

/// More than any model has.
const MOST_LAYERS: usize = 10_000;

/// Heads as `layer.head` with `+` between: `8.3+12.0`.
fn heads(options: &OptionValues, text: &str) -> Result<Vec<(usize, usize)>, OptionError> {
    let head = |part: &str| {
        let (layer, head) = part.trim().split_once('.')?;
        Some((layer.parse().ok()?, head.parse().ok()?))
    };
    let mut heads = text.split('+').map(head).collect::<Option<Vec<_>>>().ok_or_else(|| {
        options
            .problem(format!("heads is `{text}`; write each as layer.head, from 0, with + between: 8.3+12.0"))
    })?;
    heads.sort_unstable();
    heads.dedup();
    Ok(heads)
}
