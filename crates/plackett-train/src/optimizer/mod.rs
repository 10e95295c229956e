//! Steps along gradients: AdamW, schedules of the learning rate, clipping.

mod adamw;
mod schedule;

pub use adamw::AdamW;
pub use schedule::Schedule;

use crate::tape::Gradients;

/// Scales gradients so that their norm is at most `most`; gives the norm that they had.
pub fn clip(gradients: &mut Gradients, most: f32) -> f64 {
    let norm = gradients.norm();
    if norm > f64::from(most) {
        gradients.scale((f64::from(most) / norm) as f32);
    }
    norm
}
