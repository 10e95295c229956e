//! What the beams of `next-policy` are rewarded for: the fields that say so, and the vectors or the recommender that it takes.

use super::{next_code, next_title};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Values};
use crate::recipe::registry::Hashes;
use crate::recipe::task::{Environment, Input, Task};
use crate::recipe::worlds::choosing::TextVectors;
use crate::recipe::worlds::product;
use crate::recipe::worlds::recommending::floor_cases::{FloorCases, events_of};
use crate::recipe::worlds::recommending::next_item::NextItems;
use plackett_lm::store::BUNDLED;
use plackett_rec::{Configured, Event, FitData, FitStep, Fitting, RecError, Request, borrowed, parse};
use plackett_train::rl::{
    BeamReward, ItemReward, ItemWorth, SequenceScores, SequenceVectors, sequence_scores,
};
use plackett_train::{Compute, TrainError};

/// The recommender of the collaborative reward where none is named: as the authors of ReRe have it.
const SCORER_MODEL: &str = "sasrec(width=32, max-length=10)";
/// Words of a product's text that are embedded, at most.
const WORDS: usize = 200;

/// `reward`.
pub(super) const REWARD: FieldSpec = FieldSpec::new(
    "reward",
    FieldKind::Choice(ItemReward::NAMES),
    Default::Text("rule-and-rank"),
    "what a beam is rewarded for; rule-and-rank: 1 for the right one, and wrong ones lose the more the likelier they are; rule: the first part alone; \
     semantic: the cosine of its text's vector with the right one's (of films the title with its year, of products title and description); \
     collaborative: the score that a recommender gives it after the same history",
);
/// `embedder`.
pub(super) const EMBEDDER: FieldSpec = FieldSpec::new(
    "embedder",
    FieldKind::Text,
    Default::Absent,
    "the model that embeds texts for the reward `semantic`; without it the bundled encoder",
);
/// `scorer`.
pub(super) const SCORER: FieldSpec = FieldSpec::new(
    "scorer",
    FieldKind::Text,
    Default::Absent,
    "the recommender of the reward `collaborative` with its options, fitted to what the decoders have learned from; without it \
     `sasrec(width=32, max-length=10)`",
);

/// The reward of a stage.
fn reward_of(values: &Values) -> ItemReward {
    ItemReward::named(values.word(REWARD.name)).unwrap_or(ItemReward::Places(BeamReward::RuleAndRank))
}

fn embedder_of(values: &Values) -> &str {
    values.text(EMBEDDER.name).unwrap_or(BUNDLED)
}

fn scorer_of(values: &Values) -> &str {
    values.text(SCORER.name).unwrap_or(SCORER_MODEL)
}

/// Whether rewards are numbers of their own, which a report tells: those by places follow from where the right one is.
pub(super) fn has_scale(values: &Values) -> bool {
    !matches!(reward_of(values), ItemReward::Places(_))
}

/// Refuses fields of another reward, and a recommender that is none or reads times.
pub(super) fn check_reward(values: &Values) -> Result<(), RecipeError> {
    let reward = reward_of(values);
    let fields = [(EMBEDDER.name, ItemReward::Semantic), (SCORER.name, ItemReward::Collaborative)];
    if let Some((field, _)) = fields.iter().find(|(field, own)| values.has(field) && *own != reward) {
        let problem = format!(
            "has no effect with the reward `{}`; leave it out, or name the reward that it is for",
            values.word(REWARD.name)
        );
        return Err(values.wrong(field, 0, Problem::Said(problem)));
    }
    // The cases of the stages that it starts from have an order, and no times.
    let checked = parse(scorer_of(values)).and_then(|configured| configured.check_without_times());
    checked.map_err(|error| values.wrong(SCORER.name, 0, Problem::Said(error.to_string())))
}

/// The weights that a reward depends on.
pub(super) fn outside(values: &Values, environment: &Environment) -> Result<Hashes, StageError> {
    match reward_of(values) {
        ItemReward::Semantic => Ok(vec![("embedder".into(), environment.fingerprint(embedder_of(values))?)]),
        _ => Ok(Vec::new()),
    }
}

/// What would have to be fetched for it.
pub(super) fn missing(task: &Task<'_>) -> Result<Vec<String>, StageError> {
    match reward_of(task.values) {
        ItemReward::Semantic => {
            Ok(task.environment.model_size(embedder_of(task.values))?.err().into_iter().collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// What rewards are computed from, for the decoders of all seeds.
pub(super) enum RewardSource {
    /// Where the right one stands.
    Places(BeamReward),
    /// The texts of the catalogue with their vectors.
    Texts { texts: Vec<String>, vectors: TextVectors },
    /// A recommender, and what it is fitted to.
    Recommender { configured: Configured, cases: FloorCases },
}

impl RewardSource {
    /// Embeds the catalogue, or finds what the recommender learns from; beside it what whoever reads the numbers has to know.
    pub(super) fn of(
        task: &Task<'_>,
        start: &Input<'_>,
    ) -> Result<(RewardSource, Option<String>), StageError> {
        match reward_of(task.values) {
            ItemReward::Places(reward) => Ok((RewardSource::Places(reward), None)),
            ItemReward::Semantic => {
                let (texts, cut) = texts_of(task, start)?;
                if let Some(at) = texts.iter().position(|text| text.trim().is_empty()) {
                    let problem = format!("item {} of the catalogue has no text to compare", at + 1);
                    return Err(StageError::Field { field: REWARD.name, problem });
                }
                let vectors = TextVectors::embed_with(task, embedder_of(task.values), texts.clone())?;
                let said = (cut > 0).then(|| format!("{cut} texts are cut to {WORDS} words"));
                Ok((RewardSource::Texts { texts, vectors }, said))
            }
            ItemReward::Collaborative => {
                let configured = parse(scorer_of(task.values))?;
                let cases = match start.kind.name == next_code::NEXT_CODE.name {
                    true => next_code::floor_cases(task, start)?,
                    false => next_title::floor_cases(task, start)?,
                };
                Ok((RewardSource::Recommender { configured, cases }, None))
            }
        }
    }

    /// What beams for the items of a seed are worth.
    pub(super) fn worth<'i>(
        &self,
        task: &Task<'_>,
        items: &'i NextItems,
        seed: usize,
    ) -> Result<ItemWorth<'i>, StageError> {
        match self {
            RewardSource::Places(reward) => Ok(ItemWorth::Places(*reward)),
            RewardSource::Texts { texts, vectors } => {
                let mut of_items = Vec::with_capacity(texts.len());
                for (rank, text) in items.ranks.iter().zip(texts) {
                    of_items.push((*rank, vectors.get(text)?));
                }
                Ok(ItemWorth::Semantic(SequenceVectors::of_items(items.trie.len(), of_items)?))
            }
            RewardSource::Recommender { configured, cases } => {
                let scores = recommender_scores(task, (configured, cases), items, seed)?;
                Ok(ItemWorth::Collaborative(scores))
            }
        }
    }
}

/// The text of each item of the catalogue, and how many were longer than what is read.
fn texts_of(task: &Task<'_>, start: &Input<'_>) -> Result<(Vec<String>, usize), StageError> {
    if start.kind.name == next_code::NEXT_CODE.name {
        let folder = task.environment.collection(start.values.word("collection"))?;
        return product::item_texts(&folder.join(product::FILES[0]), WORDS);
    }
    let world = super::film_lists::world_of(start.values, task.environment)?;
    let films = world.catalogue().iter();
    Ok((films.map(|film| format!("{} ({})", film.title.title, film.title.year)).collect(), 0))
}

/// Scores of a recommender that is fitted to what the decoders have learned from.
fn recommender_scores<'i>(
    task: &Task<'_>,
    (configured, cases): (&Configured, &FloorCases),
    items: &'i NextItems,
    seed: usize,
) -> Result<SequenceScores<'i>, StageError> {
    let learned: Vec<Vec<Event>> = cases.learned.iter().map(|items| events_of(items)).collect();
    let data = FitData { catalogue: cases.catalogue, sequences: &borrowed(&learned), texts: &[] };
    let name = format!("{}, recommender of seed {seed}", task.name);
    let mut progress = |step: FitStep| (task.progress)(&name, step.done as u64, step.total as u64);
    let compute = Compute::new(rayon::current_num_threads());
    let mut fitting = Fitting { compute, seed: seed as u64, kept: None, progress: &mut progress };
    let recommender = configured.fit(&data, &mut fitting)?;
    Ok(Box::new(move |prompt: usize| -> Result<Vec<f64>, TrainError> {
        let history = events_of(&items.learned[prompt].before);
        let request = Request { history: &history, now: history.len() as i64 };
        let of_model = |error: RecError| TrainError::Model(format!("the collaborative reward: {error}"));
        let scores = recommender.finite_scores(&[request]).map_err(of_model)?;
        Ok(sequence_scores(items.trie.len(), &items.ranks, &scores))
    }))
}

#[cfg(test)]
mod tests {
    use super::super::next_policy::NEXT_POLICY;
    use super::*;
    use crate::recipe::field::{Reader, Scale};
    use crate::recipe::reading::source::Source;
    use crate::recipe::registry::Registry;
    use toml::de::DeTable;

    fn checked(text: &str) -> Result<(), String> {
        let source = Source::of_text("test", format!("start = \"made\"\nsteps = 1\n{text}"));
        let table = DeTable::parse(&source.text).unwrap();
        let reader = Reader { source: &source, scale: Scale::Quick };
        let values = reader.fields(table.get_ref(), 0..0, NEXT_POLICY.fields, &[], "a stage").unwrap();
        (NEXT_POLICY.check)(&values, &Registry::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_field_of_another_reward_is_refused() {
        for good in [
            "",
            "reward = \"rule\"",
            "reward = \"semantic\"",
            "reward = \"semantic\"\nembedder = \"all-MiniLM-L6-v2\"",
            "reward = \"collaborative\"",
            "reward = \"collaborative\"\nscorer = \"item-knn\"",
            "reward = \"collaborative\"\nscorer = \"hstu(time-bias=false)\"",
        ] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        let refused = |text: &str| checked(text).err().unwrap_or_default();
        assert!(
            refused("embedder = \"all-MiniLM-L6-v2\"").contains("no effect with the reward `rule-and-rank`")
        );
        assert!(refused("reward = \"semantic\"\nscorer = \"ease\"").contains("no effect with the reward"));
        assert!(refused("reward = \"collaborative\"\nscorer = \"sasrek\"").contains("sasrec"));
        assert!(refused("reward = \"collaborative\"\nscorer = \"hstu\"").contains("hstu reads times"));
    }

    /// The recommender that ReRe's authors have is one.
    #[test]
    fn the_usual_recommender_can_be_read() {
        let configured = parse(SCORER_MODEL).unwrap();
        assert_eq!(configured.spec.name, "sasrec");
        assert!(SCORER.help.contains(SCORER_MODEL));
    }
}
