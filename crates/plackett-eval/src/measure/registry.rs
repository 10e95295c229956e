//! The one table of measures. The parser, `plackett eval --list-measures` and `docs/measures.md` are made from it.

mod numbers;
mod preferences;
mod trec_eval;

use super::declaration::{
    Aggregate::{GeometricMean, Mean},
    CutoffKind, Declaration, Kind,
    Needs::{EvidenceSets, Grades, IdealOrder, Subtopics},
    Parameter,
    Range::{Any, Unit},
    TrecName::{Both, Cut, None as NoTrec, Whole},
};
use super::{Value, binary, counts, diversity, evidence, graded, pooled, similarity};

const GRADES: Kind = Kind::Integer(-1_000_000, 1_000_000);

const REL: Parameter = Parameter {
    name: "rel",
    kind: GRADES,
    default: Value::Integer(1),
    help: "smallest grade that counts as relevant",
};
const JUDGED_ONLY: Parameter = Parameter {
    name: "judged_only",
    kind: Kind::Switch,
    default: Value::Switch(false),
    help: "take documents without a judgment out before ranks are counted",
};
const ALPHA: Parameter = Parameter {
    name: "alpha",
    kind: Kind::Number(0.0, 1.0),
    default: Value::Number(0.5),
    help: "how much a subtopic that was already seen loses",
};
const BETA: Parameter = Parameter {
    name: "beta",
    kind: Kind::Number(0.01, 1.0),
    default: Value::Number(0.5),
    help: "chance of going on to the next document",
};
const GAINS: Parameter = Parameter {
    name: "gains",
    kind: Kind::Gains,
    default: Value::Linear,
    help: "gain of a grade: 'linear' (the grade itself), 'exp' (2^grade − 1) or a table {grade: gain}",
};

const BINARY: &[Parameter] = &[REL, JUDGED_ONLY];

/// A binary, rank-based measure with a mean from 0 to 1: what most entries start from.
const PLAIN: Declaration = Declaration {
    name: "",
    aliases: &[],
    pretty: "",
    description: "",
    parameters: BINARY,
    cutoff: CutoffKind::None,
    citation: "",
    trec_eval: NoTrec,
    aggregate: Mean,
    range: Unit,
    needs: Grades,
    compute: counts::queries,
    text: None,
};

const PARTS: [&[Declaration]; 4] = [GENERAL, numbers::MEASURES, trec_eval::MEASURES, preferences::MEASURES];

const COUNT: usize =
    GENERAL.len() + numbers::MEASURES.len() + trec_eval::MEASURES.len() + preferences::MEASURES.len();

static ALL: [Declaration; COUNT] = {
    let mut all = [PLAIN; COUNT];
    let (mut next, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut place = 0;
        while place < PARTS[part].len() {
            all[next] = PARTS[part][place];
            (next, place) = (next + 1, place + 1);
        }
        part += 1;
    }
    all
};

/// Every measure, in the order of the documentation.
pub static MEASURES: &[Declaration] = &ALL;

const GENERAL: &[Declaration] = &[
    Declaration {
        name: "nDCG",
        aliases: &["NDCG"],
        pretty: "normalised discounted cumulative gain",
        description: "Gains of the returned documents, each divided by log2(rank + 1), over the same sum for the best possible order.",
        parameters: &[GAINS, JUDGED_ONLY],
        cutoff: CutoffKind::OptionalRank,
        citation: "Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002",
        trec_eval: Both("ndcg", "ndcg_cut_"),
        compute: graded::ndcg,
        ..PLAIN
    },
    Declaration {
        name: "AP",
        aliases: &["MAP"],
        pretty: "average precision",
        description: "Mean over all relevant documents of the precision at their rank, with 0 for those not returned.",
        cutoff: CutoffKind::OptionalRank,
        citation: "Harman, Overview of the first TREC conference, SIGIR 1993",
        trec_eval: Both("map", "map_cut_"),
        compute: binary::average_precision,
        ..PLAIN
    },
    Declaration {
        name: "GMAP",
        aliases: &["gm_map"],
        pretty: "geometric mean average precision",
        description: "Average precision averaged by the geometric mean, so that the worst queries weigh most; values below 0.00001 count as that.",
        citation: "Robertson, On GMAP – and other transformations, CIKM 2006",
        trec_eval: Whole("gm_map"),
        aggregate: GeometricMean,
        compute: binary::average_precision,
        ..PLAIN
    },
    Declaration {
        name: "RR",
        aliases: &["MRR", "recip_rank"],
        pretty: "reciprocal rank",
        description: "One over the rank of the first relevant document; 0 when there is none in the list (or in its first k).",
        cutoff: CutoffKind::OptionalRank,
        citation: "Kantor and Voorhees, The TREC-5 confusion track, Information Retrieval 2000",
        trec_eval: Whole("recip_rank"),
        compute: binary::reciprocal_rank,
        ..PLAIN
    },
    Declaration {
        name: "P",
        aliases: &["Precision"],
        pretty: "precision at k",
        description: "Relevant documents among the first k, over k, also when fewer than k came back.",
        cutoff: CutoffKind::Rank,
        citation: "van Rijsbergen, Information Retrieval, 1979",
        trec_eval: Cut("P_"),
        compute: binary::precision,
        ..PLAIN
    },
    Declaration {
        name: "R",
        aliases: &["Recall"],
        pretty: "recall at k",
        description: "Relevant documents among the first k, over all relevant ones.",
        cutoff: CutoffKind::Rank,
        citation: "van Rijsbergen, Information Retrieval, 1979",
        trec_eval: Cut("recall_"),
        compute: binary::recall,
        ..PLAIN
    },
    Declaration {
        name: "F1",
        aliases: &[],
        pretty: "F1 at k",
        description: "Harmonic mean of precision and recall at k.",
        cutoff: CutoffKind::Rank,
        citation: "van Rijsbergen, Information Retrieval, 1979",
        compute: binary::f1,
        ..PLAIN
    },
    Declaration {
        name: "RCap",
        aliases: &["R_cap"],
        pretty: "capped recall at k",
        description: "Relevant documents among the first k, over the smaller of k and the number of relevant ones.",
        cutoff: CutoffKind::Rank,
        citation: "Thakur et al., BEIR, NeurIPS Datasets and Benchmarks 2021",
        trec_eval: Cut("relative_P_"),
        compute: binary::capped_recall,
        ..PLAIN
    },
    Declaration {
        name: "Success",
        aliases: &["HR", "Hit", "HitRate"],
        pretty: "success at k",
        description: "1 when a relevant document is among the first k, else 0; its mean is the hit rate of recommendation.",
        cutoff: CutoffKind::Rank,
        citation: "Craswell and Hawking, Overview of the TREC-2002 web track",
        trec_eval: Cut("success_"),
        compute: binary::success,
        ..PLAIN
    },
    Declaration {
        name: "Rprec",
        aliases: &["RPrecision"],
        pretty: "R-precision",
        description: "Precision after as many documents as are relevant to the query.",
        citation: "Buckley and Voorhees, Retrieval system evaluation, in TREC: Experiment and Evaluation, 2005",
        trec_eval: Whole("Rprec"),
        compute: binary::r_precision,
        ..PLAIN
    },
    Declaration {
        name: "IPrec",
        aliases: &["iprec_at_recall"],
        pretty: "interpolated precision at a recall level",
        description: "The best precision at any rank where the recall after the @ has been reached.",
        cutoff: CutoffKind::Recall,
        citation: "Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.4",
        trec_eval: Cut("iprec_at_recall_"),
        compute: binary::interpolated_precision,
        ..PLAIN
    },
    Declaration {
        name: "IPrec11",
        aliases: &["11pt_avg"],
        pretty: "eleven-point average precision",
        description: "Interpolated precision averaged over the recall levels 0, 0.1, … 1, or over others.",
        parameters: &[
            REL,
            JUDGED_ONLY,
            Parameter {
                name: "levels",
                kind: Kind::Numbers(0.0, 1.0),
                default: Value::Absent,
                help: "recall levels, as in {0.25,0.5,0.75}; absent: the eleven",
            },
        ],
        citation: "Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008, section 8.4",
        trec_eval: Whole("11pt_avg"),
        compute: binary::eleven_point,
        ..PLAIN
    },
    Declaration {
        name: "Bpref",
        aliases: &[],
        pretty: "binary preference",
        description: "How seldom judged non-relevant documents stand above relevant ones; documents without a judgment do not matter.",
        parameters: &[REL],
        citation: "Buckley and Voorhees, Retrieval evaluation with incomplete information, SIGIR 2004",
        trec_eval: Whole("bpref"),
        compute: pooled::bpref,
        ..PLAIN
    },
    Declaration {
        name: "infAP",
        aliases: &[],
        pretty: "inferred average precision",
        description: "Average precision estimated from a judged sample of the pool; a negative grade marks pooled documents that were not judged.",
        parameters: &[REL],
        citation: "Yilmaz and Aslam, Estimating average precision with incomplete and imperfect judgments, CIKM 2006",
        trec_eval: Whole("infAP"),
        compute: pooled::inferred_ap,
        ..PLAIN
    },
    Declaration {
        name: "ERR",
        aliases: &[],
        pretty: "expected reciprocal rank",
        description: "Expected reciprocal of the rank at which a reader who goes down the list is satisfied, with chance (2^grade − 1) / 2^max_rel at each document.",
        parameters: &[Parameter {
            name: "max_rel",
            kind: Kind::Integer(1, 60),
            default: Value::Integer(4),
            help: "highest grade of the scale (4 in gdeval); higher grades count as this one",
        }],
        cutoff: CutoffKind::OptionalRank,
        citation: "Chapelle, Metzler, Zhang and Grinspan, Expected reciprocal rank for graded relevance, CIKM 2009",
        compute: graded::err,
        ..PLAIN
    },
    Declaration {
        name: "RBP",
        aliases: &[],
        pretty: "rank-biased precision",
        description: "Gain per document seen by a reader who goes on with chance p after each; without rel the gain is the grade over the highest grade.",
        parameters: &[
            Parameter {
                name: "p",
                kind: Kind::Number(0.0, 1.0),
                default: Value::Number(0.8),
                help: "chance of going on to the next document",
            },
            Parameter {
                name: "rel",
                kind: GRADES,
                default: Value::Absent,
                help: "smallest grade that counts as relevant; absent: graded gains",
            },
            Parameter {
                name: "max_rel",
                kind: Kind::Integer(1, 1_000_000),
                default: Value::Absent,
                help: "grade whose gain is 1; absent: the highest grade of the judgment file",
            },
            Parameter {
                name: "per_query",
                kind: Kind::Switch,
                default: Value::Switch(false),
                help: "where max_rel is absent: the highest grade of the query in place of that of the file",
            },
        ],
        cutoff: CutoffKind::OptionalRank,
        citation: "Moffat and Zobel, Rank-biased precision for measurement of retrieval effectiveness, TOIS 2008",
        compute: graded::rbp,
        ..PLAIN
    },
    Declaration {
        name: "Judged",
        aliases: &["JudgmentRate"],
        pretty: "share judged at k",
        description: "Documents with a judgment among the first k, over the documents that were returned there.",
        parameters: &[],
        cutoff: CutoffKind::OptionalRank,
        citation: "MacAvaney, OpenNIR, WSDM 2020",
        compute: pooled::judged,
        ..PLAIN
    },
    Declaration {
        name: "Compat",
        aliases: &["Compatibility"],
        pretty: "compatibility",
        description: "Rank-biased overlap of the list with the closest ideal order of the judged documents.",
        parameters: &[
            Parameter {
                name: "p",
                kind: Kind::Number(0.0, 1.0),
                default: Value::Number(0.95),
                help: "how deep the comparison looks",
            },
            Parameter {
                name: "normalize",
                kind: Kind::Switch,
                default: Value::Switch(true),
                help: "divide by the best value that the judgments allow",
            },
        ],
        citation: "Clarke, Vtyurina and Smucker, Assessing top-k preferences, TOIS 2021",
        needs: IdealOrder,
        compute: similarity::compatibility,
        ..PLAIN
    },
    Declaration {
        name: "Accuracy",
        aliases: &[],
        pretty: "pairwise accuracy",
        description: "Share of the pairs of a relevant and another returned document in which the relevant one stands above.",
        parameters: &[REL],
        cutoff: CutoffKind::OptionalRank,
        citation: "Joachims, Optimizing search engines using clickthrough data, KDD 2002",
        compute: binary::accuracy,
        ..PLAIN
    },
    Declaration {
        name: "PNR",
        aliases: &["PositiveNegativeRatio"],
        pretty: "positive–negative ratio",
        description: "Pairs of returned documents of which the one with the higher grade stands above, over those of which it stands below; 1 where no two grades differ (documents without a judgment have grade 0), at most cap.",
        parameters: &[
            Parameter {
                name: "cap",
                kind: Kind::Number(1.0, 1e9),
                default: Value::Number(99.0),
                help: "the value of a query without a pair in the wrong order, and the highest one",
            },
            JUDGED_ONLY,
        ],
        citation: "Zou et al., Pre-trained language model based ranking in Baidu search, KDD 2021",
        range: Any,
        compute: graded::positive_negative_ratio,
        ..PLAIN
    },
    Declaration {
        name: "alpha_nDCG",
        aliases: &["αnDCG"],
        pretty: "α-nDCG",
        description: "nDCG in which a subtopic that documents above already covered gains less; the ideal order is built greedily.",
        parameters: &[ALPHA, REL, JUDGED_ONLY],
        cutoff: CutoffKind::OptionalRank,
        citation: "Clarke et al., Novelty and diversity in information retrieval evaluation, SIGIR 2008",
        needs: Subtopics,
        compute: diversity::alpha_ndcg,
        ..PLAIN
    },
    Declaration {
        name: "ERR_IA",
        aliases: &["ERR-IA"],
        pretty: "intent-aware expected reciprocal rank",
        description: "Expected reciprocal rank averaged over the subtopics that have a relevant document, on ndeval's scale (over the value of k documents relevant to all of them).",
        parameters: &[ALPHA, REL, JUDGED_ONLY],
        cutoff: CutoffKind::Rank,
        citation: "Chapelle et al., Intent-based diversification of web search results, Information Retrieval 2011",
        needs: Subtopics,
        compute: diversity::err_ia,
        ..PLAIN
    },
    Declaration {
        name: "alpha_DCG",
        aliases: &["αDCG"],
        pretty: "α-DCG",
        description: "Gains of the returned documents, less for subtopics already covered, over what k documents relevant to all subtopics would gain.",
        parameters: &[ALPHA, REL, JUDGED_ONLY],
        cutoff: CutoffKind::Rank,
        citation: "Clarke et al., Novelty and diversity in information retrieval evaluation, SIGIR 2008",
        needs: Subtopics,
        compute: diversity::alpha_dcg,
        ..PLAIN
    },
    Declaration {
        name: "nERR_IA",
        aliases: &["nERR-IA"],
        pretty: "normalised intent-aware expected reciprocal rank",
        description: "ERR_IA over that of the list built greedily from the judgments.",
        parameters: &[ALPHA, REL, JUDGED_ONLY],
        cutoff: CutoffKind::OptionalRank,
        citation: "Clarke, Craswell, Soboroff and Ashkan, A comparative analysis of cascade measures, WSDM 2011",
        needs: Subtopics,
        compute: diversity::normalised_err_ia,
        ..PLAIN
    },
    Declaration {
        name: "NRBP",
        aliases: &[],
        pretty: "novelty- and rank-biased precision",
        description: "Gain per document seen by a reader who goes on with chance beta and gains less from subtopics already covered.",
        parameters: &[ALPHA, BETA, REL, JUDGED_ONLY],
        citation: "Clarke, Kolla and Vechtomova, An effectiveness measure for ambiguous and underspecified queries, ICTIR 2009",
        needs: Subtopics,
        compute: diversity::nrbp,
        ..PLAIN
    },
    Declaration {
        name: "nNRBP",
        aliases: &[],
        pretty: "normalised novelty- and rank-biased precision",
        description: "NRBP over that of the list built greedily from the judgments.",
        parameters: &[ALPHA, BETA, REL, JUDGED_ONLY],
        citation: "Clarke, Craswell, Soboroff and Ashkan, A comparative analysis of cascade measures, WSDM 2011",
        needs: Subtopics,
        compute: diversity::normalised_nrbp,
        ..PLAIN
    },
    Declaration {
        name: "AP_IA",
        aliases: &["AP-IA", "MAP-IA"],
        pretty: "intent-aware average precision",
        description: "Average precision for each subtopic that has a relevant document, averaged over those subtopics.",
        parameters: &[REL, JUDGED_ONLY],
        citation: "Agrawal, Gollapudi, Halverson and Ieong, Diversifying search results, WSDM 2009",
        needs: Subtopics,
        compute: diversity::average_precision_ia,
        ..PLAIN
    },
    Declaration {
        name: "P_IA",
        aliases: &["P-IA"],
        pretty: "intent-aware precision",
        description: "Precision at k for each subtopic that has a relevant document, averaged over those subtopics.",
        parameters: &[REL, JUDGED_ONLY],
        cutoff: CutoffKind::Rank,
        citation: "Agrawal, Gollapudi, Halverson and Ieong, Diversifying search results, WSDM 2009",
        needs: Subtopics,
        compute: diversity::precision_ia,
        ..PLAIN
    },
    Declaration {
        name: "StRecall",
        aliases: &["SubtopicRecall", "S_recall"],
        pretty: "subtopic recall at k",
        description: "Share of the subtopics with a relevant document that the first k documents cover.",
        parameters: &[REL],
        cutoff: CutoffKind::OptionalRank,
        citation: "Zhai, Cohen and Lafferty, Beyond independent relevance, SIGIR 2003",
        needs: Subtopics,
        compute: diversity::subtopic_recall,
        ..PLAIN
    },
    Declaration {
        name: "EvidenceRprec",
        aliases: &["KILT_Rprec"],
        pretty: "R-precision over evidence sets",
        description: "Of a set of R pages (the second column of the judgments names the set) those among the first R, over R; the best over the sets.",
        parameters: &[REL],
        citation: "Petroni et al., KILT: a benchmark for knowledge intensive language tasks, NAACL 2021",
        needs: EvidenceSets,
        compute: evidence::r_precision,
        ..PLAIN
    },
    Declaration {
        name: "EvidenceP",
        aliases: &["KILT_P"],
        pretty: "precision over evidence sets at k",
        description: "Whole evidence sets among the first k slots, over k, where the pages of a set share the slot of the last of them.",
        parameters: &[REL],
        cutoff: CutoffKind::Rank,
        citation: "Petroni et al., KILT: a benchmark for knowledge intensive language tasks, NAACL 2021",
        needs: EvidenceSets,
        compute: evidence::precision,
        ..PLAIN
    },
    Declaration {
        name: "EvidenceR",
        aliases: &["KILT_R"],
        pretty: "recall over evidence sets at k",
        description: "Whole evidence sets among the first k slots, over all sets of the query, where the pages of a set share the slot of the last of them.",
        parameters: &[REL],
        cutoff: CutoffKind::Rank,
        citation: "Petroni et al., KILT: a benchmark for knowledge intensive language tasks, NAACL 2021",
        needs: EvidenceSets,
        compute: evidence::recall,
        ..PLAIN
    },
    Declaration {
        name: "EvidenceSuccess",
        aliases: &["KILT_Success"],
        pretty: "success over evidence sets at k",
        description: "1 when a whole evidence set is among the first k slots, where the pages of a set share the slot of the last of them, else 0.",
        parameters: &[REL],
        cutoff: CutoffKind::Rank,
        citation: "Petroni et al., KILT: a benchmark for knowledge intensive language tasks, NAACL 2021",
        needs: EvidenceSets,
        compute: evidence::success,
        ..PLAIN
    },
    Declaration {
        name: "SetP",
        aliases: &["set_P"],
        pretty: "precision of the set",
        description: "Relevant documents over all returned ones.",
        citation: "van Rijsbergen, Information Retrieval, 1979",
        trec_eval: Whole("set_P"),
        compute: binary::set_precision,
        ..PLAIN
    },
    Declaration {
        name: "SetR",
        aliases: &["set_recall"],
        pretty: "recall of the set",
        description: "Relevant returned documents over all relevant ones.",
        citation: "van Rijsbergen, Information Retrieval, 1979",
        trec_eval: Whole("set_recall"),
        compute: binary::set_recall,
        ..PLAIN
    },
    Declaration {
        name: "SetF",
        aliases: &["set_F"],
        pretty: "F of the set",
        description: "Harmonic mean of the set's precision and recall, in which recall weighs beta times as much.",
        parameters: &[
            Parameter {
                name: "beta",
                kind: Kind::Number(0.0, 1e6),
                default: Value::Number(1.0),
                help: "weight of recall (trec_eval's parameter is its square)",
            },
            REL,
            JUDGED_ONLY,
        ],
        citation: "van Rijsbergen, Information Retrieval, 1979",
        trec_eval: Whole("set_F"),
        compute: binary::set_f,
        ..PLAIN
    },
    Declaration {
        name: "SetAP",
        aliases: &["set_map"],
        pretty: "average precision of the set",
        description: "Precision times recall of the set.",
        citation: "Buckley, the documentation of trec_eval 9",
        trec_eval: Whole("set_map"),
        compute: binary::set_average_precision,
        ..PLAIN
    },
    Declaration {
        name: "SetRelP",
        aliases: &["set_relative_P"],
        pretty: "relative precision of the set",
        description: "Relevant returned documents over as many as the set could have held.",
        citation: "Buckley, the documentation of trec_eval 9",
        trec_eval: Whole("set_relative_P"),
        compute: binary::set_relative_precision,
        ..PLAIN
    },
];
