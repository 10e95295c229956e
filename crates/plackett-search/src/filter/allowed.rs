//! From a filter to the documents that it lets through.
//!
//! A comparison looks at the different values of its field, which stand side by side in the dictionary of the inverted
//! index, and unites the postings of those that pass: its cost follows the values and the matches, not the documents.

use super::fields::given_to;
use super::terms::Kind;
use super::{Bits, Comparison, Facets, Field, FieldType, Filter, Value};
use crate::SearchError;
use crate::snapshot::{NO_VECTOR, Segment, Snapshot};
use plackett_core::declaration::nearest;
use std::collections::BTreeMap;
use std::io::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tantivy::InvertedIndexReader;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;

/// Filters whose documents are kept at the same time.
const FILTERS_KEPT: usize = 8;
/// Fields that are named where one is not known.
const FIELDS_NAMED: usize = 20;

/// The documents of a snapshot that a filter lets through; deleted ones are none.
pub(crate) struct Allowed {
    segments: Vec<Bits>,
    /// How many; of passages, how many documents they are of.
    pub documents: usize,
    /// Those that have a vector.
    pub with_vector: usize,
    /// Those of them whose vector the graph links.
    pub linked: usize,
}

impl Allowed {
    fn new(segments: Vec<Bits>, snapshot: &Snapshot) -> Allowed {
        let files = snapshot.approximate.as_ref().map_or(0, |found| found.graph.files()) as u64;
        let (mut with_vector, mut linked) = (0, 0);
        for (bits, segment) in segments.iter().zip(&snapshot.segments) {
            for row in bits.iter().filter_map(|doc| segment.rows.get(doc as usize)) {
                with_vector += usize::from(*row != NO_VECTOR);
                linked += usize::from(*row != NO_VECTOR && row >> 32 < files);
            }
        }
        let documents = documents_among(snapshot, &segments).iter().map(Bits::count).sum();
        Allowed { segments, documents, with_vector, linked }
    }

    /// Those of one segment.
    pub(crate) fn of(&self, segment: usize) -> Option<&Bits> {
        self.segments.get(segment)
    }

    /// Whether a document is among them.
    pub(crate) fn contains(&self, segment: usize, doc: usize) -> bool {
        self.of(segment).is_some_and(|bits| bits.contains(doc as u32))
    }

    /// Those of each segment.
    pub(crate) fn segments(&self) -> &[Bits] {
        &self.segments
    }
}

/// The documents of the filters that were asked for last.
#[derive(Default)]
pub(crate) struct FilterCache(Mutex<Vec<(Filter, Arc<Allowed>)>>);

impl FilterCache {
    /// Those of a filter, found when they are not there. Who asks meanwhile waits, since it may be for the same.
    pub(crate) fn of(&self, filter: &Filter, on: &Evaluation<'_>) -> Result<Arc<Allowed>, SearchError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match kept.iter().position(|(known, _)| known == filter) {
            Some(at) => kept.remove(at),
            None => {
                let mut segments = on.filter(filter)?;
                for (number, bits) in segments.iter_mut().enumerate() {
                    bits.intersect(&alive(on.snapshot, number));
                }
                (filter.clone(), Arc::new(Allowed::new(segments, on.snapshot)))
            }
        };
        if kept.len() >= FILTERS_KEPT {
            kept.remove(0);
        }
        // The one used last stands last.
        let allowed = found.1.clone();
        kept.push(found);
        Ok(allowed)
    }
}

/// The documents of each segment that are not deleted, each once: of passages the first ones.
pub(crate) fn living(snapshot: &Snapshot) -> Vec<Bits> {
    let alive: Vec<Bits> = (0..snapshot.segments.len()).map(|segment| alive(snapshot, segment)).collect();
    documents_among(snapshot, &alive)
}

/// Of each segment what stands for a document: all, or the first passages. A filter lets all passages of a document through or none.
pub(crate) fn documents_among(snapshot: &Snapshot, segments: &[Bits]) -> Vec<Bits> {
    let documents = |(bits, segment): (&Bits, &Segment)| {
        let mut bits = bits.clone();
        segment.first_passages.iter().for_each(|first_passages| bits.intersect(first_passages));
        bits
    };
    segments.iter().zip(&snapshot.segments).map(documents).collect()
}

/// The documents of a segment that are not deleted.
pub(super) fn alive(snapshot: &Snapshot, segment: usize) -> Bits {
    let reader = snapshot.searcher.segment_reader(segment as u32);
    let mut alive = Bits::none(reader.max_doc());
    reader.doc_ids_alive().for_each(|doc| alive.insert(doc));
    alive
}

/// Goes through the documents of a term, deleted ones too.
pub(super) fn each_document(
    inverted: &InvertedIndexReader,
    info: &TermInfo,
    mut take: impl FnMut(u32),
) -> Result<(), Error> {
    let mut blocks = inverted.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
    while blocks.block_len() > 0 {
        blocks.docs().iter().for_each(|doc| take(*doc));
        blocks.advance();
    }
    Ok(())
}

/// How many of some documents have a term.
pub(super) fn count_within(
    inverted: &InvertedIndexReader,
    info: &TermInfo,
    within: &Bits,
) -> Result<usize, Error> {
    let mut count = 0;
    each_document(inverted, info, |doc| count += usize::from(within.contains(doc)))?;
    Ok(count)
}

/// Goes through the terms of a range, each without what all begin with.
pub(super) fn each_term(
    inverted: &InvertedIndexReader,
    (from, to): &(String, String),
    mut take: impl FnMut(&str, &TermInfo) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut stream = inverted.terms().range().ge(from.as_bytes()).lt(to.as_bytes()).into_stream()?;
    while stream.advance() {
        // Terms are texts, and the range begins with what they have in common.
        let rest = stream.key().get(from.len()..).map(std::str::from_utf8);
        if let Some(Ok(rest)) = rest
            && !take(rest, stream.value())?
        {
            break;
        }
    }
    Ok(())
}

/// What filters are evaluated on.
pub(crate) struct Evaluation<'a> {
    pub snapshot: &'a Snapshot,
    /// The index, for messages.
    pub directory: &'a Path,
    /// What was said of the types of fields.
    pub types: &'a BTreeMap<String, FieldType>,
}

impl Evaluation<'_> {
    /// The fields that living documents have, by name.
    pub(crate) fn fields(&self) -> Result<Vec<Field>, SearchError> {
        super::fields::of(self.snapshot, self.types).map_err(self.failed())
    }

    /// Counts the values of a field, as a filter names it, in the documents of each segment.
    pub(crate) fn facets(&self, field: &str, within: &[Bits]) -> Result<Facets, SearchError> {
        let path = self.path(field)?;
        super::facets::count(self.snapshot, &path, within).map_err(self.failed())
    }

    /// The documents of each segment that pass; deleted ones may be among them.
    fn filter(&self, filter: &Filter) -> Result<Vec<Bits>, SearchError> {
        match filter {
            Filter::All(parts) => self.joined(parts, Bits::intersect),
            Filter::Any(parts) => self.joined(parts, Bits::unite),
            Filter::Not(inner) => self.filter(inner).map(inverted),
            Filter::Exists(field) => {
                let path = self.path(field)?;
                self.of_terms(&[Kind::Exists.of_field(&path)])
            }
            Filter::In { field, values } => self.values(field, Comparison::Equal, values),
            Filter::Compare { field, comparison, value } => {
                let met = self.values(field, *comparison, std::slice::from_ref(value))?;
                Ok(if *comparison == Comparison::NotEqual { inverted(met) } else { met })
            }
        }
    }

    fn joined(&self, parts: &[Filter], join: fn(&mut Bits, &Bits)) -> Result<Vec<Bits>, SearchError> {
        let mut parts = parts.iter().map(|part| self.filter(part));
        let mut joined = parts.next().unwrap_or_else(|| Ok(self.none()))?;
        for part in parts {
            joined.iter_mut().zip(&part?).for_each(|(own, other)| join(own, other));
        }
        Ok(joined)
    }

    fn none(&self) -> Vec<Bits> {
        self.snapshot.segments.iter().map(|segment| Bits::none(segment.ids.len() as u32)).collect()
    }

    fn failed(&self) -> impl FnOnce(Error) -> SearchError {
        let failed = SearchError::from_tantivy(self.directory);
        move |error| failed(error.into())
    }

    fn readers(&self) -> impl Iterator<Item = &InvertedIndexReader> {
        self.snapshot.segments.iter().filter_map(|segment| segment.metadata.as_deref())
    }

    fn holds(&self, term: &str) -> Result<bool, SearchError> {
        for reader in self.readers() {
            if reader.terms().get(term).map_err(self.failed())?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The path of a field in the index. `metadata.year` is `year`, since documents that came with an object `metadata`
    /// have its fields for theirs.
    fn path(&self, field: &str) -> Result<String, SearchError> {
        let inner = field.strip_prefix("metadata.");
        for path in std::iter::once(field).chain(inner) {
            if self.holds(&Kind::Exists.of_field(path))? {
                return Ok(path.to_string());
            }
        }
        let fields = self.fields()?;
        let names = fields.iter().map(|field| field.name.as_str());
        let meant = nearest(field, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let shown: Vec<String> = fields.iter().take(FIELDS_NAMED).map(ToString::to_string).collect();
        let there = match (shown.len(), fields.len()) {
            (0, _) => "its documents have no fields besides title and text".to_string(),
            (named, all) if named < all => {
                format!(
                    "the fields are {} and {} more (`plackett get INDEX --fields`)",
                    shown.join(", "),
                    all - named
                )
            }
            _ => format!("the fields are {}", shown.join(", ")),
        };
        let index = self.directory.display();
        Err(SearchError::Filter(format!("no document of {index} has the field `{field}`{meant}; {there}")))
    }

    /// The documents of some terms.
    fn of_terms(&self, terms: &[String]) -> Result<Vec<Bits>, SearchError> {
        let mut found = self.none();
        for (bits, segment) in found.iter_mut().zip(&self.snapshot.segments) {
            let Some(reader) = segment.metadata.as_deref() else { continue };
            for term in terms {
                if let Some(info) = reader.terms().get(term).map_err(self.failed())? {
                    each_document(reader, &info, |doc| bits.insert(doc)).map_err(self.failed())?;
                }
            }
        }
        Ok(found)
    }

    /// The documents of which some value compares so with any of these.
    fn values(
        &self,
        field: &str,
        comparison: Comparison,
        values: &[Value],
    ) -> Result<Vec<Bits>, SearchError> {
        let path = self.path(field)?;
        match given_to(self.types, &path) {
            Some(FieldType::Text) => {
                return Err(SearchError::Filter(format!(
                    "the field `{path}` was given the type text, whose values are compared with nothing; use exists({path}), or index \
                     the collection anew with --field-types {path}=keyword"
                )));
            }
            Some(FieldType::Keyword) if comparison.is_order() => {
                return Err(SearchError::Filter(format!(
                    "the field `{path}` was given the type keyword, which has no order; compare it with = or !="
                )));
            }
            _ => {}
        }
        // Texts are looked up; the rest is compared with every different value of the field.
        let (texts, others): (Vec<&Value>, Vec<&Value>) =
            values.iter().partition(|value| matches!(value, Value::Text(_)) && !comparison.is_order());
        let terms: Vec<String> = texts
            .iter()
            .filter_map(|value| match value {
                Value::Text(text) => Some(Kind::Text.of_value(&path, text)),
                _ => None,
            })
            .collect();
        let mut found = self.of_terms(&terms)?;
        if let (Some(text), false) = (texts.first(), self.has_texts(&path)?) {
            return Err(self.unlike(&path, text)?);
        }
        let mut comparable = vec![false; others.len()];
        for (bits, segment) in found.iter_mut().zip(&self.snapshot.segments) {
            let Some(reader) = segment.metadata.as_deref().filter(|_| !others.is_empty()) else { continue };
            for kind in Kind::VALUES {
                let take = |value: &str, info: &TermInfo| {
                    let Some(stored) = kind.stored(value) else { return Ok(true) };
                    let mut met = false;
                    for (other, comparable) in others.iter().zip(&mut comparable) {
                        let holds = other.is_met(comparison, stored);
                        *comparable |= holds.is_some();
                        met |= holds == Some(true);
                    }
                    if met {
                        each_document(reader, info, |doc| bits.insert(doc))?;
                    }
                    Ok(true)
                };
                each_term(reader, &kind.range(&path), take).map_err(self.failed())?;
            }
        }
        match others.iter().zip(comparable).find(|(_, comparable)| !comparable) {
            Some((other, _)) => Err(self.unlike(&path, other)?),
            None => Ok(found),
        }
    }

    fn has_texts(&self, path: &str) -> Result<bool, SearchError> {
        let mut any = self.holds(&Kind::LongText.of_field(path))?;
        for reader in self.readers() {
            let take = |_: &str, _: &TermInfo| {
                any = true;
                Ok(false)
            };
            each_term(reader, &Kind::Text.range(path), take).map_err(self.failed())?;
        }
        Ok(any)
    }

    /// The error of a value with which no value of the field compares.
    fn unlike(&self, path: &str, value: &Value) -> Result<SearchError, SearchError> {
        let fields = self.fields()?;
        let found = fields.iter().find(|field| field.name == path);
        let has = found.map(Field::types).unwrap_or_default();
        Ok(SearchError::Filter(format!(
            "the field `{path}` ({has}) has no {}, and {value} is {}; compare it with a value of its type",
            value.fits(),
            value.kind()
        )))
    }
}

fn inverted(mut segments: Vec<Bits>) -> Vec<Bits> {
    segments.iter_mut().for_each(Bits::invert);
    segments
}
