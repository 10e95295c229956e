//! Which paths a document could have, and which of them it has for a query (HyPE, 2024, candidate paths and the path of a query).

/// The `size` paths most like a document, the most alike first; of equally alike ones the first in the hierarchy. `similarities` has a
/// number for each path; one that is no number comes last.
pub fn shortlist(similarities: &[f64], size: usize) -> Vec<(usize, f64)> {
    let mut listed: Vec<(usize, f64)> = similarities.iter().copied().enumerate().collect();
    let number = |similarity: f64| if similarity.is_nan() { f64::NEG_INFINITY } else { similarity };
    listed.sort_by(|a, b| number(b.1).total_cmp(&number(a.1)).then(a.0.cmp(&b.0)));
    listed.truncate(size);
    listed
}

/// The one of a document's paths that is most like a query; of equally alike ones the first. Nothing where it has none.
pub fn nearest_path(paths: &[usize], similarity: impl Fn(usize) -> f64) -> Option<usize> {
    let similarities: Vec<f64> = paths.iter().map(|path| similarity(*path)).collect();
    shortlist(&similarities, 1).first().map(|(at, _)| paths[*at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_come_first_and_equal_ones_in_their_order() {
        let listed = shortlist(&[0.1, 0.7, f64::NAN, 0.7, 0.9], 3);
        assert_eq!(listed, [(4, 0.9), (1, 0.7), (3, 0.7)]);
    }

    #[test]
    fn a_document_has_another_path_for_another_query() {
        let paths = [3, 5];
        assert_eq!(nearest_path(&paths, |path| if path == 5 { 0.9 } else { 0.2 }), Some(5));
        assert_eq!(nearest_path(&paths, |path| if path == 3 { 0.9 } else { 0.2 }), Some(3));
        assert_eq!(nearest_path(&paths, |_| 0.5), Some(3));
        assert_eq!(nearest_path(&[], |_| 0.5), None);
    }
}
