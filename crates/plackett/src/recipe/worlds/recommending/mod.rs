//! Recommenders as kinds ask and measure them: the next item token by token, floors beside it, one model asked in four ways.

pub mod catalogue_index;
pub mod floor_cases;
pub mod four_modes;
pub mod next_item;
