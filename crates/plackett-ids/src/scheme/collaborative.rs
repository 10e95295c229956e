//! Identifiers from what is bought together: a tree of spectral clusters of co-occurrence.

use super::digits::unseen_remark;
use super::{Encoding, LAST, Reads, SchemeSpec, Source};
use crate::IdsError;
use crate::spectral::{SparseGraph, spectral_clusters};
use crate::tokens::{TokenTable, leaf_token};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};

/// The declaration.
pub static COLLABORATIVE: SchemeSpec = SchemeSpec {
    name: "collaborative",
    aliases: &["cid"],
    summary: "a tree of spectral clusters of the items that occur together in training histories; a token for each branch, and the last one \
              for the item in its leaf",
    paper: "How to Index Item IDs for Recommendation Foundation Models (2023)",
    reads: &[Reads::Histories],
    options: &[
        OptionSpec {
            name: "clusters",
            kind: OptionKind::Integer(2, 1000),
            default: Some("20"),
            help: "branches of a node (N)",
        },
        OptionSpec {
            name: "most",
            kind: OptionKind::Integer(1, 1_000_000),
            default: Some("500"),
            help: "items of a leaf at most, and tokens of the pool that branches take theirs from in turn (M)",
        },
        LAST,
    ],
    // A pair in the map and, twice, in the sorted list; the rows and eigenvectors of the spectral clusters.
    holds: |options, sizes| 64 * sizes.pairs + 8 * (24 + 3 * options.count("clusters") as u64) * sizes.items,
    encode,
};

/// A node whose items have not got their tokens yet.
struct Node {
    items: Vec<usize>,
    prefix: Vec<u32>,
}

fn encode(options: &OptionValues, source: &Source<'_>) -> Result<Encoding, IdsError> {
    let (clusters, most) = (options.count("clusters"), options.count("most"));
    // Siblings take tokens one after another: a pool that is no smaller than their number keeps them apart.
    let pool = most.max(clusters + 1);
    let graph = SparseGraph::of_co_occurrence(source.items.len(), source.histories());
    let mut table = TokenTable::default();
    let mut codes: Vec<Vec<u32>> = vec![Vec::new(); source.items.len()];
    let (mut counter, mut unsettled) = (0, 0);
    let mut queue = std::collections::VecDeque::new();
    queue.push_back(Node { items: (0..source.items.len()).collect(), prefix: Vec::new() });
    while let Some(node) = queue.pop_front() {
        if node.items.len() <= most {
            for (number, item) in node.items.iter().enumerate() {
                let last = if options.choice("last") == "item" { *item } else { number };
                codes[*item] = node.prefix.clone();
                codes[*item].push(table.number(leaf_token(last)));
            }
            continue;
        }
        let (children, is_settled) = split(&graph, &node.items, (clusters, most), source.seed)?;
        unsettled += usize::from(!is_settled);
        for items in children {
            // The counter runs over the whole tree.
            let token = table.number(format!("<c_{}>", counter % pool));
            counter += 1;
            let prefix = node.prefix.iter().copied().chain([token]).collect();
            queue.push_back(Node { items, prefix });
        }
    }
    let alone = (0..graph.len()).filter(|item| graph.degree(*item) == 0.0).count();
    let mut remarks: Vec<String> =
        unseen_remark(alone, "or alone there; they are a branch of their own, cut in the order of the items")
            .into_iter()
            .collect();
    if unsettled > 0 {
        remarks.push(format!(
            "the eigenvectors of {unsettled} nodes had not settled; their clusters are approximate"
        ));
    }
    Ok(Encoding { tokens: table.into_tokens(), codes, codebooks: Vec::new(), remarks })
}

/// The clusters of some items, those without a neighbour among them as the last one. Items that the graph does not tell apart are cut into
/// equal parts in their order.
fn split(
    graph: &SparseGraph,
    items: &[usize],
    (clusters, most): (usize, usize),
    seed: u64,
) -> Result<(Vec<Vec<usize>>, bool), IdsError> {
    let found = spectral_clusters(&graph.part(items), clusters, seed)?;
    let mut children = vec![Vec::new(); clusters + 1];
    for (item, label) in items.iter().zip(&found.labels) {
        children[label.unwrap_or(clusters)].push(*item);
    }
    children.retain(|items| !items.is_empty());
    if children.len() > 1 {
        return Ok((children, found.is_settled));
    }
    let parts = items.len().div_ceil(most).min(clusters);
    let cut =
        (0..parts).map(|part| items[items.len() * part / parts..items.len() * (part + 1) / parts].to_vec());
    Ok((cut.collect(), true))
}
