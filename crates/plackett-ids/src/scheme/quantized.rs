//! Identifiers from vectors by codebooks: of residuals, of residuals with clusters of one size, of parts of the vector.

use super::{DUPLICATES, Encoding, ROUNDS, Reads, SchemeSpec, Source};
use crate::IdsError;
use crate::balanced::{balanced_k_means, balanced_k_means_in_turn};
use crate::tokens::{TokenTable, level_token, number_duplicates};
use plackett_core::clustering::{Clusters, k_means};
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};

/// Codebooks of residuals.
pub static RESIDUAL: SchemeSpec = SchemeSpec {
    name: "rq",
    aliases: &["residual", "rq-k-means"],
    summary: "residual quantisation: k-means of the vectors, then of what each lacks of its centroid, level by level",
    paper: "Recommender Systems with Generative Retrieval (2023); MiniOneRec (2025)",
    reads: &[Reads::Vectors],
    options: &[LEVELS, CODES, ROUNDS, DUPLICATES],
    encode: |options, source| residual(options, source, k_means),
};

/// Codebooks of residuals whose codes are used equally often.
pub static BALANCED: SchemeSpec = SchemeSpec {
    name: "balanced-rq",
    aliases: &["balanced"],
    summary: "residual quantisation whose clusters have one size at each level, within one",
    paper: "OneRec (2025), section 3.1; MiniOneRec (2025)",
    reads: &[Reads::Vectors],
    options: &[
        LEVELS,
        CODES,
        ROUNDS,
        DUPLICATES,
        OptionSpec {
            name: "fill",
            kind: OptionKind::Choice(&["nearest", "turn"]),
            default: Some("nearest"),
            help: "how clusters get their items: the nearest pair of both first, or cluster after cluster in a drawn order (OneRec's algorithm 1)",
        },
    ],
    encode: |options, source| match options.choice("fill") {
        "turn" => residual(options, source, balanced_k_means_in_turn),
        _ => {
            check_pairs(options, source.items.len())?;
            residual(options, source, balanced_k_means)
        }
    },
};

/// Codebooks of parts.
pub static PRODUCT: SchemeSpec = SchemeSpec {
    name: "pq",
    aliases: &["product"],
    summary: "product quantisation: the vector is cut into parts, and each has a codebook by k-means",
    paper: "Product Quantization for Nearest Neighbor Search (2011); ULTRON (2022), DDRO (2025)",
    reads: &[Reads::Vectors],
    options: &[
        OptionSpec {
            name: "parts",
            kind: OptionKind::Integer(1, 1024),
            default: Some("24"),
            help: "parts of the vector, of equal length within one number",
        },
        CODES,
        ROUNDS,
        DUPLICATES,
    ],
    encode: |options, source| {
        let vectors = source.vectors();
        let (length, parts) = (vectors[0].len(), options.count("parts"));
        if parts > length {
            return Err(options
                .problem(format!("{parts} parts of a vector of {length} numbers; take {length} at most"))
                .into());
        }
        check_tokens(options, parts)?;
        let mut levels = Vec::new();
        for part in 0..parts {
            let range = length * part / parts..length * (part + 1) / parts;
            let own: Vec<Vec<f64>> = vectors.iter().map(|vector| vector[range.clone()].to_vec()).collect();
            let seed = source.seed.wrapping_add(part as u64);
            levels.push(k_means(&own, options.count("codes"), options.count("rounds"), seed).assignments);
        }
        Ok(encoding(&levels, options))
    },
};

const LEVELS: OptionSpec = OptionSpec {
    name: "levels",
    kind: OptionKind::Integer(1, 26),
    default: Some("3"),
    help: "codebooks, one after the other",
};
const CODES: OptionSpec = OptionSpec {
    name: "codes",
    kind: OptionKind::Integer(1, 1_000_000),
    default: Some("256"),
    help: "codes of a codebook",
};

/// Clusters of vectors: how many, rounds, seed.
type KMeans = fn(&[Vec<f64>], usize, usize, u64) -> Clusters;

/// Tokens of all codebooks together at most: each is a line of the catalogue's vocabulary, whether an item has it or not.
const MOST_TOKENS: usize = 1 << 20;
/// Pairs of an item and a code at most that balanced clusters sort: about forty bytes each.
const MOST_PAIRS: usize = 1 << 26;

fn check_tokens(options: &OptionValues, levels: usize) -> Result<(), IdsError> {
    let codes = options.count("codes");
    match levels.saturating_mul(codes) {
        tokens if tokens > MOST_TOKENS => Err(options
            .problem(format!(
                "{levels} codebooks of {codes} codes are {tokens} tokens, and {MOST_TOKENS} are the most; take {} codes at most",
                MOST_TOKENS / levels.max(1)
            ))
            .into()),
        _ => Ok(()),
    }
}

fn check_pairs(options: &OptionValues, items: usize) -> Result<(), IdsError> {
    let codes = options.count("codes").min(items);
    match items.saturating_mul(codes) {
        pairs if pairs > MOST_PAIRS => Err(options
            .problem(format!(
                "{items} items and {codes} codes are {pairs} pairs to sort, and {MOST_PAIRS} are the most; take {} codes at most, or `rq`",
                MOST_PAIRS / items.max(1)
            ))
            .into()),
        _ => Ok(()),
    }
}

fn residual(options: &OptionValues, source: &Source<'_>, cluster: KMeans) -> Result<Encoding, IdsError> {
    check_tokens(options, options.count("levels"))?;
    let mut residuals: Vec<Vec<f64>> = source.vectors().to_vec();
    let mut levels = Vec::new();
    for level in 0..options.count("levels") {
        let seed = source.seed.wrapping_add(level as u64);
        let clusters = cluster(&residuals, options.count("codes"), options.count("rounds"), seed);
        for (residual, code) in residuals.iter_mut().zip(&clusters.assignments) {
            residual.iter_mut().zip(&clusters.centroids[*code]).for_each(|(x, middle)| *x -= middle);
        }
        levels.push(clusters.assignments);
    }
    Ok(encoding(&levels, options))
}

/// Sequences of codes, one of each level; all codes of a codebook are tokens, also those that nobody has.
fn encoding(levels: &[Vec<usize>], options: &OptionValues) -> Encoding {
    let codebook = options.count("codes");
    let mut table = TokenTable::default();
    let firsts: Vec<u32> = (0..levels.len())
        .map(|level| {
            let tokens: Vec<u32> = (0..codebook).map(|code| table.number(level_token(level, code))).collect();
            tokens[0]
        })
        .collect();
    let items = levels.first().map_or(0, Vec::len);
    let mut codes: Vec<Vec<u32>> = (0..items)
        .map(|item| levels.iter().zip(&firsts).map(|(level, first)| first + level[item] as u32).collect())
        .collect();
    let mut remarks = Vec::new();
    if options.choice("duplicates") == "number" {
        let shared = number_duplicates(&mut codes, &mut table);
        remarks.extend(
            (shared > 0)
                .then(|| format!("{shared} items shared their codes with others; they have one token more")),
        );
    }
    Encoding { tokens: table.into_tokens(), codes, codebooks: vec![codebook; levels.len()], remarks }
}

#[cfg(test)]
mod tests {
    use crate::Item;
    use crate::scheme::{Source, parse};

    #[test]
    fn more_tokens_or_pairs_than_can_be_kept_are_refused() {
        let items: Vec<Item> = (0..3).map(|at| Item::new(at.to_string())).collect();
        let vectors = vec![vec![0.0, 1.0], vec![1.0, 0.0], vec![1.0, 1.0]];
        let source = Source { vectors: Some(&vectors), ..Source::of_items(&items, 1) };
        for text in [
            "rq(codes=1000000, levels=5)",
            "balanced-rq(codes=1000000, levels=2)",
            "pq(parts=2, codes=1000000)",
        ] {
            let error = parse(text).unwrap().catalogue(&source).unwrap_err().to_string();
            assert!(error.contains("1048576 are the most; take "), "{text}: {error}");
        }
        let options = parse("balanced-rq(codes=256)").unwrap().options;
        assert!(super::check_pairs(&options, 1 << 18).is_ok());
        let error = super::check_pairs(&options, (1 << 18) + 1).unwrap_err().to_string();
        assert!(error.contains("take 255 codes at most"), "{error}");
    }
}
