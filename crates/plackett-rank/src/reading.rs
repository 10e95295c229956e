//! How texts go through a model: whole, in pieces, or not at all.

use crate::batch::{Account, Settings, SharedText, distinct_texts, slices};
use crate::long_text::LongText;
use crate::model::{Role, TextLength, TextModel};
use plackett_core::RankRequest;
use plackett_lm::LmError;

/// The pieces in which a text goes through a model that has `room` tokens for it.
pub(crate) fn pieces<'t, M: TextModel + ?Sized>(
    model: &M,
    policy: LongText,
    room: usize,
    text: &'t str,
) -> Result<Vec<&'t str>, LmError> {
    let LongText::Chunks(chunks) = policy else { return Ok(vec![text]) };
    // Every token is at least one byte, so a text this short is one piece whatever the tokeniser says.
    if text.len() <= chunks.size.unwrap_or(room).min(room) {
        return Ok(vec![text]);
    }
    let spans = model.token_spans(text)?;
    Ok(chunks.pieces(&spans, text.len(), room).into_iter().filter_map(|range| text.get(range)).collect())
}

/// The tokens that a model has for one text of its own.
pub(crate) fn room<M: TextModel + ?Sized>(model: &M, role: Role) -> Result<usize, LmError> {
    Ok(model.max_tokens().saturating_sub(model.overhead(role)?).max(1))
}

/// What one text gave: the lengths of its pieces, and its score at each of its places.
pub(crate) struct ReadText {
    pub lengths: Vec<TextLength>,
    pub scores: Vec<f64>,
}

/// Reads the distinct texts of all candidates, slice by slice, and enters scores and costs at every place that has them.
/// `read` gets the texts of a slice with their pieces and answers in the same order; what it keeps of the model's outputs
/// lives no longer than the slice.
pub(crate) fn read_candidates<M: TextModel + ?Sized>(
    model: &M,
    settings: &Settings,
    requests: &[&RankRequest],
    accounts: &mut [Account],
    read: impl Fn(&[SharedText<'_>], &[Vec<&str>]) -> Result<Vec<ReadText>, LmError>,
) -> Result<(), LmError> {
    let room = room(model, Role::Document)?;
    let texts = distinct_texts(requests);
    let mut done = 0;
    for slice in slices(&texts, |t| t.text.len()) {
        let cut: Vec<Vec<&str>> = slice
            .iter()
            .map(|t| pieces(model, settings.long_text, room, &t.text))
            .collect::<Result<_, _>>()?;
        for (text, found) in slice.iter().zip(read(slice, &cut)?) {
            for (nth, (place, score)) in text.places.iter().zip(found.scores).enumerate() {
                let id = &requests[place.request].candidates[place.candidate].document.id;
                let account = &mut accounts[place.request];
                account.scores[place.candidate] = score;
                account.enter(id, &found.lengths, nth == 0);
            }
        }
        done += slice.len();
        settings.report(done, texts.len());
    }
    Ok(())
}

/// What is said of a text that is longer than what is read of it.
pub(crate) fn refusal(what: &str, tokens: usize, room: usize) -> String {
    format!(
        "{what} has {tokens} tokens, the model reads {room}; shorten it, or let long texts be cut (`truncate`) or read in \
         pieces (`chunk-max`)"
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
    if let Some(tokens) = beyond(model, &request.query.text, room_of_query)? {
        return Ok(Some(refusal("the query", tokens, room_of_query)));
    }
    let room = room(model, Role::Document)?;
    for candidate in &request.candidates {
        if let Some(tokens) = beyond(model, &candidate.document.model_text(), room)? {
            return Ok(Some(refusal(&format!("document `{}`", candidate.document.id), tokens, room)));
        }
    }
    Ok(None)
}

/// The tokens of a text when they are more than there is room for.
pub(crate) fn beyond<M: TextModel + ?Sized>(
    model: &M,
    text: &str,
    room: usize,
) -> Result<Option<usize>, LmError> {
    // Every token is at least one byte.
    if text.len() <= room {
        return Ok(None);
    }
    let tokens = model.token_spans(text)?.len();
    Ok((tokens > room).then_some(tokens))
}
