//! Keys and values of a user's events, kept from event to event.

use super::config::Variant;
use super::inference::{HstuHistory, HstuInference};
use crate::evaluation::check_items;
use crate::{Event, RecError};

/// What is kept of a user. The newest event waits: its row is asked at the time of the event after it, which is known when that
/// one comes, or when somebody asks what comes next.
#[derive(Clone, Debug)]
pub struct HstuCache {
    /// All events but the newest.
    pub(super) read: HstuHistory,
    /// The newest event.
    pub(super) newest: Option<Event>,
}

impl HstuCache {
    /// How many events it has.
    pub fn len(&self) -> usize {
        self.read.len() + usize::from(self.newest.is_some())
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Bytes of its keys and values.
    pub fn bytes(&self) -> usize {
        self.read.bytes()
    }
}

impl HstuInference {
    /// A cache without events.
    ///
    /// # Errors
    /// The model has the production form, whose inputs all change with every event: places count from the newest one.
    pub fn start(&self) -> Result<HstuCache, RecError> {
        match self.config.variant {
            Variant::Research => Ok(HstuCache { read: self.nothing(), newest: None }),
            Variant::Production => Err(RecError::Setting(
                "the production form of hstu counts places from the newest event, so that nothing of a history stays as it was: \
                 read the whole history with each event, or use the research form"
                    .into(),
            )),
        }
    }

    /// Adds an event: O(events · width) a layer, instead of O(events² · width) for reading all of them again.
    ///
    /// # Errors
    /// The catalogue does not have the item, or the cache is full.
    pub fn append(&self, cache: &mut HstuCache, event: Event) -> Result<(), RecError> {
        check_items([&event].into_iter(), self.config.catalogue)?;
        if cache.len() >= self.config.max_length {
            return Err(RecError::TooLong { events: cache.len() + 1, positions: self.config.max_length });
        }
        if let Some(newest) = cache.newest.replace(event) {
            self.advance(&mut cache.read, (newest.item, newest.time), event.time, true);
        }
        Ok(())
    }

    /// What is known after the newest event when the next item is asked for at `now`: what reading the whole history gives. The cache
    /// is as before.
    ///
    /// # Errors
    /// The cache is empty.
    pub fn state(&self, cache: &mut HstuCache, now: i64) -> Result<Vec<f32>, RecError> {
        let newest = cache.newest.ok_or(RecError::EmptyHistory)?;
        Ok(self.advance(&mut cache.read, (newest.item, newest.time), now, false))
    }

    /// The history as it is when it is asked at `now`, for scoring candidates.
    ///
    /// # Errors
    /// The cache is empty.
    pub fn history(&self, cache: &HstuCache, now: i64) -> Result<HstuHistory, RecError> {
        let newest = cache.newest.ok_or(RecError::EmptyHistory)?;
        let mut history = cache.read.clone();
        history.state = self.advance(&mut history, (newest.item, newest.time), now, true);
        Ok(history)
    }
}
