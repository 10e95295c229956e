//! Sending many requests at the same time.

use crate::RemoteError;
use crate::call::Call;
use crate::client::{Client, KEPT_BYTES};
use crate::reply_cache::ReplyCache;
use crate::request::{Reader, Request};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

impl Client {
    /// Sends requests, several at a time, and gives the results in their order.
    ///
    /// A failure that all would share (no server, no access, no money) ends the call: requests under way are finished,
    /// the others come back as [`RemoteError::NotSent`].
    pub fn send<T: Send>(&self, requests: &[Request], read: Reader<'_, T>) -> Vec<Result<T, RemoteError>> {
        let first = self.numbers.fetch_add(requests.len() as u64, Ordering::Relaxed);
        let next = AtomicUsize::new(0);
        let given_up = Mutex::new(None::<String>);
        let stopped = AtomicBool::new(false);
        let results: Vec<Mutex<Option<Result<T, RemoteError>>>> =
            requests.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let (Some(request), Some(slot)) = (requests.get(index), results.get(index)) else { break };
                let call = Call { client: self, number: first + index as u64, request, stopped: &stopped };
                let result = if stopped.load(Ordering::Acquire) {
                    Err(call.not_sent())
                } else {
                    call.run(&|bytes| read(index, bytes))
                };
                if let Err(error) = &result
                    && error.concerns_all()
                    && !error.is_consequence()
                {
                    let mut reason = given_up.lock().unwrap_or_else(PoisonError::into_inner);
                    reason.get_or_insert_with(|| error.to_string());
                    stopped.store(true, Ordering::Release);
                }
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.config.in_flight.min(requests.len()) {
                scope.spawn(work);
            }
            work();
        });
        let reason = given_up.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
        let finish = |slot: Mutex<Option<Result<T, RemoteError>>>| {
            let result = slot.into_inner().unwrap_or_else(PoisonError::into_inner)?;
            Some(result.map_err(|error| match error {
                RemoteError::NotSent { url, number, .. } => {
                    RemoteError::NotSent { url, number, because: reason.clone() }
                }
                other => other,
            }))
        };
        results.into_iter().filter_map(finish).collect()
    }

    /// The same where only all results together are of use.
    pub fn send_all<T: Send>(
        &self,
        requests: &[Request],
        read: Reader<'_, T>,
    ) -> Result<Vec<T>, RemoteError> {
        self.send_groups(requests, &[requests.len()], read).pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The same for groups of consecutive requests (`sizes` of them): the results of each group, or why one of its
    /// requests has none. Answers of a group that failed are kept (in the log, or else here while there is room), so that
    /// the next call does not pay for them again.
    pub fn send_groups<T: Send>(
        &self,
        requests: &[Request],
        sizes: &[usize],
        read: Reader<'_, T>,
    ) -> Vec<Result<Vec<T>, RemoteError>> {
        // Apart from the others until the end: equal requests of one call are all sent.
        let paid = ReplyCache::new(KEPT_BYTES);
        let keep = |index: usize, bytes: &[u8]| {
            let answer = read(index, bytes)?;
            if let Some(request) = requests.get(index).filter(|_| self.log.is_none()) {
                paid.insert(self.hash(request), bytes);
            }
            Ok(answer)
        };
        let mut results = self.send(requests, &keep).into_iter();
        let mut asked = requests.iter();
        let group = |size: &usize| {
            let (mut values, mut errors) = (Vec::with_capacity(*size), Vec::new());
            for result in results.by_ref().take(*size) {
                match result {
                    Ok(value) => values.push(value),
                    Err(error) => errors.push(error),
                }
            }
            let asked = asked.by_ref().take(*size);
            if errors.is_empty() {
                asked.for_each(drop);
                return Ok(values);
            }
            for hash in asked.map(|request| self.hash(request)) {
                if let Some(answer) = paid.take(&hash) {
                    self.replies.insert(hash, &answer);
                }
            }
            // The cause before its consequences.
            let cause = errors.iter().position(|error| !error.is_consequence()).unwrap_or(0);
            Err(errors.swap_remove(cause))
        };
        sizes.iter().map(group).collect()
    }
}
