//! Measures that count queries and documents.

use super::{GRADES, PLAIN, REL};
use crate::measure::declaration::{
    Aggregate::Sum, Declaration, Needs::Nothing, Parameter, Range::Count, TrecName::Whole,
};
use crate::measure::{Value, counts};

pub(super) const MEASURES: &[Declaration] = &[
    Declaration {
        name: "NumQ",
        aliases: &["num_q"],
        pretty: "number of queries",
        description: "Queries that count in the means.",
        parameters: &[],
        citation: "Buckley, the documentation of trec_eval 9",
        trec_eval: Whole("num_q"),
        aggregate: Sum,
        range: Count,
        needs: Nothing,
        compute: counts::queries,
        ..PLAIN
    },
    Declaration {
        name: "NumRel",
        aliases: &["num_rel"],
        pretty: "number of relevant documents",
        description: "Judged relevant documents of the queries that count.",
        parameters: &[REL],
        citation: "Buckley, the documentation of trec_eval 9",
        trec_eval: Whole("num_rel"),
        aggregate: Sum,
        range: Count,
        compute: counts::relevant,
        ..PLAIN
    },
    Declaration {
        name: "NumRet",
        aliases: &["num_ret"],
        pretty: "number of returned documents",
        description: "Returned documents of the queries that count; with rel, those of at least that grade.",
        parameters: &[Parameter {
            name: "rel",
            kind: GRADES,
            default: Value::Absent,
            help: "count only documents of at least this grade",
        }],
        citation: "Buckley, the documentation of trec_eval 9",
        trec_eval: Whole("num_ret"),
        aggregate: Sum,
        range: Count,
        compute: counts::returned,
        ..PLAIN
    },
    Declaration {
        name: "NumRelRet",
        aliases: &["num_rel_ret"],
        pretty: "number of relevant returned documents",
        description: "Relevant documents that were returned.",
        parameters: &[REL],
        citation: "Buckley, the documentation of trec_eval 9",
        trec_eval: Whole("num_rel_ret"),
        aggregate: Sum,
        range: Count,
        compute: counts::relevant_returned,
        ..PLAIN
    },
];
