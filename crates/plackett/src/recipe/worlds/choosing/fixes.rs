//! Methods before and after a fix (code-refinement), as a codebase to search and as bugs to mend.

use super::read_lines;
use crate::recipe::error::StageError;
use plackett_arena::choosing::{Edit, Hunk, pattern, token_edits};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// The file.
pub const FIXES: &str = "valid.jsonl.gz";
/// Pairs that are held out, and pairs of the codebase from which maps and rerankers learn.
const TESTED: usize = 835;
const LEARNED: usize = 2000;
/// From which the split follows.
const SPLIT: u64 = 1;

#[derive(Deserialize)]
struct Line {
    buggy: String,
    fixed: String,
}

/// A bug with its fix.
#[derive(Clone, Debug)]
pub struct Fix {
    /// The method before, in tokens.
    pub buggy: Vec<String>,
    /// The method after.
    pub fixed: Vec<String>,
    /// What was changed.
    pub edits: Vec<Edit>,
}

impl Fix {
    /// What was changed, without the places.
    pub fn pattern(&self) -> Vec<Hunk> {
        pattern(&self.edits)
    }
}

/// Bugs with their fixes: those that are known, and those to mend.
#[derive(Clone, Debug)]
pub struct Fixes {
    /// The codebase.
    pub known: Vec<Fix>,
    /// Bugs to mend.
    pub tested: Vec<Fix>,
}

impl Fixes {
    /// Places of the codebase from which is learned.
    pub fn learned(&self) -> std::ops::Range<usize> {
        0..LEARNED.min(self.known.len())
    }
}

/// The pairs of a file, split by chance but always alike.
///
/// # Errors
/// A file that cannot be read, a line that is no pair, or too few pairs.
pub fn read_fixes(path: &Path) -> Result<Fixes, StageError> {
    let lines: Vec<Line> = read_lines(path, "a method `buggy` and the same `fixed`")?;
    let tokens = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let fix = |line: Line| {
        let (buggy, fixed) = (tokens(&line.buggy), tokens(&line.fixed));
        let edits = token_edits(&buggy, &fixed);
        Fix { buggy, fixed, edits }
    };
    let mut all: Vec<Fix> = lines.into_par_iter().map(fix).collect();
    if all.len() < 2 * TESTED {
        let problem =
            format!("{} has {} pairs; {} and more are needed", path.display(), all.len(), 2 * TESTED);
        return Err(StageError::Field { field: "collection", problem });
    }
    all.shuffle(&mut ChaCha8Rng::seed_from_u64(SPLIT));
    let tested = all.split_off(all.len() - TESTED);
    Ok(Fixes { known: all, tested })
}

/// A method as the encoder reads it: abstract names are cut to a letter and their number, which are fewer word pieces.
pub fn as_read(tokens: &[String]) -> String {
    let short = |token: &String| {
        let mut token = token.replace("java.lang.", "").replace("java.util.", "");
        for (name, letter) in [("METHOD_", "m"), ("TYPE_", "t"), ("VAR_", "v"), ("STRING_", "s")] {
            token = token.replace(name, letter);
        }
        token
    };
    tokens.iter().map(short).collect::<Vec<_>>().join(" ")
}

/// BM25 over whole tokens of the buggy sides, in memory: the collection is small and its tokens are not words.
pub struct TokenBm25 {
    postings: HashMap<String, Vec<(usize, f64)>>,
    count: usize,
}

/// As in the specification's measurement.
const K1: f64 = 0.9;
const B: f64 = 0.4;

impl TokenBm25 {
    /// Indexes texts.
    pub fn new(texts: &[&[String]]) -> TokenBm25 {
        let average = texts.iter().map(|text| text.len()).sum::<usize>() as f64 / texts.len().max(1) as f64;
        let mut postings: HashMap<String, Vec<(usize, f64)>> = HashMap::new();
        for (at, text) in texts.iter().enumerate() {
            let mut counts: HashMap<&String, f64> = HashMap::new();
            text.iter().for_each(|token| *counts.entry(token).or_default() += 1.0);
            let norm = K1 * (1.0 - B + B * text.len() as f64 / average.max(1.0));
            for (token, count) in counts {
                postings.entry(token.clone()).or_default().push((at, count / (count + norm)));
            }
        }
        let all = texts.len() as f64;
        for list in postings.values_mut() {
            let n = list.len() as f64;
            let weight = (1.0 + (all - n + 0.5) / (n + 0.5)).ln();
            list.iter_mut().for_each(|(_, part)| *part *= weight);
        }
        TokenBm25 { postings, count: texts.len() }
    }

    /// The scores of all texts; tokens that a query repeats count each time.
    pub fn scores(&self, query: &[String]) -> Vec<f64> {
        let mut scores = vec![0.0; self.count];
        for token in query {
            for (at, part) in self.postings.get(token).into_iter().flatten() {
                scores[*at] += part;
            }
        }
        scores
    }
}

/// Sum of two lists of scores after both have mean 0 and deviation 1: `dense + lambda · lexical`. Constant lists become 0.
pub fn hybrid(dense: &[f64], lexical: &[f64], lambda: f64) -> Vec<f64> {
    let (dense, lexical) = (standard(dense), standard(lexical));
    dense.iter().zip(&lexical).map(|(dense, lexical)| dense + lambda * lexical).collect()
}

/// Numbers with mean 0 and deviation 1; zeros of a constant.
pub fn standard(values: &[f64]) -> Vec<f64> {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt();
    values.iter().map(|x| if deviation > 0.0 { (x - mean) / deviation } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plackett_core::remap::greatest_places;

    fn tokens(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn hybrids_lie_between_both() {
        let (dense, lexical) = ([0.9, 0.2, 0.8, 0.1], [1.0, 40.0, 30.0, 2.0]);
        let order = |scores: &[f64]| greatest_places(scores, &[], 4);
        assert_eq!(order(&hybrid(&dense, &lexical, 0.0)), order(&dense));
        assert_eq!(order(&hybrid(&dense, &lexical, 1e6)), order(&lexical));
        assert_eq!(order(&hybrid(&dense, &lexical, 1.0))[..2], [2, 1]);
        assert_eq!(standard(&[3.0, 3.0]), [0.0, 0.0]);
    }

    #[test]
    fn rare_tokens_count_more() {
        let texts = [tokens("a b b c"), tokens("a d"), tokens("a a e")];
        let index = TokenBm25::new(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let scores = index.scores(&tokens("a d x"));
        assert_eq!(greatest_places(&scores, &[], 1), [1]);
        // One of three texts has `d`: ln(1 + 2.5/1.5) · 1/(1 + 0.9 (0.6 + 0.4 · 2/3)).
        let d = (1.0f64 + 2.5 / 1.5).ln() / (1.0 + 0.9 * (0.6 + 0.4 * 2.0 / 3.0));
        let a = (1.0f64 + 0.5 / 3.5).ln() / (1.0 + 0.9 * (0.6 + 0.4 * 2.0 / 3.0));
        assert!((scores[1] - d - a).abs() < 1e-12, "{scores:?}");
        assert_eq!(index.scores(&[]), [0.0; 3]);
    }

    #[test]
    fn names_are_short_for_the_encoder() {
        assert_eq!(
            as_read(&tokens("java.util.List < TYPE_1 > METHOD_12 ( VAR_3 )")),
            "List < t1 > m12 ( v3 )"
        );
    }
}
