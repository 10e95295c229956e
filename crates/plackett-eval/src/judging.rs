//! From the lines of a run and the judgments of its query to the grades by rank.

use crate::evaluate::EvalError;
use crate::judged::{JudgedRanking, is_judged};
use crate::measure::Needs;
use crate::policy::{Duplicates, Policy, Precision, SelfMatch, TieRule, Unjudged};
use crate::preferred::PreferenceCounts;
use foldhash::fast::FixedState;
use plackett_core::{Preferences, QueryQrels, RunQuery};
use std::collections::{HashMap, HashSet};

/// How many of the first documents an account looks at for missing judgments.
pub const FIRST: usize = 10;

/// What happened to one query; summed into the account of the run.
#[derive(Default)]
pub struct QueryAccount {
    pub depth: usize,
    /// Documents that are measured.
    pub measured: usize,
    pub without_judgment: usize,
    /// The same among the first [`FIRST`].
    pub first: usize,
    pub first_without_judgment: usize,
    pub tied_documents: usize,
    pub tie_groups: usize,
    pub nan_scores: usize,
    pub infinite_scores: usize,
    pub duplicates: usize,
    pub self_matches: usize,
    pub unjudged: usize,
    pub below_depth: usize,
}

/// The judgments of one query, ready to be looked up.
pub struct Pool<'q> {
    places: HashMap<&'q str, u32, FixedState>,
    /// By place: the document's highest grade over its subtopics.
    grades: Vec<i32>,
    subtopics: Vec<Vec<(u32, i32)>>,
}

impl<'q> Pool<'q> {
    /// Reads the judgments. A document may have one line for each subtopic (second column); its grade outside the
    /// diversity measures is then its highest one.
    pub fn new(qrels: &'q QueryQrels, policy: &Policy, subtopics: bool) -> Result<Pool<'q>, EvalError> {
        let mut pool = Pool {
            places: HashMap::with_capacity_and_hasher(qrels.len(), FixedState::default()),
            grades: Vec::with_capacity(qrels.len()),
            subtopics: Vec::new(),
        };
        // Only filled once a document comes a second time: plain judgments never pay for it.
        let mut lines: Option<HashMap<(&str, &str), i32>> = None;
        let mut topics: HashMap<&str, u32> = HashMap::new();
        for (line, judgment) in qrels.iter().enumerate() {
            let next = pool.grades.len() as u32;
            let place = *pool.places.entry(judgment.document).or_insert(next);
            let is_new = place == next;
            if is_new {
                pool.grades.push(judgment.grade);
                if subtopics {
                    pool.subtopics.push(Vec::new());
                }
            } else {
                let lines = lines.get_or_insert_with(|| {
                    qrels.iter().take(line).map(|j| ((j.document, j.iteration), j.grade)).collect()
                });
                if lines.contains_key(&(judgment.document, judgment.iteration)) {
                    match policy.duplicates {
                        Duplicates::Error => {
                            return Err(EvalError::DuplicateJudgment {
                                query: qrels.id().to_string(),
                                document: judgment.document.to_string(),
                            });
                        }
                        Duplicates::First => continue,
                        Duplicates::Last => {}
                    }
                }
            }
            if let Some(lines) = &mut lines {
                lines.insert((judgment.document, judgment.iteration), judgment.grade);
                if !is_new {
                    let of_document =
                        lines.iter().filter(|((document, _), _)| *document == judgment.document);
                    pool.grades[place as usize] =
                        of_document.map(|(_, &grade)| grade).max().unwrap_or(judgment.grade);
                }
            }
            if subtopics {
                let count = topics.len() as u32;
                let topic = *topics.entry(judgment.iteration).or_insert(count);
                let of_document = &mut pool.subtopics[place as usize];
                of_document.retain(|(known, _)| *known != topic);
                of_document.push((topic, judgment.grade));
            }
        }
        Ok(pool)
    }

    /// The subtopics of all judged documents, by document id descending: the order in which ndeval breaks ties when it
    /// builds the ideal list.
    fn subtopics_by_id(&self) -> Vec<Vec<(u32, i32)>> {
        let mut documents: Vec<(&str, u32)> = self.places.iter().map(|(id, place)| (*id, *place)).collect();
        documents.sort_unstable_by(|a, b| b.cmp(a));
        documents.into_iter().map(|(_, place)| self.subtopics[place as usize].clone()).collect()
    }

    /// Whether some document has at least this grade.
    pub fn has_relevant(&self, level: i32) -> bool {
        self.grades.iter().any(|&grade| grade >= level)
    }
}

/// Whether a measure reads the second column of the judgments: subtopics, sets of evidence or judgment groups.
pub fn needs_second_column(needs: &[Needs]) -> bool {
    needs.iter().any(|needs| matches!(needs, Needs::Subtopics | Needs::EvidenceSets | Needs::Groups))
}

/// What all queries of an evaluation share.
pub struct Setting<'s> {
    pub run: &'s str,
    pub policy: &'s Policy,
    pub needs: &'s [Needs],
    /// Given where the judgments are preferences.
    pub preferences: Option<&'s Preferences>,
    pub highest_grade: i32,
}

/// The grades of a query's documents by rank.
pub fn judge(
    pool: &Pool<'_>,
    returned: &RunQuery,
    setting: &Setting<'_>,
) -> Result<(JudgedRanking, QueryAccount), EvalError> {
    let policy = setting.policy;
    let mut account = QueryAccount { depth: returned.len(), ..QueryAccount::default() };
    let documents: Vec<&str> = returned.documents().iter().collect();
    let mut entries = entries(&documents, returned.scores(), policy, &mut account);
    settle_duplicates(&mut entries, &documents, returned.id(), setting, &mut account)?;
    if policy.self_match == SelfMatch::Dropped {
        let before = entries.len();
        entries.retain(|&(_, place)| documents[place as usize] != returned.id());
        account.self_matches = before - entries.len();
    }
    order(&mut entries, &documents, policy.ties, &mut account);
    if policy.unjudged == Unjudged::Removed {
        let before = entries.len();
        entries.retain(|&(_, place)| {
            let judged = pool.places.get(documents[place as usize]).map(|&p| pool.grades[p as usize]);
            is_judged(judged)
        });
        account.unjudged = before - entries.len();
    }
    if let Some(depth) = policy.depth {
        account.below_depth = entries.len().saturating_sub(depth);
        entries.truncate(depth);
    }
    let places: Vec<Option<u32>> =
        entries.iter().map(|&(_, place)| pool.places.get(documents[place as usize]).copied()).collect();
    let unknown = |place: &&Option<u32>| !is_judged(place.map(|p| pool.grades[p as usize]));
    let first = &places[..places.len().min(FIRST)];
    account.measured = places.len();
    account.without_judgment = places.iter().filter(unknown).count();
    account.first = first.len();
    account.first_without_judgment = first.iter().filter(unknown).count();
    let mut ranking = ranking(pool, &places, setting);
    let ids: Vec<&str> = entries.iter().map(|&(_, place)| documents[place as usize]).collect();
    ranking.preferences = preferences(returned.id(), &ids, setting)?;
    Ok((ranking, account))
}

/// What the run does with the preferences of a query, where a measure needs that.
fn preferences(
    query: &str,
    ranking: &[&str],
    setting: &Setting<'_>,
) -> Result<Option<PreferenceCounts>, EvalError> {
    if !setting.needs.contains(&Needs::Preferences) {
        return Ok(None);
    }
    let Some(preferences) = setting.preferences.and_then(|all| all.query(query)) else { return Ok(None) };
    let counts = PreferenceCounts::new(preferences, ranking);
    counts.map(Some).map_err(|problem| EvalError::Preferences { query: query.to_string(), problem })
}

/// The documents of a query by score and tie rule, best first, for pages that show them. Documents that stand twice are
/// shown at their first place.
pub fn ranked<'r>(returned: &'r RunQuery, policy: &Policy) -> Vec<&'r str> {
    let mut account = QueryAccount::default();
    let documents: Vec<&str> = returned.documents().iter().collect();
    let mut entries = entries(&documents, returned.scores(), policy, &mut account);
    if policy.self_match == SelfMatch::Dropped {
        entries.retain(|&(_, place)| documents[place as usize] != returned.id());
    }
    order(&mut entries, &documents, policy.ties, &mut account);
    let mut seen = HashSet::new();
    let ids = entries.into_iter().map(|(_, place)| documents[place as usize]);
    ids.filter(|id| seen.insert(*id)).collect()
}

/// The ranking of a query that the run lacks.
pub fn nothing_returned(
    query: &str,
    pool: &Pool<'_>,
    setting: &Setting<'_>,
) -> Result<JudgedRanking, EvalError> {
    let mut ranking = ranking(pool, &[], setting);
    ranking.preferences = preferences(query, &[], setting)?;
    Ok(ranking)
}

fn ranking(pool: &Pool<'_>, places: &[Option<u32>], setting: &Setting<'_>) -> JudgedRanking {
    let mut judged = pool.grades.clone();
    judged.sort_unstable_by(|a, b| b.cmp(a));
    let mut ranking = JudgedRanking {
        grades: places.iter().map(|place| place.map(|p| pool.grades[p as usize])).collect(),
        judged,
        highest_grade: setting.highest_grade,
        level: setting.policy.level.unwrap_or(1),
        recall_cut: setting.policy.recall_cut,
        unjudged_removed: setting.policy.unjudged == Unjudged::Removed,
        ..JudgedRanking::default()
    };
    if needs_second_column(setting.needs) {
        ranking.subtopics =
            places.iter().map(|p| p.map_or_else(Vec::new, |p| pool.subtopics[p as usize].clone())).collect();
        ranking.judged_subtopics = pool.subtopics_by_id();
    }
    if setting.needs.contains(&Needs::IdealOrder) {
        let ideal = ideal_order(pool, places);
        ranking.preferred = ideal.iter().flatten().count();
        ranking.preferred_at = places.iter().map(|p| p.and_then(|p| ideal[p as usize])).collect();
    }
    ranking
}

/// For each judged document its place in the ideal order nearest to the run: grade descending, then the run's order, then
/// the order of the judgments. `None` for grades up to 0.
fn ideal_order(pool: &Pool<'_>, places: &[Option<u32>]) -> Vec<Option<u32>> {
    let mut rank = vec![usize::MAX; pool.grades.len()];
    for (place, document) in places.iter().enumerate() {
        if let Some(document) = document {
            rank[*document as usize] = place;
        }
    }
    let mut order: Vec<usize> = (0..pool.grades.len()).filter(|&d| pool.grades[d] > 0).collect();
    order.sort_by_key(|&d| (std::cmp::Reverse(pool.grades[d]), rank[d]));
    let mut ideal = vec![None; pool.grades.len()];
    for (place, document) in order.into_iter().enumerate() {
        ideal[document] = Some(place as u32);
    }
    ideal
}

/// `(key, line)` with keys that ascend where scores descend.
type Entry = (u64, u32);

/// Not a number: below every number, so that a broken score cannot win.
const NAN_KEY: u64 = u64::MAX;

fn entries(documents: &[&str], scores: &[f64], policy: &Policy, account: &mut QueryAccount) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(documents.len());
    for (line, &score) in scores.iter().enumerate() {
        let score = match policy.scores {
            Precision::F64 => score,
            Precision::F32 => f64::from(score as f32),
        };
        account.nan_scores += usize::from(score.is_nan());
        account.infinite_scores += usize::from(score.is_infinite());
        entries.push((descending_key(score), line as u32));
    }
    entries
}

fn descending_key(score: f64) -> u64 {
    if score.is_nan() {
        return NAN_KEY;
    }
    // Adding 0 turns −0 into 0, which must tie with it.
    let bits = (score + 0.0).to_bits();
    let ascending = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    !ascending
}

fn settle_duplicates(
    entries: &mut Vec<Entry>,
    documents: &[&str],
    query: &str,
    setting: &Setting<'_>,
    account: &mut QueryAccount,
) -> Result<(), EvalError> {
    let mut seen = HashSet::with_capacity_and_hasher(documents.len(), FixedState::default());
    let Some(double) = documents.iter().find(|document| !seen.insert(**document)) else { return Ok(()) };
    if setting.policy.duplicates == Duplicates::Error {
        return Err(EvalError::DuplicateDocument {
            run: setting.run.to_string(),
            query: query.to_string(),
            document: double.to_string(),
        });
    }
    let before = entries.len();
    let mut kept: HashSet<&str, FixedState> = HashSet::with_hasher(FixedState::default());
    match setting.policy.duplicates {
        Duplicates::Last => {
            entries.reverse();
            entries.retain(|&(_, line)| kept.insert(documents[line as usize]));
            entries.reverse();
        }
        _ => entries.retain(|&(_, line)| kept.insert(documents[line as usize])),
    }
    account.duplicates = before - entries.len();
    Ok(())
}

/// Sorts by key, then equal keys by the tie rule. Files are mostly sorted already, which one pass finds out.
fn order(entries: &mut [Entry], documents: &[&str], ties: TieRule, account: &mut QueryAccount) {
    if !entries.is_sorted() {
        entries.sort_unstable();
    }
    let mut start = 0;
    while start < entries.len() {
        let key = entries[start].0;
        let length = entries[start..].iter().take_while(|entry| entry.0 == key).count();
        if length > 1 {
            account.tie_groups += 1;
            account.tied_documents += length;
            let group = &mut entries[start..start + length];
            let id = |entry: &Entry| documents[entry.1 as usize].as_bytes();
            match ties {
                TieRule::DocnoDesc => group.sort_unstable_by(|a, b| id(b).cmp(id(a))),
                TieRule::DocnoAsc => group.sort_unstable_by(|a, b| id(a).cmp(id(b))),
                TieRule::RunOrder => {}
            }
        }
        start += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_where_scores_descend() {
        let scores = [f64::INFINITY, 3.0, 1e-300, 0.0, -0.0, -1e-300, -2.0, f64::NEG_INFINITY, f64::NAN];
        let keys: Vec<u64> = scores.iter().map(|&s| descending_key(s)).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys[3], keys[4]);
        assert!(keys[7] < keys[8]);
    }
}
