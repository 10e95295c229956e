//! A whole training of a decoder that is rewarded for the items that it writes, from a base model to a directory of a model (ReRe and
//! MiniOneRec, 2025).

use super::item_rewarder::{ItemRewarder, ItemWorth, SequenceVectors, sequence_scores};
use super::loss::{DivergenceMean, PolicyLoss};
use super::record::{KeptRecords, RolloutRecord};
use super::reward::BeamReward;
use super::rollout::Rollouts;
use super::task::{Generation, PolicyTask};
use super::updates::Updates;
use crate::TrainError;
use crate::tape::{Compute, Parameters};
use crate::trainer::{
    CutTexts, Evaluation, Hooks, Joined, LanguageModel, Outcome, Settings, StepRecord, Trained, left_out,
    ranks_of, train_evaluated,
};
use plackett_lm::decode::TokenTrie;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Ranks that nDCG looks at.
const CUTOFF: usize = 10;
/// Held-out prompts of one call of the engine.
const TOGETHER: usize = 32;

/// A prompt, and the item that is right after it.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemExample {
    /// What is given.
    pub prompt: String,
    /// The place of the item in the catalogue.
    pub item: usize,
}

/// The score of each item of the catalogue after what came before an example, by its number.
pub type ItemScores<'d> = Box<dyn Fn(usize) -> Result<Vec<f32>, TrainError> + Sync + 'd>;

/// What rewards are computed from, item by item.
pub enum ItemSource<'d> {
    /// Where the right one stands among the beams.
    Places(BeamReward),
    /// The vector of each item's text.
    Vectors(Vec<Vec<f32>>),
    /// A recommender.
    Scores(ItemScores<'d>),
}

/// What is learned from.
pub struct ItemData<'d> {
    /// What is written for each item, without the end of the line that follows it.
    pub titles: &'d [String],
    /// To learn from.
    pub examples: &'d [ItemExample],
    /// To be measured on.
    pub held: &'d [ItemExample],
    /// What rewards are computed from.
    pub source: ItemSource<'d>,
}

/// A decoder that is rewarded for the titles that it writes after prompts, searched in the trie of a catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemPolicyJob {
    /// Titles that are searched for each prompt.
    pub beams: usize,
    /// A name of [`PolicyLoss::named`].
    pub loss: String,
    /// The weight of the divergence from the base.
    pub kl: f32,
    /// Over what the divergence is a mean: within each title first in the papers.
    pub divergence: DivergenceMean,
    /// Most tokens of a prompt with a title.
    pub tokens: usize,
    /// What is trained: `full`, or an adapter that can be merged.
    pub trained: Trained,
    /// How long and how fast.
    pub settings: Settings,
}

impl Default for ItemPolicyJob {
    fn default() -> ItemPolicyJob {
        ItemPolicyJob {
            beams: 16,
            loss: "grpo".into(),
            kl: 1e-3,
            divergence: DivergenceMean::Answers,
            tokens: 512,
            trained: Trained::default(),
            settings: Settings::default(),
        }
    }
}

/// What a training of this kind has done.
#[derive(Clone, Debug, Default)]
pub struct ItemOutcome {
    /// As of every job.
    pub learned: Outcome,
    /// The nDCG@10 of each held-out example before and after; `None` without such.
    pub ndcg: Option<[Vec<f64>; 2]>,
    /// What the rollout of each step was like.
    pub records: Vec<RolloutRecord>,
    /// The share of the prompts whose beams were without the right title, in the mean of all steps.
    pub misses: f64,
}

/// The catalogue as a decoder writes it.
struct WrittenCatalogue {
    trie: Arc<TokenTrie>,
    /// The rank of each item's title.
    ranks: Vec<usize>,
    /// Tokens of the longest title.
    longest: usize,
}

/// Prompts as tokens.
#[derive(Default)]
struct Prompts {
    tokens: Vec<Vec<u32>>,
    /// The ranks of the right titles.
    targets: Vec<usize>,
    /// How many lost their beginnings.
    cut: usize,
}

impl<'d> ItemSource<'d> {
    /// The same, title by title.
    fn worth(self, catalogue: &WrittenCatalogue) -> Result<ItemWorth<'d>, TrainError> {
        let (count, ranks) = (catalogue.trie.len(), catalogue.ranks.clone());
        Ok(match self {
            ItemSource::Places(reward) => ItemWorth::Places(reward),
            ItemSource::Vectors(vectors) => {
                let items = ranks.into_iter().zip(vectors.iter().map(Vec::as_slice));
                ItemWorth::Semantic(SequenceVectors::of_items(count, items)?)
            }
            ItemSource::Scores(scores) => {
                let of_titles = move |example: usize| -> Result<Vec<f64>, TrainError> {
                    Ok(sequence_scores(count, &ranks, &scores(example)?))
                };
                ItemWorth::Collaborative(Box::new(of_titles))
            }
        })
    }
}

impl WrittenCatalogue {
    /// Every title is a line of its own, so that none is the beginning of another one.
    fn new(model: &LanguageModel, titles: &[String]) -> Result<WrittenCatalogue, TrainError> {
        let encode = |title: &String| model.encode(&format!("{title}\n"));
        let lines = titles.iter().map(encode).collect::<Result<Vec<Vec<u32>>, TrainError>>()?;
        let failed = |problem: String| TrainError::Model(format!("the titles of the items: {problem}"));
        let built = TokenTrie::build(&lines).map_err(|error| failed(error.to_string()))?;
        if built.prefixes > 0 {
            let problem = "one is the beginning of another one, since the base's tokens do not end lines";
            return Err(failed(format!("{problem}; take another base")));
        }
        let ranks = lines.iter().map(|line| built.trie.find(line).unwrap_or_default()).collect();
        let longest = lines.iter().map(Vec::len).max().unwrap_or(0);
        Ok(WrittenCatalogue { trie: Arc::new(built.trie), ranks, longest })
    }
}

impl ItemPolicyJob {
    /// Checks everything that can be wrong before a model is opened.
    ///
    /// # Errors
    /// A loss, adapter or setting that cannot be.
    pub fn check(&self) -> Result<(), TrainError> {
        let refused = |problem: String| Err(TrainError::Setting(problem));
        if PolicyLoss::named(&self.loss, self.kl).is_none() {
            return refused(format!("loss: `{}` is none of {}", self.loss, PolicyLoss::NAMES.join(", ")));
        }
        if !(2..=1024).contains(&self.beams) {
            return refused("beams: a whole number from 2 to 1024 is expected".into());
        }
        if !(0.0..=100.0).contains(&self.kl) {
            return refused("kl: a number from 0 to 100 is expected".into());
        }
        if self.tokens < 2 {
            return refused("tokens: a whole number from 2 is expected".into());
        }
        self.settings.check()?;
        self.settings.check_decoder(false)?;
        if self.settings.accumulate > 1 {
            return refused("accumulate: a step searches for one batch; give a larger batch instead".into());
        }
        self.trained.check(&["full"])
    }

    /// Trains the model of `base` and writes it to `output`. In `work` lie the log and checkpoints, from which a run that was killed goes on;
    /// `identity` tells this training from others. Evaluated while it is trained, it is by the nDCG@10 of what is held out.
    ///
    /// # Errors
    /// A setting or item that cannot be, a model or file that cannot be read or written, a reward or loss that is no number, or what a recommender says.
    pub fn run(
        &self,
        base: &Path,
        data: ItemData<'_>,
        (work, output): (&Path, &Path),
        identity: &str,
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<ItemOutcome, TrainError> {
        self.check()?;
        std::fs::create_dir_all(work).map_err(|source| TrainError::file(work, source))?;
        let mut parameters = Parameters::default();
        let mut model = LanguageModel::open(base, &mut parameters)?;
        let count = parameters.count();
        let mut attached =
            self.trained.attach_or_full(&mut parameters, &mut model.llama, self.settings.seed)?;
        let ItemData { titles, examples, held, source } = data;
        let catalogue = WrittenCatalogue::new(&model, titles)?;
        if catalogue.trie.len() < self.beams {
            let (beams, titles) = (self.beams, catalogue.trie.len());
            let problem = format!("beams = {beams}: the items have {titles} different titles");
            return Err(TrainError::Setting(format!("{problem}; give at most as many")));
        }
        let examples = self.prompts(&model, examples, &catalogue)?;
        let held = self.prompts(&model, held, &catalogue)?;
        let cut = CutTexts {
            pairs: examples.cut + held.cut,
            of: examples.tokens.len() + held.tokens.len(),
            tokens: self.tokens.min(model.context()),
            what: "prompts with the longest title",
        };
        let trainable = parameters.trainable_count();
        let worth = source.worth(&catalogue)?;
        let adapter = attached.as_mut().map(|attached| attached as &mut dyn Hooks);
        let parts = (&catalogue, examples, &held);
        let place = (work, identity);
        let mut outcome =
            self.learn((&model, &mut parameters), parts, (worth, adapter), place, compute, progress)?;
        let learned = &mut outcome.learned;
        (learned.parameters, learned.cut) = (count, cut);
        learned.trainable = trainable - left_out(attached.as_ref());
        learned.ranks = ranks_of(attached.as_ref(), &parameters);
        model.save(output, &parameters)?;
        self.trained.save(attached.as_ref(), (&parameters, &[]), "CAUSAL_LM", (base, output))?;
        Ok(outcome)
    }

    /// All steps, and what held-out prompts are worth before and after.
    fn learn(
        &self,
        (model, parameters): (&LanguageModel, &mut Parameters),
        (catalogue, examples, held): (&WrittenCatalogue, Prompts, &Prompts),
        (worth, adapter): (ItemWorth<'_>, Option<&mut dyn Hooks>),
        (work, identity): (&Path, &str),
        compute: &Arc<Compute>,
        progress: &mut dyn FnMut(&StepRecord, usize),
    ) -> Result<ItemOutcome, TrainError> {
        let (loss, by_token) = self.loss()?;
        let reference = (self.kl > 0.0).then(|| parameters.clone());
        let rewarder = ItemRewarder::new(&catalogue.trie, examples.targets, worth);
        let scratch = work.join("policy");
        let task = PolicyTask {
            model,
            prompts: &examples.tokens,
            generation: Generation::Beams { trie: catalogue.trie.clone(), width: self.beams },
            rewarder: &rewarder,
            loss,
            by_token,
            updates: Updates::default(),
            reference: reference.as_ref(),
            folder: scratch.clone(),
            records: Mutex::default(),
        };
        let measure = |parameters: &Parameters| self.ndcg((model, parameters), &scratch, (catalogue, held));
        let before = measure(parameters)?;
        let evaluation = match held.tokens.is_empty() {
            true => None,
            false => Some(Evaluation {
                measure: "validation nDCG@10",
                greater_is_better: true,
                value: Box::new(|parameters: &Parameters| measure(parameters).map(|gains| mean(&gains))),
            }),
        };
        let mut hooks = Joined { adapter, other: KeptRecords::of(&task) };
        let (place, hooks): (_, &mut dyn Hooks) = ((Some(work), identity), &mut hooks);
        let hooks = (Some(hooks), evaluation);
        let trained = train_evaluated(&task, compute, parameters, &self.settings, place, hooks, progress);
        if let Some(failure) = rewarder.failure() {
            return Err(failure);
        }
        let report = trained?;
        let records = task.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let after = measure(parameters)?;
        if scratch.is_dir() {
            std::fs::remove_dir_all(&scratch).map_err(|source| TrainError::file(&scratch, source))?;
        }
        Ok(ItemOutcome {
            learned: Outcome { report, ..Outcome::default() },
            ndcg: (!held.tokens.is_empty()).then_some([before, after]),
            misses: mean(&records.iter().map(|record| record.misses).collect::<Vec<f64>>()),
            records,
        })
    }

    /// The loss, and whether each token has the same share in it.
    fn loss(&self) -> Result<(PolicyLoss, bool), TrainError> {
        let named = PolicyLoss::named(&self.loss, self.kl);
        let with_mean = |(loss, by_token): (PolicyLoss, bool)| {
            (PolicyLoss { divergence: self.divergence, ..loss }, by_token)
        };
        named.map(with_mean).ok_or_else(|| TrainError::Setting(format!("loss: there is no `{}`", self.loss)))
    }

    /// Prompts lose their beginnings where the longest title would not fit behind them.
    fn prompts(
        &self,
        model: &LanguageModel,
        examples: &[ItemExample],
        catalogue: &WrittenCatalogue,
    ) -> Result<Prompts, TrainError> {
        let most = self.tokens.min(model.context());
        let room = most.saturating_sub(catalogue.longest);
        if room == 0 {
            let longest = catalogue.longest;
            let problem =
                format!("tokens: the longest title has {longest}, and {most} leave no room for a prompt");
            return Err(TrainError::Setting(format!("{problem}; give more, or leave the item out")));
        }
        let mut prompts = Prompts::default();
        for (at, example) in examples.iter().enumerate() {
            let failed = |problem: &str| TrainError::Setting(format!("example {}: {problem}", at + 1));
            let tokens = model.encode(&example.prompt)?;
            if tokens.is_empty() {
                return Err(failed("its prompt is empty; leave it out"));
            }
            let rank = catalogue.ranks.get(example.item).copied();
            prompts.targets.push(rank.ok_or_else(|| failed("its item is not in the catalogue"))?);
            let from = tokens.len().saturating_sub(room);
            prompts.cut += usize::from(from > 0);
            prompts.tokens.push(tokens[from..].to_vec());
        }
        Ok(prompts)
    }

    /// The nDCG@10 of each held-out prompt: the gain 1/log2(rank + 1) of its title, which is the best that there is.
    fn ndcg(
        &self,
        (model, parameters): (&LanguageModel, &Parameters),
        folder: &Path,
        (catalogue, held): (&WrittenCatalogue, &Prompts),
    ) -> Result<Vec<f64>, TrainError> {
        if held.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let engine = Rollouts::open(model, parameters, &folder.join("held"))?;
        let width = self.beams.max(CUTOFF).min(catalogue.trie.len());
        let mut gains = Vec::with_capacity(held.tokens.len());
        for (prompts, targets) in held.tokens.chunks(TOGETHER).zip(held.targets.chunks(TOGETHER)) {
            let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
            let found = engine.beams(&prompts, (&catalogue.trie, None), width)?;
            for (beams, target) in found.iter().zip(targets) {
                let place = beams.iter().take(CUTOFF).position(|(rank, _)| rank == target);
                gains.push(place.map_or(0.0, |place| 1.0 / (place as f64 + 2.0).log2()));
            }
        }
        Ok(gains)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::LlamaConfig;

    const TITLES: [&str; 3] = ["Alien (1979)", "Heat (1995)", "Up (2009)"];

    /// A decoder of bytes with drawn weights in a folder.
    fn base() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut parameters = Parameters::default();
        let config = LlamaConfig::small(0, 1, (16, 32), 2);
        let mut model = LanguageModel::of_bytes(&config, 64, 3, &mut parameters).unwrap();
        model.save(folder.path(), &parameters).unwrap();
        folder
    }

    fn job() -> ItemPolicyJob {
        let settings = Settings { steps: 12, batch: 2, rate: 1e-2, checkpoint: 5, ..Settings::default() };
        ItemPolicyJob { beams: 3, tokens: 40, settings, ..ItemPolicyJob::default() }
    }

    fn learn(job: &ItemPolicyJob, folder: &Path, source: ItemSource<'_>) -> Result<ItemOutcome, TrainError> {
        let titles = TITLES.map(str::to_string);
        let example = |(prompt, item): (&str, usize)| ItemExample { prompt: prompt.into(), item };
        let examples = [("space\n", 0), ("a house that flies, and balloons\n", 2)].map(example);
        let data = ItemData { titles: &titles, examples: &examples, held: &examples, source };
        let base = base();
        let (work, output) = (folder.join("work"), folder.join("model"));
        job.run(base.path(), data, (&work, &output), "items", &Compute::new(1), &mut |_, _| {})
    }

    fn rule_and_rank() -> ItemSource<'static> {
        ItemSource::Places(BeamReward::RuleAndRank)
    }

    #[test]
    fn a_decoder_is_rewarded_for_titles_and_a_second_run_has_nothing_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = learn(&job(), folder.path(), rule_and_rank()).unwrap();
        assert_eq!((outcome.records.len(), outcome.learned.report.total), (12, 12));
        // All three titles are among three beams, so that the right one is.
        assert_eq!(outcome.misses, 0.0);
        let [before, after] = outcome.ndcg.unwrap();
        let known = [1.0, 1.0 / 3f64.log2(), 0.5];
        let is_known = |gain: &f64| known.iter().any(|known| (gain - known).abs() < 1e-12);
        assert!(before.iter().chain(&after).all(is_known), "{before:?} {after:?}");
        // A line has at most 13 bytes with its end: 40 less those for the prompt.
        assert_eq!((outcome.learned.cut.pairs, outcome.learned.cut.of), (2, 4));
        assert!(folder.path().join("model/model.safetensors").is_file());
        assert!(!folder.path().join("work/policy").exists());
        let again = learn(&job(), folder.path(), rule_and_rank()).unwrap();
        assert_eq!((again.learned.report.resumed, again.records.len()), (12, 12));
    }

    #[test]
    fn a_run_that_goes_on_tells_what_was_missed_before_it() {
        let folder = tempfile::tempdir().unwrap();
        // Two of three titles: the right one need not be there.
        let narrow = ItemPolicyJob { beams: 2, ..job() };
        let whole = learn(&narrow, folder.path(), rule_and_rank()).unwrap();
        let sum: f64 = whole.records.iter().map(|record| record.misses).sum();
        assert!((whole.misses - sum / 12.0).abs() < 1e-12 && whole.misses <= 1.0, "{}", whole.misses);
        let again = learn(&narrow, folder.path(), rule_and_rank()).unwrap();
        assert_eq!((again.learned.report.resumed, again.misses), (12, whole.misses));
    }

    #[test]
    fn vectors_and_recommenders_reward_too_and_an_adapter_learns() {
        let trained = Trained { adapter: "lora(rank=2)".into(), ..Trained::default() };
        let adapted = ItemPolicyJob { trained, kl: 0.0, ..job() };
        let vectors = vec![vec![1.0, 0.0], vec![0.6, 0.8], vec![0.0, 1.0]];
        let folder = tempfile::tempdir().unwrap();
        let outcome = learn(&adapted, folder.path(), ItemSource::Vectors(vectors)).unwrap();
        assert!(outcome.learned.trainable < outcome.learned.parameters);
        // (1 + .6 + 0) / 3 and (0 + .8 + 1) / 3, in the mean of both prompts.
        assert!((outcome.records[0].reward - 3.4 / 6.0).abs() < 1e-6, "{}", outcome.records[0].reward);
        let scores: ItemScores<'_> = Box::new(|example: usize| Ok(vec![example as f32; 3]));
        let folder = tempfile::tempdir().unwrap();
        let constant = learn(&job(), folder.path(), ItemSource::Scores(scores)).unwrap();
        assert!(constant.records.iter().all(|record| record.without_advantage == 1.0));
        let failing: ItemScores<'_> = Box::new(|_| Err(TrainError::Model("no such item".into())));
        let folder = tempfile::tempdir().unwrap();
        let error = learn(&job(), folder.path(), ItemSource::Scores(failing)).unwrap_err().to_string();
        assert_eq!(error, "no such item");
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let said = |error: TrainError| error.to_string();
        let refused = |job: ItemPolicyJob| job.check().map_or_else(said, |()| String::new());
        assert_eq!(refused(job()), "");
        assert!(refused(ItemPolicyJob { loss: "ppo".into(), ..job() }).contains("grpo, dapo, gspo"));
        assert!(refused(ItemPolicyJob { beams: 1, ..job() }).starts_with("beams"));
        assert!(refused(ItemPolicyJob { kl: f32::NAN, ..job() }).starts_with("kl"));
        let settings = Settings { accumulate: 2, ..Settings::default() };
        assert!(refused(ItemPolicyJob { settings, ..job() }).starts_with("accumulate"));
        let folder = tempfile::tempdir().unwrap();
        let learned = |job: ItemPolicyJob| learn(&job, folder.path(), rule_and_rank()).err();
        let many = learned(ItemPolicyJob { beams: 4, ..job() }).unwrap().to_string();
        assert!(many.contains("beams = 4") && many.contains("3 different titles"), "{many}");
        let short = learned(ItemPolicyJob { tokens: 13, ..job() }).unwrap().to_string();
        assert!(short.starts_with("tokens: the longest title has 13"), "{short}");
    }
}
