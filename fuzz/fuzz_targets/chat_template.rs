//! Chat templates come with models. Whatever one says, writing out a short conversation ends, with a text or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_lm::chat::{ChatOptions, ChatTemplate, Message};

fuzz_target!(|data: &[u8]| {
    let Ok(source) = std::str::from_utf8(data) else { return };
    let (bos, eos) = (Some("<s>".to_string()), Some("</s>".to_string()));
    let Ok(template) = ChatTemplate::new(source.into(), "fuzz", bos, eos) else { return };
    let messages = [
        Message::new("system", "Rank."),
        Message::new("user", "[1] one\n[2] two"),
        Message::new("assistant", "[2]"),
    ];
    for add_generation_prompt in [true, false] {
        let now = Some(std::time::UNIX_EPOCH);
        let options = ChatOptions { add_generation_prompt, now, ..ChatOptions::default() };
        if let (Ok(first), Ok(again)) =
            (template.render(&messages, &options), template.render(&messages, &options))
        {
            assert_eq!(first, again, "the same conversation twice");
        }
    }
});
