//! The tags that an answer with reasoning has to have.

/// Whether reasoning and answer stand between their tags, in this order; upper and lower case count alike. `reasoning` is the name of
/// the tag of the reasoning.
pub(super) fn reasons_then_answers(reply: &str, reasoning: &str) -> bool {
    let lower = reply.to_ascii_lowercase();
    let tags = [format!("<{reasoning}>"), format!("</{reasoning}>"), "<answer>".into(), "</answer>".into()];
    let places = tags.map(|tag| lower.find(&tag));
    places[0].is_some() && places.windows(2).all(|pair| pair[0] < pair[1])
}
