//! Buffers of values and gradients that come back when nobody needs them, so that a step maps no new memory.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Buffers of past operations, by class of size: batches of texts have other lengths each time, and a buffer serves all
/// lengths of its class.
#[derive(Debug, Default)]
pub struct Buffers {
    free: Mutex<HashMap<usize, Vec<Vec<f32>>>>,
    /// Bytes of the buffers that are in use, and the most there were.
    used: AtomicUsize,
    peak: AtomicUsize,
}

/// The size of the buffers that serve a length: eight classes for each doubling, so that at most an eighth is spare.
fn class(length: usize) -> usize {
    let step = (length.next_power_of_two() / 16).max(64);
    length.next_multiple_of(step)
}

impl Buffers {
    /// A buffer of `length` numbers, whatever they were before.
    pub fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let class = class(length);
        let old = self.free.lock().ok().and_then(|mut free| free.get_mut(&class)?.pop());
        let mut data = old.unwrap_or_else(|| Vec::with_capacity(class));
        data.resize(length, 0.0);
        self.lend(class);
        Buffer { data, home: Some(self.clone()) }
    }

    /// A buffer of `length` zeros.
    pub fn zeros(self: &Arc<Self>, length: usize) -> Buffer {
        let mut buffer = self.take(length);
        buffer.fill(0.0);
        buffer
    }

    fn lend(&self, class: usize) {
        let used = self.used.fetch_add(4 * class, Ordering::Relaxed) + 4 * class;
        self.peak.fetch_max(used, Ordering::Relaxed);
    }

    fn take_back(&self, class: usize) {
        self.used.fetch_sub(4 * class, Ordering::Relaxed);
    }

    /// The most bytes that were in use at once: values, and gradients on their way back.
    pub fn peak_bytes(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Bytes of the buffers that nobody uses.
    pub fn free_bytes(&self) -> usize {
        let bytes = |free: &HashMap<usize, Vec<Vec<f32>>>| {
            free.iter().map(|(class, buffers)| 4 * class * buffers.len()).sum()
        };
        self.free.lock().map_or(0, |free| bytes(&free))
    }
}

/// Numbers that go back to their [`Buffers`] when they are dropped.
#[derive(Debug)]
pub struct Buffer {
    data: Vec<f32>,
    home: Option<Arc<Buffers>>,
}

impl Buffer {
    /// The numbers, which go back to nobody.
    pub fn into_vec(mut self) -> Vec<f32> {
        if let Some(home) = self.home.take() {
            home.take_back(class(self.data.len()));
        }
        std::mem::take(&mut self.data)
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(data: Vec<f32>) -> Buffer {
        Buffer { data, home: None }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Buffer {
        if let Some(home) = &self.home {
            home.lend(class(self.data.len()));
        }
        Buffer { data: self.data.clone(), home: self.home.clone() }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = &self.home else { return };
        home.take_back(class(self.data.len()));
        if let Ok(mut free) = home.free.lock() {
            let data = std::mem::take(&mut self.data);
            free.entry(class(data.len())).or_default().push(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_what_was_held_at_once() {
        let buffers: Arc<Buffers> = Arc::default();
        let (first, second) = (buffers.take(1024), buffers.take(2048));
        drop(first);
        let third = second.clone();
        assert_eq!(buffers.peak_bytes(), 4 * (2048 + 2048));
        assert_eq!(third.into_vec().len(), 2048);
        drop(second);
        drop(buffers.take(1024));
        assert_eq!((buffers.used.load(Ordering::Relaxed), buffers.peak_bytes()), (0, 4 * 4096));
    }

    #[test]
    fn many_lengths_share_a_few_buffers() {
        let buffers: Arc<Buffers> = Arc::default();
        for length in 10_000..12_000 {
            assert_eq!(buffers.take(length).len(), length);
        }
        assert!(buffers.free_bytes() < 4 * 8 * 12_288, "{}", buffers.free_bytes());
        assert_eq!(buffers.zeros(11_111).iter().sum::<f32>(), 0.0);
        assert!(class(100) >= 100 && class(1 << 20) == 1 << 20 && class((1 << 20) + 1) <= 9 << 17);
    }
}
