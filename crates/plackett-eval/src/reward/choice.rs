//! The reward of one named passage (Rank-R1, §3.2).

use super::tags::reasons_then_answers;
use plackett_core::parse::answer_text;

/// 1 for a reply that reasons between `<think>` tags and then answers between `<answer>` tags with the label of the right passage, as `[3]`
/// and nothing else; 0 for any other. There is no part of it for the form alone.
pub fn choice_reward(reply: &str, right: usize) -> f64 {
    let is_right = answer_text(reply).text.trim() == format!("[{}]", right + 1);
    f64::from(u8::from(reasons_then_answers(reply, "think") && is_right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_label_in_the_right_form_is_rewarded() {
        let of = |reply: &str| choice_reward(reply, 2);
        assert_eq!(of("<think> it says so </think> <answer> [3] </answer>"), 1.0);
        assert_eq!(of("<THINK>[1]</THINK><Answer>[3]</Answer>"), 1.0);
        for other in [
            "<think>x</think><answer>[1]</answer>",
            "<think>x</think><answer>[03]</answer>",
            "<think>x</think><answer>3</answer>",
            "<think>x</think><answer>[3].</answer>",
            "<answer>[3]</answer>",
            "<answer>[3]</answer><think>x</think>",
            "<think>x<answer>[3]</answer>",
            "[3]",
            "",
        ] {
            assert_eq!(of(other), 0.0, "{other}");
        }
    }
}
