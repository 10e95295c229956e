//! Many short strings in one allocation: a million document ids cost their bytes plus four each.

/// An append-only list of strings packed end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdList {
    text: String,
    ends: Vec<u32>,
}

/// More than 4 GiB of identifier text in one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the identifiers of one query take more than 4 GiB; split the file by query")]
pub struct IdListFull;

impl IdList {
    /// An empty list.
    pub fn new() -> Self {
        IdList::default()
    }

    /// Room for `count` ids of `bytes` bytes in total.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        IdList { text: String::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// Appends an id.
    pub fn push(&mut self, id: &str) -> Result<(), IdListFull> {
        let end = u32::try_from(self.text.len() + id.len()).map_err(|_| IdListFull)?;
        self.text.push_str(id);
        self.ends.push(end);
        Ok(())
    }

    /// The id at `index`, counted from 0.
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Some(&self.text[start..end])
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ids in order of arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let id = &self.text[start..end as usize];
            start = end as usize;
            id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_ids_come_back_as_they_went_in() {
        let mut list = IdList::new();
        let ids = ["d1", "", "ü2", "d1"];
        for id in ids {
            list.push(id).unwrap();
        }
        assert_eq!(list.iter().collect::<Vec<_>>(), ids);
        assert_eq!((list.get(2), list.get(4)), (Some("ü2"), None));
    }
}
