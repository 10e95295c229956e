//! How texts go through a model: whole, in pieces, or not at all.

use crate::batch::{Account, Settings, SharedText, distinct_texts, in_calls};
use crate::long_text::{Join, LongText};
use crate::model::{Role, TextLength, TextModel};
use plackett_core::RankRequest;
use plackett_lm::{LmError, text_slices};

/// The pieces in which a text goes through a model that has `room` tokens for it; none for a text without a token.
pub(crate) fn pieces<'t, M: TextModel + ?Sized>(
    model: &'t M,
    policy: LongText,
    room: usize,
    text: &'t str,
) -> Box<dyn Iterator<Item = Result<&'t str, LmError>> + 't> {
    match has_words(model, text) {
        Err(error) => return Box::new(std::iter::once(Err(error))),
        Ok(false) => return Box::new(std::iter::empty()),
        Ok(true) => {}
    }
    match policy {
        // Every token is at least one byte, so a text this short is one piece whatever the tokeniser says.
        LongText::Chunks(chunks) if text.len() > chunks.size.unwrap_or(room).min(room) => {
            let pieces = chunks.pieces(text, room, |part| model.token_spans(part));
            Box::new(pieces.filter_map(|range| range.map(|range| text.get(range)).transpose()))
        }
        _ => Box::new(std::iter::once(Ok(text))),
    }
}

/// Whether there is anything in a text that a model reads: a text of blanks, or of characters that its tokenizer drops,
/// has no place in an order by scores.
///
/// # Errors
/// A text that the tokenizer refuses.
pub fn has_words<M: TextModel + ?Sized>(model: &M, text: &str) -> Result<bool, LmError> {
    if text.chars().any(char::is_alphanumeric) {
        return Ok(true);
    }
    if text.trim().is_empty() {
        return Ok(false);
    }
    for slice in text_slices(text) {
        match model.token_spans(&text[slice]) {
            Ok(spans) if spans.is_empty() => {}
            // A server keeps its tokenizer to itself.
            Ok(_) | Err(LmError::External(_)) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// The tokens that a model has for one text of its own.
pub(crate) fn room<M: TextModel + ?Sized>(model: &M, role: Role) -> Result<usize, LmError> {
    Ok(model.max_tokens().saturating_sub(model.overhead(role)?).max(1))
}

/// Says in an account that pieces are smaller than they were asked to be.
pub(crate) fn note_pieces(account: &mut Account, policy: LongText, room: usize) {
    if let LongText::Chunks(chunks) = policy {
        let reduced = chunks.reduced(room).map(|said| ("long-text:effective".to_string(), said));
        account.trace.facts.extend(reduced);
    }
}

/// What one text gave: the lengths of its pieces, and its score at each of its places.
pub(crate) struct ReadText {
    pub lengths: Vec<TextLength>,
    pub scores: Vec<f64>,
}

/// Reads the distinct texts of all candidates, call by call, and enters scores and costs at every place that has them.
/// `read` gets the texts of a call with their pieces and answers in the same order; what it keeps of the model's outputs
/// lives no longer than the call. A text without a token is not read.
pub(crate) fn read_candidates<M: TextModel + ?Sized>(
    model: &M,
    settings: &Settings,
    requests: &[&RankRequest],
    accounts: &mut [Account],
    read: impl Fn(&[SharedText<'_>], &[Vec<&str>]) -> Result<Vec<ReadText>, LmError>,
) -> Result<(), LmError> {
    let room = room(model, Role::Document)?;
    accounts.iter_mut().for_each(|account| note_pieces(account, settings.long_text, room));
    let texts = distinct_texts(requests);
    let mut found: Vec<Vec<ReadText>> = texts.iter().map(|_| Vec::new()).collect();
    let pieces_of = |text: usize| pieces(model, settings.long_text, room, &texts[text].text);
    in_calls(
        texts.len(),
        pieces_of,
        |_| 0,
        |first, cut| {
            let end = first + cut.len();
            settings.report(end, texts.len());
            if cut.iter().all(Vec::is_empty) {
                return Ok(());
            }
            for (own, part) in found[first..end].iter_mut().zip(read(&texts[first..end], cut)?) {
                if !part.lengths.is_empty() {
                    own.push(part);
                }
            }
            Ok(())
        },
    )?;
    for (text, parts) in texts.iter().zip(found) {
        let read = joined(settings.join(), parts);
        for (nth, place) in text.places.iter().enumerate() {
            let account = &mut accounts[place.request];
            let Some(read) = &read else {
                account.empty.push(place.candidate);
                continue;
            };
            let id = &requests[place.request].candidates[place.candidate].document.id;
            account.scores[place.candidate] = read.scores.get(nth).copied().unwrap_or(f64::NAN);
            account.enter(id, &read.lengths, nth == 0);
        }
    }
    Ok(())
}

/// What a text gave that was read in several calls; `None` for one that was not read at all.
fn joined(join: Join, mut parts: Vec<ReadText>) -> Option<ReadText> {
    if parts.len() <= 1 {
        return parts.pop();
    }
    let pieces: usize = parts.iter().map(|part| part.lengths.len()).sum();
    let score = |nth: usize| {
        let of = |part: &ReadText| part.scores.get(nth).copied().unwrap_or(f64::NAN);
        match join {
            Join::Max => join.of(parts.iter().map(of)).unwrap_or(f64::NAN),
            // A call with more pieces has more voices.
            Join::Mean => {
                parts.iter().map(|part| of(part) * part.lengths.len() as f64).sum::<f64>() / pieces as f64
            }
        }
    };
    let scores = (0..parts[0].scores.len()).map(score).collect();
    Some(ReadText { lengths: parts.into_iter().flat_map(|part| part.lengths).collect(), scores })
}

/// The tokens of a text; of a long one, of which no more was tokenised than was needed, about as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub tokens: usize,
    pub estimated: bool,
}

/// Counts the tokens of a text, and stops after `most` of them.
pub(crate) fn count<M: TextModel + ?Sized>(model: &M, text: &str, most: usize) -> Result<Count, LmError> {
    count_to(text, most, |slice| Ok(model.token_spans(slice)?.len()))
}

/// The same by a function that counts the tokens of a part.
pub(crate) fn count_to<E>(
    text: &str,
    most: usize,
    tokens_of: impl Fn(&str) -> Result<usize, E>,
) -> Result<Count, E> {
    let mut tokens = 0;
    for slice in text_slices(text) {
        let end = slice.end;
        tokens += tokens_of(&text[slice])?;
        if tokens > most && end < text.len() {
            let whole = tokens as f64 * text.len() as f64 / end as f64;
            return Ok(Count { tokens: (whole as usize).max(tokens + 1), estimated: true });
        }
    }
    Ok(Count { tokens, estimated: false })
}

/// What is said of a text that is longer than what is read of it.
pub(crate) fn refusal(what: &str, Count { tokens, estimated }: Count, room: usize) -> String {
    let about = if estimated { "about " } else { "" };
    format!(
        "{what} has {about}{tokens} tokens, the model reads {room}; shorten it, or let long texts be cut (`truncate`) or \
         read in pieces (`chunk-max`)"
    )
}

/// The first text of a request that does not fit a model which reads each text by itself.
pub(crate) fn too_long<M: TextModel + ?Sized>(
    model: &M,
    request: &RankRequest,
) -> Result<Option<String>, LmError> {
    if request.candidates.is_empty() {
        return Ok(None);
    }
    let room_of_query = room(model, Role::Query)?;
    if let Some(count) = beyond(model, &request.query.text, room_of_query)? {
        return Ok(Some(refusal("the query", count, room_of_query)));
    }
    let room = room(model, Role::Document)?;
    for candidate in &request.candidates {
        if let Some(count) = beyond(model, &candidate.document.model_text(), room)? {
            return Ok(Some(refusal(&format!("document `{}`", candidate.document.id), count, room)));
        }
    }
    Ok(None)
}

/// The tokens of a text when they are more than there is room for.
pub(crate) fn beyond<M: TextModel + ?Sized>(
    model: &M,
    text: &str,
    room: usize,
) -> Result<Option<Count>, LmError> {
    // Every token is at least one byte.
    if text.len() <= room {
        return Ok(None);
    }
    let count = count(model, text, room)?;
    Ok((count.tokens > room).then_some(count))
}
