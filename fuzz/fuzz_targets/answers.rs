//! What models write: orders, choices, score sheets, lists. Whatever it is, every parser comes to a result, orders
//! are permutations, and the counts fit them. The first byte says how many passages there are and how they are
//! labelled.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::parse::{
    AnswerClass, LabelStyle, OrderFormat, answer_text, parse_choice, parse_list, parse_order,
    parse_preferred, parse_scores,
};
use plackett_core::permutation::Permutation;

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else { return };
    let reply = String::from_utf8_lossy(rest);
    let passages = usize::from(first & 31);
    let labels = if first & 32 == 0 { LabelStyle::Numbers } else { LabelStyle::Letters };
    let wanted = (first & 64 != 0).then_some(passages / 2);
    let format = OrderFormat { labels, wanted, needs_answer_tag: first & 128 != 0 };
    assert!(answer_text(&reply).text.len() <= reply.len());

    let parsed = parse_order(&reply, passages, &format);
    let order = Permutation::new(parsed.order.items().to_vec()).expect("an order of all passages");
    assert_eq!(order.len(), passages);
    assert_eq!(parsed.missing, wanted.unwrap_or(passages).saturating_sub(parsed.read));
    assert!(order.items()[parsed.read..].is_sorted(), "what was not read keeps its order");
    if parsed.class == AnswerClass::Ok && passages > 0 {
        assert_eq!((parsed.repeated, parsed.out_of_range, parsed.missing), (0, 0, 0));
    }
    if labels == LabelStyle::Numbers {
        // Written out as it was read, it is read as the same order.
        let written: Vec<String> = order.items().iter().map(|item| format!("[{}]", item + 1)).collect();
        let written = format!("<answer>{}</answer>", written.join(" > "));
        assert_eq!(parse_order(&written, passages, &format).order, order);
    }

    assert!(parse_choice(&reply, passages, labels).is_none_or(|choice| choice < passages));
    let _ = parse_preferred(&reply);
    let sheet = parse_scores(&reply, passages, 0.0, 10.0);
    assert_eq!(sheet.scores.len(), passages);
    assert!(sheet.scores.iter().flatten().all(|score| (0.0..=10.0).contains(score)));
    assert!(sheet.readable || sheet.missing() == passages);
    let (items, _) = parse_list(&reply, 8);
    assert!(items.len() <= 8 && items.iter().all(|item| !item.is_empty()));
});
