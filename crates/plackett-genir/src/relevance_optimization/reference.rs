//! Log-probabilities of a frozen model, computed once and kept in a file.

use super::{DocidTriple, TOGETHER, check, sequence_log_probabilities};
use crate::GenirError;
use plackett_lm::sha256::Sha256;
use plackett_train::files::write_whole;
use plackett_train::trainer::LanguageModel;
use plackett_train::{Compute, Parameters, Tape};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// ln π_ref of the docids of triples. They never change, so each is computed once, and not in every epoch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceLogs {
    /// SHA-256 of the weights and of the triples, as hexadecimal digits.
    of: String,
    /// One for each triple.
    pub chosen: Vec<f32>,
    /// One for each triple.
    pub rejected: Vec<f32>,
}

impl ReferenceLogs {
    /// The SHA-256 of the weights and of the triples that they are of, as hexadecimal digits.
    pub fn identity(&self) -> &str {
        &self.of
    }

    /// Computes them.
    ///
    /// # Errors
    /// A triple that the model cannot read, or a model whose log-probabilities are no numbers.
    pub fn compute(
        model: &LanguageModel,
        parameters: &Parameters,
        triples: &[DocidTriple],
        compute: &Arc<Compute>,
    ) -> Result<ReferenceLogs, GenirError> {
        check(model, triples)?;
        let mut logs = ReferenceLogs { of: identity(parameters, triples), ..ReferenceLogs::default() };
        for triples in triples.chunks(TOGETHER) {
            let tape = Tape::inference(parameters, compute);
            let together: Vec<&DocidTriple> = triples.iter().collect();
            let (sums, _) = sequence_log_probabilities(model, &tape, &together);
            logs.chosen.extend_from_slice(&sums.value[..triples.len()]);
            logs.rejected.extend_from_slice(&sums.value[triples.len()..]);
        }
        if logs.chosen.iter().chain(&logs.rejected).any(|log| !log.is_finite()) {
            return Err(GenirError::Setting(
                "the frozen model gives docids log-probabilities that are no numbers; train it again, with a smaller rate"
                    .into(),
            ));
        }
        Ok(logs)
    }

    /// Reads them from a file where it is of these weights and triples; else computes them and writes the file. Also says whether
    /// they were there.
    ///
    /// # Errors
    /// A triple that the model cannot read, or a file that cannot be read, is damaged, or cannot be written.
    pub fn kept(
        path: &Path,
        model: &LanguageModel,
        parameters: &Parameters,
        triples: &[DocidTriple],
        compute: &Arc<Compute>,
    ) -> Result<(ReferenceLogs, bool), GenirError> {
        if path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|source| GenirError::file(path, source))?;
            let logs: ReferenceLogs = serde_json::from_str(&text).map_err(|error| GenirError::Form {
                path: path.into(),
                line: Some(error.line()),
                problem: format!("{error}; remove the file, it is made again"),
            })?;
            if logs.of == identity(parameters, triples)
                && logs.chosen.len() == triples.len()
                && logs.rejected.len() == triples.len()
            {
                return Ok((logs, true));
            }
        }
        let logs = ReferenceLogs::compute(model, parameters, triples, compute)?;
        write_whole(path, serde_json::to_string(&logs).unwrap_or_default().as_bytes())?;
        Ok((logs, false))
    }
}

/// What tells these log-probabilities from others.
fn identity(parameters: &Parameters, triples: &[DocidTriple]) -> String {
    let mut hash = Sha256::new();
    for (_, parameter) in parameters.iter() {
        hash.update(parameter.name.as_bytes());
        parameter.value.iter().for_each(|number| hash.update(number.to_le_bytes()));
    }
    for DocidTriple { prompt, chosen, rejected } in triples {
        for part in [prompt, chosen, rejected] {
            hash.update((part.len() as u64).to_le_bytes());
            part.iter().for_each(|token| hash.update(token.to_le_bytes()));
        }
    }
    hash.hex_digest()
}
