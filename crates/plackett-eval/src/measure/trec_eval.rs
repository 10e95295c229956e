//! trec_eval's names: which there are, in its order, what may follow the dot (`ndcg_cut.5,10`), and Plackett's measure of each.

use super::ParseError;

/// What a name stands for in trec_eval's output.
#[derive(Clone, Debug, PartialEq)]
pub struct Spelling {
    /// The name as trec_eval prints it, with cut-off or parameters.
    pub text: String,
    /// The place in trec_eval's order.
    pub place: usize,
    /// Whether cut-offs or parameters were named.
    pub chosen: bool,
}

/// A measure in Plackett's spelling, with trec_eval's.
pub struct Named {
    pub ours: String,
    pub spelling: Spelling,
}

/// What may follow the dot of a name.
enum Form {
    /// Nothing.
    Plain,
    /// Ranks, cut to whole numbers as C's `atol` does; one measure each, in ascending order.
    Ranks(&'static [u32]),
    /// Numbers; one measure each, in ascending order, shown with two decimals.
    Numbers(&'static [f64]),
    /// Gains of grades, `1=3,2=9`.
    Gains,
    /// `p=0.8`; the number is the default.
    Persistence(&'static str),
    /// So many numbers (0: any) that are parameters of one measure, and the parameters in Plackett's spelling.
    Parameters(usize, fn(&[f64]) -> String),
}

struct Name {
    trec: &'static str,
    /// Plackett's measure, without cut-off and parameters.
    ours: &'static str,
    form: Form,
}

const RANKS: Form = Form::Ranks(&[5, 10, 15, 20, 30, 100, 200, 500, 1000]);
const MULTIPLES: Form = Form::Numbers(&[0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]);

const fn plain(trec: &'static str, ours: &'static str) -> Name {
    Name { trec, ours, form: Form::Plain }
}

const fn with(trec: &'static str, ours: &'static str, form: Form) -> Name {
    Name { trec, ours, form }
}

/// In the order in which trec_eval prints.
static NAMES: &[Name] = &[
    // A line of the output, but no measure.
    plain(RUN_ID, ""),
    plain("num_q", "NumQ"),
    plain("num_ret", "NumRet"),
    plain("num_rel", "NumRel"),
    plain("num_rel_ret", "NumRelRet"),
    plain("map", "AP"),
    plain("gm_map", "GMAP"),
    plain("Rprec", "Rprec"),
    plain("bpref", "Bpref"),
    plain("recip_rank", "RR"),
    with("iprec_at_recall", "IPrec", Form::Numbers(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])),
    with("P", "P", RANKS),
    with(
        "relstring",
        "RelString",
        Form::Parameters(1, |n| format!("@{}", n.first().map_or(10.0, |n| n.trunc()))),
    ),
    with("recall", "R", RANKS),
    plain("infAP", "infAP"),
    plain("gm_bpref", "GMBpref"),
    with("Rprec_mult", "RprecMult", MULTIPLES),
    with("utility", "Utility", Form::Parameters(4, utility)),
    with("11pt_avg", "IPrec11", Form::Parameters(0, levels)),
    plain("binG", "BinG"),
    with("G", "G", Form::Gains),
    with("dcg", "DCG", Form::Gains),
    with("ideal_dcg", "IdealDCG", Form::Gains),
    with("ndcg", "nDCG", Form::Gains),
    with("ndcg_rel", "nDCGRel", Form::Gains),
    with("Rndcg", "nDCGLevels", Form::Gains),
    with("ndcg_cut", "nDCG", RANKS),
    with("map_cut", "AP", RANKS),
    with("relative_P", "RCap", RANKS),
    with("success", "Success", Form::Ranks(&[1, 5, 10])),
    plain("set_P", "SetP"),
    plain("set_relative_P", "SetRelP"),
    plain("set_recall", "SetR"),
    plain("set_map", "SetAP"),
    with(
        "set_F",
        "SetF",
        Form::Parameters(1, |n| n.first().map_or(String::new(), |x| format!("(beta={})", x.sqrt()))),
    ),
    plain("num_nonrel_judged_ret", "NumNonRelRet"),
    plain("prefs_num_prefs_poss", "NumPrefs"),
    plain("prefs_num_prefs_ful", "NumPrefsKept"),
    plain("prefs_num_prefs_ful_ret", "NumPrefsKeptRet"),
    plain("prefs_simp", "Prefs"),
    plain("prefs_pair", "PrefsPair"),
    plain("prefs_avgjg", "PrefsGroup"),
    plain("prefs_avgjg_Rnonrel", "PrefsBalanced"),
    plain("prefs_simp_ret", "PrefsRet"),
    plain("prefs_pair_ret", "PrefsPairRet"),
    plain("prefs_avgjg_ret", "PrefsGroupRet"),
    plain("prefs_avgjg_Rnonrel_ret", "PrefsBalancedRet"),
    plain("prefs_simp_imp", "PrefsImp"),
    plain("prefs_pair_imp", "PrefsPairImp"),
    plain("prefs_avgjg_imp", "PrefsGroupImp"),
    plain("map_avgjg", "GroupAP"),
    with("P_avgjg", "GroupP", RANKS),
    with("Rprec_mult_avgjg", "GroupRprecMult", MULTIPLES),
    plain("yaap", "YAAP"),
    with("rbp", "RBP", Form::Persistence("per_query=True")),
    with("rbp_resid", "RBPResid", Form::Persistence("")),
    with("unj", "Unjudged", Form::Ranks(&[5, 10, 20])),
];

/// The line that names the run.
pub const RUN_ID: &str = "runid";

/// Names that stand for several.
const NICKNAMES: &[(&str, &[&str])] = &[
    (
        "official",
        &[
            RUN_ID,
            "num_q",
            "num_ret",
            "num_rel",
            "num_rel_ret",
            "map",
            "gm_map",
            "Rprec",
            "bpref",
            "recip_rank",
            "iprec_at_recall",
            "P",
        ],
    ),
    (
        "set",
        &[
            RUN_ID,
            "num_q",
            "num_ret",
            "num_rel",
            "num_rel_ret",
            "utility",
            "set_P",
            "set_relative_P",
            "set_recall",
            "set_map",
            "set_F",
        ],
    ),
    (
        "all_trec",
        &[
            RUN_ID,
            "num_q",
            "num_ret",
            "num_rel",
            "num_rel_ret",
            "map",
            "gm_map",
            "Rprec",
            "bpref",
            "recip_rank",
            "iprec_at_recall",
            "P",
            "relstring",
            "recall",
            "infAP",
            "gm_bpref",
            "Rprec_mult",
            "utility",
            "11pt_avg",
            "binG",
            "G",
            "ndcg",
            "ndcg_rel",
            "Rndcg",
            "ndcg_cut",
            "map_cut",
            "relative_P",
            "success",
            "set_P",
            "set_relative_P",
            "set_recall",
            "set_map",
            "set_F",
            "num_nonrel_judged_ret",
            "rbp",
            "rbp_resid",
            "unj",
        ],
    ),
    (
        "all_prefs",
        &[
            RUN_ID,
            "num_q",
            "prefs_num_prefs_poss",
            "prefs_num_prefs_ful",
            "prefs_num_prefs_ful_ret",
            "prefs_simp",
            "prefs_pair",
            "prefs_avgjg",
            "prefs_avgjg_Rnonrel",
            "prefs_simp_ret",
            "prefs_pair_ret",
            "prefs_avgjg_ret",
            "prefs_avgjg_Rnonrel_ret",
            "prefs_simp_imp",
            "prefs_pair_imp",
            "prefs_avgjg_imp",
        ],
    ),
    (
        "prefs",
        &[
            RUN_ID,
            "num_q",
            "prefs_num_prefs_poss",
            "prefs_num_prefs_ful",
            "prefs_num_prefs_ful_ret",
            "prefs_simp",
            "prefs_pair",
            "prefs_avgjg",
        ],
    ),
    ("qrels_jg", &[RUN_ID, "num_q", "map_avgjg", "P_avgjg", "Rprec_mult_avgjg"]),
];

/// Whether trec_eval prints the run's name when these measures, separated by blanks, are asked for.
pub fn asks_for_run_id(list: &str) -> bool {
    list.split_whitespace().any(|word| word == RUN_ID || nickname(word, true).is_some())
}

/// The measures of a word such as `map`, `P.5,10`, `ndcg_cut_10` or `official`; `None` where trec_eval has no such name.
/// `exact`: only as trec_eval spells it; otherwise capitals do not matter in names with `_`.
pub fn expand(word: &str, exact: bool) -> Option<Result<Vec<Named>, ParseError>> {
    if let Some(names) = nickname(word, exact) {
        let all = names.iter().filter_map(|name| find(name, true));
        return Some(
            all.map(|(place, name)| name.measures(place, None, word))
                .collect::<Result<Vec<_>, _>>()
                .map(|measures| measures.into_iter().flatten().collect()),
        );
    }
    if let Some((head, parameters)) = word.split_once('.')
        && let Some((place, name)) = find(head, exact)
    {
        return Some(name.measures(place, Some(parameters), word));
    }
    if let Some((place, name)) = find(word, exact) {
        return Some(name.measures(place, None, word));
    }
    // `ndcg_cut_10`, as trec_eval prints it.
    let (place, name, cut) = NAMES.iter().enumerate().find_map(|(place, name)| {
        let head = word.get(..name.trec.len()).filter(|head| same(head, name.trec, exact))?;
        let cut = word[head.len()..].strip_prefix('_').filter(|cut| cut.parse::<f64>().is_ok())?;
        matches!(name.form, Form::Ranks(_) | Form::Numbers(_)).then_some((place, name, cut))
    })?;
    Some(name.measures(place, Some(cut), word))
}

/// trec_eval's names of a measure that need parameters in Plackett's spelling, for the documentation.
pub fn special_name(ours: &str) -> Option<String> {
    let name = NAMES.iter().find(|name| name.ours == ours && matches!(name.form, Form::Persistence(_)))?;
    let measures = name.measures(0, None, name.trec).ok()?;
    Some(format!("trec_eval's `{}` is `{}`", name.trec, measures.first()?.ours))
}

fn nickname(word: &str, exact: bool) -> Option<&'static [&'static str]> {
    NICKNAMES.iter().find(|(name, _)| same(word, name, exact)).map(|(_, names)| *names)
}

fn same(word: &str, name: &str, exact: bool) -> bool {
    word == name || (!exact && name.contains('_') && word.eq_ignore_ascii_case(name))
}

fn find(word: &str, exact: bool) -> Option<(usize, &'static Name)> {
    NAMES.iter().enumerate().find(|(_, name)| same(word, name.trec, exact))
}

impl Name {
    /// The measures that it stands for with what was written after its dot, as a part of `word`.
    fn measures(&self, place: usize, given: Option<&str>, word: &str) -> Result<Vec<Named>, ParseError> {
        Written { name: self, place, given, word }.measures()
    }
}

/// A name as it was written, with what follows its dot.
struct Written<'a> {
    name: &'a Name,
    /// The place in trec_eval's order.
    place: usize,
    given: Option<&'a str>,
    /// All of it.
    word: &'a str,
}

impl Written<'_> {
    fn measures(&self) -> Result<Vec<Named>, ParseError> {
        match &self.name.form {
            Form::Plain if self.given.is_some() => Err(self.wrong("left out")),
            Form::Plain if self.name.ours.is_empty() => Ok(Vec::new()),
            Form::Plain => Ok(self.one("")),
            Form::Ranks(usual) => self.at_ranks(usual),
            Form::Numbers(usual) => self.at_cuts(usual),
            Form::Gains => self.with_gains(),
            Form::Persistence(more) => self.with_persistence(more),
            Form::Parameters(count, spell) => self.with_parameters(*count, *spell),
        }
    }

    fn at_ranks(&self, usual: &[u32]) -> Result<Vec<Named>, ParseError> {
        let mut ranks = usual.to_vec();
        if self.given.is_some() {
            let what = "ranks from 1, each once, as in .5,10";
            ranks = self.numbers(what)?.into_iter().map(|rank| rank as u32).collect();
            ranks = ascending(ranks, |rank| rank == 0).ok_or_else(|| self.wrong(what))?;
        }
        let Name { trec, ours, .. } = self.name;
        let at = |rank: u32| self.named(format!("{ours}@{rank}"), format!("{trec}_{rank}"));
        Ok(ranks.into_iter().map(at).collect())
    }

    fn at_cuts(&self, usual: &[f64]) -> Result<Vec<Named>, ParseError> {
        let mut cuts = usual.to_vec();
        if self.given.is_some() {
            let what = "numbers from 0, each once, as in .0.2,0.5";
            cuts = ascending(self.numbers(what)?, |cut| cut < 0.0).ok_or_else(|| self.wrong(what))?;
        }
        let Name { trec, ours, .. } = self.name;
        let at = |cut: f64| self.named(format!("{ours}@{cut}"), format!("{trec}_{cut:.2}"));
        Ok(cuts.into_iter().map(at).collect())
    }

    fn with_gains(&self) -> Result<Vec<Named>, ParseError> {
        let Some(given) = self.given else { return Ok(self.one("")) };
        let pairs: Option<Vec<String>> = given.split(',').map(gain).collect();
        let pairs = pairs.ok_or_else(|| self.wrong("gains of grades, as in .1=3,2=9"))?;
        Ok(self.one(&format!("(gains={{{}}})", pairs.join(","))))
    }

    /// `more` are parameters that stand behind p.
    fn with_persistence(&self, more: &str) -> Result<Vec<Named>, ParseError> {
        let p = match self.given {
            None => "0.9",
            Some(given) => given
                .strip_prefix("p=")
                .filter(|p| p.parse::<f64>().is_ok())
                .ok_or_else(|| self.wrong("the chance of going on, as in .p=0.8"))?,
        };
        let comma = if more.is_empty() { "" } else { "," };
        Ok(self.one(&format!("(p={p}{comma}{more})")))
    }

    fn with_parameters(&self, count: usize, spell: fn(&[f64]) -> String) -> Result<Vec<Named>, ParseError> {
        let what = match count {
            0 => "numbers, as in .0.25,0.5".to_string(),
            1 => "one number".to_string(),
            count => format!("{count} numbers with commas between them"),
        };
        let values = if self.given.is_some() { self.numbers(&what)? } else { Vec::new() };
        if self.given.is_some() && count > 0 && values.len() != count {
            return Err(self.wrong(&what));
        }
        if self.name.ours == "SetF" && values.iter().any(|x| *x < 0.0) {
            return Err(self.wrong("a number from 0"));
        }
        Ok(self.one(&spell(&values)))
    }

    /// What follows the dot as numbers with commas between them; `what` is expected there.
    fn numbers(&self, what: &str) -> Result<Vec<f64>, ParseError> {
        let numbers = self.given.unwrap_or_default().split(',').map(|number| number.parse::<f64>().ok());
        numbers
            .map(|number| number.filter(|n| n.is_finite()))
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong(what))
    }

    /// The one measure that it is, with parameters in Plackett's spelling.
    fn one(&self, parameters: &str) -> Vec<Named> {
        let Name { trec, ours, .. } = self.name;
        let text = self.given.map_or(trec.to_string(), |given| format!("{trec}_{given}"));
        vec![self.named(format!("{ours}{parameters}"), text)]
    }

    fn named(&self, ours: String, text: String) -> Named {
        Named { ours, spelling: Spelling { text, place: self.place, chosen: self.given.is_some() } }
    }

    fn wrong(&self, expected: &str) -> ParseError {
        ParseError::Value {
            text: self.word.to_string(),
            what: format!("what follows `{}`", self.name.trec),
            expected: expected.to_string(),
            found: self.given.unwrap_or_default().to_string(),
        }
    }
}

fn ascending<T: PartialOrd + Copy>(mut values: Vec<T>, bad: impl Fn(T) -> bool) -> Option<Vec<T>> {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let twice = values.windows(2).any(|pair| pair[0] == pair[1]);
    (!twice && !values.iter().any(|&value| bad(value))).then_some(values)
}

fn gain(pair: &str) -> Option<String> {
    let (grade, gain) = pair.split_once('=')?;
    (grade.parse::<i32>().is_ok() && gain.parse::<f64>().is_ok()).then(|| format!("{grade}:{gain}"))
}

fn utility(numbers: &[f64]) -> String {
    match numbers {
        [found, noise, missed, rest] => {
            format!("(found={found},noise={noise},missed={missed},rest={rest})")
        }
        _ => String::new(),
    }
}

fn levels(numbers: &[f64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    if numbers.is_empty() { String::new() } else { format!("(levels={{{}}})", numbers.join(",")) }
}
