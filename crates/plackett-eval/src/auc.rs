//! How well scores separate two classes.

/// The area under the receiver operating characteristic: the probability that a positive has a greater score than a negative,
/// where equal scores count half (Hanley and McNeil, 1982). `None` without a positive or without a negative, or with a score that
/// is no number.
pub fn roc_auc(scores: &[f64], positives: &[bool]) -> Option<f64> {
    let count = scores.len().min(positives.len());
    let mut order: Vec<usize> = (0..count).collect();
    if scores[..count].iter().any(|score| score.is_nan()) {
        return None;
    }
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut wins) = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let own = tied.iter().filter(|at| positives[**at]).count() as f64;
        let others = tied.len() as f64 - own;
        wins += own * (below + others / 2.0);
        below += others;
    }
    let all = count as f64 - below;
    (all > 0.0 && below > 0.0).then(|| wins / (all * below))
}

#[cfg(test)]
mod tests {
    use super::roc_auc;

    #[test]
    fn pairs_by_hand() {
        // Positives 0.9 and 0.4 against negatives 0.4 and 0.1: 1 + 1 + ½ + 1 of four pairs.
        let positives = [true, false, true, false];
        assert_eq!(roc_auc(&[0.9, 0.4, 0.4, 0.1], &positives), Some(3.5 / 4.0));
        assert_eq!(roc_auc(&[1.0; 4], &positives), Some(0.5));
        assert_eq!(roc_auc(&[0.0, -0.0], &[true, false]), Some(0.5));
        assert_eq!(roc_auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(roc_auc(&[f64::NAN, 2.0], &[true, false]), None);
        assert_eq!(roc_auc(&[], &[]), None);
    }
}
