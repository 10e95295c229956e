//! `--memory-budget` of `plackett ids build`: where vectors lie, and what is refused before it begins.

use anyhow::bail;
use plackett_ids::Item;
use plackett_ids::scheme::{MemoryNeed, Scheme, Sizes};

/// Where vectors lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Memory,
    /// In a file, which is read block by block.
    File,
}

/// What a build may take, and what it takes.
pub struct Budget<'b> {
    bytes: Option<u64>,
    scheme: &'b Scheme,
    sizes: Sizes,
}

impl<'b> Budget<'b> {
    /// Of a scheme over items and training histories; without `bytes` there is no limit.
    pub fn new(
        bytes: Option<usize>,
        scheme: &'b Scheme,
        items: &[Item],
        histories: &[Vec<usize>],
    ) -> Budget<'b> {
        let sizes = Sizes::of(items, histories, 0);
        Budget { bytes: bytes.map(|bytes| bytes as u64), scheme, sizes }
    }

    fn need(&self, dimension: usize) -> MemoryNeed {
        self.scheme.memory(&Sizes { dimension: dimension as u64, ..self.sizes })
    }

    /// Bytes that the build is to take, from above.
    pub fn estimate(&self, dimension: usize, in_file: bool) -> u64 {
        let need = self.need(dimension);
        need.least + if in_file { 0 } else { need.vectors }
    }

    /// What is left for a model while the items are in memory.
    pub fn for_model(&self) -> Option<usize> {
        let left = |bytes: u64| bytes.saturating_sub(self.sizes.item_bytes).max(1);
        self.bytes.map(|bytes| usize::try_from(left(bytes)).unwrap_or(usize::MAX))
    }

    /// Where vectors of a dimension (0 without vectors) lie.
    ///
    /// # Errors
    /// The budget is too small even with vectors in a file.
    pub fn place(&self, dimension: usize) -> anyhow::Result<Place> {
        let need = self.need(dimension);
        match self.bytes {
            Some(bytes) if need.least > bytes => {
                let vectors = if need.vectors > 0 { ", with its vectors in a file" } else { "" };
                bail!(
                    "--memory-budget: the scheme `{}` takes up to {} for {} items{vectors}, and {} are given; give as much, or take another \
                     scheme or smaller options",
                    self.scheme.spec.name,
                    written(need.least),
                    self.sizes.items,
                    written(bytes)
                )
            }
            Some(bytes) if need.least + need.vectors > bytes => Ok(Place::File),
            _ => Ok(Place::Memory),
        }
    }
}

/// An amount of memory for people, rounded up, as the flag reads it.
fn written(bytes: u64) -> String {
    format!("{}MB", bytes.div_ceil(1_000_000))
}

/// The most memory that this process has had, in bytes; `None` where the system does not say.
pub fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_ids::scheme::parse;

    #[test]
    fn vectors_lie_in_memory_then_in_a_file_and_then_the_scheme_is_refused() {
        let items: Vec<Item> = (0..50_000).map(|at| Item::new(at.to_string())).collect();
        let scheme = parse("rq(levels=3, codes=16)").unwrap();
        let place = |bytes: Option<usize>| Budget::new(bytes, &scheme, &items, &[]).place(384);
        let need = Budget::new(None, &scheme, &items, &[]).need(384);
        assert_eq!(need.vectors, 50_000 * 384 * 4);
        let (least, all) = (need.least as usize, (need.least + need.vectors) as usize);
        for (bytes, expected) in [
            (None, Place::Memory),
            (Some(all), Place::Memory),
            (Some(all - 1), Place::File),
            (Some(least), Place::File),
        ] {
            assert_eq!(place(bytes).unwrap(), expected);
        }
        let error = place(Some(least - 1)).unwrap_err().to_string();
        assert!(error.contains("`rq`") && error.contains("50000 items") && error.contains("MB"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_told() {
        assert!(peak().is_some_and(|bytes| bytes > 1 << 20));
    }
}
