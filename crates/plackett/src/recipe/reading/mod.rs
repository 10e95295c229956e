//! From the text of a recipe to stages and claims that are known to fit together: the file and places in it, expressions, the graph of
//! the stages; the recipes inside the program, and what a new one begins as.

pub mod expression;
pub mod file;
pub mod graph;
pub mod skeleton;
pub mod source;
pub mod systems;
