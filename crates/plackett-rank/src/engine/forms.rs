//! Forms of answers as constraints of decoding, the same for decoders and encoder–decoders.

use crate::model::{AnswerForm, CallError, Finish, Generated, GenerationOptions, Replies, Usage, Value};
use plackett_lm::decode::{
    Bytewise, Choices, Constraint, DecodeError, DecodeOptions, Decoded, FreeText, Hypothesis, Normalize,
    Permutation, Sampling, ScoreRange, ScoreSheet, SheetOrder, Strategy, TextEnd, TokenBytes,
};
use plackett_lm::sha256::Sha256;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Most tokens of an answer whose form ends by itself.
const FORM_TOKENS: usize = 8192;

/// Tokens of a text after the last words of a prompt; `None` where they cannot be told apart.
pub(super) type Spell<'a> = &'a dyn Fn(&str, bool, &str) -> Result<Option<Vec<u32>>, CallError>;

/// What was written under a constraint, each with the tokens of its prompt that another had computed already.
pub(super) type DecodedReplies<C> = Replies<(Decoded<<C as Constraint>::Output>, usize)>;

/// A prompt that is to be answered.
pub(super) struct Item<'a> {
    /// Its tokens: for an encoder–decoder those of the source, and then those of the output.
    pub ids: Vec<u32>,
    /// How many of them are of the source; 0 for a decoder.
    pub source: usize,
    /// Its last words.
    pub tail: String,
    /// Whether control tokens are among them.
    pub chat: bool,
    /// What may be written.
    pub form: &'a AnswerForm,
    /// The number of the draw.
    pub sample: u64,
    /// Most tokens of the answer.
    pub room: usize,
}

/// A prompt under a constraint.
pub(super) struct Prompted<'a, C> {
    /// As [`Item::ids`].
    pub ids: &'a [u32],
    /// As [`Item::source`].
    pub source: usize,
    /// Names the prompt in random draws.
    pub draw: u64,
    pub constraint: &'a C,
}

// Derived, these would demand the same of the constraint.
impl<C> Clone for Prompted<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Prompted<'_, C> {}

/// Runs constraints on prompts. Gives what was decoded and how many tokens of the prompt another one had paid for.
pub(super) trait Driver {
    fn decode<C: Constraint>(
        &self,
        prompts: &[Prompted<'_, C>],
        options: &DecodeOptions,
    ) -> Replies<(Decoded<C::Output>, usize)>;
}

/// Prompts with the forms of their answers.
pub(super) struct Forms<'a> {
    pub bytes: &'a Arc<TokenBytes>,
    pub ends: &'a [u32],
    pub options: &'a GenerationOptions,
    pub items: Vec<Result<Item<'a>, CallError>>,
    pub spell: Spell<'a>,
    /// Whether the first blank of an output is the tokenizer's and not the model's.
    pub trim: bool,
}

/// Constraints that were made once for all prompts that can share them.
struct ConstraintCache<K, C> {
    known: HashMap<K, usize>,
    list: Vec<Result<C, CallError>>,
}

impl<K: Hash + Eq, C> ConstraintCache<K, C> {
    fn get(&mut self, key: K, make: impl FnOnce(&K) -> Result<C, CallError>) -> usize {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        self.list.push(make(&key));
        self.known.insert(key, self.list.len() - 1);
        self.list.len() - 1
    }
}

impl<K, C> Default for ConstraintCache<K, C> {
    fn default() -> Self {
        ConstraintCache { known: HashMap::new(), list: Vec::new() }
    }
}

impl Forms<'_> {
    /// Choices in the order of the prompts.
    pub fn generate(self, driver: &impl Driver) -> Replies<Generated> {
        let mut replies: Vec<Option<Result<Generated, CallError>>> =
            self.items.iter().map(|item| item.as_ref().err().map(|error| Err(error.clone()))).collect();
        self.texts(driver, &mut replies);
        self.orderings(driver, &mut replies);
        self.choices(driver, &mut replies);
        self.sheets(driver, &mut replies);
        let lost = || CallError::Argument("the model gave too few answers".into());
        replies.into_iter().map(|reply| reply.unwrap_or_else(|| Err(lost()))).collect()
    }

    fn of(&self, kind: impl Fn(&AnswerForm) -> bool) -> Vec<(usize, &Item<'_>)> {
        let good = self.items.iter().enumerate().filter_map(|(n, item)| Some((n, item.as_ref().ok()?)));
        good.filter(|(_, item)| kind(item.form)).collect()
    }

    fn end(&self) -> Option<u32> {
        self.ends.first().copied()
    }

    fn tokens(&self, item: (&str, bool), text: &str) -> Result<Vec<u32>, DecodeError> {
        let wrong = |problem: String| DecodeError::Tokenizer(problem);
        let found = (self.spell)(item.0, item.1, text).map_err(|error| wrong(error.to_string()))?;
        found.filter(|ids| !ids.is_empty()).ok_or_else(|| {
            wrong(format!("{text:?} joins the last token of {:?}; end the prompt where a token ends", item.0))
        })
    }

    fn texts(&self, driver: &impl Driver, replies: &mut [Option<Result<Generated, CallError>>]) {
        let items = self.of(|form| *form == AnswerForm::Text);
        let mut cache = ConstraintCache::default();
        let which: Vec<usize> = items
            .iter()
            .map(|(_, item)| {
                cache.get(self.options.max_tokens.min(item.room), |most| {
                    FreeText::new(self.bytes.clone(), &self.options.stop, self.ends, *most)
                        .and_then(|text| text.with_least(self.options.min_tokens))
                        .map_err(CallError::model)
                })
            })
            .collect();
        self.run(driver, &items, &which, &cache.list, self.options.max_tokens, replies, |_, found| {
            let text = &found.output.text;
            let text = if self.trim { text.strip_prefix(' ').unwrap_or(text) } else { text };
            let finish = match found.output.end {
                TextEnd::Stop(at) => Finish::Stop(Some(at)),
                TextEnd::Token(_) => Finish::End,
                TextEnd::Budget => Finish::Length,
            };
            (text.to_string(), finish, None)
        });
    }

    fn orderings(&self, driver: &impl Driver, replies: &mut [Option<Result<Generated, CallError>>]) {
        let items = self.of(|form| matches!(form, AnswerForm::Permutation { .. }));
        let mut cache = ConstraintCache::default();
        let which: Vec<usize> = items
            .iter()
            .map(|(_, item)| {
                cache.get((item.form, &item.tail, item.chat), |(form, tail, chat)| {
                    let AnswerForm::Permutation { labels, length, separator } = form else {
                        return Err(wrong_form());
                    };
                    let tokenize = |text: &str| self.tokens((tail, *chat), text);
                    Permutation::new(labels, separator, Some(*length), tokenize, self.end())
                        .map_err(CallError::model)
                })
            })
            .collect();
        self.run(driver, &items, &which, &cache.list, FORM_TOKENS, replies, |item, found| {
            let AnswerForm::Permutation { labels, separator, .. } = item.form else {
                return (String::new(), Finish::End, None);
            };
            let spelled: Vec<&str> = found.output.iter().map(|at| labels[*at].as_str()).collect();
            (spelled.join(separator), Finish::End, Some(Value::Permutation(found.output.clone())))
        });
    }

    fn choices(&self, driver: &impl Driver, replies: &mut [Option<Result<Generated, CallError>>]) {
        let items = self.of(|form| matches!(form, AnswerForm::OneOf(_)));
        let mut cache = ConstraintCache::default();
        let which: Vec<usize> = items
            .iter()
            .map(|(_, item)| {
                cache.get((item.form, &item.tail, item.chat), |(form, tail, chat)| {
                    let AnswerForm::OneOf(texts) = form else { return Err(wrong_form()) };
                    let each: Vec<&[String]> = texts.iter().map(std::slice::from_ref).collect();
                    let tokenize = |text: &str| self.tokens((tail, *chat), text);
                    Choices::new(&each, tokenize, self.end()).map_err(CallError::model)
                })
            })
            .collect();
        self.run(driver, &items, &which, &cache.list, FORM_TOKENS, replies, |item, found| {
            let AnswerForm::OneOf(texts) = item.form else { return (String::new(), Finish::End, None) };
            (texts[found.output].clone(), Finish::End, Some(Value::Choice(found.output)))
        });
    }

    fn sheets(&self, driver: &impl Driver, replies: &mut [Option<Result<Generated, CallError>>]) {
        let items = self.of(|form| matches!(form, AnswerForm::Scores { .. }));
        let mut cache = ConstraintCache::default();
        let which: Vec<usize> = items
            .iter()
            .map(|(_, item)| {
                cache.get(item.form, |form| {
                    let AnswerForm::Scores { labels, min, max } = form else { return Err(wrong_form()) };
                    let range = ScoreRange::integers(*min, *max).map_err(CallError::model)?;
                    let sheet =
                        ScoreSheet::new(labels, range, SheetOrder::Given).map_err(CallError::model)?;
                    Bytewise::new(sheet, self.bytes.clone()).map_err(CallError::model)
                })
            })
            .collect();
        self.run(driver, &items, &which, &cache.list, FORM_TOKENS, replies, |_, found| {
            let text = String::from_utf8_lossy(&self.bytes.concat(&found.tokens)).into_owned();
            let scores = found.output.iter().map(|line| line.units).collect();
            (text, Finish::End, Some(Value::Scores(scores)))
        });
    }

    /// Decodes what has a constraint, and reads what was written.
    #[allow(clippy::type_complexity)]
    fn run<C: Constraint>(
        &self,
        driver: &impl Driver,
        items: &[(usize, &Item<'_>)],
        which: &[usize],
        constraints: &[Result<C, CallError>],
        most: usize,
        replies: &mut [Option<Result<Generated, CallError>>],
        read: impl Fn(&Item<'_>, &Hypothesis<C::Output>) -> (String, Finish, Option<Value>),
    ) {
        let mut able = Vec::new();
        for ((n, item), which) in items.iter().zip(which) {
            match &constraints[*which] {
                Ok(constraint) => able.push((*n, *item, constraint)),
                Err(error) => replies[*n] = Some(Err(error.clone())),
            }
        }
        if able.is_empty() {
            return;
        }
        let decoding: Vec<Prompted<'_, C>> = able
            .iter()
            .map(|(_, item, constraint)| Prompted {
                ids: &item.ids,
                source: item.source,
                draw: draw(item),
                constraint: *constraint,
            })
            .collect();
        let text = matches!(able[0].1.form, AnswerForm::Text);
        let normalize = if text { Normalize::Vocabulary } else { Normalize::Allowed };
        let options = DecodeOptions { max_tokens: most, normalize, ..DecodeOptions::new(self.strategy()) };
        for ((n, item, _), decoded) in able.iter().zip(driver.decode(&decoding, &options)) {
            replies[*n] = Some(decoded.and_then(|(decoded, cached)| {
                let Some(found) = decoded.hypotheses.first() else {
                    let problem = format!("it is not finished after {most} tokens");
                    return Err(CallError::Answer { answer: String::new(), problem });
                };
                let (text, finish, value) = read(item, found);
                let usage = Usage {
                    prompt_tokens: item.ids.len(),
                    cached_tokens: cached,
                    generated_tokens: found.tokens.len(),
                    ..Usage::default()
                };
                Ok(Generated { text, finish, value, log_prob: Some(found.log_prob), usage })
            }));
        }
    }

    fn strategy(&self) -> Strategy {
        match self.options.sampling {
            None => Strategy::Greedy,
            Some(sampling) => Strategy::Sample(Sampling {
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                ..Sampling::new(sampling.seed)
            }),
        }
    }
}

fn wrong_form() -> CallError {
    CallError::Argument("another form of answer was expected".into())
}

/// The name of a draw: that of the prompt and the sample, so that it is the same whatever else is in the call.
fn draw(item: &Item<'_>) -> u64 {
    let mut hash = Sha256::new();
    item.ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    hash.update(item.sample.to_le_bytes());
    hash.seed()
}
