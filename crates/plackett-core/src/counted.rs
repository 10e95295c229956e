//! A count in a sentence.

/// A count with the words behind it: `one` behind 1, `many` behind all others, so `1 item has` and `2 items have`.
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let said = [0, 1, 2].map(|count| counted(count, "item has", "items have"));
        assert_eq!(said, ["0 items have", "1 item has", "2 items have"]);
    }
}
