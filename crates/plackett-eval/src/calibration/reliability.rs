//! How far probabilities can be believed.

use serde::Serialize;

/// Bins of equal width between 0 and 1.
const BINS: usize = 10;

/// Documents whose probabilities lie together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// Documents.
    pub documents: usize,
    /// Mean of their probabilities.
    pub predicted: f64,
    /// Share of them that is relevant.
    pub observed: f64,
}

/// The agreement of probabilities and judgments.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reliability {
    /// Mean of squared differences between probability and relevance (Brier 1950); 0 is best.
    pub brier: f64,
    /// What the share of relevant documents, told for each of them, would have.
    pub brier_of_share: f64,
    /// Mean distance of probability and share over bins, weighted by documents (expected calibration error).
    pub calibration_error: f64,
    /// Bins from 0 to 1, those without documents too.
    pub bins: Vec<Bin>,
}

impl Reliability {
    /// Of documents with their probabilities and whether they are relevant; there is at least one.
    pub fn of(predicted: &[(f64, bool)]) -> Reliability {
        let count = predicted.len().max(1) as f64;
        let truth = |relevant: bool| f64::from(u8::from(relevant));
        let share = predicted.iter().map(|(_, relevant)| truth(*relevant)).sum::<f64>() / count;
        let squared = |p: &dyn Fn(f64) -> f64| {
            predicted.iter().map(|(own, relevant)| (p(*own) - truth(*relevant)).powi(2)).sum::<f64>() / count
        };
        let mut bins = vec![Bin::default(); BINS];
        for (probability, relevant) in predicted {
            let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
            bin.documents += 1;
            bin.predicted += probability;
            bin.observed += truth(*relevant);
        }
        for bin in bins.iter_mut().filter(|bin| bin.documents > 0) {
            bin.predicted /= bin.documents as f64;
            bin.observed /= bin.documents as f64;
        }
        let distance = |bin: &Bin| (bin.predicted - bin.observed).abs() * bin.documents as f64;
        Reliability {
            brier: squared(&|p| p),
            brier_of_share: squared(&|_| share),
            calibration_error: bins.iter().map(distance).sum::<f64>() / count,
            bins,
        }
    }
}
