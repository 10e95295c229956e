//! Identifiers from vectors: a tree of k-means, and numbers in its leaves.

use super::{Encoding, ROUNDS, Reads, SchemeSpec, Source};
use crate::tokens::{TokenTable, digits_of, level_token};
use plackett_core::clustering::k_means;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};

/// The declaration.
pub static HIERARCHICAL: SchemeSpec = SchemeSpec {
    name: "hierarchical",
    aliases: &["hierarchical-k-means", "semantic"],
    summary: "a tree of k-means over the items' vectors; a token for each branch, and the number in the leaf",
    paper: "Transformer Memory as a Differentiable Search Index (2022), section 3.2",
    reads: &[Reads::Vectors],
    options: &[
        OptionSpec {
            name: "clusters",
            kind: OptionKind::Integer(2, 65_536),
            default: Some("10"),
            help: "branches of a node",
        },
        OptionSpec {
            name: "most",
            kind: OptionKind::Integer(1, 1_000_000),
            default: Some("100"),
            help: "items of a leaf at most",
        },
        OptionSpec {
            name: "shared",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "whether the levels have one set of tokens, as digits do",
        },
        ROUNDS,
    ],
    encode: |options, source| Ok(encode(options, source)),
};

struct Node {
    items: Vec<usize>,
    prefix: Vec<u32>,
}

fn encode(options: &OptionValues, source: &Source<'_>) -> Encoding {
    let (vectors, most) = (source.vectors(), options.count("most"));
    let mut table = TokenTable::default();
    let branch = |level: usize, code: usize| {
        if options.switch("shared") { format!("<k_{code}>") } else { level_token(level, code) }
    };
    let mut codes: Vec<Vec<u32>> = vec![Vec::new(); vectors.len()];
    let mut nodes = vec![Node { items: (0..vectors.len()).collect(), prefix: Vec::new() }];
    let mut alike = 0;
    while let Some(node) = nodes.pop() {
        let children = match node.items.len() > most {
            true => split(vectors, &node, options, source.seed),
            false => Vec::new(),
        };
        if children.len() < 2 {
            let count = node.items.len();
            alike += if count > most { count } else { 0 };
            for (number, item) in node.items.iter().enumerate() {
                let digits = digits_of(number, count, most);
                codes[*item] = node.prefix.clone();
                codes[*item].extend(digits.iter().map(|digit| table.number(format!("<leaf_{digit}>"))));
            }
            continue;
        }
        // The stack gives back the last one first: tokens are numbered in the order of branches.
        for (code, items) in children.into_iter().enumerate().rev() {
            let token = table.number(branch(node.prefix.len(), code));
            nodes.push(Node { items, prefix: node.prefix.iter().copied().chain([token]).collect() });
        }
    }
    let remarks = (alike > 0).then(|| {
        format!(
            "{alike} items have vectors that k-means does not tell apart; they are numbered with more digits"
        )
    });
    Encoding {
        tokens: table.into_tokens(),
        codes,
        codebooks: Vec::new(),
        remarks: remarks.into_iter().collect(),
    }
}

/// The clusters of a node's items that have any.
fn split(vectors: &[Vec<f64>], node: &Node, options: &OptionValues, seed: u64) -> Vec<Vec<usize>> {
    let own: Vec<Vec<f64>> = node.items.iter().map(|item| vectors[*item].clone()).collect();
    let clusters = k_means(&own, options.count("clusters"), options.count("rounds"), seed);
    let mut children = vec![Vec::new(); clusters.centroids.len()];
    for (item, cluster) in node.items.iter().zip(clusters.assignments) {
        children[cluster].push(*item);
    }
    children.retain(|items| !items.is_empty());
    children
}
