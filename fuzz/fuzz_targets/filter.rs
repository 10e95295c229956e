//! Filters. What is read and written is read as the same filter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_search::Filter;

fuzz_target!(|text: &str| {
    match text.parse::<Filter>() {
        Ok(filter) => {
            let written = filter.to_string();
            let read = written.parse::<Filter>();
            assert_eq!(read.as_ref(), Ok(&filter), "{written}");
        }
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column), "{error:?}");
            let _ = error.to_string();
        }
    }
});
