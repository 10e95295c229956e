//! Tokens that stand for views: those that a tokenizer has and no text contains.

/// How such tokens are called: sentinels of T5, unused entries of BERT's vocabulary.
const SPELLINGS: [(&str, &str); 2] = [("<extra_id_", ">"), ("[unused", "]")];

/// The ids of `count` view tokens from number `first` on, by a function that finds a token's id.
///
/// # Errors
/// The reason why there are none, or not so many.
pub(super) fn view_tokens(
    find: impl Fn(&str) -> Option<u32>,
    first: usize,
    count: usize,
) -> Result<Vec<u32>, String> {
    for (before, after) in SPELLINGS {
        if find(&format!("{before}0{after}")).is_none() {
            continue;
        }
        let id = |n: usize| {
            let token = format!("{before}{n}{after}");
            find(&token).ok_or_else(|| format!("its tokenizer has no {token}; ask for fewer views"))
        };
        return (first..first + count).map(id).collect();
    }
    Err("its tokenizer has neither the tokens <extra_id_0> … of T5 nor [unused0] … of BERT, which stand for views; give a \
         model of one of these families"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_the_models_own_spare_tokens() {
        let t5 = |token: &str| {
            let number: u32 = token.strip_prefix("<extra_id_")?.strip_suffix('>')?.parse().ok()?;
            (number < 3).then_some(99 - number)
        };
        assert_eq!(view_tokens(t5, 0, 3).unwrap(), [99, 98, 97]);
        assert!(view_tokens(t5, 1, 3).unwrap_err().contains("<extra_id_3>"));
        let bert = |token: &str| token.strip_prefix("[unused")?.strip_suffix(']')?.parse().ok();
        assert_eq!(view_tokens(bert, 5, 1).unwrap(), [5]);
        assert!(view_tokens(|_| None, 0, 1).unwrap_err().contains("stand for views"));
    }
}
