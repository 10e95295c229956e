//! Linear layers whose weights are stored as two thin factors without anything between them (the LED unit of Cahyawijaya, Greenformers,
//! 2021): W ≈ up · down, in the place of `NAME.weight` and `NAME.bias` as `NAME.led_unit.0.weight` (down: rank × inputs),
//! `NAME.led_unit.1.weight` (up: outputs × rank) and `NAME.led_unit.1.bias`.

use crate::files::weights::WeightSet;

/// What stands behind the name of such a layer.
pub(crate) const LED_UNIT: &str = "led_unit";

/// A linear layer whose weight is stored as two factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorizedLayer {
    /// Its name, without that of a tensor.
    pub name: String,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in.
    pub inputs: usize,
    /// Numbers between the factors.
    pub rank: usize,
}

impl WeightSet {
    /// The rank of a layer that is stored as two factors, as the first one's shape has it (never 0, so that a factor without rows is of a
    /// wrong shape when it is read); `None` for a layer with a whole weight.
    pub(crate) fn rank(&self, layer: &str) -> Option<usize> {
        let down = self.tensor(&format!("{layer}.{LED_UNIT}.0.weight")).ok()?;
        Some(down.shape().first().copied().unwrap_or(1).max(1))
    }

    /// The layers that are stored as two factors, in the order of their names.
    pub(crate) fn factorized(&self) -> Vec<FactorizedLayer> {
        let end = format!(".{LED_UNIT}.0.weight");
        let layer = |name: &str| {
            let layer = name.strip_suffix(&end)?;
            let down = self.tensor(name).ok()?;
            let up = self.tensor(&format!("{layer}.{LED_UNIT}.1.weight")).ok()?;
            match (down.shape(), up.shape()) {
                (&[rank, inputs], &[outputs, _]) => {
                    Some(FactorizedLayer { name: layer.to_string(), outputs, inputs, rank })
                }
                _ => None,
            }
        };
        self.names().into_iter().filter_map(layer).collect()
    }
}
