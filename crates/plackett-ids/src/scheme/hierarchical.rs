//! Identifiers from vectors: a tree of k-means, and numbers in its leaves.

use super::memory::NUMBER;
use super::{Encoding, PER_CODE, ROUNDS, Reads, SchemeSpec, Source};
use crate::codebook::{center, k_means, sample, subtract};
use crate::tokens::{TokenTable, digits_of, level_token};
use crate::vectors::READ_ROWS;
use crate::{IdsError, VectorTable};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

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
        PER_CODE,
    ],
    holds: |options, sizes| {
        let vectors = 2 * sizes.sample(options) + READ_ROWS as u64 + 2 * options.count("clusters") as u64;
        // Places and prefixes of nodes.
        NUMBER * vectors * sizes.dimension + 64 * sizes.items
    },
    encode,
};

struct Node {
    items: Vec<usize>,
    prefix: Vec<u32>,
}

fn encode(options: &OptionValues, source: &Source<'_>) -> Result<Encoding, IdsError> {
    let (vectors, most) = (source.vectors()?, options.count("most"));
    let mut table = TokenTable::default();
    let branch = |level: usize, code: usize| {
        if options.switch("shared") { format!("<k_{code}>") } else { level_token(level, code) }
    };
    let mut codes: Vec<Vec<u32>> = vec![Vec::new(); vectors.rows()];
    let mut nodes = vec![Node { items: (0..vectors.rows()).collect(), prefix: Vec::new() }];
    let (mut alike, mut drawn) = (0, 0);
    while let Some(node) = nodes.pop() {
        let children = match node.items.len() > most {
            true => {
                let (children, is_drawn) = split(vectors, &node, options, source.seed)?;
                drawn += usize::from(is_drawn);
                children
            }
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
    let mut remarks = Vec::new();
    remarks.extend((drawn > 0).then(|| {
        let most = super::most_learned_from(options, options.count("clusters"));
        format!("the clusters of {drawn} nodes were learned from {most} of their items, which were drawn (per-code)")
    }));
    remarks.extend((alike > 0).then(|| {
        format!(
            "{alike} items have vectors that k-means does not tell apart; they are numbered with more digits"
        )
    }));
    Ok(Encoding { tokens: table.into_tokens(), codes, codebooks: Vec::new(), remarks })
}

/// The clusters of a node's items that have any, and whether their middles were learned from some of the items only.
fn split(
    vectors: &VectorTable,
    node: &Node,
    options: &OptionValues,
    seed: u64,
) -> Result<(Vec<Vec<usize>>, bool), IdsError> {
    let (clusters, dimension) = (options.count("clusters"), vectors.dimension());
    let most = super::most_learned_from(options, clusters);
    let drawn = sample(node.items.len(), most, &mut ChaCha8Rng::seed_from_u64(seed));
    let places: Vec<usize> = drawn.iter().map(|at| node.items[*at]).collect();
    let mut own = vectors.gather(&places)?;
    let mean = center(&mut own, dimension);
    let (codebook, codes) = k_means(&own, dimension, clusters, options.count("rounds"), seed);
    let mut children = vec![Vec::new(); codebook.len()];
    let is_drawn = drawn.len() < node.items.len();
    if !is_drawn {
        node.items.iter().zip(codes).for_each(|(item, code)| children[code as usize].push(*item));
    } else {
        for items in node.items.chunks(READ_ROWS) {
            let mut rows = vectors.gather(items)?;
            subtract(&mut rows, &mean);
            items
                .iter()
                .zip(codebook.nearest(&rows))
                .for_each(|(item, code)| children[code as usize].push(*item));
        }
    }
    children.retain(|items| !items.is_empty());
    Ok((children, is_drawn))
}
