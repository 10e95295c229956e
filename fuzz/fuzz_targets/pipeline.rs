//! Pipeline expressions. What is read and written is read as the same pipeline.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_core::pipeline::Pipeline;

fuzz_target!(|text: &str| {
    match text.parse::<Pipeline>() {
        Ok(pipeline) => {
            let written = pipeline.to_string();
            let read = written.parse::<Pipeline>();
            assert_eq!(read.as_ref(), Ok(&pipeline), "{written}");
            assert!(!pipeline.stages.is_empty());
        }
        Err(error) => {
            assert!((1..=text.chars().count() + 1).contains(&error.column), "{error:?}");
            let _ = error.to_string();
        }
    }
});
