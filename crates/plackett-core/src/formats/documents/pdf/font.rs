//! Fonts: which characters a string shows, and how far it moves the pen.

use super::reader::LARGEST_STREAM;
use lopdf::{Dictionary, Document, Encoding, Object};
use std::collections::HashMap;

/// Widths of a font that are kept at most: a font of two bytes has no more codes.
const MOST_WIDTHS: usize = 1 << 16;

/// A font of a page.
pub(super) struct Font<'a> {
    encoding: Option<Encoding<'a>>,
    /// Widths of codes, in thousandths of the size.
    widths: HashMap<u32, f32>,
    usual: f32,
    /// Whether a code has two bytes, as in all fonts that are made of others.
    wide: bool,
}

/// The dictionary from which a font is read. A map to characters is truer than the names of its letters, which are made up in
/// many fonts that hold a part of their letters only.
pub(super) fn for_reading(font: &Dictionary) -> Dictionary {
    let mut font = font.clone();
    if font.has(b"ToUnicode") {
        font.remove(b"Encoding");
    }
    font
}

impl<'a> Font<'a> {
    /// A font by what [`for_reading`] gave and by its own dictionary.
    pub(super) fn of(reading: &'a Dictionary, own: &Dictionary, document: &'a Document) -> Font<'a> {
        let encoding = reading.get_font_encoding_with_limit(document, LARGEST_STREAM).ok();
        let wide = own.get(b"Subtype").and_then(Object::as_name).is_ok_and(|name| name == b"Type0");
        let (widths, usual) =
            if wide { widths_of_wide(own, document) } else { widths_of_simple(own, document) };
        Font { encoding, widths, usual, wide }
    }

    /// The characters of a string.
    pub(super) fn text(&self, bytes: &[u8]) -> String {
        let text = self.encoding.as_ref().and_then(|encoding| Document::decode_text(encoding, bytes).ok());
        text.unwrap_or_else(|| char::REPLACEMENT_CHARACTER.to_string())
    }

    /// The widths of the codes of a string, and whether each is a blank, which can be widened.
    pub(super) fn advances(&self, bytes: &[u8]) -> impl Iterator<Item = (f32, bool)> {
        let size = if self.wide { 2 } else { 1 };
        bytes.chunks(size).map(move |code| {
            let code = code.iter().fold(0u32, |code, byte| code << 8 | u32::from(*byte));
            (self.widths.get(&code).copied().unwrap_or(self.usual), size == 1 && code == 32)
        })
    }
}

fn number(object: &Object, document: &Document) -> Option<f32> {
    let object = document.dereference(object).map_or(object, |(_, object)| object);
    object.as_float().ok().filter(|number| number.is_finite())
}

fn widths_of_simple(font: &Dictionary, document: &Document) -> (HashMap<u32, f32>, f32) {
    let first = font.get(b"FirstChar").ok().and_then(|first| number(first, document)).unwrap_or(0.0) as u32;
    let widths = font.get_deref(b"Widths", document).and_then(|widths| widths.as_array());
    let widths: HashMap<u32, f32> = widths.map_or_else(
        |_| HashMap::new(),
        |widths| {
            let widths = widths.iter().take(256).enumerate();
            widths
                .filter_map(|(nth, width)| Some((first.saturating_add(nth as u32), number(width, document)?)))
                .collect()
        },
    );
    let described = font.get_deref(b"FontDescriptor", document).and_then(|known| known.as_dict());
    let missing = described.ok().and_then(|known| number(known.get(b"MissingWidth").ok()?, document));
    // The fourteen fonts that every reader has need no widths; half of the size is what a letter of theirs takes.
    let usual = missing.filter(|width| *width > 0.0).unwrap_or(500.0);
    (widths, usual)
}

/// Widths of a font that is made of another one: `[first [width …] first last width …]`.
fn widths_of_wide(font: &Dictionary, document: &Document) -> (HashMap<u32, f32>, f32) {
    let mut widths = HashMap::new();
    let below = font.get_deref(b"DescendantFonts", document).and_then(|fonts| fonts.as_array());
    let below = below.ok().and_then(|fonts| document.dereference(fonts.first()?).ok());
    let Some(Ok(below)) = below.map(|(_, font)| font.as_dict()) else { return (widths, 1000.0) };
    let usual = below.get(b"DW").ok().and_then(|width| number(width, document)).unwrap_or(1000.0);
    let Ok(list) = below.get_deref(b"W", document).and_then(|list| list.as_array()) else {
        return (widths, usual);
    };
    let mut at = 0;
    while let (Some(first), Some(second)) = (list.get(at), list.get(at + 1)) {
        let Some(first) = number(first, document) else { break };
        let first = first as u32;
        let second = document.dereference(second).map_or(second, |(_, object)| object);
        if let Ok(each) = second.as_array() {
            for (nth, width) in each.iter().take(MOST_WIDTHS).enumerate() {
                widths.extend(number(width, document).map(|width| (first.saturating_add(nth as u32), width)));
            }
            at += 2;
        } else {
            let width = list.get(at + 2).and_then(|width| number(width, document));
            let (Some(last), Some(width)) = (number(second, document), width) else { break };
            widths.extend((first..=last as u32).take(MOST_WIDTHS).map(|code| (code, width)));
            at += 3;
        }
        if widths.len() > MOST_WIDTHS {
            break;
        }
    }
    (widths, usual)
}
