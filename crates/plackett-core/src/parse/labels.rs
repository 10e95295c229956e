//! The labels in an answer: where they stand, and how they hang together.

use super::digits::{Plain, plain};

/// How passages are labelled in the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LabelStyle {
    /// `[1]`, `[2]`, …
    #[default]
    Numbers,
    /// `[A]`, `[B]`, … up to `[Z]` (FIRST); lower case is taken inside brackets.
    Letters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// A label that may or may not have brackets; from 0, `None` when no passage can have it.
    Label(Option<usize>),
    Open,
    Close,
    Greater,
    /// Comma, semicolon, equals sign.
    Separator,
    Newline,
    Space,
    Other,
}

/// A label in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// From 0; `None` when it stands for no passage at all (0, or too large a number).
    pub label: Option<usize>,
    /// Whether it belongs to the mention before it: only brackets, spaces and signs like `>` stand between them.
    pub linked: bool,
}

/// All mentions of an answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Mentions {
    pub mentions: Vec<Mention>,
    /// Whether labels have brackets.
    pub bracketed: bool,
    /// Whether there is nothing in the answer but labels, brackets, spaces and signs.
    pub pure: bool,
}

/// Finds the labels. Where some have brackets, one without counts only at the very start (the prompt may have ended
/// with the opening one) or beside a `>`: other numbers, such as those of a list, are no labels then.
pub(super) fn mentions(text: &str, style: LabelStyle) -> Mentions {
    let tokens = tokens(text, style);
    let pure = !tokens.contains(&Token::Other);
    let ignored = |token: &Token| matches!(token, Token::Space | Token::Newline);
    let before = |at: usize| tokens[..at].iter().rev().find(|token| !ignored(token)).copied();
    let after = |at: usize| tokens[at + 1..].iter().find(|token| !ignored(token)).copied();
    let in_brackets = |at: usize| {
        let closed = after(at) == Some(Token::Close);
        closed && (before(at) == Some(Token::Open) || before(at).is_none())
    };
    let labels: Vec<usize> = (0..tokens.len()).filter(|&at| matches!(tokens[at], Token::Label(_))).collect();
    let bracketed = labels.iter().any(|&at| in_brackets(at));
    let counts = |at: usize| {
        let beside = [before(at), after(at)].contains(&Some(Token::Greater));
        !bracketed || in_brackets(at) || beside
    };
    let mut found = Mentions { mentions: Vec::new(), bracketed, pure };
    let mut last = None;
    for at in labels.into_iter().filter(|&at| counts(at)) {
        let Token::Label(label) = tokens[at] else { continue };
        let linked = last.is_some_and(|last: usize| links(&tokens[last + 1..at], bracketed || pure));
        found.mentions.push(Mention { label, linked });
        last = Some(at);
    }
    found
}

/// Whether tokens between two labels tie them together. Mere spaces do so only where no words are about.
fn links(between: &[Token], spaces: bool) -> bool {
    let ties = |token: &Token| !matches!(token, Token::Other | Token::Label(_));
    let sign = |token: &Token| !matches!(token, Token::Space);
    between.iter().all(ties) && (spaces || between.iter().any(sign))
}

fn tokens(text: &str, style: LabelStyle) -> Vec<Token> {
    // Some servers answer in HTML.
    let text = text.replace("&gt;", ">");
    let mut tokens = Vec::new();
    let characters: Vec<Plain> = text.chars().map(plain).collect();
    let mut at = 0;
    while at < characters.len() {
        let first = at;
        at += 1;
        tokens.push(match characters[first] {
            Plain::Number(number) if style == LabelStyle::Numbers => label(Some(number as usize)),
            Plain::Digit(_) => {
                while at < characters.len() && matches!(characters[at], Plain::Digit(_)) {
                    at += 1;
                }
                let number = (style == LabelStyle::Numbers && apart(&characters, first, at))
                    .then(|| number(&characters[first..at]));
                number.map_or(Token::Other, label)
            }
            Plain::Other(letter) if style == LabelStyle::Letters && letter.is_ascii_alphabetic() => {
                let inside = at >= 2 && matches!(characters[at - 2], Plain::Other('['));
                let counts = (letter.is_ascii_uppercase() || inside) && apart(&characters, first, at);
                match counts {
                    true => Token::Label(Some((letter.to_ascii_uppercase() as u8 - b'A') as usize)),
                    false => Token::Other,
                }
            }
            Plain::Other(other) => sign(other),
            Plain::Number(_) => Token::Other,
        });
    }
    tokens
}

fn sign(character: char) -> Token {
    match character {
        '[' | '(' => Token::Open,
        ']' | ')' => Token::Close,
        '>' => Token::Greater,
        ',' | ';' | '=' => Token::Separator,
        '\n' | '\r' => Token::Newline,
        other if other.is_whitespace() => Token::Space,
        _ => Token::Other,
    }
}

/// Whether neither neighbour of the run makes it part of a word or of a decimal number.
fn apart(characters: &[Plain], first: usize, after: usize) -> bool {
    let word = |at: Option<usize>| match at.and_then(|at| characters.get(at)) {
        Some(Plain::Other(other)) => other.is_alphanumeric() || *other == '_',
        Some(Plain::Digit(_)) => true,
        _ => false,
    };
    let point = |at: Option<usize>| {
        matches!(at.and_then(|at| characters.get(at)), Some(Plain::Other('.')))
            && matches!(at.and_then(|at| characters.get(at.wrapping_add(1))), Some(Plain::Digit(_)))
    };
    let fraction = first >= 2
        && matches!(characters[first - 1], Plain::Other('.'))
        && matches!(characters[first - 2], Plain::Digit(_));
    !word(first.checked_sub(1)) && !word(Some(after)) && !point(Some(after)) && !fraction
}

fn number(digits: &[Plain]) -> Option<usize> {
    digits.iter().try_fold(0usize, |number, digit| match digit {
        Plain::Digit(digit) => number.checked_mul(10)?.checked_add(*digit as usize),
        _ => None,
    })
}

/// Labels count from 1.
fn label(number: Option<usize>) -> Token {
    Token::Label(number.and_then(|number| number.checked_sub(1)))
}
