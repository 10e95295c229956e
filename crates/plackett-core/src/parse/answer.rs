//! Which part of a reply is the answer: reasoning and tags around it.

/// The answer inside a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The text that counts.
    pub text: &'a str,
    /// Whether it stood behind an `<answer>` tag.
    pub tagged: bool,
    /// Whether a `<think>` was never closed: the reply ended before its answer.
    pub unfinished_reasoning: bool,
}

/// Takes reasoning and tags off: only what follows the last `</think>` counts, nothing that follows a `<think>`
/// without its end, and of several `<answer>` blocks the last one, with or without its end (ReasonRank,
/// "Inference"). Tags are found in upper and lower case.
pub fn answer_text(reply: &str) -> Answer<'_> {
    let mut text = match rfind(reply, "</think>") {
        Some(at) => &reply[at + "</think>".len()..],
        None => reply,
    };
    let open = find(text, "<think>");
    if let Some(at) = open {
        text = &text[..at];
    }
    let tag = rfind(text, "<answer>");
    if let Some(at) = tag {
        text = &text[at + "<answer>".len()..];
        if let Some(end) = find(text, "</answer>") {
            text = &text[..end];
        }
    }
    Answer { text, tagged: tag.is_some(), unfinished_reasoning: open.is_some() }
}

/// Tags are ASCII and start with a byte that no other character contains, so that byte offsets are character
/// boundaries.
fn places<'a>(text: &'a str, tag: &'a str) -> impl DoubleEndedIterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    let last = (bytes.len() + 1).saturating_sub(tag.len());
    (0..last).filter(move |&at| {
        bytes[at] == b'<' && bytes[at..at + tag.len()].eq_ignore_ascii_case(tag.as_bytes())
    })
}

fn find(text: &str, tag: &str) -> Option<usize> {
    places(text, tag).next()
}

fn rfind(text: &str, tag: &str) -> Option<usize> {
    places(text, tag).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_and_tags_come_off() {
        let text = |reply| answer_text(reply).text;
        assert_eq!(text("[2] > [1]"), "[2] > [1]");
        assert_eq!(text("<think>[1] > [2]</think>[2] > [1]"), "[2] > [1]");
        assert_eq!(text("[1]</think>[2]</THINK> <answer>[3]</answer>"), "[3]");
        assert_eq!(text("<answer>[1]</answer> or <Answer>[2]"), "[2]");
        assert_eq!(text(""), "");
        let cut = answer_text("so <think> [1] is better than");
        assert_eq!((cut.text, cut.unfinished_reasoning, cut.tagged), ("so ", true, false));
        assert_eq!(
            answer_text("é<answer>é</answer>é"),
            Answer { text: "é", tagged: true, unfinished_reasoning: false }
        );
    }
}
