//! Identifiers from vectors by codebooks: of residuals, of residuals with clusters of one size, of parts of the vector.

use super::memory::NUMBER;
use super::{DUPLICATES, Encoding, PER_CODE, ROUNDS, Reads, SchemeSpec, Source, learned_from};
use crate::IdsError;
use crate::balanced::{balanced_k_means, balanced_k_means_in_turn, balanced_residual_codes};
use crate::codebook::{Codebook, center, k_means, sample, subtract};
use crate::residual::{ResidualQuantizer, ResidualSettings};
use crate::tokens::{TokenTable, level_token, number_duplicates};
use crate::vectors::READ_ROWS;
use plackett_core::clustering::Clusters;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Codebooks of residuals.
pub static RESIDUAL: SchemeSpec = SchemeSpec {
    name: "rq",
    aliases: &["residual", "rq-k-means"],
    summary: "residual quantisation: k-means of the vectors, then of what each lacks of its centroid, level by level",
    paper: "Recommender Systems with Generative Retrieval (2023); MiniOneRec (2025)",
    reads: &[Reads::Vectors],
    options: &[LEVELS, CODES, ROUNDS, BEAM, PER_CODE, DUPLICATES],
    holds: |options, sizes| {
        let (levels, codes) = (options.count("levels") as u64, options.count("codes") as u64);
        let crossed = if options.count("beam") > 1 { levels * levels / 2 * codes * codes } else { 0 };
        let vectors = 2 * sizes.sample(options) + READ_ROWS as u64 + 2 * levels * codes;
        NUMBER * (vectors * sizes.dimension + crossed + sizes.items * levels)
    },
    encode: residual,
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
    holds: |options, sizes| {
        let pairs = if options.choice("fill") == "turn" { 1 } else { options.count("codes") as u64 };
        // Vectors in double precision; what is sorted.
        sizes.items * (2 * NUMBER * sizes.dimension + 24 + 40 * pairs)
    },
    encode: |options, source| match options.choice("fill") {
        "turn" => balanced(options, source, balanced_k_means_in_turn),
        _ => {
            check_pairs(options, source.items.len())?;
            balanced(options, source, balanced_k_means)
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
        PER_CODE,
        DUPLICATES,
    ],
    holds: |options, sizes| {
        let codebooks = 2 * options.count("codes") as u64;
        let vectors = 2 * sizes.sample(options) + 2 * READ_ROWS as u64 + codebooks;
        NUMBER * (vectors * sizes.dimension + 2 * sizes.items * options.count("parts") as u64)
    },
    encode: product,
};

pub(super) const LEVELS: OptionSpec = OptionSpec {
    name: "levels",
    kind: OptionKind::Integer(1, 26),
    default: Some("3"),
    help: "codebooks, one after the other",
};
pub(super) const CODES: OptionSpec = OptionSpec {
    name: "codes",
    kind: OptionKind::Integer(1, 1_000_000),
    default: Some("256"),
    help: "codes of a codebook",
};

const BEAM: OptionSpec = OptionSpec {
    name: "beam",
    kind: OptionKind::Integer(1, 1024),
    default: Some("1"),
    help: "sums of centroids that are kept from level to level while a vector is written: more come nearer to it; 1 takes the nearest centroid of each level",
};

/// Clusters of vectors: how many, rounds, seed.
type KMeans = fn(&[Vec<f64>], usize, usize, u64) -> Clusters;

/// Tokens of all codebooks together at most: each is a line of the catalogue's vocabulary, whether an item has it or not.
const MOST_TOKENS: usize = 1 << 20;
/// Pairs of an item and a code at most that balanced clusters sort: about forty bytes each.
const MOST_PAIRS: usize = 1 << 26;

pub(super) fn check_tokens(options: &OptionValues, levels: usize) -> Result<(), IdsError> {
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

/// Products of centroids with each other at most: a gigabyte.
const MOST_CROSSED: usize = 1 << 28;

fn check_crossed(options: &OptionValues) -> Result<(), IdsError> {
    let (levels, codes) = (options.count("levels"), options.count("codes"));
    let crossed = (levels * (levels - 1) / 2).saturating_mul(codes.saturating_mul(codes));
    match options.count("beam") > 1 && crossed > MOST_CROSSED {
        true => Err(options
            .problem(format!(
                "a beam over {levels} codebooks of {codes} codes needs {crossed} products, and {MOST_CROSSED} are the most; take fewer codes, \
                 or beam=1"
            ))
            .into()),
        false => Ok(()),
    }
}

fn residual(options: &OptionValues, source: &Source<'_>) -> Result<Encoding, IdsError> {
    check_tokens(options, options.count("levels"))?;
    check_crossed(options)?;
    let vectors = source.vectors()?;
    let settings = ResidualSettings {
        levels: options.count("levels"),
        codes: options.count("codes"),
        rounds: options.count("rounds"),
        beam: options.count("beam"),
        per_code: options.count("per-code"),
        seed: source.seed,
    };
    let quantizer = ResidualQuantizer::train(vectors, &settings)?;
    let codes = quantizer.encode(vectors)?;
    let remark = learned_from(quantizer.learned_from(), vectors.rows());
    Ok(encoding(&codes, settings.levels, options, remark.into_iter().collect()))
}

/// Residuals by clusters of one size, which need all vectors at once.
fn balanced(options: &OptionValues, source: &Source<'_>, cluster: KMeans) -> Result<Encoding, IdsError> {
    let levels = options.count("levels");
    check_tokens(options, levels)?;
    let vectors = source.vectors()?;
    let mut residuals: Vec<Vec<f64>> = Vec::with_capacity(vectors.rows());
    vectors.blocks(READ_ROWS, |_, rows| {
        let row = |row: &[f32]| row.iter().map(|x| f64::from(*x)).collect();
        residuals.extend(rows.chunks_exact(vectors.dimension()).map(row));
        Ok(())
    })?;
    let codes = balanced_residual_codes(residuals, levels, |left, level| {
        let seed = source.seed.wrapping_add(level as u64);
        cluster(left, options.count("codes"), options.count("rounds"), seed)
    });
    Ok(encoding(&codes, levels, options, Vec::new()))
}

/// The codebook of a part of the vector, and what is taken off it before.
struct Part {
    range: Range<usize>,
    mean: Vec<f32>,
    codebook: Codebook,
}

fn product(options: &OptionValues, source: &Source<'_>) -> Result<Encoding, IdsError> {
    let vectors = source.vectors()?;
    let (length, parts) = (vectors.dimension(), options.count("parts"));
    if parts > length {
        return Err(options
            .problem(format!("{parts} parts of a vector of {length} numbers; take {length} at most"))
            .into());
    }
    check_tokens(options, parts)?;
    let most = super::most_learned_from(options, options.count("codes"));
    let drawn = sample(vectors.rows(), most, &mut ChaCha8Rng::seed_from_u64(source.seed));
    let rows = vectors.gather(&drawn)?;
    let learned = (0..parts).map(|part| {
        let range = length * part / parts..length * (part + 1) / parts;
        let mut own = columns(&rows, length, &range);
        let mean = center(&mut own, range.len());
        let seed = source.seed.wrapping_add(part as u64);
        let (codes, rounds) = (options.count("codes"), options.count("rounds"));
        Part { codebook: k_means(&own, range.len(), codes, rounds, seed).0, range, mean }
    });
    let learned: Vec<Part> = learned.collect();
    let mut codes = vec![0; vectors.rows() * parts];
    vectors.blocks(READ_ROWS, |first, rows| {
        for (at, part) in learned.iter().enumerate() {
            let mut own = columns(rows, length, &part.range);
            subtract(&mut own, &part.mean);
            let found = part.codebook.nearest(&own);
            let to = codes[first * parts + at..].iter_mut().step_by(parts);
            to.zip(found).for_each(|(code, found)| *code = found);
        }
        Ok(())
    })?;
    let remark = learned_from(drawn.len(), vectors.rows());
    Ok(encoding(&codes, parts, options, remark.into_iter().collect()))
}

/// Some columns of rows of a length.
fn columns(rows: &[f32], length: usize, range: &Range<usize>) -> Vec<f32> {
    rows.chunks_exact(length).flat_map(|row| &row[range.clone()]).copied().collect()
}

/// Sequences of codes, one of each level, item after item; all codes of a codebook are tokens, also those that nobody has.
pub(super) fn encoding(
    found: &[u32],
    levels: usize,
    options: &OptionValues,
    mut remarks: Vec<String>,
) -> Encoding {
    let codebook = options.count("codes");
    let mut table = TokenTable::default();
    let firsts: Vec<u32> = (0..levels)
        .map(|level| {
            let tokens: Vec<u32> = (0..codebook).map(|code| table.number(level_token(level, code))).collect();
            tokens[0]
        })
        .collect();
    let sequence = |codes: &[u32]| {
        // One place more, for what tells duplicates apart.
        let mut sequence = Vec::with_capacity(levels + 1);
        sequence.extend(firsts.iter().zip(codes).map(|(first, code)| first + code));
        sequence
    };
    let mut codes: Vec<Vec<u32>> = found.chunks_exact(levels).map(sequence).collect();
    if options.choice("duplicates") == "number" {
        let shared = number_duplicates(&mut codes, &mut table);
        remarks.extend(
            (shared > 0)
                .then(|| format!("{shared} items shared their codes with others; they have one token more")),
        );
    }
    Encoding { tokens: table.into_tokens(), codes, codebooks: vec![codebook; levels], remarks }
}

#[cfg(test)]
mod tests {
    use crate::scheme::{Source, parse};
    use crate::{Item, VectorTable};

    #[test]
    fn more_tokens_or_pairs_than_can_be_kept_are_refused() {
        let items: Vec<Item> = (0..3).map(|at| Item::new(at.to_string())).collect();
        let vectors = vec![vec![0.0, 1.0], vec![1.0, 0.0], vec![1.0, 1.0]];
        let vectors = VectorTable::of_rows(&items, &vectors).unwrap();
        let source = Source { vectors: Some(&vectors), ..Source::of_items(&items, 1) };
        for text in [
            "rq(codes=1000000, levels=5)",
            "balanced-rq(codes=1000000, levels=2)",
            "pq(parts=2, codes=1000000)",
        ] {
            let error = parse(text).unwrap().catalogue(&source).unwrap_err().to_string();
            assert!(error.contains("1048576 are the most; take "), "{text}: {error}");
        }
        let wide = parse("rq(codes=20000, levels=3, beam=2)").unwrap();
        let error = wide.catalogue(&source).unwrap_err().to_string();
        assert!(error.contains("or beam=1"), "{error}");
        let options = parse("balanced-rq(codes=256)").unwrap().options;
        assert!(super::check_pairs(&options, 1 << 18).is_ok());
        let error = super::check_pairs(&options, (1 << 18) + 1).unwrap_err().to_string();
        assert!(error.contains("take 255 codes at most"), "{error}");
    }
}
