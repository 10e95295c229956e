//! A classification tree from features to grades (Breiman and others, Classification and Regression Trees, 1984): robust to scale, cheap, and
//! its rules can be read.

use serde_json::{Value, json};

/// How far a tree grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeOptions {
    /// Questions on the way to a leaf, at most.
    pub depth: usize,
    /// Rows that a leaf has at least.
    pub leaf: usize,
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions { depth: 6, leaf: 5 }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Shares of the grades.
    Leaf(Vec<f64>),
    /// Rows whose feature is at most the threshold go to the first.
    Split { feature: usize, threshold: f64, below: Box<Node>, above: Box<Node> },
}

/// A tree from rows of features to shares of grades.
#[derive(Clone, Debug, PartialEq)]
pub struct GradeTree {
    root: Node,
}

impl GradeTree {
    /// Grows a tree for grades below `levels`, by the Gini impurity; of equal splits the first feature and the smallest threshold. `None`
    /// without rows, or with a number that is not finite.
    pub fn fit(
        rows: &[Vec<f64>],
        grades: &[usize],
        levels: usize,
        options: TreeOptions,
    ) -> Option<GradeTree> {
        let finite = rows.iter().flatten().all(|x| x.is_finite());
        if !finite
            || rows.is_empty()
            || rows.len() != grades.len()
            || grades.iter().any(|grade| *grade >= levels)
        {
            return None;
        }
        let all: Vec<usize> = (0..rows.len()).collect();
        let grower = Grower { rows, grades, levels, options };
        Some(GradeTree { root: grower.grow(&all, options.depth) })
    }

    /// Shares of the grades for a row.
    pub fn shares(&self, row: &[f64]) -> &[f64] {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(shares) => return shares,
                Node::Split { feature, threshold, below, above } => {
                    let value = row.get(*feature).copied().unwrap_or(0.0);
                    node = if value <= *threshold { below } else { above };
                }
            }
        }
    }

    /// The commonest grade; of equal ones the lowest.
    pub fn grade(&self, row: &[f64]) -> usize {
        let shares = self.shares(row);
        (0..shares.len()).fold(0, |best, at| if shares[at] > shares[best] { at } else { best })
    }

    /// The expected grade, which ties less often.
    pub fn expected(&self, row: &[f64]) -> f64 {
        self.shares(row).iter().enumerate().map(|(grade, share)| grade as f64 * share).sum()
    }

    /// The rules, a line each, with the names of the features.
    pub fn rules(&self, names: &[&str]) -> String {
        let mut text = String::new();
        write_rules(&self.root, names, 0, &mut text);
        text
    }

    /// The rules for programs: a question is `feature`, `at_most`, and what follows where it is so (`then`) and where not (`else`); an
    /// answer is `grades`, the share of each.
    pub fn rules_json(&self, names: &[&str]) -> Value {
        rules_of(&self.root, names)
    }
}

fn rules_of(node: &Node, names: &[&str]) -> Value {
    match node {
        Node::Leaf(shares) => json!({"grades": shares}),
        Node::Split { feature, threshold, below, above } => json!({
            "feature": names.get(*feature).copied().unwrap_or("?"),
            "at_most": threshold,
            "then": rules_of(below, names),
            "else": rules_of(above, names),
        }),
    }
}

fn write_rules(node: &Node, names: &[&str], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match node {
        Node::Leaf(shares) => {
            let shares: Vec<String> = shares.iter().map(|share| format!("{share:.2}")).collect();
            text.push_str(&format!("{indent}grades {}\n", shares.join(" ")));
        }
        Node::Split { feature, threshold, below, above } => {
            let name = names.get(*feature).copied().unwrap_or("?");
            text.push_str(&format!("{indent}{name} ≤ {threshold:.4}:\n"));
            write_rules(below, names, depth + 1, text);
            text.push_str(&format!("{indent}else:\n"));
            write_rules(above, names, depth + 1, text);
        }
    }
}

struct Grower<'g> {
    rows: &'g [Vec<f64>],
    grades: &'g [usize],
    levels: usize,
    options: TreeOptions,
}

impl Grower<'_> {
    fn counts(&self, rows: &[usize]) -> Vec<f64> {
        let mut counts = vec![0.0; self.levels];
        rows.iter().for_each(|at| counts[self.grades[*at]] += 1.0);
        counts
    }

    fn grow(&self, rows: &[usize], depth: usize) -> Node {
        let counts = self.counts(rows);
        let leaf = || Node::Leaf(counts.iter().map(|count| count / rows.len() as f64).collect());
        if depth == 0 || gini(&counts) <= 0.0 {
            return leaf();
        }
        let Some((feature, threshold)) = self.split(rows, &counts) else { return leaf() };
        let (below, above): (Vec<usize>, Vec<usize>) =
            rows.iter().partition(|at| self.rows[**at][feature] <= threshold);
        let [below, above] = [below, above].map(|rows| Box::new(self.grow(&rows, depth - 1)));
        Node::Split { feature, threshold, below, above }
    }

    /// The question that leaves the least impurity.
    fn split(&self, rows: &[usize], counts: &[f64]) -> Option<(usize, f64)> {
        let total = rows.len() as f64;
        let mut best: Option<(f64, usize, f64)> = None;
        for feature in 0..self.rows[rows[0]].len() {
            let mut sorted = rows.to_vec();
            sorted.sort_by(|a, b| self.rows[*a][feature].total_cmp(&self.rows[*b][feature]));
            let mut below = vec![0.0; self.levels];
            for place in 1..sorted.len() {
                below[self.grades[sorted[place - 1]]] += 1.0;
                let (left, right) =
                    (self.rows[sorted[place - 1]][feature], self.rows[sorted[place]][feature]);
                let enough = place >= self.options.leaf && sorted.len() - place >= self.options.leaf;
                if left == right || !enough {
                    continue;
                }
                let above: Vec<f64> = counts.iter().zip(&below).map(|(all, below)| all - below).collect();
                let share = place as f64 / total;
                let impurity = share * gini(&below) + (1.0 - share) * gini(&above);
                if best.is_none_or(|(least, ..)| impurity < least - 1e-12) {
                    let middle = left + 0.5 * (right - left);
                    // Between neighbouring numbers there is none.
                    let threshold = if middle < right { middle } else { left };
                    best = Some((impurity, feature, threshold));
                }
            }
        }
        let (impurity, feature, threshold) = best?;
        (impurity < gini(counts) - 1e-12).then_some((feature, threshold))
    }
}

/// How likely two rows have different grades.
fn gini(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    if total <= 0.0 { 0.0 } else { 1.0 - counts.iter().map(|count| (count / total).powi(2)).sum::<f64>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_finds_the_question_and_says_it() {
        let rows: Vec<Vec<f64>> = (0..40).map(|at| vec![f64::from(at % 7), f64::from(at)]).collect();
        let grades: Vec<usize> = (0..40)
            .map(|at| {
                if at < 20 {
                    0
                } else if at < 30 {
                    2
                } else {
                    4
                }
            })
            .collect();
        let tree = GradeTree::fit(&rows, &grades, 5, TreeOptions::default()).unwrap();
        assert!(rows.iter().zip(&grades).all(|(row, grade)| tree.grade(row) == *grade));
        assert_eq!(tree.expected(&[0.0, 25.0]), 2.0);
        let rules = tree.rules(&["noise", "size"]);
        assert!(rules.contains("size ≤ 19.5000") && !rules.contains("noise"), "{rules}");
        let told = tree.rules_json(&["noise", "size"]);
        assert_eq!((&told["feature"], &told["at_most"]), (&json!("size"), &json!(19.5)));
        assert_eq!(told["then"], json!({"grades": [1.0, 0.0, 0.0, 0.0, 0.0]}));
        assert_eq!(told["else"]["else"], json!({"grades": [0.0, 0.0, 0.0, 0.0, 1.0]}));
        // A leaf of three quarters.
        let mixed = GradeTree::fit(&rows[..4], &[0, 1, 1, 1], 2, TreeOptions { depth: 3, leaf: 3 }).unwrap();
        assert_eq!((mixed.grade(&rows[0]), mixed.expected(&rows[0])), (1, 0.75));
        assert_eq!(GradeTree::fit(&[], &[], 5, TreeOptions::default()), None);
        assert_eq!(GradeTree::fit(&rows, &grades, 3, TreeOptions::default()), None);
    }
}
