//! Edits between two versions of a text of tokens, as patterns that may be applied elsewhere: candidates of a repair from repairs that
//! are known (as in RAP-Gen, 2023, whose generator is shown one and learns to do so).

/// What was replaced at one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hunk {
    /// Tokens that were there.
    pub removed: Vec<String>,
    /// Tokens that stand there now.
    pub inserted: Vec<String>,
}

/// A hunk with its place in the old version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The first token that was removed, or before which something was inserted.
    pub at: usize,
    /// What was replaced.
    pub hunk: Hunk,
}

/// The most pairs of tokens that are compared (16 million, 128 MB).
const COMPARED: usize = 1 << 24;

/// The edits from one version to another, by a longest common subsequence; of equal ones the one that keeps the earliest tokens. What both
/// begin and end with is kept in any case. Where there are more than 16 million pairs of tokens between, all that lies between is one edit.
pub fn token_edits(before: &[String], after: &[String]) -> Vec<Edit> {
    let begin = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (middle, other) = (&before[begin..], &after[begin..]);
    let end = middle.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    if end == 0 && begin == 0 || middle.len().saturating_mul(other.len()) <= COMPARED {
        return edits_between(before, after);
    }
    let (removed, inserted) = (&middle[..middle.len() - end], &other[..other.len() - end]);
    let mut edits = edits_between(removed, inserted);
    edits.iter_mut().for_each(|edit| edit.at += begin);
    edits
}

/// The edits between versions that need not have anything in common.
fn edits_between(before: &[String], after: &[String]) -> Vec<Edit> {
    let (n, m) = (before.len(), after.len());
    if n.saturating_mul(m) > COMPARED {
        let hunk = Hunk { removed: before.to_vec(), inserted: after.to_vec() };
        return vec![Edit { at: 0, hunk }];
    }
    // longest[i][j]: of what is left from i and j.
    let mut longest = vec![vec![0usize; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            longest[i][j] = match before[i] == after[j] {
                true => longest[i + 1][j + 1] + 1,
                false => longest[i + 1][j].max(longest[i][j + 1]),
            };
        }
    }
    let mut edits: Vec<Edit> = Vec::new();
    let (mut i, mut j) = (0, 0);
    let (mut from_i, mut from_j) = (0, 0);
    let close = |edits: &mut Vec<Edit>, (from_i, i): (usize, usize), (from_j, j): (usize, usize)| {
        if from_i < i || from_j < j {
            let hunk = Hunk { removed: before[from_i..i].to_vec(), inserted: after[from_j..j].to_vec() };
            edits.push(Edit { at: from_i, hunk });
        }
    };
    while i < n && j < m {
        if before[i] == after[j] {
            close(&mut edits, (from_i, i), (from_j, j));
            i += 1;
            j += 1;
            (from_i, from_j) = (i, j);
        } else if longest[i + 1][j] >= longest[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    close(&mut edits, (from_i, n), (from_j, m));
    edits
}

/// What was replaced, without the places.
pub fn pattern(edits: &[Edit]) -> Vec<Hunk> {
    edits.iter().map(|edit| edit.hunk.clone()).collect()
}

/// Tokens beside an edit that are compared with those beside the place where it is applied.
const CONTEXT: usize = 4;
/// Places at which edits are applied, those with the most alike context first.
const PLACES: usize = 6;

/// A text after some edits.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its tokens.
    pub tokens: Vec<String>,
    /// Tokens beside the edits that are as they were where the edits come from, to the left and right, by edit.
    pub left: f64,
    /// The same to the right.
    pub right: f64,
    /// Places at which the first edit could have been applied.
    pub places: usize,
}

/// What becomes of a text when the edits of `source` are applied to it: each edit at a place where the removed tokens stand (an insertion
/// anywhere), further to the right than the one before. The first edit goes to each of the places whose context is most like that in
/// `source`, the others to the best place that is left. Empty where an edit has no place.
pub fn apply(text: &[String], source: &[String], edits: &[Edit]) -> Vec<Applied> {
    let Some((first, rest)) = edits.split_first() else { return Vec::new() };
    let mut starts = places(text, source, first, 0);
    let count = starts.len();
    starts.truncate(PLACES);
    starts
        .into_iter()
        .filter_map(|(place, left, right)| follow(text, source, (first, rest), (place, left, right), count))
        .collect()
}

fn follow(
    text: &[String],
    source: &[String],
    (first, rest): (&Edit, &[Edit]),
    (place, left, right): (usize, usize, usize),
    count: usize,
) -> Option<Applied> {
    let mut chosen = vec![place];
    let (mut lefts, mut rights) = (left, right);
    let mut end = place + first.hunk.removed.len();
    for edit in rest {
        let (place, left, right) = places(text, source, edit, end).into_iter().next()?;
        chosen.push(place);
        end = place + edit.hunk.removed.len();
        lefts += left;
        rights += right;
    }
    let mut tokens = Vec::with_capacity(text.len());
    let mut from = 0;
    for (place, edit) in chosen.iter().zip(std::iter::once(first).chain(rest)) {
        tokens.extend_from_slice(&text[from..*place]);
        tokens.extend_from_slice(&edit.hunk.inserted);
        from = place + edit.hunk.removed.len();
    }
    tokens.extend_from_slice(&text[from..]);
    let edits = (rest.len() + 1) as f64;
    Some(Applied { tokens, left: lefts as f64 / edits, right: rights as f64 / edits, places: count })
}

/// Where an edit can be applied from a place on, with how many tokens of the context agree on both sides, the most first.
fn places(text: &[String], source: &[String], edit: &Edit, from: usize) -> Vec<(usize, usize, usize)> {
    let length = edit.hunk.removed.len();
    let before = &source[..edit.at];
    let after = &source[edit.at + length..];
    let agreeing = |place: usize| {
        let left =
            text[..place].iter().rev().zip(before.iter().rev()).take(CONTEXT).take_while(|(a, b)| a == b);
        let right = text[place + length..].iter().zip(after).take(CONTEXT).take_while(|(a, b)| a == b);
        (place, left.count(), right.count())
    };
    let last = text.len().saturating_sub(length);
    let fits = |place: &usize| text[*place..].starts_with(&edit.hunk.removed);
    let mut all: Vec<(usize, usize, usize)> =
        (from..=last).filter(|place| place + length <= text.len()).filter(fits).map(agreeing).collect();
    all.sort_by_key(|(place, left, right)| (std::cmp::Reverse(left + right), *place));
    all
}

/// Whether brackets close in the order in which they open.
pub fn is_balanced(tokens: &[String]) -> bool {
    let mut open = Vec::new();
    for token in tokens {
        match token.as_str() {
            "(" | "[" | "{" => open.push(token.as_str()),
            ")" | "]" | "}" => {
                let wanted = match token.as_str() {
                    ")" => "(",
                    "]" => "[",
                    _ => "{",
                };
                if open.pop() != Some(wanted) {
                    return false;
                }
            }
            _ => {}
        }
    }
    open.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    fn hunk(removed: &str, inserted: &str) -> Hunk {
        Hunk { removed: tokens(removed), inserted: tokens(inserted) }
    }

    #[test]
    fn edits_by_hand() {
        let edits = token_edits(
            &tokens("private int f ( ) { return x ; }"),
            &tokens("public int f ( int y ) { return x ; }"),
        );
        assert_eq!(edits.iter().map(|edit| edit.at).collect::<Vec<_>>(), [0, 4]);
        assert_eq!(pattern(&edits), [hunk("private", "public"), hunk("", "int y")]);
        assert!(token_edits(&tokens("a b"), &tokens("a b")).is_empty());
        assert_eq!(pattern(&token_edits(&[], &tokens("a"))), [hunk("", "a")]);
        assert_eq!(pattern(&token_edits(&tokens("a b c"), &tokens("c"))), [hunk("a b", "")]);
    }

    #[test]
    fn edits_of_a_text_make_its_new_version() {
        for (before, after) in [
            ("a b c d", "a x c d y"),
            ("this . x = x ;", "x = x ;"),
            ("f ( a ) ;", "if ( a ) { f ( a ) ; }"),
            ("a a a", "a a"),
        ] {
            let (before, after) = (tokens(before), tokens(after));
            let applied = apply(&before, &before, &token_edits(&before, &after));
            assert_eq!(applied[0].tokens, after, "the place with the same context comes first");
        }
    }

    #[test]
    fn edits_go_where_their_context_is() {
        let (before, after) = (tokens("x = true ; return x ;"), tokens("x = false ; return x ;"));
        let edits = token_edits(&before, &after);
        let text = tokens("y = true ; x = true ; f ( true ) ;");
        let applied = apply(&text, &before, &edits);
        let all: Vec<String> = applied.iter().map(|own| own.tokens.join(" ")).collect();
        assert_eq!(all[0], "y = true ; x = false ; f ( true ) ;");
        assert_eq!((all.len(), applied[0].places, applied[0].left, applied[0].right), (3, 3, 2.0, 1.0));
        assert!(apply(&tokens("no such token"), &before, &edits).is_empty());
        assert!(apply(&text, &before, &[]).is_empty());
        // Two edits: the second one lies behind the first.
        let (before, after) = (tokens("a b a b"), tokens("c b c b"));
        let twice = apply(&tokens("a x a"), &before, &token_edits(&before, &after));
        assert_eq!(twice.iter().map(|own| own.tokens.join(" ")).collect::<Vec<_>>(), ["c x c"]);
    }

    #[test]
    fn brackets_close_in_order() {
        assert!(is_balanced(&tokens("f ( a [ 0 ] ) { }")) && is_balanced(&[]));
        assert!(!is_balanced(&tokens("( [ ) ]")) && !is_balanced(&tokens("}")) && !is_balanced(&tokens("{")));
    }
}
