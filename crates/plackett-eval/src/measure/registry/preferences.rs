//! Measures over preferences between documents (`--judgments prefs`). The run keeps a preference when the preferred document
//! stands above the other one; a document that was not returned stands below all that were.

use super::PLAIN;
use crate::measure::declaration::{
    Aggregate::Sum, Declaration, Needs::Preferences, Range::Count, TrecName::Whole,
};
use crate::measure::preference;

const PREFERENCE: Declaration = Declaration {
    parameters: &[],
    needs: Preferences,
    citation: "Carterette, Bennett, Chickering and Dumais, Here or there: preference judgments for relevance, ECIR 2008",
    ..PLAIN
};
const NUMBER: Declaration = Declaration { aggregate: Sum, range: Count, ..PREFERENCE };

pub(super) const MEASURES: &[Declaration] = &[
    Declaration {
        name: "NumPrefs",
        aliases: &["prefs_num_prefs_poss"],
        pretty: "number of preferences",
        description: "Preferences in the judgments, over all groups.",
        trec_eval: Whole("prefs_num_prefs_poss"),
        compute: preference::possible,
        ..NUMBER
    },
    Declaration {
        name: "NumPrefsKept",
        aliases: &["prefs_num_prefs_ful"],
        pretty: "number of preferences kept",
        description: "Preferences of which the preferred document stands above.",
        trec_eval: Whole("prefs_num_prefs_ful"),
        compute: preference::kept,
        ..NUMBER
    },
    Declaration {
        name: "NumPrefsKeptRet",
        aliases: &["prefs_num_prefs_ful_ret"],
        pretty: "number of preferences kept among returned documents",
        description: "Preferences between two returned documents of which the preferred one stands above.",
        trec_eval: Whole("prefs_num_prefs_ful_ret"),
        compute: preference::kept_returned,
        ..NUMBER
    },
    Declaration {
        name: "Prefs",
        aliases: &["prefs_simp"],
        pretty: "share of preferences kept",
        description: "Preferences kept, over all preferences of all groups.",
        trec_eval: Whole("prefs_simp"),
        compute: preference::simple_all,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsRet",
        aliases: &["prefs_simp_ret"],
        pretty: "share of preferences kept among returned documents",
        description: "Preferences kept, over those between two returned documents.",
        trec_eval: Whole("prefs_simp_ret"),
        compute: preference::simple_returned,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsImp",
        aliases: &["prefs_simp_imp"],
        pretty: "share of preferences kept with a returned document",
        description: "Preferences kept, over those with at least one returned document.",
        trec_eval: Whole("prefs_simp_imp"),
        compute: preference::simple_implied,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsPair",
        aliases: &["prefs_pair"],
        pretty: "preferences kept, by pair",
        description: "For each pair of documents the share of its preferences that is kept, averaged over pairs.",
        trec_eval: Whole("prefs_pair"),
        compute: preference::pairs_all,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsPairRet",
        aliases: &["prefs_pair_ret"],
        pretty: "preferences kept, by pair of returned documents",
        description: "For each pair of returned documents the share of its preferences that is kept, averaged over pairs.",
        trec_eval: Whole("prefs_pair_ret"),
        compute: preference::pairs_returned,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsPairImp",
        aliases: &["prefs_pair_imp"],
        pretty: "preferences kept, by pair with a returned document",
        description: "For each pair with a returned document the share of its preferences that is kept, averaged over pairs.",
        trec_eval: Whole("prefs_pair_imp"),
        compute: preference::pairs_implied,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsGroup",
        aliases: &["prefs_avgjg"],
        pretty: "preferences kept, by judgment group",
        description: "Share of preferences kept in each judgment group, averaged over groups.",
        trec_eval: Whole("prefs_avgjg"),
        compute: preference::groups_all,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsGroupRet",
        aliases: &["prefs_avgjg_ret"],
        pretty: "preferences kept among returned documents, by judgment group",
        description: "Share of preferences kept between returned documents in each judgment group, averaged over groups.",
        trec_eval: Whole("prefs_avgjg_ret"),
        compute: preference::groups_returned,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsGroupImp",
        aliases: &["prefs_avgjg_imp"],
        pretty: "preferences kept with a returned document, by judgment group",
        description: "Share of preferences kept with at least one returned document in each judgment group, averaged over groups.",
        trec_eval: Whole("prefs_avgjg_imp"),
        compute: preference::groups_implied,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsBalanced",
        aliases: &["prefs_avgjg_Rnonrel"],
        pretty: "preferences kept, by balanced judgment group",
        description: "As PrefsGroup, with as many documents of level 0 as of higher levels in each group: the first of them, or imagined ones after the list (where there are more, each also counts against those that stay, as in trec_eval).",
        trec_eval: Whole("prefs_avgjg_Rnonrel"),
        compute: preference::balanced_all,
        ..PREFERENCE
    },
    Declaration {
        name: "PrefsBalancedRet",
        aliases: &["prefs_avgjg_Rnonrel_ret"],
        pretty: "preferences kept among returned documents, by balanced judgment group",
        description: "As PrefsGroupRet, with as many returned documents of level 0 as of higher levels in each group.",
        trec_eval: Whole("prefs_avgjg_Rnonrel_ret"),
        compute: preference::balanced_returned,
        ..PREFERENCE
    },
];
