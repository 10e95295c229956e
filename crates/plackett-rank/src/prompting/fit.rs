//! Passages cut to the prompt's limits, and further where the prompt does not fit the model.

use crate::LongText;
use crate::model::{CallError, LanguageModel, Prompt, PromptParts, begin_of};
use crate::prompt::{Passage, Template};
use crate::reading::{Count, count_to};
use plackett_core::{Document, Query, RankRequest, Truncation};
use plackett_lm::text_slices;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A passage as it stands in prompts, and what was left out of it.
#[derive(Clone)]
struct Cut {
    text: Arc<str>,
    /// The whole text, when this is a part of it.
    whole: Option<Arc<str>>,
}

/// What a cut depends on: the candidate, and the most words, characters and tokens of it.
type Limits = (usize, Option<usize>, Option<usize>, Option<usize>);

/// The passages of one request in their prompts.
#[derive(Default)]
pub(super) struct Fitting {
    cuts: HashMap<Limits, Cut>,
    /// The least that was read of a candidate (or, without a place, of the query), with the length of the whole.
    least: BTreeMap<Option<usize>, (usize, Count)>,
    unit: Option<&'static str>,
    /// Labels in brackets that were rewritten, by candidate.
    rewritten: BTreeMap<usize, usize>,
    /// Tokens that prompt and answer may have together, where that is less than what the model reads.
    pub limit: Option<usize>,
}

/// Cuts a text to so many words; blanks within it stay as they are.
fn words(text: &str, most: usize) -> &str {
    let mut left = most;
    let mut inside = false;
    for (at, sign) in text.char_indices() {
        match (sign.is_whitespace(), inside) {
            (false, false) if left == 0 => return text[..at].trim_end(),
            (false, false) => {
                left -= 1;
                inside = true;
            }
            (true, true) => inside = false,
            _ => {}
        }
    }
    text
}

/// Cuts a text to so many characters.
fn characters(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

/// The greatest number of tokens per passage with which passages of these lengths lose `excess` tokens; `None` when they
/// have not so many.
fn level(lengths: &[usize], excess: usize) -> Option<usize> {
    let total: usize = lengths.iter().sum();
    let wanted = total.checked_sub(excess)?;
    let kept = |limit: usize| lengths.iter().map(|length| (*length).min(limit)).sum::<usize>();
    let (mut low, mut high) = (0, lengths.iter().copied().max()?);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if kept(middle) <= wanted { low = middle } else { high = middle - 1 }
    }
    Some(low)
}

impl Fitting {
    /// The prompt over some candidates that leaves room for `answer` tokens.
    pub fn prompt(
        &mut self,
        model: &dyn LanguageModel,
        policy: LongText,
        request: &RankRequest,
        template: &Template,
        passages: &[(&str, usize)],
        values: &[(&str, &str)],
        answer: usize,
    ) -> Result<Prompt, CallError> {
        Ok(self.fitted(model, policy, request, template, passages, values, answer)?.0)
    }

    /// The same in parts, with an ending for each other text in the place of the query too.
    pub fn parts(
        &mut self,
        model: &dyn LanguageModel,
        policy: LongText,
        request: &RankRequest,
        template: &Template,
        passages: &[(&str, usize)],
        values: &[(&str, &str)],
        others: &[&str],
    ) -> Result<PromptParts, CallError> {
        // Where a part ends, a token of the whole text may become two.
        let slack = 2 * passages.len() + 8;
        let (_, query, cuts) = self.fitted(model, policy, request, template, passages, values, slack)?;
        let shown = shown(passages, &cuts);
        let mut parts = template.parts(&query, &shown, values);
        for other in others {
            let more = template.parts(other, &shown, values);
            if (&more.system, &more.parts) != (&parts.system, &parts.parts) {
                let problem = "the query stands before or in the documents of the prompt; write it into the suffix alone";
                return Err(CallError::Argument(problem.into()));
            }
            parts.endings.extend(more.endings);
        }
        Ok(parts)
    }

    /// The prompt with the query and the passages that are in it.
    fn fitted(
        &mut self,
        model: &dyn LanguageModel,
        policy: LongText,
        request: &RankRequest,
        template: &Template,
        passages: &[(&str, usize)],
        values: &[(&str, &str)],
        answer: usize,
    ) -> Result<(Prompt, String, Vec<Cut>), CallError> {
        let query = self.query(model, request, template)?;
        // A passage that alone is longer than the model reads is cut before a prompt is made of it: a tokenizer takes a
        // hundred times the memory of a text.
        let most = self.most(model).filter(|_| model.can(crate::model::Need::Tokenizer).is_ok());
        if let Some(most) = most.filter(|most| query.len() > *most) {
            let tokens =
                count_to(&query, most, |slice| Ok::<_, CallError>(model.token_spans(slice)?.len()))?.tokens;
            if tokens > most {
                return Err(CallError::QueryTooLong { tokens, answer, limit: most });
            }
        }
        let mut limit = template.tokens.into_iter().chain(most).min();
        for _ in 0..ROUNDS {
            let cuts: Vec<Cut> = passages
                .iter()
                .map(|(_, candidate)| self.cut(model, request, template, *candidate, limit))
                .collect::<Result<_, _>>()?;
            let prompt = template.render(&query, &shown(passages, &cuts), values);
            let excess = self.excess(model, &prompt, answer)?;
            if excess == 0 {
                self.enter(model, policy, request, passages, &cuts)?;
                return Ok((prompt, query, cuts));
            }
            if limit == Some(0) {
                break;
            }
            let lengths = cuts.iter().map(|cut| Ok(model.token_spans(&cut.text)?.len()));
            let lengths: Vec<usize> = lengths.collect::<Result<_, CallError>>()?;
            // Where texts meet the words around them they may split otherwise: below the last level in any case.
            let lower = limit.map_or(usize::MAX, |limit| limit.saturating_sub(1));
            limit = Some(level(&lengths, excess).unwrap_or(0).min(lower));
        }
        let empty: Vec<Passage<'_>> = passages.iter().map(|(label, _)| Passage { label, text: "" }).collect();
        let tokens =
            model.count_tokens(&[&template.render(&query, &empty, values)])?.first().copied().unwrap_or(0);
        Err(CallError::QueryTooLong { tokens, answer, limit: self.most(model).unwrap_or(usize::MAX) })
    }

    fn query(
        &mut self,
        model: &dyn LanguageModel,
        request: &RankRequest,
        template: &Template,
    ) -> Result<String, CallError> {
        let text = match template.query_words {
            Some(most) => words(&request.query.text, most),
            None => &request.query.text,
        };
        if text.len() < request.query.text.len() {
            self.shorter(model, None, &request.query.text, text)?;
        }
        Ok(if template.rewrite_brackets { template.rewritten(text) } else { text.to_string() })
    }

    fn cut(
        &mut self,
        model: &dyn LanguageModel,
        request: &RankRequest,
        template: &Template,
        candidate: usize,
        limit: Option<usize>,
    ) -> Result<Cut, CallError> {
        let key = (candidate, template.words, template.characters, limit);
        if let Some(known) = self.cuts.get(&key) {
            return Ok(known.clone());
        }
        let Some(found) = request.candidates.get(candidate) else {
            return Err(CallError::Argument(format!(
                "there is no candidate {candidate}; the method's code is wrong"
            )));
        };
        let (whole, brackets) = template.passage(&found.document);
        if brackets > 0 {
            self.rewritten.insert(candidate, brackets);
        }
        let mut part = template.words.map_or(whole.as_str(), |most| words(&whole, most));
        part = template.characters.map_or(part, |most| characters(part, most));
        // Every token is at least one byte.
        if let Some(most) = limit.filter(|most| part.len() > *most) {
            part = match model.can(crate::model::Need::Tokenizer) {
                Ok(()) => beginning(model, part, most)?,
                // Three words are about four tokens; the trace names the unit.
                Err(_) => words(part, most.saturating_mul(3).div_ceil(4)),
            };
        }
        let text: Arc<str> = part.into();
        let whole = (part.len() < whole.len()).then(|| whole.as_str().into());
        let cut = Cut { text, whole };
        self.cuts.insert(key, cut.clone());
        Ok(cut)
    }

    /// Notes what was left out of the passages of a prompt.
    fn enter(
        &mut self,
        model: &dyn LanguageModel,
        policy: LongText,
        request: &RankRequest,
        passages: &[(&str, usize)],
        cuts: &[Cut],
    ) -> Result<(), CallError> {
        for ((_, candidate), cut) in passages.iter().zip(cuts) {
            let Some(whole) = &cut.whole else { continue };
            let (kept, Count { tokens, estimated }, unit) =
                self.shorter(model, Some(*candidate), whole, &cut.text)?;
            if policy == LongText::Refuse {
                let id = request.candidates.get(*candidate).map_or("", |c| c.document.id.as_str());
                let about = if estimated { "about " } else { "" };
                return Err(CallError::Refused(format!(
                    "document `{id}` has {about}{tokens} {unit}, the prompt has room for {kept}; shorten it, or let long texts be \
                     cut (`truncate`)"
                )));
            }
        }
        Ok(())
    }

    fn shorter(
        &mut self,
        model: &dyn LanguageModel,
        place: Option<usize>,
        whole: &str,
        part: &str,
    ) -> Result<(usize, Count, &'static str), CallError> {
        let counts = model.can(crate::model::Need::Tokenizer).is_ok();
        let count = |text: &str, most: usize| match counts {
            true => count_to(text, most, |slice| Ok::<_, CallError>(model.token_spans(slice)?.len())),
            false => Ok(Count { tokens: text.split_whitespace().count(), estimated: false }),
        };
        let unit = if counts { "tokens" } else { "words" };
        self.unit = Some(unit);
        let kept = count(part, usize::MAX)?.tokens;
        let known = self.least.get(&place).copied();
        let whole = match known {
            Some((_, whole)) => whole,
            None => count(whole, kept)?,
        };
        self.least.insert(place, (known.map_or(kept, |(least, _)| least.min(kept)), whole));
        Ok((kept, whole, unit))
    }

    /// Tokens that prompt and answer may have together; `None` for any number.
    fn most(&self, model: &dyn LanguageModel) -> Option<usize> {
        self.limit.into_iter().chain(model.max_tokens()).min()
    }

    /// Tokens by which prompt and answer are more than the model reads.
    fn excess(&self, model: &dyn LanguageModel, prompt: &Prompt, answer: usize) -> Result<usize, CallError> {
        let Some(limit) = self.most(model) else { return Ok(0) };
        if model.can(crate::model::Need::Tokenizer).is_err() {
            return Ok(0);
        }
        let bytes: usize = match prompt {
            Prompt::Text { text, answer } => text.len() + answer.len(),
            Prompt::Chat { messages, answer } => {
                messages.iter().map(|m| m.content.len() + TEMPLATE_BYTES).sum::<usize>()
                    + answer.len()
                    + TEMPLATE_BYTES
            }
        };
        if bytes + answer < limit {
            return Ok(0);
        }
        let tokens = model.count_tokens(&[prompt])?.first().copied().unwrap_or(0);
        Ok((tokens + answer).saturating_sub(limit))
    }

    /// What was left out, and facts of the trace.
    pub fn report(self, request: &RankRequest, facts: &mut Vec<(String, String)>) -> Vec<Truncation> {
        if !self.rewritten.is_empty() {
            let (texts, all) = (self.rewritten.len(), self.rewritten.values().sum::<usize>());
            facts.push(("rewritten-brackets".into(), format!("{all} in {texts} passages")));
        }
        if self.unit == Some("words") {
            facts.push(("truncated-unit".into(), "words; the model does not tell its tokens".into()));
        }
        let id = |place: Option<usize>| match place {
            None => request.query.id.clone(),
            Some(place) => request.candidates.get(place).map_or_else(String::new, |c| c.document.id.clone()),
        };
        self.least
            .into_iter()
            .map(|(place, (kept, Count { tokens, estimated }))| {
                let of_query = place.is_none();
                Truncation { id: id(place), tokens, kept, estimated, of_query }
            })
            .collect()
    }
}

/// The prompt of one document alone in parts, under its own id and without a query, and what was left out of it: what an
/// index can store of a document.
///
/// # Errors
/// The words around it leave no room for a passage; what the tokenizer says.
pub(crate) fn of_document(
    model: &dyn LanguageModel,
    template: &Template,
    document: &Document,
) -> Result<(PromptParts, Vec<Truncation>), CallError> {
    let request = RankRequest::new(Query::new("", ""), [document.clone()]);
    let mut fitting = Fitting::default();
    let passages = [(document.id.as_str(), 0)];
    let parts = fitting.parts(model, LongText::Truncate, &request, template, &passages, &[], &[])?;
    Ok((parts, fitting.report(&request, &mut Vec::new())))
}

/// Passages as they stand in a prompt.
fn shown<'a>(passages: &[(&'a str, usize)], cuts: &'a [Cut]) -> Vec<Passage<'a>> {
    let one = |((label, _), cut): (&(&'a str, usize), &'a Cut)| Passage { label, text: &cut.text };
    passages.iter().zip(cuts).map(one).collect()
}

/// How often passages are cut anew: their tokens and those of the prompt differ by few.
const ROUNDS: usize = 8;

/// The longest beginning of a text that has at most so many tokens. It is tokenised slice by slice, and no further than
/// that.
fn beginning<'t>(model: &dyn LanguageModel, text: &'t str, most: usize) -> Result<&'t str, CallError> {
    let mut left = most;
    for slice in text_slices(text) {
        let part = &text[slice.clone()];
        let spans = model.token_spans(part)?;
        if spans.len() > left {
            return Ok(&text[..slice.start + begin_of(part, &spans, left).len()]);
        }
        left -= spans.len();
    }
    Ok(text)
}

/// More than a chat template writes around a message.
const TEMPLATE_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_where_a_word_begins() {
        assert_eq!(words("  one\n two  three ", 2), "  one\n two");
        assert_eq!(words("one two", 2), "one two");
        assert_eq!(words("one two ", 2), "one two ");
        assert_eq!(words("ü é", 1), "ü");
        assert_eq!(words("", 3), "");
    }

    #[test]
    fn characters_are_cut_anywhere_but_inside_one() {
        assert_eq!(characters("üé one", 3), "üé ");
        assert_eq!((characters("üé", 2), characters("üé", 3), characters("", 1)), ("üé", "üé", ""));
    }

    #[test]
    fn long_passages_give_more_than_short_ones() {
        assert_eq!(level(&[10, 50, 100], 0), Some(100));
        assert_eq!(level(&[10, 50, 100], 40), Some(60));
        assert_eq!(level(&[10, 50, 100], 100), Some(25));
        assert_eq!(level(&[10, 50, 100], 160), Some(0));
        assert_eq!(level(&[10, 50, 100], 161), None);
    }
}
