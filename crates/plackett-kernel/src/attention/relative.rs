//! Biases of attention scores that depend on the distance between query and key (Raffel et al., Exploring the Limits of
//! Transfer Learning with a Unified Text-to-Text Transformer, 2020, section 2.1).

/// One bias for each head and distance; those beyond the reach share the outermost.
pub struct Relative {
    reach: usize,
    /// Per head: distances key − query from −reach to reach.
    biases: Vec<f32>,
}

impl Relative {
    /// From a table of `buckets × heads` biases. With `both`, half of the buckets are for keys after the query; without,
    /// there are no such keys.
    pub fn new(table: &[f32], heads: usize, buckets: usize, reach: usize, both: bool) -> Relative {
        assert_eq!(table.len(), heads * buckets);
        let mut biases = Vec::with_capacity(heads * (2 * reach + 1));
        for head in 0..heads {
            let far = reach as i64;
            let one = |distance: i64| table[distance_bucket(distance, buckets, reach, both) * heads + head];
            biases.extend((-far..=far).map(one));
        }
        Relative { reach, biases }
    }

    /// The bias of one head for the distance key − query.
    #[cfg(test)]
    pub fn bias(&self, head: usize, distance: i64) -> f32 {
        let reach = self.reach as i64;
        self.of(head)[(distance.clamp(-reach, reach) + reach) as usize]
    }

    fn of(&self, head: usize) -> &[f32] {
        let width = 2 * self.reach + 1;
        &self.biases[head * width..][..width]
    }

    /// Adds the biases of a query to its scores of consecutive keys from `first_key`.
    pub fn add(&self, head: usize, query: usize, first_key: usize, scores: &mut [f32]) {
        let own = self.of(head);
        // Keys up to `near` are far before the query, those from `far` on are far behind it.
        let near = (query + 1).saturating_sub(self.reach).saturating_sub(first_key).min(scores.len());
        let far = (query + self.reach).saturating_sub(first_key).clamp(near, scores.len());
        let (before, rest) = scores.split_at_mut(near);
        let (inside, behind) = rest.split_at_mut(far - near);
        before.iter_mut().for_each(|score| *score += own[0]);
        if !inside.is_empty() {
            let start = first_key + near + self.reach - query;
            inside.iter_mut().zip(&own[start..]).for_each(|(score, bias)| *score += bias);
        }
        behind.iter_mut().for_each(|score| *score += own[2 * self.reach]);
    }
}

/// The bucket of a distance key − query, as in [`Relative::new`]: one each for short distances, then wider and wider ones.
pub fn distance_bucket(distance: i64, buckets: usize, reach: usize, both: bool) -> usize {
    let (room, start, distance) = match both {
        true if distance > 0 => (buckets / 2, buckets / 2, distance as usize),
        true => (buckets / 2, 0, distance.unsigned_abs() as usize),
        false => (buckets, 0, (-distance).max(0) as usize),
    };
    let exact = room / 2;
    if distance < exact {
        return start + distance;
    }
    // In f32, as the models were trained.
    let part = (distance as f32 / exact.max(1) as f32).ln() / (reach as f32 / exact.max(1) as f32).ln();
    let wide = exact + (part * (room - exact) as f32).max(0.0) as usize;
    start + wide.min(room - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_grow_with_the_distance() {
        // By hand: 32 buckets, 16 a side, 8 exact ones, then 8 · ln(d / 8) / ln(16).
        let both = |d| distance_bucket(d, 32, 128, true);
        assert_eq!([0, -1, -7, -8, -11, -12, -127, -128, -5000].map(both), [0, 1, 7, 8, 8, 9, 15, 15, 15]);
        assert_eq!([1, 7, 8, 5000].map(both), [17, 23, 24, 31]);
        let past = |d| distance_bucket(d, 32, 128, false);
        assert_eq!([0, 3, -15, -16, -127, -9000].map(past), [0, 0, 15, 16, 31, 31]);
    }

    #[test]
    fn whole_rows_get_the_bias_of_each_distance() {
        let (heads, buckets, reach) = (2, 8, 20);
        let table: Vec<f32> = (0..heads * buckets).map(|i| i as f32 + 0.5).collect();
        let relative = Relative::new(&table, heads, buckets, reach, true);
        for (query, first, count) in
            [(0, 0, 5), (3, 0, 80), (50, 0, 120), (50, 64, 30), (90, 0, 10), (7, 7, 1), (5, 60, 9)]
        {
            let mut scores = vec![1.0; count];
            relative.add(1, query, first, &mut scores);
            for (key, score) in scores.iter().enumerate() {
                let distance = (first + key) as i64 - query as i64;
                let place = distance_bucket(distance.clamp(-20, 20), buckets, reach, true) * heads + 1;
                assert_eq!(*score, 1.0 + table[place], "query {query}, distance {distance}");
                assert_eq!(relative.bias(1, distance), table[place]);
            }
        }
    }
}
