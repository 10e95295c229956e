//! Listwise methods on the real SmolLM2-135M-Instruct: every mode ends with an order, and nothing is refused.

use crate::Settings;
use crate::engine::Decoder;
use crate::method::MethodSpec;
use crate::methods::tests::{ids, request};
use plackett_lm::decoder::DecoderOptions;
use plackett_lm::store::Store;
use std::sync::Arc;

#[test]
fn a_small_model_orders_passages_in_every_mode() {
    let pulled =
        Store::from_environment(false).and_then(|store| store.pull("SmolLM2-135M-Instruct", &|_, _, _| {}));
    let model = match pulled {
        Ok(found) => Arc::new(Decoder::open(&found.directory, &DecoderOptions::default()).unwrap()),
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let request = request(
        "What is the capital of France?",
        &[
            "Bread is baked from flour, water and yeast.",
            "Paris is the capital and largest city of France.",
            "The Nile is a river in Africa.",
            "Lyon is a city in France.",
        ],
    );
    for (method, options) in [
        ("first", &[][..]),
        ("first", &[("mode", "constrained")]),
        ("first", &[("style", "text")]),
        ("listwise", &[]),
        ("listwise", &[("style", "text")]),
        ("listwise", &[("window", "3"), ("shuffles", "3")]),
        ("listwise", &[("mode", "free")]),
        ("listwise", &[("prompt", "listwise-turns"), ("top", "2")]),
        ("full-rank", &[("top", "1")]),
        ("full-rank", &[("prompt", "full-rank-plain")]),
        ("reason-rank", &[("max-tokens", "24")]),
        ("reason-rank", &[("max-tokens", "48"), ("mode", "free")]),
        ("dear", &[("max-tokens", "24"), ("seed", "3")]),
    ] {
        let spec = MethodSpec::find(method).unwrap();
        let values = spec.values(options.iter().copied()).unwrap();
        let ranker = spec.ranker(model.clone(), values, Settings::default()).unwrap();
        let ranking = ranker.rank(std::slice::from_ref(&request)).remove(0);
        let ranking = ranking.unwrap_or_else(|error| panic!("{method} {options:?}: {error}"));
        let trace = &ranking.trace;
        println!("{method} {options:?}: {:?} {:?} {:?}", ids(&ranking), trace.status, trace.facts);
        let mut all = ids(&ranking);
        all.sort_unstable();
        assert_eq!(all, ["d0", "d1", "d2", "d3"], "{method} {options:?}");
        assert_eq!(
            trace.generated_tokens == 0,
            method == "first" && options.first().is_none_or(|o| o.0 != "mode")
        );
    }
}
