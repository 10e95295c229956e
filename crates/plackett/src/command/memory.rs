//! Amounts of memory as people write them.

/// Units and their bytes; the longer ones first, so that `GB` is not read as `B`.
const UNITS: [(&str, f64); 10] = [
    ("kib", 1024.0),
    ("mib", 1048576.0),
    ("gib", 1073741824.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("k", 1e3),
    ("m", 1e6),
    ("g", 1e9),
    ("b", 1.0),
];

/// Bytes of `2GB`, `1.5 GiB`, `700M` or a plain number of bytes. Letters may be small.
pub fn bytes(text: &str) -> Result<usize, String> {
    let expected = "an amount of memory is expected, such as 2GB, 700MiB or a number of bytes above 0";
    size(text).ok_or_else(|| expected.into())
}

/// The same for the length of a line.
pub fn line_bytes(text: &str) -> Result<usize, String> {
    let expected = "the length of a line is expected, such as 64KiB, 8MiB or a number of bytes above 0";
    size(text).ok_or_else(|| expected.into())
}

fn size(text: &str) -> Option<usize> {
    let lower = text.trim().to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, *factor)));
    let (number, factor) = unit.unwrap_or((&lower, 1.0));
    let bytes = (number.trim_end().parse::<f64>().ok()? * factor).round();
    // Beyond 2⁵³ a number of bytes is not exact, and no machine has so many.
    (1.0..=9e15).contains(&bytes).then_some(bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::{bytes, line_bytes};

    #[test]
    fn units_are_read_as_they_are_meant() {
        let known = [
            ("2GB", 2_000_000_000),
            ("1.5 GiB", 1_610_612_736),
            ("700m", 700_000_000),
            ("64KiB", 65_536),
            ("512 b", 512),
            ("1000", 1000),
        ];
        for (text, expected) in known {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "-1GB", "GB", "2TBX", "nan", "inf", "1e300GB", "0.2"] {
            assert!(bytes(text).is_err_and(|problem| problem.contains("2GB")), "{text}");
            assert!(
                line_bytes(text).is_err_and(|problem| problem.contains("the length of a line")),
                "{text}"
            );
        }
    }
}
