//! How passages of one prompt are called.

/// An alphabet of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// 1, 2, 3 …
    Numbers,
    /// A to Z.
    Letters,
    /// These.
    List(Vec<String>),
}

impl Labels {
    /// How many there are.
    pub fn most(&self) -> usize {
        match self {
            Labels::Numbers => usize::MAX,
            Labels::Letters => 26,
            Labels::List(list) => list.len(),
        }
    }

    /// The first so many; `None` when there are fewer.
    pub fn first(&self, count: usize) -> Option<Vec<String>> {
        if count > self.most() {
            return None;
        }
        Some(match self {
            Labels::Numbers => (1..=count).map(|n| n.to_string()).collect(),
            Labels::Letters => ('A'..='Z').take(count).map(String::from).collect(),
            Labels::List(list) => list.iter().take(count).cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets_end_where_they_end() {
        assert_eq!(Labels::Numbers.first(11).unwrap()[10], "11");
        assert_eq!(Labels::Letters.first(26).unwrap()[25], "Z");
        assert_eq!(Labels::Letters.first(27), None);
        assert_eq!(Labels::List(vec![" Yes".into(), " No".into()]).first(1).unwrap(), [" Yes"]);
    }
}
