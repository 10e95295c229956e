//! Histories as prompts of several templates: for `plackett ids prompts` and for recipes.

use plackett_rank::prompt::{HistoryTemplate, HistoryTemplates};
use plackett_train::random::Stream;

/// The stream from which the first template of each position is drawn.
const TEMPLATES: u64 = 5 << 32;

/// A position of a history, and the template with which it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedPosition<'t> {
    /// The place of whose history it is.
    pub person: usize,
    /// The place in that history; what stands before it is told.
    pub place: usize,
    /// The template.
    pub template: &'t HistoryTemplate,
}

/// Every position of the histories but the first ones, `passes` times: each time with another one of the seen templates, from a drawn one on.
/// There are as many passes as templates at most, since all are through then.
pub fn asked_positions<'t>(
    histories: &'t [Vec<usize>],
    templates: &'t HistoryTemplates,
    passes: usize,
    seed: u64,
) -> impl Iterator<Item = AskedPosition<'t>> {
    let (seen, stream) = (templates.seen(), Stream::new(seed, TEMPLATES));
    let passes = passes.min(seen.len());
    let places =
        |(person, history): (usize, &'t Vec<usize>)| (1..history.len()).map(move |place| (person, place));
    histories.iter().enumerate().flat_map(places).enumerate().flat_map(move |(nth, (person, place))| {
        let first = stream.below(nth as u64, seen.len());
        let template = move |pass: usize| &seen[(first + pass) % seen.len()];
        (0..passes).map(move |pass| AskedPosition { person, place, template: template(pass) })
    })
}

/// The last `told` items of a history.
pub fn newest(history: &[usize], told: usize) -> &[usize] {
    &history[history.len().saturating_sub(told)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[seen]\na = \"a {history}\"\nb = \"b {history}\"\nc = \"c {history}\"\n[unseen]\nd = \"d {history}\"\n";

    fn asked(passes: usize, seed: u64) -> Vec<(usize, usize, String)> {
        let templates = HistoryTemplates::parse("mine.toml", FILE).unwrap();
        let histories = [vec![5, 6, 7], vec![8], vec![], vec![7, 5]];
        let found = asked_positions(&histories, &templates, passes, seed);
        found.map(|asked| (asked.person, asked.place, asked.template.name().to_string())).collect()
    }

    #[test]
    fn each_position_has_another_seen_template_in_each_pass() {
        let all = asked(9, 1);
        let positions: Vec<(usize, usize)> = all.iter().map(|(person, place, _)| (*person, *place)).collect();
        assert_eq!(positions, [(0, 1), (0, 1), (0, 1), (0, 2), (0, 2), (0, 2), (3, 1), (3, 1), (3, 1)]);
        for of_position in all.chunks(3) {
            let mut names: Vec<&str> = of_position.iter().map(|(_, _, name)| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["a", "b", "c"]);
        }
        // One pass is the beginning of each.
        let firsts: Vec<(usize, usize, String)> = all.iter().step_by(3).cloned().collect();
        assert_eq!(asked(1, 1), firsts);
        assert_eq!(asked(2, 1).len(), 6);
    }

    #[test]
    fn the_newest_items_are_the_last_ones() {
        assert_eq!(
            (newest(&[1, 2, 3], 2), newest(&[1], 2), newest(&[], 2)),
            (&[2, 3][..], &[1][..], &[][..])
        );
    }
}
