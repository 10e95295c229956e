//! The words of a page: strings are put where the page puts them, and what lies apart is parted.
//!
//! A PDF has no words and no lines, only strings at places. A string that begins beside the end of the one before goes on with
//! its word; one that begins further off begins a word, and one that is lower or higher a line. The order is that of the
//! page's commands, which is the order of reading in nearly all files.

use super::font::{Font, for_reading};
use super::packed::{ends, unpacks};
use super::reader::LARGEST_STREAM;
use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, ObjectId, Stream};
use std::collections::HashMap;

/// How deep drawings may lie in drawings, and how many of them a document may have drawn: they can draw themselves.
const DEEPEST: usize = 8;
const MOST_DRAWINGS: usize = 20_000;
/// Bytes of commands that are carried out for a document, those of a drawing each time that it is drawn: a small file can ask for years of work.
const MOST_COMMANDS: usize = 256 << 20;
/// Gaps in parts of a letter's size: from the first on there is a blank, from the second on, up or down, a new line.
const BLANK: f32 = 0.15;
const LINE: f32 = 0.5;

/// A page that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable;

/// A mapping of the plane: `[a b c d e f]` of the format.
type Matrix = [f32; 6];
const UNIT: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// First `m`, then `n`.
fn joined(m: &Matrix, n: &Matrix) -> Matrix {
    [
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    ]
}

/// What commands set and `q` and `Q` keep.
#[derive(Clone)]
struct State {
    plane: Matrix,
    font: Vec<u8>,
    size: f32,
    between_letters: f32,
    between_words: f32,
    stretch: f32,
    leading: f32,
}

/// Reads the pages of a document.
pub(super) struct PageText<'d> {
    document: &'d Document,
    drawings: usize,
    /// Bytes of commands that may yet be carried out.
    pub(super) left: usize,
    text: String,
    /// Where the last string ended, and how large its letters were.
    end: Option<(f32, f32, f32)>,
    /// Whether all drawings of the page unpacked to their ends.
    drew_whole: bool,
    /// Whether each drawing does that was drawn before, by where its stream is in the document.
    ends: HashMap<*const Stream, bool>,
}

impl<'d> PageText<'d> {
    pub(super) fn new(document: &'d Document) -> PageText<'d> {
        let left = MOST_COMMANDS;
        let (text, ends) = (String::new(), HashMap::new());
        PageText { document, drawings: 0, left, text, end: None, drew_whole: true, ends }
    }

    /// Whether a page and its commands are in the file and unpack to their ends: the library passes over what is not, and gives
    /// an empty page for one that is not there.
    pub(super) fn is_whole(&self, page: ObjectId) -> bool {
        let document = self.document;
        let mut contents = document.get_page_contents(page).into_iter();
        let unpacks = |id| match document.get_object(id) {
            Ok(Object::Stream(stream)) => unpacks(stream),
            Ok(Object::Null) => true,
            _ => false,
        };
        self.left > 0 && document.get_dictionary(page).is_ok() && contents.all(unpacks)
    }

    /// The words of one page.
    pub(super) fn of(&mut self, page: ObjectId) -> Result<String, Unreadable> {
        self.text.clear();
        self.end = None;
        self.drew_whole = true;
        if self.left == 0 {
            return Err(Unreadable);
        }
        let document = self.document;
        let bytes = document.get_page_content_with_limit(page, LARGEST_STREAM).map_err(|_| Unreadable)?;
        let (own, ids) = document.get_page_resources(page).map_err(|_| Unreadable)?;
        let mut resources: Vec<&Dictionary> = own.into_iter().collect();
        resources.extend(ids.iter().filter_map(|id| document.get_dictionary(*id).ok()));
        self.run(&bytes, &resources, UNIT, 0)?;
        Ok(self.text.trim().to_string())
    }

    /// Whether all drawings of the page that was read last unpacked to their ends.
    pub(super) fn drew_whole(&self) -> bool {
        self.drew_whole
    }

    /// Carries out the commands of a page or drawing.
    fn run(
        &mut self,
        bytes: &[u8],
        resources: &[&'d Dictionary],
        plane: Matrix,
        depth: usize,
    ) -> Result<(), Unreadable> {
        // What goes beyond the limit is not begun, and nothing after it.
        let left = self.left.checked_sub(bytes.len());
        self.left = left.unwrap_or_default();
        left.ok_or(Unreadable)?;
        let content = Content::decode(bytes).map_err(|_| Unreadable)?;
        let document = self.document;
        let dictionaries: Vec<(&[u8], &Dictionary, Dictionary)> = entries(document, resources, b"Font")
            .filter_map(|(name, font)| Some((name, font.as_dict().ok()?)))
            .map(|(name, font)| (name, font, for_reading(font)))
            .collect();
        // The nearest resources come first and count.
        let fonts =
            dictionaries.iter().rev().map(|(name, own, reading)| (*name, Font::of(reading, own, document)));
        let fonts: HashMap<&[u8], Font<'_>> = fonts.collect();
        let mut run = Run {
            state: State {
                plane,
                font: Vec::new(),
                size: 0.0,
                between_letters: 0.0,
                between_words: 0.0,
                stretch: 1.0,
                leading: 0.0,
            },
            kept: Vec::new(),
            pen: UNIT,
            line: UNIT,
        };
        for operation in &content.operations {
            if operation.operator == "Do" {
                self.draw(operation, resources, &run.state.plane, depth)?;
            } else {
                run.carry_out(operation, &fonts, self);
            }
        }
        Ok(())
    }

    /// Carries out a drawing that is kept elsewhere in the file.
    fn draw(
        &mut self,
        operation: &Operation,
        resources: &[&'d Dictionary],
        plane: &Matrix,
        depth: usize,
    ) -> Result<(), Unreadable> {
        let Some(Object::Name(name)) = operation.operands.first() else { return Ok(()) };
        let found = entries(self.document, resources, b"XObject").find(|(known, _)| known == name);
        let Some(stream) = found.and_then(|(_, object)| object.as_stream().ok()) else { return Ok(()) };
        let is_form = stream.dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"Form");
        if !is_form || depth >= DEEPEST || self.drawings >= MOST_DRAWINGS {
            return Ok(());
        }
        self.drawings += 1;
        self.run_form(stream, resources, plane, depth)
    }

    fn run_form(
        &mut self,
        stream: &'d Stream,
        resources: &[&'d Dictionary],
        plane: &Matrix,
        depth: usize,
    ) -> Result<(), Unreadable> {
        // Unpacking is work as well: what is beyond the limit is not begun.
        if self.left == 0 {
            return Err(Unreadable);
        }
        let bytes = stream.get_plain_content_with_limit(LARGEST_STREAM).map_err(|_| Unreadable)?;
        self.drew_whole &= *self.ends.entry(std::ptr::from_ref(stream)).or_insert_with(|| ends(stream));
        let own = stream.dict.get_deref(b"Resources", self.document).and_then(|own| own.as_dict());
        let own = own.ok().map(|own| vec![own]);
        let matrix = stream.dict.get_deref(b"Matrix", self.document).and_then(|matrix| matrix.as_array());
        let matrix = matrix.ok().and_then(|matrix| numbers(matrix)).unwrap_or(UNIT);
        self.run(&bytes, own.as_deref().unwrap_or(resources), joined(&matrix, plane), depth + 1)
    }

    /// Puts a string where it begins, behind what was there.
    fn put(&mut self, text: &str, from: (f32, f32), to: (f32, f32), size: f32) {
        if let Some((x, y, last)) = self.end {
            let size = size.max(last).max(f32::EPSILON);
            let (right, up) = ((from.0 - x) / size, (from.1 - y) / size);
            if up.abs() > LINE {
                self.part('\n');
            } else if !(-1.0..=BLANK).contains(&right) {
                self.part(' ');
            }
        }
        self.text.push_str(text);
        self.end = Some((to.0, to.1, size));
    }

    fn part(&mut self, with: char) {
        if with == '\n' {
            let kept = self.text.trim_end_matches(' ').len();
            self.text.truncate(kept);
        }
        if !self.text.is_empty() && !self.text.ends_with(char::is_whitespace) {
            self.text.push(with);
        }
    }
}

/// What resources have of a kind, by name, the nearest first.
fn entries<'d>(
    document: &'d Document,
    resources: &[&'d Dictionary],
    kind: &'static [u8],
) -> impl Iterator<Item = (&'d [u8], &'d Object)> {
    let kinds = resources
        .iter()
        .copied()
        .filter_map(move |known| known.get_deref(kind, document).ok()?.as_dict().ok());
    kinds.flat_map(move |known| {
        known
            .iter()
            .filter_map(move |(name, object)| Some((name.as_slice(), document.dereference(object).ok()?.1)))
    })
}

/// The numbers of a command.
fn numbers<const N: usize>(operands: &[Object]) -> Option<[f32; N]> {
    let mut numbers = [0.0; N];
    for (place, operand) in numbers.iter_mut().zip(operands.get(..N)?) {
        *place = operand.as_float().ok().filter(|number| number.is_finite())?;
    }
    Some(numbers)
}

/// One run through the commands of a page or drawing.
struct Run {
    state: State,
    kept: Vec<State>,
    /// Where the next letter goes, and where the line begins.
    pen: Matrix,
    line: Matrix,
}

impl Run {
    fn carry_out(&mut self, operation: &Operation, fonts: &HashMap<&[u8], Font<'_>>, out: &mut PageText<'_>) {
        let Operation { operator, operands } = operation;
        match operator.as_str() {
            "q" if self.kept.len() < 1000 => self.kept.push(self.state.clone()),
            "Q" => self.state = self.kept.pop().unwrap_or_else(|| self.state.clone()),
            "cm" => {
                if let Some(matrix) = numbers(operands) {
                    self.state.plane = joined(&matrix, &self.state.plane);
                }
            }
            "BT" => (self.pen, self.line) = (UNIT, UNIT),
            "Tf" => {
                if let [Object::Name(name), size] = operands.as_slice() {
                    self.state.font.clone_from(name);
                    self.state.size = size.as_float().unwrap_or(0.0);
                }
            }
            "Tc" | "Tw" | "Tz" | "TL" => self.set(operator, operands),
            "Td" | "TD" => {
                let Some([right, up]) = numbers(operands) else { return };
                if operator == "TD" {
                    self.state.leading = -up;
                }
                self.move_line(right, up);
            }
            "Tm" => {
                if let Some(matrix) = numbers(operands) {
                    (self.pen, self.line) = (matrix, matrix);
                }
            }
            "T*" => self.next_line(),
            "Tj" | "TJ" => self.show(operands, fonts, out),
            "'" | "\"" => {
                self.next_line();
                self.show(operands.get(operands.len().saturating_sub(1)..).unwrap_or_default(), fonts, out);
            }
            _ => {}
        }
    }

    fn set(&mut self, operator: &str, operands: &[Object]) {
        let Some([value]) = numbers(operands) else { return };
        match operator {
            "Tc" => self.state.between_letters = value,
            "Tw" => self.state.between_words = value,
            "Tz" => self.state.stretch = value / 100.0,
            _ => self.state.leading = value,
        }
    }

    fn move_line(&mut self, right: f32, up: f32) {
        self.line = joined(&[1.0, 0.0, 0.0, 1.0, right, up], &self.line);
        self.pen = self.line;
    }

    fn next_line(&mut self) {
        self.move_line(0.0, -self.state.leading);
    }

    /// Shows strings, between which numbers move the pen back by thousandths of the size.
    fn show(&mut self, operands: &[Object], fonts: &HashMap<&[u8], Font<'_>>, out: &mut PageText<'_>) {
        for operand in operands {
            match operand {
                Object::Array(parts) => self.show_parts(parts, fonts, out),
                part => self.show_parts(std::slice::from_ref(part), fonts, out),
            }
        }
    }

    fn show_parts(&mut self, parts: &[Object], fonts: &HashMap<&[u8], Font<'_>>, out: &mut PageText<'_>) {
        for part in parts {
            match part {
                Object::String(bytes, _) => self.show_string(bytes, fonts, out),
                number => {
                    let back = number.as_float().unwrap_or(0.0);
                    self.advance(-back / 1000.0 * self.state.size * self.state.stretch);
                }
            }
        }
    }

    fn show_string(&mut self, bytes: &[u8], fonts: &HashMap<&[u8], Font<'_>>, out: &mut PageText<'_>) {
        let Some(font) = fonts.get(self.state.font.as_slice()) else {
            // Letters of a font that is not there cannot be told.
            let at = self.place();
            return out.put(char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]), at, at, self.size());
        };
        let from = self.place();
        let State { size, between_letters, between_words, stretch, .. } = self.state;
        let width: f32 = font
            .advances(bytes)
            .map(|(width, blank)| {
                width / 1000.0 * size + between_letters + if blank { between_words } else { 0.0 }
            })
            .sum();
        self.advance(width * stretch);
        let to = self.place();
        out.put(&font.text(bytes), from, to, self.size());
    }

    fn advance(&mut self, by: f32) {
        self.pen = joined(&[1.0, 0.0, 0.0, 1.0, by, 0.0], &self.pen);
    }

    /// Where the pen is on the page.
    fn place(&self) -> (f32, f32) {
        let at = joined(&self.pen, &self.state.plane);
        (at[4], at[5])
    }

    /// The size of letters on the page.
    fn size(&self) -> f32 {
        let at = joined(&self.pen, &self.state.plane);
        (at[2].hypot(at[3]) * self.state.size).abs()
    }
}
