//! What every other recommender is compared with: models that know no order, fitted without a gradient.

pub mod bpr;
pub mod ease;
pub mod ials;
pub mod item_knn;
pub mod popularity;
mod spd_inverse;
