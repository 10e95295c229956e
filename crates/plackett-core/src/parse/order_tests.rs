use super::*;
use proptest::prelude::*;

fn read(reply: &str, passages: usize) -> ParsedOrder {
    parse_order(reply, passages, &OrderFormat::default())
}

/// The order from 1, and the class.
fn order(reply: &str, passages: usize) -> (Vec<usize>, AnswerClass) {
    let parsed = read(reply, passages);
    (parsed.order.items().iter().map(|item| item + 1).collect(), parsed.class)
}

#[test]
fn answers_in_the_form_are_taken_as_they_are() {
    for reply in [
        "[3] > [1] > [2]",
        "\n[3]>[1]>[2]\n",
        "3] > [1] > [2]",
        "3 > [1] > [2]",
        "[3] > 1 > [2]",
        "3 > 1 > 2",
        "3, 1, 2",
        "3 1 2",
        "[3, 1, 2]",
        "[3], [1], [2]",
        "[3]\n[1]\n[2]",
        "[٣] > [١] > [٢]",
        "【３】＞【１】＞【２】",
        "③ > ① > ②",
        "[3] &gt; [1] &gt; [2]",
        "(3) > (1) > (2)",
        "<think>[1] > [2] > [3], as 2 of 3 say</think><answer> [3] > [1] > [2] </answer>",
    ] {
        assert_eq!(order(reply, 3), (vec![3, 1, 2], AnswerClass::Ok), "{reply}");
    }
    let letters = OrderFormat { labels: LabelStyle::Letters, ..OrderFormat::default() };
    for reply in
        ["[C] > [A] > [B]", "C] > [A] > [B]", "C > A > B", "[c] > [a] > [b]", "C, A, B", "[Ｃ]>[Ａ]>[Ｂ]"]
    {
        let parsed = parse_order(reply, 3, &letters);
        assert_eq!((parsed.order.items(), parsed.class), (&[2, 0, 1][..], AnswerClass::Ok), "{reply}");
    }
}

#[test]
fn what_is_wrong_is_repaired_counted_and_classed() {
    let parsed = read("[2] > [2] > [9] > [0] > [1] > [99999999999999999999999]", 4);
    assert_eq!(parsed.order.items(), [1, 0, 2, 3]);
    assert_eq!((parsed.read, parsed.repeated, parsed.out_of_range, parsed.missing), (2, 1, 3, 2));
    assert_eq!(parsed.class, AnswerClass::WrongFormat);
    assert_eq!(order("[2] > [1] > [2]", 3), (vec![2, 1, 3], AnswerClass::Repetition));
    assert_eq!(order("[2] > [1]", 3), (vec![2, 1, 3], AnswerClass::MissingDocuments));
    assert_eq!(order("[2] > [1] >", 3), (vec![2, 1, 3], AnswerClass::MissingDocuments));
    // The number of a list item is no label.
    assert_eq!(order("1. [2] > [1] > [3]", 3), (vec![2, 1, 3], AnswerClass::WrongFormat));
    assert_eq!(order("1. [3]\n2. [1]\n3. [2]", 3), (vec![3, 1, 2], AnswerClass::WrongFormat));
    assert_eq!(order("Sure: [3] > [1] > [2].", 3), (vec![3, 1, 2], AnswerClass::WrongFormat));
    assert_eq!(order("The order is 3, 1 and 2.", 3), (vec![3, 1, 2], AnswerClass::WrongFormat));
    // Only the top was wanted.
    let top = OrderFormat { wanted: Some(2), ..OrderFormat::default() };
    assert_eq!(parse_order("[3] > [1]", 5, &top).class, AnswerClass::Ok);
    assert_eq!(parse_order("[3]", 5, &top).missing, 1);
}

#[test]
fn the_last_chain_counts_and_numbers_in_words_do_not() {
    let reasoned = "Step 1: in 2021 there were 3 needs. Step 2: passage [1] covers need 2; a draft is [1] > [2] > [3] > [4].\n\
                    Step 3: [4] is clearer than [2] (see 17).\n\nFinal: [4] > [2] > [1] > [3]";
    assert_eq!(order(reasoned, 4), (vec![4, 2, 1, 3], AnswerClass::WrongFormat));
    assert_eq!(order("As [1] says, 2 of 5. So [5] > [3].", 5).0, [5, 3, 1, 2, 4]);
    for unusable in
        ["20 passages are provided.", "", "I cannot rank 20 passages in 2023.", "3.14", "B2B", "🦀"]
    {
        let parsed = read(unusable, 20);
        assert_eq!(
            (parsed.order, parsed.read, parsed.missing),
            (Permutation::identity(20), 0, 20),
            "{unusable}"
        );
        assert_eq!(parsed.class, AnswerClass::WrongFormat);
    }
    // Pairs of pairs: no chain, so all labels in order of first mention.
    assert_eq!(order("1. [1] > [3] 2. [1] > [4] 3. [1] > [2]", 5).0, [1, 3, 4, 2, 5]);
    // Reasoning that never ended is no answer.
    let cut = read("<think> maybe [3] > [2] > [1] but", 3);
    assert_eq!((cut.order, cut.class), (Permutation::identity(3), AnswerClass::WrongFormat));
    let tagged = OrderFormat { needs_answer_tag: true, ..OrderFormat::default() };
    assert_eq!(parse_order("[3] > [2] > [1]", 3, &tagged).read, 0);
    assert_eq!(parse_order("<answer>[3] > [2] > [1]", 3, &tagged).read, 3);
    let two = "<answer>[1] > [2]</answer><answer>[2] > [1]</answer>";
    assert_eq!(parse_order(two, 2, &tagged).order.items(), [1, 0]);
}

#[test]
fn few_passages_are_no_special_case() {
    assert_eq!(read("anything [7]", 0).class, AnswerClass::Ok);
    assert_eq!(order("[1]", 1), (vec![1], AnswerClass::Ok));
    assert_eq!(order("1", 1), (vec![1], AnswerClass::Ok));
    assert_eq!(order("[2] > [1]", 2), (vec![2, 1], AnswerClass::Ok));
    assert_eq!(order("2", 2), (vec![2, 1], AnswerClass::MissingDocuments));
    let letters = OrderFormat { labels: LabelStyle::Letters, ..OrderFormat::default() };
    let more_than_letters = parse_order("[B] > [Z]", 30, &letters);
    assert_eq!((more_than_letters.order.items()[0], more_than_letters.order.items()[1]), (1, 25));
    assert_eq!(parse_order("I think A is best, then B", 2, &letters).read, 0);
}

proptest! {
    #[test]
    fn any_text_gives_a_permutation_and_sums_that_fit(
        reply in "(\\[?[0-9A-F]{1,3}\\]?( > |,| |\n|\\. |</?think>|<answer>|é|①){0,2}){0,30}",
        passages in 0usize..30,
        letters in any::<bool>(),
        wanted in prop::option::of(0usize..40),
        needs_answer_tag in any::<bool>(),
    ) {
        let labels = if letters { LabelStyle::Letters } else { LabelStyle::Numbers };
        let parsed = parse_order(&reply, passages, &OrderFormat { labels, wanted, needs_answer_tag });
        prop_assert!(Permutation::new(parsed.order.items().to_vec()).is_ok());
        prop_assert_eq!(parsed.order.len(), passages);
        prop_assert_eq!(parsed.missing, wanted.unwrap_or(passages).min(passages).saturating_sub(parsed.read));
        prop_assert!(parsed.order.items()[parsed.read..].is_sorted());
        prop_assert!(passages == 0 || parsed.repaired() || parsed.repeated + parsed.out_of_range + parsed.missing == 0);
    }

    #[test]
    fn what_a_ranking_looks_like_when_written_is_read_again(
        items in (1usize..40).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle())
    ) {
        let written: Vec<String> = items.iter().map(|item| format!("[{}]", item + 1)).collect();
        let parsed = read(&written.join(" > "), items.len());
        prop_assert_eq!(parsed.class, AnswerClass::Ok);
        prop_assert_eq!(parsed.order.items(), &items[..]);
        let parsed = read(&format!("Because [1] and 2 matter:\n{}\n", written.join(" > ")), items.len());
        prop_assert_eq!(parsed.order.items(), &items[..]);
    }
}
