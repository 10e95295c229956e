//! What was probably meant by a word that is not known.

/// The known word that is written most like what was given; `None` when none is close.
pub fn nearest<'w>(given: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let given = given.to_lowercase();
    let measured = known.map(|word| (strsim::damerau_levenshtein(&given, word), word));
    let (distance, word) = measured.min_by_key(|(distance, _)| *distance)?;
    let most = (given.chars().count().max(word.chars().count()) / 3).max(1);
    (distance <= most).then_some(word)
}

/// The end of a message that names it.
pub fn suggestion(nearest: &Option<&str>) -> String {
    nearest.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn close_words_are_suggested_and_others_not() {
        let known = ["bi-encoder", "yes-no", "query-likelihood"];
        assert_eq!(nearest("query-liklihood", known.into_iter()), Some("query-likelihood"));
        assert_eq!(nearest("Yes-No", known.into_iter()), Some("yes-no"));
        assert_eq!(nearest("bm25", known.into_iter()), None);
    }
}
