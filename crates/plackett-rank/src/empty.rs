//! Candidates without text: no method reads them, they come last, and the trace names them.

use plackett_core::RankRequest;

/// Whether a text has a sign that can be read: not only blanks, control characters and characters without width.
pub(crate) fn has_signs(text: &str) -> bool {
    text.chars().any(|c| !c.is_whitespace() && !c.is_control() && !is_without_width(c))
}

/// Spaces without width, joiners, marks of direction, byte order marks: what Unicode lets a reader ignore and texts from
/// web pages have.
fn is_without_width(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// The places of candidates without text.
pub(crate) fn without_text(request: &RankRequest) -> Vec<usize> {
    let candidates = request.candidates.iter().enumerate();
    candidates.filter(|(_, c)| !has_signs(&c.document.model_text())).map(|(place, _)| place).collect()
}

/// The same request without some of its candidates.
pub(crate) fn without(request: &RankRequest, empty: &[usize]) -> RankRequest {
    let candidates = request.candidates.iter().enumerate();
    let read = candidates.filter(|(place, _)| !empty.contains(place)).map(|(_, candidate)| candidate.clone());
    RankRequest { query: request.query.clone(), candidates: read.collect() }
}

/// What the trace says of candidates without text: a fact `empty:ID` for each.
pub(crate) fn empty_facts<'a>(
    request: &'a RankRequest,
    empty: &'a [usize],
) -> impl Iterator<Item = (String, String)> + 'a {
    let ids = empty.iter().filter_map(|place| request.candidates.get(*place)).map(|c| &c.document.id);
    ids.map(|id| (format!("empty:{id}"), "it has no text; it was not read and comes last".into()))
}

/// Gives some candidates a score just below the lowest of the others, also in single precision.
pub(crate) fn put_last(scores: &mut [f64], empty: &[usize]) {
    let below = lowest_of_others(scores, empty).map_or(0.0, plackett_core::next_score_below);
    set(scores, empty, below);
}

/// Gives some candidates the lowest value of the others: that of a probability, for which a step below could be no
/// probability any more.
pub(crate) fn put_lowest(values: &mut [f64], empty: &[usize]) {
    let lowest = lowest_of_others(values, empty).unwrap_or(0.0);
    set(values, empty, lowest);
}

fn lowest_of_others(values: &[f64], empty: &[usize]) -> Option<f64> {
    let others = values.iter().enumerate().filter(|(place, _)| !empty.contains(place));
    others.map(|(_, value)| *value).min_by(f64::total_cmp)
}

fn set(values: &mut [f64], places: &[usize], value: f64) {
    for &place in places {
        if let Some(old) = values.get_mut(place) {
            *old = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_comes_last_in_any_precision() {
        let mut scores = [0.5, f64::NAN, -0.25, f64::NAN];
        put_last(&mut scores, &[1, 3]);
        assert!(scores[1] == scores[3] && scores[1] < -0.25 && (scores[1] as f32) < -0.25);
        let mut alone = [f64::NAN];
        put_last(&mut alone, &[0]);
        assert_eq!(alone, [0.0]);
        let mut chances = [1e-12, f64::NAN];
        put_lowest(&mut chances, &[1]);
        assert_eq!(chances, [1e-12; 2]);
    }

    #[test]
    fn blanks_and_what_has_no_width_are_no_text() {
        for text in ["", " \t\n", "\u{200b}\u{feff}", "\u{0}\u{1b}"] {
            assert!(!has_signs(text), "{text:?}");
        }
        for text in ["a", "!!!", "\u{200b}x", "\u{1f600}"] {
            assert!(has_signs(text), "{text:?}");
        }
    }
}
