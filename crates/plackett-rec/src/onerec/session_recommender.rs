//! A model that writes items as a recommender: what `onerec`, `tiger`, `p5` and `minionerec` have in common. Ids are made of what users did, since
//! a file of interactions has no texts; behind every event of everybody the model learns to write what came next.

use super::decode::{Generated, SessionSearch};
use super::inference::OneRecInference;
use super::item_tokens::ItemTokens;
use super::model::{OneRec, OneRecConfig};
use super::rewarded::RewardPlan;
use super::session_task::SessionTask;
use super::sessions::Session;
use crate::evaluation::check_items;
use crate::recommender::{check_scores, matrix, width_of};
use crate::sequential::sas_rec::take_over;
use crate::sequential::{check_next_items, check_size};
use crate::{Codebook, Event, FitData, Fitting, RecError, Recommender, Request, parse};
use plackett_ids::Item;
use plackett_ids::scheme::{Scheme, Source};
use plackett_train::trainer::Settings;
use plackett_train::{Compute, Parameters};
use std::collections::HashMap;
use std::sync::Arc;

/// Numbers of a vector of what users did.
const VECTOR: usize = 32;
/// The matrix of codes among what is kept.
const CODES: &str = "codes";
/// Different codes at most: a matrix of 32-bit numbers keeps whole ones below this exactly.
const MOST_CODES: usize = 1 << 24;

/// Sessions of which the ways through the experts are counted, some of those that were learned from.
const COUNTED: usize = 1024;

/// Codes of rows of numbers, of which no two have the same: the rows one after another, their width, how many codes and how many different ones
/// of a level, and the seed.
type SemanticIds = fn(&[f32], usize, (usize, usize), u64) -> Vec<Vec<u32>>;

/// What makes the codes of items.
pub(crate) enum ItemIds {
    /// Vectors of what users did, those of iALS; each level has a vocabulary of its own.
    Vectors {
        /// Makes the codes of the vectors.
        make: SemanticIds,
        /// Codes of an item, before one that may tell items of equal codes apart.
        levels: usize,
        /// Different codes of a level.
        codes: usize,
    },
    /// A scheme of identifiers, over what users did as far as it reads that; all places share one vocabulary.
    Scheme(Scheme),
}

/// What a recommender that writes items is like, read off its options.
pub(crate) struct SessionPlan {
    /// Its name, for messages.
    pub owner: &'static str,
    /// Sizes of the model.
    pub config: OneRecConfig,
    /// Makes the codes of items.
    pub ids: ItemIds,
    /// Items of a session at most; 1 for the next item alone.
    pub length: usize,
    /// The time from the first item of a session to its last at most.
    pub within: i64,
    /// Width of the searches.
    pub beams: usize,
    /// Weight of the loss that balances experts.
    pub balance: f32,
    /// How it is trained; the seed is that of the fit.
    pub settings: Settings,
    /// How it is rewarded for its own beams after that, where it is; of models that write next items.
    pub rewarded: Option<RewardPlan>,
}

impl SessionPlan {
    /// Refuses sizes that cannot be for a catalogue of so many items, before their memory is asked for.
    pub(crate) fn check(&self, catalogue: usize) -> Result<(), RecError> {
        self.config.check()?;
        let OneRecConfig { width, blocks, .. } = self.config;
        let of = |numbers: usize| numbers as u128;
        let dense = 2 * of(width) * of(self.config.active) * of(self.config.inner);
        let experts = of(self.config.experts) * of(width) * (2 * of(self.config.inner) + 1);
        let decoder = if self.config.experts > 0 { experts } else { dense };
        // Four matrices of attention in the encoder and eight in the decoder.
        let per_block = 12 * of(width).pow(2) + dense + decoder;
        let tokens = match &self.ids {
            ItemIds::Vectors { levels, codes, .. } => (levels + 1) * codes + 1,
            // A token for each item at most, but for the few that are no item's own.
            ItemIds::Scheme(_) => catalogue.saturating_add(1),
        };
        check_size(width, tokens.saturating_mul(2), blocks, per_block)
    }

    /// The codes of all items, equally many of each.
    ///
    /// # Errors
    /// The vectors cannot be fitted, or the scheme refuses what there is.
    fn make_ids(&self, data: &FitData<'_>, fitting: &Fitting<'_>) -> Result<Vec<Vec<u32>>, RecError> {
        match &self.ids {
            ItemIds::Vectors { make, levels, codes } => {
                Ok(make(&vectors(data, fitting)?, VECTOR, (*levels, *codes), fitting.seed))
            }
            ItemIds::Scheme(scheme) => ids_of_scheme(self.owner, scheme, data, fitting.seed),
        }
    }

    /// Items as tokens. A code that tells items apart may need more numbers than the others.
    fn tokens(&self, ids: &[Vec<u32>]) -> Result<ItemTokens, RecError> {
        let codes = ids.iter().flatten().copied().max().unwrap_or_default() as usize + 1;
        let counts = vec![1; ids.len()];
        match &self.ids {
            ItemIds::Vectors { codes: declared, .. } => ItemTokens::new(ids, codes.max(*declared), &counts),
            ItemIds::Scheme(_) => ItemTokens::shared(ids, codes, &counts),
        }
    }

    /// How the codes are used.
    fn codebook(&self, ids: &[Vec<u32>], tokens: &ItemTokens) -> Codebook {
        match &self.ids {
            ItemIds::Vectors { levels, codes, .. } => Codebook::of(ids, *levels, *codes),
            ItemIds::Scheme(_) => Codebook::of(ids, tokens.levels(), tokens.codebook()),
        }
    }

    /// Behind every event of everybody the next ones, as far as they lie within the time, with the newest items before them. A file of interactions
    /// does not say which items were one answer, so that a session may begin anywhere.
    ///
    /// # Errors
    /// Nobody has two events, or there are sessions of one item alone where longer ones are to be learned.
    fn sessions(&self, data: &FitData<'_>) -> Result<Vec<Session>, RecError> {
        let mut all = Vec::new();
        for (user, events) in data.sequences.iter().enumerate() {
            for at in 1..events.len() {
                let last = events.len().min(at + self.length);
                let near = |event: &&Event| event.time.saturating_sub(events[at].time) <= self.within;
                let session: Vec<&Event> = events[at..last].iter().take_while(near).collect();
                let before = &events[at.saturating_sub(self.config.max_history)..at];
                all.push(Session {
                    user,
                    history: before.iter().map(|event| event.item).collect(),
                    items: session.iter().map(|event| event.item).collect(),
                    ratings: session.iter().map(|event| event.rating).collect(),
                });
            }
        }
        check_next_items(self.owner, all.len())?;
        match self.length > 1 && all.iter().all(|session| session.items.len() == 1) {
            true => Err(RecError::Setting(format!(
                "{}: behind another event nobody has two within {} of each other, so that no session has two items; give a greater `within`, \
                 or session=1",
                self.owner, self.within
            ))),
            false => Ok(all),
        }
    }
}

/// The declaration of a recommender whose options say a [`SessionPlan`]: how it is checked, fitted and restored follows from that.
macro_rules! session_spec {
    ($plan:ident, $($field:ident: $value:expr),+ $(,)?) => {
        $crate::RecommenderSpec {
            $($field: $value,)+
            check: |options, catalogue| $plan(options)?.check(catalogue),
            fit: |options, data, fitting| {
                Ok(Box::new($crate::onerec::SessionRecommender::fit(&$plan(options)?, data, fitting)?))
            },
            restore: |options, catalogue, saved| {
                Ok(Box::new($crate::onerec::SessionRecommender::restore(&$plan(options)?, catalogue, saved)?))
            },
        }
    };
}
pub(crate) use session_spec;

/// A model that writes sessions of items, or next items.
pub(crate) struct SessionRecommender {
    inference: OneRecInference,
    parameters: Parameters,
    tokens: ItemTokens,
    codebook: Codebook,
    expert_loads: Vec<Vec<usize>>,
    length: usize,
    beams: usize,
}

impl SessionRecommender {
    /// Makes ids and trains the model.
    ///
    /// # Errors
    /// Sizes that cannot be, nothing to learn from, or a training that fails.
    pub(crate) fn fit(
        plan: &SessionPlan,
        data: &FitData<'_>,
        fitting: &mut Fitting<'_>,
    ) -> Result<SessionRecommender, RecError> {
        plan.check(data.catalogue)?;
        let sessions = plan.sessions(data)?;
        let seed = fitting.seed;
        let ids = plan.make_ids(data, fitting)?;
        let tokens = plan.tokens(&ids)?;
        let mut parameters = Parameters::default();
        let model = OneRec::new(plan.config, tokens.vocabulary(), &mut parameters, seed)?;
        let batch = plan.settings.batch.min(sessions.len());
        let settings = Settings { batch, seed, ..plan.settings.clone() };
        let task = SessionTask::new(&model, &tokens, &sessions).balanced(plan.balance);
        fitting.train(&task, &mut parameters, settings)?;
        if let Some(rewarded) = &plan.rewarded {
            rewarded.learn((&model, &tokens), &sessions, &mut parameters, data, fitting)?;
        }
        let expert_loads = match plan.config.experts {
            0 => Vec::new(),
            _ => count_ways((&model, &tokens), &sessions, &parameters, &fitting.compute)?,
        };
        let values = ids.iter().flatten().map(|code| *code as f32).collect();
        parameters.add(CODES, (ids.len(), tokens.levels()), values);
        let inference = OneRecInference::new(&model, &parameters, fitting.compute.workers)?;
        let codebook = plan.codebook(&ids, &tokens);
        let SessionPlan { length, beams, .. } = *plan;
        Ok(SessionRecommender { inference, parameters, tokens, codebook, expert_loads, length, beams })
    }

    /// Makes it of what was fitted.
    ///
    /// # Errors
    /// The matrices are not those of such a model.
    pub(crate) fn restore(
        plan: &SessionPlan,
        catalogue: usize,
        saved: &Parameters,
    ) -> Result<SessionRecommender, RecError> {
        plan.check(catalogue)?;
        let levels = width_of(saved, CODES)?;
        let values = matrix(saved, CODES, (catalogue, levels))?;
        let is_code = |code: &f32| (0.0..MOST_CODES as f32).contains(code) && code.fract() == 0.0;
        if let Some(code) = values.iter().find(|code| !is_code(code)) {
            return Err(RecError::Setting(format!(
                "`{CODES}` has {code}, which is no code; fit the model again"
            )));
        }
        let ids: Vec<Vec<u32>> =
            values.chunks(levels).map(|codes| codes.iter().map(|code| *code as u32).collect()).collect();
        let tokens = plan.tokens(&ids)?;
        matrix(saved, "embeddings.weight", (tokens.vocabulary(), plan.config.width))?;
        let mut parameters = Parameters::default();
        let model = OneRec::new(plan.config, tokens.vocabulary(), &mut parameters, 0)?;
        take_over(&mut parameters, saved)?;
        parameters.add(CODES, (catalogue, levels), values);
        let inference = OneRecInference::new(&model, &parameters, rayon::current_num_threads())?;
        let codebook = plan.codebook(&ids, &tokens);
        let SessionPlan { length, beams, .. } = *plan;
        let expert_loads = Vec::new();
        Ok(SessionRecommender { inference, parameters, tokens, codebook, expert_loads, length, beams })
    }

    /// ln p of the items that a search for the next one finds; all others have the same score below them. Where sessions are written, the items of the
    /// likeliest one come before them in their order, the first with the length that was asked for as score and each other with one less. Each
    /// history is searched for alone, so that what it gets depends on no other.
    fn scores_behind(&self, history: &[u32]) -> Result<Vec<f32>, RecError> {
        let lengths = [1, self.length];
        let asked = if self.length > 1 { &lengths[..] } else { &lengths[..1] };
        let search = SessionSearch::Beam(self.beams);
        let mut found = self.inference.generate_lengths(&self.tokens, &[history], asked, search)?.into_iter();
        let next: Vec<Generated> = found.next().into_iter().flatten().flatten().collect();
        let least = next.iter().map(|own| own.log_probability).fold(0.0, f64::min);
        let mut scores = vec![(least - 1.0) as f32; self.catalogue()];
        for own in &next {
            own.items.iter().for_each(|item| scores[*item as usize] = own.log_probability as f32);
        }
        let sessions: Vec<Generated> = found.next().into_iter().flatten().flatten().collect();
        if let Some(likeliest) = sessions.first() {
            for (place, item) in likeliest.items.iter().enumerate() {
                scores[*item as usize] = (self.length - place) as f32;
            }
        }
        Ok(scores)
    }
}

/// How often each expert of each layer is computed for some of the sessions, in equal steps.
fn count_ways(
    (model, tokens): (&OneRec, &ItemTokens),
    sessions: &[Session],
    parameters: &Parameters,
    compute: &Arc<Compute>,
) -> Result<Vec<Vec<usize>>, RecError> {
    let step = sessions.len().div_ceil(COUNTED).max(1);
    let some: Vec<Session> = sessions.iter().step_by(step).cloned().collect();
    let (_, loads) = SessionTask::new(model, tokens, &some).measure(parameters, compute)?;
    Ok(loads)
}

/// The vectors of all items that iALS finds, one after another.
fn vectors(data: &FitData<'_>, fitting: &Fitting<'_>) -> Result<Vec<f32>, RecError> {
    let mut own =
        Fitting { compute: fitting.compute.clone(), seed: fitting.seed, kept: None, progress: &mut |_| {} };
    let fitted = parse(&format!("ials(width={VECTOR})"))?.fit(data, &mut own)?;
    matrix(&fitted.parameters(), "items", (data.catalogue, VECTOR))
}

/// The identifiers that a scheme gives the items of the catalogue, with one code more at the end of those that are shorter than others, as often as
/// they lack: it is the end of a text, behind which nothing else may come.
///
/// # Errors
/// What the scheme says, or it has more tokens than can be kept.
fn ids_of_scheme(
    owner: &str,
    scheme: &Scheme,
    data: &FitData<'_>,
    seed: u64,
) -> Result<Vec<Vec<u32>>, RecError> {
    let said = |problem: String| RecError::Setting(format!("{owner}: {problem}"));
    let items: Vec<Item> = (0..data.catalogue).map(|item| Item::new(item.to_string())).collect();
    let places = |events: &&[Event]| events.iter().map(|event| event.item as usize).collect();
    let histories: Vec<Vec<usize>> = data.sequences.iter().map(places).collect();
    let source = Source { items: &items, vectors: None, histories: Some(&histories), trainer: None, seed };
    let catalogue = scheme.catalogue(&source).map_err(|error| said(error.to_string()))?;
    let end = catalogue.tokens().len();
    if end >= MOST_CODES {
        return Err(said(format!(
            "`{scheme}` has {end} tokens, and fewer than {MOST_CODES} can be kept; leave items out, or take other ids"
        )));
    }
    let mut ids: Vec<Vec<u32>> = catalogue.items().iter().map(|item| item.codes.clone()).collect();
    let longest = ids.iter().map(Vec::len).max().unwrap_or_default();
    ids.iter_mut().for_each(|id| id.resize(longest, end as u32));
    Ok(ids)
}

impl Recommender for SessionRecommender {
    fn catalogue(&self) -> usize {
        self.tokens.item_count()
    }

    fn scores(&self, requests: &[Request<'_>]) -> Result<Vec<f32>, RecError> {
        let mut all = Vec::with_capacity(requests.len() * self.catalogue());
        for request in requests {
            check_items(request.history.iter(), self.catalogue())?;
            let history: Vec<u32> = request.history.iter().map(|event| event.item).collect();
            all.extend(self.scores_behind(&history)?);
        }
        Ok(all)
    }

    fn parameters(&self) -> Parameters {
        self.parameters.clone()
    }

    /// ln p of each to be the next item: a search along the codes of these items alone, as wide as they are many, so that it loses none.
    fn candidate_scores(&self, request: &Request<'_>, candidates: &[u32]) -> Result<Vec<f32>, RecError> {
        check_items(request.history.iter(), self.catalogue())?;
        let tokens = self.tokens.among(candidates)?;
        let history: Vec<u32> = request.history.iter().map(|event| event.item).collect();
        let search = SessionSearch::Beam(candidates.len().max(1));
        let found = self.inference.generate(&tokens, &[&history[..]], 1, search)?;
        let own = |own: &Generated| own.items.first().map(|item| (*item, own.log_probability as f32));
        let known: HashMap<u32, f32> = found.iter().flatten().filter_map(own).collect();
        let score = |item: &u32| {
            let lost =
                || RecError::Setting(format!("item {item} shares its codes with another one; fit again"));
            known.get(item).copied().ok_or_else(lost)
        };
        check_scores(candidates.iter().map(score).collect::<Result<Vec<f32>, RecError>>()?)
    }

    fn codebook(&self) -> Option<&Codebook> {
        Some(&self.codebook)
    }

    fn expert_loads(&self) -> &[Vec<usize>] {
        &self.expert_loads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(length: usize, within: i64) -> SessionPlan {
        let config =
            OneRecConfig { width: 4, blocks: 1, heads: 2, inner: 4, experts: 0, active: 1, max_history: 2 };
        SessionPlan {
            owner: "test",
            config,
            ids: ItemIds::Vectors { make: |_, _, _, _| Vec::new(), levels: 1, codes: 4 },
            length,
            rewarded: None,
            within,
            beams: 2,
            balance: 0.0,
            settings: Settings::default(),
        }
    }

    #[test]
    fn a_session_may_begin_behind_every_event_and_ends_with_the_time() {
        let event = |(item, time): (u32, i64)| Event { item, rating: item as f32, time };
        let events = [(0, 0), (1, 10), (2, 12), (3, 90)].map(event);
        let alone = [Event { item: 7, rating: 1.0, time: 0 }];
        let data = FitData { catalogue: 8, sequences: &[&alone[..], &events[..]], texts: &[] };
        let made = plan(3, 50).sessions(&data).unwrap();
        let of: Vec<(&[u32], &[u32])> =
            made.iter().map(|session| (&session.history[..], &session.items[..])).collect();
        assert_eq!(of, [(&[0][..], &[1, 2][..]), (&[0, 1][..], &[2][..]), (&[1, 2][..], &[3][..])]);
        assert_eq!(made[0].user, 1);
        assert_eq!(made[0].ratings, [1.0, 2.0]);
        let longer = plan(3, 80).sessions(&data).unwrap();
        assert_eq!(longer[0].items, [1, 2, 3]);
        let next = plan(1, 0).sessions(&data).unwrap();
        assert_eq!(next.iter().map(|session| session.items[0]).collect::<Vec<_>>(), [1, 2, 3]);
        let error = plan(3, 1).sessions(&data).unwrap_err().to_string();
        assert!(error.contains("within 1 of each other") && error.contains("session=1"), "{error}");
    }

    #[test]
    fn models_beyond_memory_are_refused_by_their_experts_too() {
        let mut large = plan(1, 0);
        // 2 · 10⁹ numbers are the most: 10⁴ experts of 4 × (2 · 65536 + 1) are more.
        large.config = OneRecConfig { inner: 65_536, experts: 10_000, ..large.config };
        assert!(large.check(8).unwrap_err().to_string().contains("smaller width"));
        large.config.experts = 100;
        assert!(large.check(8).is_ok());
        // A scheme may have a token for each item: 2 · 3 · 10⁸ rows of 4 numbers.
        large.config.experts = 0;
        large.ids = ItemIds::Scheme(plackett_ids::scheme::parse("atomic").unwrap());
        assert!(large.check(8).is_ok());
        assert!(large.check(300_000_000).unwrap_err().to_string().contains("fewer items"));
    }

    #[test]
    fn identifiers_of_a_scheme_end_alike_and_know_what_was_done_together() {
        let ids = |scheme: &str, sequences: &[&[Event]], catalogue: usize| {
            let data = FitData { catalogue, sequences, texts: &[] };
            ids_of_scheme("test", &plackett_ids::scheme::parse(scheme).unwrap(), &data, 1).unwrap()
        };
        let event = |item: u32| Event { item, rating: 1.0, time: 0 };
        let (one, other) = ([4, 2].map(event), [2, 0, 4].map(event));
        let both = [&one[..], &other[..]];
        // The numbers of items 0 – 4 are 1003, 1004, 1002, 1005 and 1001: what nobody had comes last.
        let numbers = ids("sequential", &both, 5);
        assert!(numbers.iter().all(|id| id.len() == 4));
        let last: Vec<u32> = numbers.iter().map(|id| id[3]).collect();
        assert!((0..5).all(|at| numbers[at][..3] == numbers[0][..3]), "{numbers:?}");
        assert_eq!(last.iter().collect::<std::collections::HashSet<_>>().len(), 5, "{numbers:?}");
        assert_eq!(ids("atomic", &both, 5), [[0], [1], [2], [3], [4]]);
        // Items that are together in a branch of one leaf begin alike, and no two are the same.
        let pairs: Vec<[Event; 2]> = [[0, 1], [2, 3], [0, 1], [2, 3]].map(|pair| pair.map(event)).to_vec();
        let sequences: Vec<&[Event]> = pairs.iter().map(|pair| &pair[..]).collect();
        let tree = ids("collaborative(clusters=2, most=2)", &sequences, 4);
        assert_eq!((tree[0][0], tree[2][0]), (tree[1][0], tree[3][0]), "{tree:?}");
        assert!(tree[0][0] != tree[2][0] && tree[0] != tree[1] && tree[2] != tree[3], "{tree:?}");
        assert!(tree.iter().all(|id| id.len() == tree[0].len()));
    }
}
