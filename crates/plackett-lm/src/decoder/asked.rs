//! Which tokens anyone reads after the last layer: the work of that layer ends for the others with their keys and values.

use super::additions::Additions;
use super::plan::Member;
use super::request::AttentionWanted;
use std::ops::Range;

/// Places in a group, ascending.
pub(super) struct Asked<'a> {
    /// Tokens whose states are read.
    states: Vec<usize>,
    /// Those, and tokens whose attention weights are read.
    attending: Vec<usize>,
    /// Of the rows of `states`.
    pub additions: Additions<'a>,
}

impl<'a> Asked<'a> {
    /// Of a pass of `layers` layers.
    pub(super) fn of(members: &[Member<'a>], layers: usize) -> Asked<'a> {
        let (mut states, mut attending, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for member in members {
            let wants = &member.request.wants;
            let mut own = wants.logits_at.list(member.tokens);
            if wants.hidden_after.is_empty() || wants.hidden_after.contains(&layers) {
                own.extend(wants.hidden.list(member.tokens));
            }
            own.sort_unstable();
            own.dedup();
            rows.push((own.len(), member.request.adapter));
            states.extend(own.iter().map(|token| member.start + token));
            let last = |wanted: &AttentionWanted| wanted.layers.iter().any(|layer| layer + 1 == layers);
            if let Some(wanted) = wants.attention.filter(last) {
                own.extend(wanted.queries);
                own.sort_unstable();
                own.dedup();
            }
            attending.extend(own.iter().map(|token| member.start + token));
        }
        Asked { states, attending, additions: Additions::of(rows) }
    }

    /// Tokens among `rows` whose states are read, and how many there are before them.
    pub(super) fn states(&self, rows: &Range<usize>) -> (&[usize], usize) {
        let range = within(&self.states, rows);
        (&self.states[range.clone()], range.start)
    }

    /// Whether anything is read of the attention of these tokens.
    pub(super) fn attend(&self, rows: &Range<usize>) -> bool {
        !within(&self.attending, rows).is_empty()
    }
}

fn within(places: &[usize], rows: &Range<usize>) -> Range<usize> {
    let before = |end: usize| places.partition_point(|place| *place < end);
    before(rows.start)..before(rows.end)
}
