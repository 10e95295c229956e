//! Tests of the index. One binary: each is linked by itself, and that takes longer than most tests.

mod compaction;
mod dense;
mod filters;
mod kill;
mod kill_build;
mod kill_changes;
mod new_index;
mod passages;
mod rm3;
mod search;
