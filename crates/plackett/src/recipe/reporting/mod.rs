//! What is written for people: the report of a run, the results that are kept beside a recipe, and the pages made of all systems and of
//! the registry.

pub mod guide;
pub mod papers_page;
pub mod report;
pub mod results;
