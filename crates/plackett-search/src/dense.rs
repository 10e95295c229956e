//! Search by vectors: all of them are looked at, or a graph leads to the nearest (see `graph`).

use crate::filter::Allowed;
use crate::graph::{Approximate, HNSW_FROM, NoGraph};
use crate::index::Index;
use crate::snapshot::NO_VECTOR;
use crate::{SearchError, bm25};
use plackett_core::order_by_score;
use rayon::prelude::*;
use std::fmt;
use std::str::FromStr;

/// Whether this program can search approximately: the cargo feature `usearch`.
pub const HAS_HNSW: bool = cfg!(feature = "usearch");

/// Candidates that a search through the graph keeps, unless more documents are asked for.
const EF: usize = 128;
/// Keeping a candidate costs as much as scanning a hundred vectors (`benches/dense/run`); the scan finds all, and so is
/// preferred up to this number.
const WORTH: usize = 128;

/// How vectors are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenseMethod {
    /// By size: the graph, where there is one, from [`DenseSearch::from`] vectors on, if there are 128 times as many as
    /// candidates to keep; otherwise exactly.
    #[default]
    Auto,
    /// Every vector is looked at.
    Exact,
    /// Through the graph, or an error where there is none. A graph that leads to fewer documents than were asked for is
    /// given up for the exact scan; [`DenseFound::used`] says so.
    Hnsw,
}

impl FromStr for DenseMethod {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(DenseMethod::Auto),
            "exact" => Ok(DenseMethod::Exact),
            "hnsw" => Ok(DenseMethod::Hnsw),
            other => Err(format!("search is `{other}`; use auto, exact or hnsw")),
        }
    }
}

/// Settings of a search by vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenseSearch {
    /// Exactly or through the graph.
    pub method: DenseMethod,
    /// Candidates that a search through the graph keeps: more find more of the nearest and take longer. At least the
    /// number of documents asked for is kept; `None` for 128.
    pub ef: Option<usize>,
    /// Living vectors from which [`DenseMethod::Auto`] uses the graph.
    pub from: usize,
}

impl Default for DenseSearch {
    fn default() -> Self {
        DenseSearch { method: DenseMethod::Auto, ef: None, from: HNSW_FROM }
    }
}

/// How a search was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenseUsed {
    /// Every vector was looked at.
    Exact {
        /// Why.
        why: String,
    },
    /// Through the graph.
    Hnsw {
        /// Candidates that were kept.
        ef: usize,
    },
}

impl fmt::Display for DenseUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DenseUsed::Exact { why } => write!(f, "exact ({why})"),
            DenseUsed::Hnsw { ef } => write!(f, "hnsw (ef={ef})"),
        }
    }
}

/// Documents by descending score and then descending id, and how they were found.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseFound {
    /// Identifiers and dot products in f32, the same whether found exactly or not.
    pub documents: Vec<(String, f64)>,
    /// How.
    pub used: DenseUsed,
}

/// What a search will do.
enum Way<'a> {
    Exact(String),
    Graph(&'a Approximate, usize),
}

impl Index {
    /// The `depth` documents whose vectors have the largest dot product with `vector`; every vector is looked at.
    pub fn search_vector(&self, vector: &[f32], depth: usize) -> Result<Vec<(String, f64)>, SearchError> {
        self.all().search_vector(vector, depth)
    }

    /// `depth` documents whose vectors have the largest dot product with `vector`: exactly those, or nearly, as the
    /// settings and the number of vectors say.
    ///
    /// # Errors
    /// A vector that does not fit; [`DenseMethod::Hnsw`] where it is not possible.
    pub fn search_dense(
        &self,
        vector: &[f32],
        depth: usize,
        search: &DenseSearch,
    ) -> Result<DenseFound, SearchError> {
        self.all().search_dense(vector, depth, search)
    }

    /// As [`Index::search_vector`], among all or those that are allowed.
    pub(crate) fn scan_checked(
        &self,
        vector: &[f32],
        depth: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Vec<(String, f64)>, SearchError> {
        self.check_vector(vector)?;
        Ok(self.scan(vector, depth, allowed))
    }

    /// As [`Index::search_dense`], among all or those that are allowed.
    pub(crate) fn nearest(
        &self,
        vector: &[f32],
        depth: usize,
        search: &DenseSearch,
        allowed: Option<&Allowed>,
    ) -> Result<DenseFound, SearchError> {
        self.check_vector(vector)?;
        let why = match self.way(search, depth, allowed)? {
            Way::Exact(why) => why,
            Way::Graph(approximate, ef) => {
                match self.through_graph(approximate, vector, depth, ef, allowed)? {
                    Some(documents) => return Ok(DenseFound { documents, used: DenseUsed::Hnsw { ef } }),
                    None => "the graph did not lead to enough documents".into(),
                }
            }
        };
        Ok(DenseFound { documents: self.scan(vector, depth, allowed), used: DenseUsed::Exact { why } })
    }

    /// Whether a search of so many documents would go through the graph.
    ///
    /// # Errors
    /// [`DenseMethod::Hnsw`] is asked for and not possible.
    pub fn uses_graph(&self, search: &DenseSearch, depth: usize) -> Result<bool, SearchError> {
        self.all().uses_graph(search, depth)
    }

    /// As [`Index::uses_graph`], among all or those that are allowed.
    pub(crate) fn goes_through_graph(
        &self,
        search: &DenseSearch,
        depth: usize,
        allowed: Option<&Allowed>,
    ) -> Result<bool, SearchError> {
        Ok(matches!(self.way(search, depth, allowed)?, Way::Graph(..)))
    }

    /// What is chosen by size is chosen by what a filter leaves: the fewer those are, the farther a graph leads past
    /// others to find them, and the sooner all of them are looked at.
    fn way(
        &self,
        search: &DenseSearch,
        depth: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Way<'_>, SearchError> {
        let ef = search.ef.unwrap_or(EF).max(depth);
        let living = allowed.map_or(self.snapshot.with_vector, |allowed| allowed.with_vector);
        let pass = if allowed.is_some() { " that pass the filter" } else { "" };
        Ok(match (search.method, &self.snapshot.approximate) {
            (DenseMethod::Exact, _) => Way::Exact("as asked".into()),
            (DenseMethod::Auto, _) if living < search.from => {
                Way::Exact(format!("{living} vectors{pass}, hnsw from {}", search.from))
            }
            (DenseMethod::Auto, Ok(_)) if ef > living / WORTH => {
                Way::Exact(format!("{ef} of {living} vectors{pass} are many"))
            }
            (_, Ok(approximate)) => Way::Graph(approximate, ef),
            (DenseMethod::Auto, Err(why)) => Way::Exact(why.to_string()),
            (DenseMethod::Hnsw, Err(NoGraph::WithoutUsearch)) => return Err(SearchError::WithoutUsearch),
            (DenseMethod::Hnsw, Err(why)) => {
                return Err(SearchError::NoGraph { path: self.directory.clone(), problem: why.to_string() });
            }
        })
    }

    fn check_vector(&self, vector: &[f32]) -> Result<(), SearchError> {
        let dim = self.settings.model.as_ref().map_or(0, |m| m.dim);
        if dim == 0 || vector.len() != dim {
            let problem = format!("a vector of {} numbers for an index with vectors of {dim}", vector.len());
            return Err(SearchError::Argument(problem));
        }
        if vector.iter().any(|x| !x.is_finite()) {
            return Err(SearchError::Argument("a vector with a value that is no number".into()));
        }
        Ok(())
    }

    fn scan(&self, vector: &[f32], depth: usize, allowed: Option<&Allowed>) -> Vec<(String, f64)> {
        let readers = self.snapshot.searcher.segment_readers().iter().zip(&self.snapshot.segments);
        let mut best: Vec<(&str, f64)> = Vec::new();
        for (number, (reader, segment)) in readers.enumerate() {
            let within = allowed.and_then(|allowed| allowed.of(number));
            let is_out =
                |doc: u32| within.map_or_else(|| reader.is_deleted(doc), |within| !within.contains(doc));
            let scored = (0..segment.rows.len()).into_par_iter().with_min_len(1024).filter_map(|doc| {
                let row = segment.rows[doc];
                if row == NO_VECTOR || is_out(doc as u32) {
                    return None;
                }
                let file = &self.snapshot.vectors[(row >> 32) as usize];
                Some((segment.ids.get(doc)?, f64::from(file.dot((row as u32) as usize, vector))))
            });
            best.par_extend(scored);
            bm25::keep_best(&mut best, depth);
        }
        in_order(best)
    }

    /// Candidates from the graph, and all vectors of later commits; `None` when the graph leads to fewer documents than
    /// there are.
    fn through_graph(
        &self,
        approximate: &Approximate,
        vector: &[f32],
        depth: usize,
        ef: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Option<Vec<(String, f64)>>, SearchError> {
        let Approximate { graph, owners, living } = approximate;
        let living = allowed.map_or(*living, |allowed| allowed.linked);
        let wanted = ef.min(living);
        let owner = |place: u64| {
            let (segment, doc) = owners.get(place)?;
            allowed.is_none_or(|allowed| allowed.contains(segment, doc)).then_some((segment, doc))
        };
        let failed = |problem: String| SearchError::NoGraph { path: self.directory.clone(), problem };
        let mut near = match wanted {
            0 => Vec::new(),
            _ => graph.search(vector, wanted, |place| owner(place).is_some()).map_err(failed)?,
        };
        near.sort_unstable();
        near.dedup();
        if near.len() < depth.min(living) {
            return Ok(None);
        }
        let scored = |place: u64| {
            let (segment, doc) = owner(place)?;
            let file = self.snapshot.vectors.get((place >> 32) as usize)?;
            let score = f64::from(file.dot((place as u32) as usize, vector));
            Some((self.snapshot.segments.get(segment)?.ids.get(doc)?, score))
        };
        let later = owners.living(graph.files()..self.snapshot.vectors.len());
        let mut best: Vec<(&str, f64)> = near.into_iter().chain(later).filter_map(scored).collect();
        bm25::keep_best(&mut best, depth);
        Ok(Some(in_order(best)))
    }
}

fn in_order(mut best: Vec<(&str, f64)>) -> Vec<(String, f64)> {
    best.sort_by(|a, b| order_by_score(*a, *b));
    best.into_iter().map(|(id, score)| (id.to_string(), score)).collect()
}
