//! The rules that turn files into numbers wherever the field's tools disagree. One [`Policy`] governs every measure of
//! an evaluation and is printed with every result.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Declares an enum whose variants have one spelling each, used by the parser, the display and JSON alike.
macro_rules! spelled {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The spelling used on the command line, in JSON and in printed policies.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownPolicy;
            fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
                Self::ALL.iter().copied().find(|v| v.name().eq_ignore_ascii_case(text)).ok_or_else(|| UnknownPolicy {
                    what: $what,
                    found: text.to_string(),
                    allowed: Self::ALL.iter().map(|v| v.name()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

/// A policy spelled in a way that no policy is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{found}`; use one of: {allowed}")]
pub struct UnknownPolicy {
    what: &'static str,
    found: String,
    allowed: String,
}

spelled! {
    /// How documents with equal scores are ordered.
    TieRule, "tie rule" {
        /// By document id, descending as bytes (`d9` before `d10`): trec_eval's rule.
        #[default] DocnoDesc = "docno-desc",
        /// By document id, ascending as bytes.
        DocnoAsc = "docno-asc",
        /// In the order of the run file.
        RunOrder = "run-order",
    }
}

spelled! {
    /// The precision in which scores are compared. Values of measures are always computed in 64 bits.
    Precision, "score precision" {
        /// 64-bit floats.
        #[default] F64 = "f64",
        /// 32-bit floats, as trec_eval 9 reads them: scores that differ later than the seventh digit tie.
        F32 = "f32",
    }
}

spelled! {
    /// What a judged query that the run lacks counts.
    Missing, "missing-query policy" {
        /// It counts 0 in every mean.
        #[default] Zero = "zero",
        /// It is left out, so that means run over the intersection of judgments and run.
        Skip = "skip",
        /// It is an error.
        Error = "error",
    }
}

spelled! {
    /// Documents whose id equals the query's id (in ArguAna, for one, every query is itself a document).
    SelfMatch, "self-match policy" {
        /// They count like any other.
        #[default] Kept = "kept",
        /// They are taken out of the run before ranks are counted: BEIR's `ignore_identical_ids`.
        Dropped = "dropped",
    }
}

spelled! {
    /// Documents without a judgment.
    Unjudged, "unjudged policy" {
        /// They keep their rank and count as not relevant.
        #[default] NonRelevant = "non-relevant",
        /// They are taken out before ranks are counted (trec_eval's `-J`).
        Removed = "removed",
    }
}

spelled! {
    /// A document that a run returns twice for one query.
    Duplicates, "duplicate policy" {
        /// It is an error.
        #[default] Error = "error",
        /// The line that comes first in the file counts.
        First = "first",
        /// The line that comes last in the file counts.
        Last = "last",
    }
}

spelled! {
    /// How many relevant documents a recall level of interpolated precision asks for, where level times number is no whole
    /// number.
    RecallCut, "rounding of recall levels" {
        /// The next whole number (from 0.1 on): a level is reached when that share is found. trec_eval up to 9.
        #[default] Up = "up",
        /// The nearest whole number: trec_eval 10.
        Nearest = "nearest",
    }
}

impl RecallCut {
    /// The number of relevant documents that `recall` asks for among `relevant`.
    pub fn needed(self, recall: f64, relevant: usize) -> usize {
        let share = recall * relevant as f64;
        match self {
            RecallCut::Up => (share + 0.9).floor() as usize,
            RecallCut::Nearest => share.round() as usize,
        }
    }
}

/// All the rules of one evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// Equal scores.
    pub ties: TieRule,
    /// Judged queries that the run lacks.
    pub missing: Missing,
    /// Precision in which scores are compared.
    pub scores: Precision,
    /// Documents whose id is the query's id.
    pub self_match: SelfMatch,
    /// Documents without a judgment.
    pub unjudged: Unjudged,
    /// Documents returned twice for one query.
    pub duplicates: Duplicates,
    /// Recall levels of interpolated precision.
    pub recall_cut: RecallCut,
    /// Only the first so many documents of each query count (trec_eval's `-M`); `None` is all.
    pub depth: Option<usize>,
    /// The smallest grade that counts as relevant in measures that do not name one (`AP(rel=2)` does).
    pub level: Option<i32>,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ties={} missing={} scores={} self-match={} unjudged={} duplicates={}",
            self.ties, self.missing, self.scores, self.self_match, self.unjudged, self.duplicates
        )?;
        if self.recall_cut != RecallCut::default() {
            write!(f, " recall-cut={}", self.recall_cut)?;
        }
        if let Some(depth) = self.depth {
            write!(f, " depth={depth}")?;
        }
        if let Some(level) = self.level {
            write!(f, " level={level}")?;
        }
        Ok(())
    }
}

spelled! {
    /// The policies of other tools, by name.
    Compat, "tool to be compatible with" {
        /// trec_eval 9: 32-bit scores, means over the queries that are in both files.
        #[default] TrecEval9 = "trec_eval-9",
        /// trec_eval 10: 64-bit scores, a judged query that the run lacks is an error, recall levels go to the nearest number.
        TrecEval10 = "trec_eval-10",
        /// BEIR: trec_eval 9 through pytrec_eval, self-matches dropped, the last of two equal lines counts.
        Beir = "beir",
        /// The MS MARCO script: the order of the file, every judged query counts.
        MsMarco = "msmarco",
    }
}

impl Compat {
    /// Whether names of measures are trec_eval's first, and Plackett's only where trec_eval has none such.
    pub fn is_trec_eval(self) -> bool {
        matches!(self, Compat::TrecEval9 | Compat::TrecEval10)
    }

    /// The rules of that tool.
    pub fn policy(self) -> Policy {
        let plain = Policy::default();
        match self {
            Compat::TrecEval9 => Policy { missing: Missing::Skip, scores: Precision::F32, ..plain },
            Compat::TrecEval10 => Policy { missing: Missing::Error, recall_cut: RecallCut::Nearest, ..plain },
            Compat::Beir => Policy {
                missing: Missing::Skip,
                scores: Precision::F32,
                self_match: SelfMatch::Dropped,
                duplicates: Duplicates::Last,
                ..plain
            },
            Compat::MsMarco => Policy { ties: TieRule::RunOrder, ..plain },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_back() {
        for &rule in TieRule::ALL {
            assert_eq!(rule.to_string().parse::<TieRule>(), Ok(rule));
        }
        for &tool in Compat::ALL {
            assert_eq!(tool.name().parse::<Compat>(), Ok(tool));
        }
        let error = "docno".parse::<TieRule>().unwrap_err().to_string();
        assert_eq!(error, "unknown tie rule `docno`; use one of: docno-desc, docno-asc, run-order");
    }

    #[test]
    fn a_policy_prints_every_rule() {
        let text = Policy { depth: Some(100), ..Compat::Beir.policy() }.to_string();
        assert_eq!(
            text,
            "ties=docno-desc missing=skip scores=f32 self-match=dropped unjudged=non-relevant duplicates=last depth=100"
        );
    }
}
