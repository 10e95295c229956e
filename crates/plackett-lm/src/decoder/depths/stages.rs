//! The layers of a model, cut where it is read out.

use crate::error::LmError;
use std::ops::Range;

/// Stages, from the input to the last layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stages(Vec<Range<usize>>);

impl Stages {
    /// Cut after each of `depths` layers, which are ascending and fewer than `layers`.
    ///
    /// # Errors
    /// [`LmError::Argument`] for depths that are not.
    pub(super) fn cut(depths: impl IntoIterator<Item = usize>, layers: usize) -> Result<Stages, LmError> {
        let mut stages = Vec::new();
        let mut start = 0;
        for depth in depths {
            if depth == 0 || depth >= layers {
                let last = layers.saturating_sub(1);
                return Err(LmError::Argument(match last {
                    0 => format!(
                        "a depth of {depth} is named, and the model has one layer, which is always run"
                    ),
                    _ => format!(
                        "a depth of {depth} is named, and the model is run through {layers} layers; give a number from 1 to {last}"
                    ),
                }));
            }
            if depth <= start {
                return Err(LmError::Argument(format!(
                    "the depth {start} stands before {depth}; name depths from the least to the greatest, each once"
                )));
            }
            stages.push(start..depth);
            start = depth;
        }
        stages.push(start..layers);
        Ok(Stages(stages))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The layers of one.
    pub(super) fn layers(&self, stage: usize) -> Range<usize> {
        self.0[stage].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_cut_at_depths() {
        let stages = Stages::cut([3, 6], 12).unwrap();
        assert_eq!((0..stages.count()).map(|at| stages.layers(at)).collect::<Vec<_>>(), [0..3, 3..6, 6..12]);
        for (depths, said) in [
            (
                &[0][..],
                "a depth of 0 is named, and the model is run through 12 layers; give a number from 1 to 11",
            ),
            (&[12], "a depth of 12 is named"),
            (&[6, 3], "the depth 6 stands before 3"),
            (&[6, 6], "the depth 6 stands before 6"),
        ] {
            let error = Stages::cut(depths.iter().copied(), 12).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(Stages::cut([1], 1).unwrap_err().to_string().contains("one layer"));
    }
}
