//! Lists of measures. What is read and written is read as the same list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plackett_eval::measure::{Measure, parse_list};

fuzz_target!(|text: &str| {
    let measures = match parse_list(text) {
        Ok(measures) => measures,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let names: Vec<String> = measures.iter().map(Measure::to_string).collect();
    for (measure, name) in measures.iter().zip(&names) {
        assert_eq!(name.parse::<Measure>().ok().as_ref(), Some(measure), "{name}");
        let _ = measure.trec_name();
    }
    let joined = names.join(", ");
    assert_eq!(parse_list(&joined).ok(), Some(measures), "{joined}");
});
