//! Characters that stand for ASCII digits, letters, brackets and `>`.

/// First characters of runs of ten digits 0 to 9: the decimal digits (Nd) of Unicode 16 that old and new models
/// write, and superscripts and subscripts where they are runs.
const DECIMAL_RUNS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0x2080, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
    0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Whole numbers in one character: first character, its number, how many follow each other.
const NUMBER_RUNS: &[(u32, u32, u32)] = &[
    (0x2460, 1, 20), // circled
    (0x2474, 1, 20), // in parentheses
    (0x2488, 1, 20), // with a full stop
    (0x24f5, 1, 10), // doubly circled
    (0x2776, 1, 10), // negative circled
    (0x2780, 1, 10), // circled, sans serif
    (0x278a, 1, 10), // negative circled, sans serif
];

/// What a character counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// A digit that numbers are made of.
    Digit(u32),
    /// A whole number of its own.
    Number(u32),
    /// Any other character, brackets and `>` in their ASCII form.
    Other(char),
}

pub(super) fn plain(character: char) -> Plain {
    let code = character as u32;
    if let Some(digit) = character.to_digit(10) {
        return Plain::Digit(digit);
    }
    if character.is_ascii() {
        return Plain::Other(character);
    }
    match character {
        '²' => return Plain::Digit(2),
        '³' => return Plain::Digit(3),
        '¹' => return Plain::Digit(1),
        '⁰' => return Plain::Digit(0),
        '⁴'..='⁹' => return Plain::Digit(code - 0x2070),
        '［' | '【' | '〔' | '⟦' => return Plain::Other('['),
        '］' | '】' | '〕' | '⟧' => return Plain::Other(']'),
        '＞' | '≻' | '›' | '»' | '→' | '⇒' => return Plain::Other('>'),
        '，' | '、' | '；' => return Plain::Other(','),
        'Ａ'..='Ｚ' => return Plain::Other((b'A' + (code - 'Ａ' as u32) as u8) as char),
        _ => {}
    }
    if let Some(&(first, number, _)) =
        NUMBER_RUNS.iter().find(|(first, _, count)| (*first..first + count).contains(&code))
    {
        return Plain::Number(number + code - first);
    }
    let run = DECIMAL_RUNS.partition_point(|&first| first <= code).checked_sub(1);
    match run.map(|run| code - DECIMAL_RUNS[run]) {
        Some(digit) if digit < 10 => Plain::Digit(digit),
        _ => Plain::Other(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_many_scripts_are_digits() {
        assert!(DECIMAL_RUNS.is_sorted());
        let read = |text: &str| text.chars().map(plain).collect::<Vec<_>>();
        for (text, digits) in [
            ("07", [0, 7]),
            ("٠٧", [0, 7]),
            ("०७", [0, 7]),
            ("０７", [0, 7]),
            ("⁰⁷", [0, 7]),
            ("₀₇", [0, 7]),
            ("¹³", [1, 3]),
        ] {
            assert_eq!(read(text), digits.map(Plain::Digit), "{text}");
        }
        assert_eq!(read("①⑳❿⒈"), [1, 20, 10, 1].map(Plain::Number));
        assert_eq!(read("【Ｂ】≻é"), ['[', 'B', ']', '>', 'é'].map(Plain::Other));
        // Not one ASCII character changes.
        for character in (0..128u8).map(char::from).filter(|c| !c.is_ascii_digit()) {
            assert_eq!(plain(character), Plain::Other(character));
        }
        // A value of 10 or more would be no digit.
        assert!((0..=0x10ffff).filter_map(char::from_u32).all(|c| !matches!(plain(c), Plain::Digit(10..))));
    }
}
