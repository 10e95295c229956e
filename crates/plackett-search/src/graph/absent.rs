//! What stands for a graph in a program without usearch: nothing, which the type says.

use super::{NoGraph, Progress};
use crate::index::Payload;
use crate::snapshot::Snapshot;
use crate::vectors::VectorFile;
use std::path::Path;
use std::sync::Arc;

/// There is no graph.
pub(crate) enum Graph {}

impl Graph {
    pub(crate) fn open(_: Option<&Path>, _: &Payload, _: &Arc<Vec<VectorFile>>) -> Result<Graph, NoGraph> {
        Err(NoGraph::WithoutUsearch)
    }

    pub(crate) fn make(
        _: &Snapshot,
        _: &Payload,
        _: Option<&Graph>,
        _: Progress<'_>,
    ) -> Result<Vec<u8>, String> {
        Err(NoGraph::WithoutUsearch.to_string())
    }

    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn files(&self) -> usize {
        match *self {}
    }

    pub(crate) fn search(&self, _: &[f32], _: usize, _: impl Fn(u64) -> bool) -> Result<Vec<u64>, String> {
        match *self {}
    }
}
