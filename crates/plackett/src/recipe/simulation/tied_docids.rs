//! `tied-docids`: docids of one token over rows that are the documents' vectors, beside a dense search with the same vectors.

use super::{Simulated, Simulation};
use crate::recipe::field::{Default, FieldKind, FieldSpec};
use plackett_genir::DocidTrie;
use plackett_genir::incremental::AtomicRows;
use plackett_lm::LmError;
use plackett_lm::decode::{
    Beam, Branch, BranchOutput, DecodeModel, DecodeOptions, DecodeRequest, LogitIds, PrefixId, Strategy,
    TrieConstraint, decode,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Token ids of the model: 0 is the prompt, 1 ends a docid, and documents follow.
const END: u32 = 1;
const FIRST: u32 = 2;
/// Numbers of a vector are whole and not beyond this, so that products are exact and some of them equal.
const MOST: i32 = 8;

const NUMBERS: [&str; 2] = ["written", "rows"];

/// The declaration.
pub static TIED_DOCIDS: Simulation = Simulation {
    name: "tied-docids",
    help: "documents and queries with drawn vectors of whole numbers. `written` is the share of the queries for which beams over docids of one \
           token, whose logits are products of the document's vector with the query's, give all documents in the order of a dense search; \
           `rows` is the same of the rows of `incremental-docids`. Equal products go by the order of the documents",
    version: 1,
    fields: &[
        FieldSpec::new("documents", FieldKind::Whole(1, 10_000), Default::Whole(300), "documents"),
        FieldSpec::new("dimension", FieldKind::Whole(1, 1000), Default::Whole(32), "numbers of a vector"),
        FieldSpec::new("queries", FieldKind::Whole(1, 10_000), Default::Whole(50), "queries"),
    ],
    check: |_| Ok(()),
    numbers: |_| NUMBERS.map(str::to_string).to_vec(),
    run: |given| run(given).map_err(|error| error.to_string()),
};

fn run(given: &Simulated<'_>) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let of = |name: &str| given.values.count(name);
    let mut random = ChaCha8Rng::seed_from_u64(given.seed);
    let mut vector =
        || -> Vec<f32> { (0..of("dimension")).map(|_| random.random_range(-MOST..=MOST) as f32).collect() };
    let rows: Vec<Vec<f32>> = (0..of("documents")).map(|_| vector()).collect();
    let docids: Vec<[u32; 2]> = (0..rows.len() as u32).map(|document| [FIRST + document, END]).collect();
    let (tree, tied) = (DocidTrie::new(&docids)?, AtomicRows::new(rows.clone()));
    let (mut written, mut in_rows) = (0usize, 0usize);
    for _ in 0..of("queries") {
        let query = vector();
        let dense = dense(&rows, &query);
        written += usize::from(by_beams(&tree, &rows, &query)? == dense);
        in_rows += usize::from(tied.rank(&query, rows.len()) == dense);
    }
    Ok([written, in_rows].map(|count| count as f64 / of("queries") as f64).to_vec())
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// All documents, the greatest product first.
fn dense(rows: &[Vec<f32>], query: &[f32]) -> Vec<usize> {
    let scores: Vec<f32> = rows.iter().map(|row| product(row, query)).collect();
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order
}

/// All documents as beams write their docids.
fn by_beams(
    tree: &DocidTrie,
    rows: &[Vec<f32>],
    query: &[f32],
) -> Result<Vec<usize>, Box<dyn std::error::Error>> {
    let constraint = TrieConstraint::new(tree.trie(), None)?;
    let mut model = TiedModel { rows, query };
    let prefix = model.root();
    let request = DecodeRequest { prefix, prompt: &[0], constraint: &constraint, index: 0 };
    let options = DecodeOptions::new(Strategy::Beam(Beam::new(rows.len())));
    let found = decode(&mut model, &[request], &options)?.remove(0)?;
    Ok(found.hypotheses.iter().flat_map(|one| tree.documents(one.output)).copied().collect())
}

/// Logits that are products of the documents' vectors with one query's, whatever was written before.
struct TiedModel<'v> {
    rows: &'v [Vec<f32>],
    query: &'v [f32],
}

impl TiedModel<'_> {
    fn logit(&self, token: u32) -> f32 {
        let row = token.checked_sub(FIRST).and_then(|document| self.rows.get(document as usize));
        row.map_or(0.0, |row| product(row, self.query))
    }
}

impl DecodeModel for TiedModel<'_> {
    fn vocabulary(&self) -> usize {
        FIRST as usize + self.rows.len()
    }

    fn root(&self) -> PrefixId {
        PrefixId(0)
    }

    fn extend(&mut self, branches: &[Branch<'_>], _: &[PrefixId]) -> Result<Vec<BranchOutput>, LmError> {
        let all = 0..self.vocabulary() as u32;
        let answer = |branch: &Branch<'_>| {
            let logits = match branch.logit_ids {
                LogitIds::None => Vec::new(),
                LogitIds::Only(ids) => ids.iter().map(|id| self.logit(*id)).collect(),
                LogitIds::All => all.clone().map(|id| self.logit(id)).collect(),
            };
            let sum = || all.clone().map(|id| f64::from(self.logit(id)).exp()).sum::<f64>();
            BranchOutput { prefix: PrefixId(1), logits, normalizer: branch.normalizer.then(|| sum().ln()) }
        };
        Ok(branches.iter().map(answer).collect())
    }

    fn release(&mut self, _: &[PrefixId]) {}
}
