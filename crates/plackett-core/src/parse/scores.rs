//! Score sheets: a JSON object from labels to scores.

use super::answer::answer_text;
use serde_json::Value;

/// Scores read from a reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreSheet {
    /// For each passage its score, `None` where the reply gives none that counts.
    pub scores: Vec<Option<f64>>,
    /// Whether the reply held a sheet at all; without one the whole group has no score.
    pub readable: bool,
    /// Whether the JSON had to be mended.
    pub mended: bool,
    /// Entries dropped: labels of no passage, no number, or out of range.
    pub dropped: usize,
}

impl ScoreSheet {
    /// Passages without a score.
    pub fn missing(&self) -> usize {
        self.scores.iter().filter(|score| score.is_none()).count()
    }
}

/// Reads a sheet `{"[1]": 7, "[2]": 0, …}` for `passages` passages with scores from `least` to `most` (GroupRank:
/// whole numbers from 0 to 10). Keys may lack their brackets, values may be strings. The last fenced JSON block
/// counts, else the last `{…}`. Mended are a doubled closing bracket in a key and a closing brace that is missing
/// (GroupRank), and a comma before the brace. Where two spellings of one label stand, one score is kept and the
/// other dropped.
pub fn parse_scores(reply: &str, passages: usize, least: f64, most: f64) -> ScoreSheet {
    let mut sheet = ScoreSheet { scores: vec![None; passages], ..ScoreSheet::default() };
    let answer = answer_text(reply);
    if answer.unfinished_reasoning {
        return sheet;
    }
    let Some((entries, mended)) = object(answer.text) else { return sheet };
    sheet.readable = true;
    sheet.mended = mended;
    for (key, value) in entries {
        sheet.mended |= key.contains("]]");
        let label = key.trim().trim_matches(['[', ']']).trim().parse::<usize>().ok();
        let score = match &value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        let place = label.and_then(|label| label.checked_sub(1)).filter(|&place| place < passages);
        match (place, score.filter(|score| (least..=most).contains(score))) {
            (Some(place), Some(score)) if sheet.scores[place].is_none() => sheet.scores[place] = Some(score),
            _ => sheet.dropped += 1,
        }
    }
    sheet
}

/// The entries of the sheet, and whether it had to be mended.
fn object(text: &str) -> Option<(serde_json::Map<String, Value>, bool)> {
    let fenced = text.rsplit_once("```json").map(|(_, rest)| rest.split("```").next().unwrap_or(rest));
    [fenced, Some(text)].into_iter().flatten().find_map(|text| {
        let start = text.rfind('{')?;
        let end = text[start..].find('}').map(|at| start + at + 1);
        let body = &text[start..end.unwrap_or(text.len())];
        if let Ok(Value::Object(entries)) = serde_json::from_str(body) {
            return Some((entries, false));
        }
        let mut body = body.to_string();
        if end.is_none() {
            // An answer that was cut may end inside an entry, which is dropped then.
            let whole = body.trim_end().trim_end_matches(['`', ',']).trim_end().to_string();
            let shorter = body.rsplit_once(',').map(|(rest, _)| rest.to_string());
            return [Some(whole), shorter].into_iter().flatten().find_map(|rest| parsed(&(rest + "}")));
        }
        // A comma before the brace.
        if let Some(rest) =
            body.strip_suffix('}').map(|rest| rest.trim_end().trim_end_matches(',').to_string())
        {
            body = rest + "}";
        }
        parsed(&body)
    })
}

fn parsed(body: &str) -> Option<(serde_json::Map<String, Value>, bool)> {
    match serde_json::from_str(body) {
        Ok(Value::Object(entries)) if !entries.is_empty() => Some((entries, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &str) -> ScoreSheet {
        parse_scores(reply, 3, 0.0, 10.0)
    }

    #[test]
    fn sheets_are_read_from_the_form_of_the_paper() {
        let reply = "<reason>{\"[1]\": 0}</reason><answer>\n```json\n{\"[1]\": 7, \"[2]\": 0,\n\"[3]\": 10}\n```</answer>";
        let sheet = read(reply);
        assert_eq!(sheet.scores, [Some(7.0), Some(0.0), Some(10.0)]);
        assert!(sheet.readable && !sheet.mended && sheet.dropped == 0 && sheet.missing() == 0);
        assert_eq!(read("{\"1\": \"7\", \" [3] \": 2.5}").scores, [Some(7.0), None, Some(2.5)]);
    }

    #[test]
    fn faults_are_mended_or_said() {
        let doubled = read("{\"[1]]\": 7, \"[2]\": 1}");
        assert_eq!((doubled.scores, doubled.mended), (vec![Some(7.0), Some(1.0), None], true));
        assert_eq!(read("{\"[1]\": 7, \"[2]\": 1,}").scores, [Some(7.0), Some(1.0), None]);
        assert_eq!(read("{\"[1]\": 7, \"[2]\": 1").scores, [Some(7.0), Some(1.0), None]);
        assert_eq!(read("{\"[1]\": 7, \"[2]\": 1, \"[3").scores, [Some(7.0), Some(1.0), None]);
        let odd = read("{\"[1]\": 11, \"[2]\": true, \"[9]\": 1, \"x\": 1, \"[3]\": 4}");
        assert_eq!((odd.scores, odd.dropped), (vec![None, None, Some(4.0)], 4));
        for unreadable in ["", "no", "{", "}{", "[1, 2]", "<think>{\"[1]\": 1}", "{\"[1]\" 7}"] {
            let sheet = read(unreadable);
            assert!(!sheet.readable && sheet.missing() == 3, "{unreadable}");
        }
        assert!(read("{}").readable);
    }
}
