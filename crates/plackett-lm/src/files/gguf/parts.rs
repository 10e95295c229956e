//! Models that are split over several GGUF files, which are not read.

use crate::error::LmError;
use std::path::Path;

/// The number of a part and of all parts, from a name such as `model-00001-of-00003.gguf`.
pub(crate) fn part_of(path: &Path) -> Option<(u32, u32)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(number) || !digits(count) {
        return None;
    }
    Some((number.parse().ok()?, count.parse().ok()?)).filter(|(_, count)| *count > 1)
}

/// The error of a model in `count` parts, of which `part` is one.
pub(crate) fn split_error(part: &Path, count: u64) -> LmError {
    LmError::Unsupported {
        model: part.display().to_string(),
        wanted: "be opened".into(),
        reason: format!(
            "it is one of {count} parts of a model that is split over several GGUF files; join them with \
             `llama-gguf-split --merge FIRST_PART.gguf WHOLE.gguf`, or fetch the model in one file"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts() {
        let part = |name: &str| part_of(Path::new(name));
        assert_eq!(part("folder/some-model-Q4_K-00002-of-00003.gguf"), Some((2, 3)));
        for whole in
            ["model.gguf", "model-00001-of-00001.gguf", "a-1-of-2.gguf", "a-00001-of-00002.bin", "-of-.gguf"]
        {
            assert_eq!(part(whole), None, "{whole}");
        }
    }
}
