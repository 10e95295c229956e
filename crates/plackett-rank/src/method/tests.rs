//! The registry keeps its promises.

use super::*;
use std::collections::HashSet;

#[test]
fn names_are_unique_and_defaults_are_read() {
    let mut seen = HashSet::new();
    for spec in METHODS {
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            assert!(seen.insert(*name), "`{name}` stands for two methods");
            assert_eq!(MethodSpec::find(name).unwrap().name, spec.name);
        }
        let defaults = spec.values([]).unwrap();
        assert!(!(spec.needs)(&defaults).is_empty(), "{}", spec.name);
        assert!(spec.summary.ends_with('.') && !spec.paper.is_empty() && !spec.calls.formula.is_empty());
        for option in spec.options {
            assert!(!option.help.is_empty() && !option.help.ends_with('.'), "{} {}", spec.name, option.name);
        }
        for prompt in spec.prompts {
            crate::prompt::Template::choose(Some(prompt.name), spec.prompts).unwrap();
        }
    }
}

#[test]
fn methods_that_give_an_order_alone_say_so() {
    let without: Vec<&str> =
        METHODS.iter().filter(|spec| !(spec.gives_scores)(&spec.defaults())).map(|spec| spec.name).collect();
    let expected = [
        "prp-sliding",
        "prp-heapsort",
        "tsprank",
        "setwise",
        "rank-r1",
        "first",
        "full-rank",
        "listwise",
        "dear",
        "reason-rank",
    ];
    assert_eq!(without, expected);
    let all_pairs = MethodSpec::find("prp-allpair").unwrap();
    for (option, value, gives) in [
        ("aggregate", "borda", true),
        ("aggregate", "greedy", false),
        ("k", "3", false),
        ("input", "inverted", false),
        ("input", "given", true),
    ] {
        let options = all_pairs.values([(option, value)]).unwrap();
        assert_eq!((all_pairs.gives_scores)(&options), gives, "{option}={value}");
    }
    let rank_r1 = MethodSpec::find("rank-r1").unwrap();
    assert!((rank_r1.gives_scores)(&rank_r1.values([("fuse", "0.1")]).unwrap()));
}

#[test]
fn an_unknown_method_is_told_the_nearest() {
    let error = MethodSpec::find("query-liklihood").unwrap_err();
    assert!(error.to_string().contains("did you mean `query-likelihood`?"), "{error}");
    assert!(error.to_string().contains("cross-encoder"), "{error}");
}
