//! How often each kind of text is trained on.

use serde::Serialize;
use std::str::FromStr;

/// The largest weight: weights are compared with each other, and products with counts of texts must stay numbers.
const MOST: f64 = 1000.0;

/// Shares of the kinds of texts in what is trained on, compared with each other. Written as `1:2:1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SourceWeights {
    /// First words and chunks of documents.
    pub texts: f64,
    /// Pseudo queries.
    pub queries: f64,
    /// Labelled queries.
    pub labelled: f64,
}

impl SourceWeights {
    /// Each with its name, in the order in which kinds of texts are learned from.
    pub fn named(&self) -> [(&'static str, f64); 3] {
        [
            ("first words and chunks", self.texts),
            ("pseudo queries", self.queries),
            ("labelled queries", self.labelled),
        ]
    }
}

impl FromStr for SourceWeights {
    /// What is expected.
    type Err = String;

    fn from_str(text: &str) -> Result<SourceWeights, String> {
        let number = |part: &str| part.trim().parse().ok().filter(|x: &f64| (0.0..=MOST).contains(x));
        let numbers: Option<Vec<f64>> = text.split(':').map(number).collect();
        match numbers.as_deref() {
            Some(&[texts, queries, labelled]) => Ok(SourceWeights { texts, queries, labelled }),
            _ => Err("three numbers from 0 to 1000 with colons between them are expected, of first words and chunks, pseudo queries and labelled \
                      queries, such as 1:2:1"
                .into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_three_numbers() {
        let read = "1: 2.5:0".parse::<SourceWeights>().unwrap();
        assert_eq!(read, SourceWeights { texts: 1.0, queries: 2.5, labelled: 0.0 });
        assert!("1000:1:0".parse::<SourceWeights>().is_ok());
        for text in ["", "1:2", "1:2:3:4", "1:-2:1", "1:inf:1", "1e308:1:0", "1:1000.5:0", "1:x:1", "1,2,1"] {
            let error = text.parse::<SourceWeights>().unwrap_err();
            assert!(error.contains("such as 1:2:1"), "{text}: {error}");
            assert!(error.contains("from 0 to 1000"), "{text}: {error}");
        }
    }
}
