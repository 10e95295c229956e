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
fn an_unknown_method_is_told_the_nearest() {
    let error = MethodSpec::find("query-liklihood").unwrap_err();
    assert!(error.to_string().contains("did you mean `query-likelihood`?"), "{error}");
    assert!(error.to_string().contains("cross-encoder"), "{error}");
}
