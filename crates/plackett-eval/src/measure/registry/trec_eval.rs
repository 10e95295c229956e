//! Measures that come from trec_eval and are seldom met elsewhere: gain curves, multiples of R, utility, judgment groups.

use super::{BINARY, GAINS, JUDGED_ONLY, PLAIN, REL};
use crate::measure::declaration::{
    Aggregate::{GeometricMean, Sum},
    CutoffKind, Declaration, Kind,
    Needs::Groups,
    Parameter,
    Range::{Any, Count},
    TrecName::{Both, Cut, Whole},
};
use crate::measure::{Value, binary, counts, gain_curve, graded, groups, pooled};

const DOCUMENTATION: &str = "Buckley, the documentation of trec_eval 9";
const GAINED: &[Parameter] = &[GAINS, JUDGED_ONLY];

const fn weight(name: &'static str, default: f64, help: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Number(-1e9, 1e9), default: Value::Number(default), help }
}

pub(super) const MEASURES: &[Declaration] = &[
    Declaration {
        name: "GMBpref",
        aliases: &["gm_bpref"],
        pretty: "geometric mean binary preference",
        description: "Binary preference averaged by the geometric mean, so that the worst queries weigh most; values below 0.00001 count as that.",
        parameters: &[REL],
        citation: DOCUMENTATION,
        trec_eval: Whole("gm_bpref"),
        aggregate: GeometricMean,
        compute: pooled::bpref,
        ..PLAIN
    },
    Declaration {
        name: "RprecMult",
        aliases: &[],
        pretty: "precision at a multiple of R",
        description: "Precision at the rank that is so many times the number of relevant documents, rounded up.",
        cutoff: CutoffKind::Multiple,
        citation: DOCUMENTATION,
        trec_eval: Cut("Rprec_mult_"),
        compute: binary::precision_at_multiple,
        ..PLAIN
    },
    Declaration {
        name: "DCG",
        aliases: &[],
        pretty: "discounted cumulative gain",
        description: "Gains of the returned documents, each divided by log2(rank + 1).",
        parameters: GAINED,
        cutoff: CutoffKind::OptionalRank,
        citation: "Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002",
        trec_eval: Whole("dcg"),
        range: Any,
        compute: gain_curve::dcg,
        ..PLAIN
    },
    Declaration {
        name: "IdealDCG",
        aliases: &["IDCG"],
        pretty: "ideal discounted cumulative gain",
        description: "The discounted cumulative gain of the best order of the judged documents.",
        parameters: &[GAINS],
        cutoff: CutoffKind::OptionalRank,
        citation: "Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002",
        trec_eval: Whole("ideal_dcg"),
        range: Any,
        compute: gain_curve::ideal_dcg,
        ..PLAIN
    },
    Declaration {
        name: "nDCGRel",
        aliases: &["ndcg_rel"],
        pretty: "nDCG averaged over relevant documents",
        description: "nDCG of the list up to each document that gains, averaged over all documents that could gain, with nDCG of the whole list for those not returned.",
        parameters: GAINED,
        citation: DOCUMENTATION,
        trec_eval: Whole("ndcg_rel"),
        range: Any,
        compute: gain_curve::ndcg_at_relevant,
        ..PLAIN
    },
    Declaration {
        name: "nDCGLevels",
        aliases: &["Rndcg"],
        pretty: "nDCG averaged over the steps of the ideal gain",
        description: "nDCG of the list cut at each rank where the best order goes on to a lower gain, averaged over these ranks and the end of the list; 0 where no document reaches the level of relevance.",
        parameters: GAINED,
        citation: DOCUMENTATION,
        trec_eval: Whole("Rndcg"),
        range: Any,
        compute: gain_curve::ndcg_at_levels,
        ..PLAIN
    },
    Declaration {
        name: "G",
        aliases: &[],
        pretty: "normalised gain",
        description: "Gains of the returned documents, each divided by log2(2 + what the best order has gained more by then, at least 1 a rank), over all that can be gained.",
        parameters: GAINED,
        citation: DOCUMENTATION,
        trec_eval: Whole("G"),
        compute: gain_curve::normalised_gain,
        ..PLAIN
    },
    Declaration {
        name: "BinG",
        aliases: &[],
        pretty: "binary gain",
        description: "Mean over all relevant documents of 1 / log2(2 + others above), with 0 for those not returned.",
        citation: DOCUMENTATION,
        trec_eval: Whole("binG"),
        compute: binary::binary_gain,
        ..PLAIN
    },
    Declaration {
        name: "YAAP",
        aliases: &[],
        pretty: "yet another average precision",
        description: "ln((1 + s) / (1 + R − s)), with s the sum of the precisions at the ranks of relevant documents and R their number.",
        parameters: &[REL],
        range: Any,
        citation: "Robertson, On smoothing average precision, ECIR 2012",
        trec_eval: Whole("yaap"),
        compute: binary::smoothed_average_precision,
        ..PLAIN
    },
    Declaration {
        name: "Utility",
        aliases: &[],
        pretty: "utility of the set",
        description: "A weighted sum of the numbers of relevant and other documents, returned or not.",
        parameters: &[
            weight("found", 1.0, "worth of a returned relevant document"),
            weight("noise", -1.0, "worth of another returned document"),
            weight("missed", 0.0, "worth of a relevant document that was not returned"),
            weight("rest", 0.0, "worth of another document that was not returned"),
            Parameter {
                name: "collection",
                kind: Kind::Number(0.0, 1e15),
                default: Value::Number(0.0),
                help: "documents of the collection, for rest (trec_eval's -N)",
            },
            REL,
            JUDGED_ONLY,
        ],
        range: Any,
        citation: DOCUMENTATION,
        trec_eval: Whole("utility"),
        compute: binary::utility,
        ..PLAIN
    },
    Declaration {
        name: "RBPResid",
        aliases: &["rbp_resid"],
        pretty: "residual of rank-biased precision",
        description: "How much rank-biased precision could rise if every document without a judgment, and everything after the list, had the gain 1; 0 where the whole list is judged.",
        parameters: &[Parameter {
            name: "p",
            kind: Kind::Number(0.0, 1.0),
            default: Value::Number(0.8),
            help: "chance of going on to the next document",
        }],
        citation: "Moffat and Zobel, Rank-biased precision for measurement of retrieval effectiveness, TOIS 2008",
        compute: graded::rbp_residual,
        ..PLAIN
    },
    Declaration {
        name: "Unjudged",
        aliases: &["unj"],
        pretty: "share unjudged at k",
        description: "Documents without a judgment (or with a negative grade) among the first k, over k, also when fewer than k came back.",
        parameters: &[],
        cutoff: CutoffKind::Rank,
        citation: "the documentation of trec_eval 10",
        trec_eval: Cut("unj_"),
        compute: pooled::unjudged,
        ..PLAIN
    },
    Declaration {
        name: "NumNonRelRet",
        aliases: &["num_nonrel_judged_ret"],
        pretty: "number of judged non-relevant returned documents",
        description: "Returned documents that were judged and are not relevant.",
        parameters: &[REL],
        citation: DOCUMENTATION,
        trec_eval: Whole("num_nonrel_judged_ret"),
        aggregate: Sum,
        range: Count,
        compute: counts::not_relevant_returned,
        ..PLAIN
    },
    Declaration {
        name: "RelString",
        aliases: &[],
        pretty: "grades of the first k",
        description: "A text for each query in place of a value: the grades of the first k documents, `>` above 9, `-` for a document that is not in the judgments, `.` for a negative grade.",
        parameters: &[],
        cutoff: CutoffKind::Rank,
        citation: DOCUMENTATION,
        trec_eval: Both("relstring", "relstring_"),
        compute: counts::nothing,
        text: Some(pooled::relevance_string),
        ..PLAIN
    },
    Declaration {
        name: "GroupAP",
        aliases: &["map_avgjg"],
        pretty: "average precision by judgment group",
        description: "Average precision under the judgments of each group (the second column says who judged), averaged over groups.",
        parameters: BINARY,
        citation: DOCUMENTATION,
        trec_eval: Whole("map_avgjg"),
        needs: Groups,
        compute: groups::average_precision,
        ..PLAIN
    },
    Declaration {
        name: "GroupP",
        aliases: &[],
        pretty: "precision at k by judgment group",
        description: "Precision at k under the judgments of each group, averaged over groups.",
        cutoff: CutoffKind::Rank,
        citation: DOCUMENTATION,
        trec_eval: Cut("P_avgjg_"),
        needs: Groups,
        compute: groups::precision,
        ..PLAIN
    },
    Declaration {
        name: "GroupRprecMult",
        aliases: &[],
        pretty: "precision at a multiple of R by judgment group",
        description: "Precision at so many times the number of relevant documents under the judgments of each group, averaged over groups.",
        cutoff: CutoffKind::Multiple,
        citation: DOCUMENTATION,
        trec_eval: Cut("Rprec_mult_avgjg_"),
        needs: Groups,
        compute: groups::precision_at_multiple,
        ..PLAIN
    },
];
