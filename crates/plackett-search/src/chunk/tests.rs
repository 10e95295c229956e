use super::*;
use crate::Embedded;
use proptest::prelude::*;

/// A model whose tokens are words, and which reads so many.
struct Words(usize);

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Embedder for Words {
    fn dim(&self) -> usize {
        1
    }

    fn most_tokens(&self) -> Result<Option<usize>, Failure> {
        Ok(Some(self.0))
    }

    fn token_spans(&self, text: &str) -> Result<Option<Vec<Range<usize>>>, Failure> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(Some(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect()))
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Failure> {
        Ok(Embedded { vectors: vec![1.0; texts.len()], ..Embedded::default() })
    }
}

fn cut(chunking: &str, document: &Document, model: Option<&Words>) -> Vec<String> {
    let chunking: Chunking = chunking.parse().unwrap();
    let ranges = chunking.cut(document, model.map(|model| model as &dyn Embedder)).unwrap();
    ranges.into_iter().map(|range| document.text[range].to_string()).collect()
}

fn titled(title: &str, text: &str) -> Document {
    Document { title: title.into(), ..Document::new("d", text) }
}

#[test]
fn a_way_of_cutting_is_read_in_short_and_in_full() {
    for (written, kept) in [
        ("200/50", "tokens(size=200, overlap=50)"),
        (" 80 ", "tokens(size=80)"),
        ("tokens", "tokens(size=200)"),
        ("words:20/0", "tokens(size=20, overlap=0)"),
        ("sentences:5", "sentences(count=5)"),
        ("sentences(overlap=1, count=3)", "sentences(count=3, overlap=1)"),
        ("Headings", "headings"),
        ("headings:300/20", "headings(size=300, overlap=20)"),
    ] {
        let chunking: Chunking = written.parse().unwrap();
        assert_eq!(chunking.to_string(), kept);
        assert_eq!(kept.parse::<Chunking>().unwrap(), chunking);
        let json = serde_json::to_string(&chunking).unwrap();
        assert_eq!(serde_json::from_str::<Chunking>(&json).unwrap(), chunking);
    }
    for (written, said) in [
        ("0", "size is `0`"),
        ("50/50", "cannot share 50"),
        ("sentences:1/1", "cannot share 1"),
        ("200/50/3", "too many numbers"),
        ("200/", "overlap is ``"),
        ("sentence:5", "did you mean `sentences`?"),
        ("tokens(sise=3)", "did you mean"),
        ("tokens(size=3", "`)` is missing"),
        ("", "nothing is written"),
    ] {
        let error = written.parse::<Chunking>().unwrap_err().to_string();
        assert!(error.contains(said), "{written}: {error}");
    }
}

#[test]
fn windows_share_tokens_and_leave_room_for_the_title() {
    let text = "a b c d e f g h";
    let document = Document::new("d", text);
    assert_eq!(cut("3/1", &document, None), ["a b c", "c d e", "e f g", "g h"]);
    assert_eq!(cut("4/0", &document, None), ["a b c d ", "e f g h"]);
    assert_eq!(cut("8", &document, None), [text]);
    // Six are read; the title takes two, and the blank may take one.
    assert_eq!(cut("5/0", &titled("x y", text), Some(&Words(6))), ["a b c ", "d e f ", "g h"]);
    assert_eq!(cut("5/0", &titled("", text), Some(&Words(6))), ["a b c d e ", "f g h"]);
    // A title that is all the model reads leaves a quarter.
    assert_eq!(cut("5/0", &titled(text, text), Some(&Words(8)))[0], "a b ");
    assert_eq!(cut("5/0", &Document::new("d", ""), None), [""]);
    assert_eq!(cut("5/0", &Document::new("d", " \n"), None), [" \n"]);
}

#[test]
fn sentences_stay_whole_where_they_fit() {
    let text = "One is short. Two goes on\nin a second line! Three?\n\n- Four\n- Five\n";
    let document = Document::new("d", text);
    let passages = cut("sentences:2/0", &document, None);
    assert_eq!(passages, ["One is short. Two goes on\nin a second line! ", "Three?\n\n- Four\n", "- Five\n"]);
    assert_eq!(cut("sentences:2/1", &document, None).len(), 4);
    // A sentence that is longer than the model reads is cut, and no other shares its passages where there is no room.
    let long = Document::new("d", "A b. C d e f g h i j k. L m.");
    assert_eq!(
        cut("sentences:3/0", &long, Some(&Words(4))),
        ["A b. ", "C d e f ", "g h i j ", "k. ", "L m."]
    );
}

#[test]
fn sections_begin_at_headings_that_are_headings() {
    let text =
        "Before.\n\n# One\n\n## Two\nWords.\n\n```\n# no heading\n```\n\nThree\n=====\nMore words here.\n";
    let document = Document::new("d", text);
    let passages = cut("headings", &document, None);
    let begin = ["Before.", "# One\n\n## Two", "Three\n====="];
    assert_eq!(passages.len(), 3, "{passages:?}");
    assert!(passages.iter().zip(begin).all(|(passage, begin)| passage.starts_with(begin)), "{passages:?}");
    let read = Document {
        headings: Some(vec![6..9, 17..20]),
        ..Document::new("d", "Words\nOne\nUnder.\nTwo\nUnder too.")
    };
    assert_eq!(cut("headings", &read, None), ["Words\n", "One\nUnder.\n", "Two\nUnder too."]);
    let small = cut("headings:2/0", &document, None);
    assert!(small.len() > 5 && small.contains(&"words here.\n".to_string()), "{small:?}");
    assert_eq!(cut("headings", &Document::new("d", "no headings at all"), None).len(), 1);
}

#[test]
fn passages_longer_than_the_model_reads_and_too_many_are_refused() {
    let chunking: Chunking = "300/0".parse().unwrap();
    let error = chunking.check(&Words(254)).unwrap_err().to_string();
    assert!(error.contains("300") && error.contains("at most 254"), "{error}");
    assert!("sentences:900".parse::<Chunking>().unwrap().check(&Words(254)).is_ok());
    let many = Document::new("many", "a ".repeat(MOST_PASSAGES + 1));
    let error = "1/0".parse::<Chunking>().unwrap().cut(&many, None).unwrap_err().to_string();
    assert!(error.contains("`many`") && error.contains("100001 passages"), "{error}");
}

#[test]
fn ids_of_passages_lead_to_their_documents() {
    assert_eq!(passage_id("a#b", 12), "a#b#12");
    assert_eq!(document_of("a#b#12"), Some("a#b"));
    for other in ["a", "a#", "a#b", "#1", "a#1b", "a#-1"] {
        assert_eq!(document_of(other), None, "{other}");
    }
    assert_eq!((document_of_first("a#1"), document_of_first("a#11")), (Some("a"), None));
}

proptest! {
    #[test]
    fn passages_cover_their_text_in_order(
        text in "(# [a-z]{1,5}\n|[A-Za-zéß]{1,9}|[.!?] |[ \n\t]{1,3}|日本語|\\PC){0,60}",
        size in 1usize..9,
        share in 0usize..9,
        room in 1usize..20,
        kind in 0usize..3,
        with_model: bool,
    ) {
        let name = ["tokens", "sentences", "headings"][kind];
        let chunking: Chunking = format!("{name}:{size}/{}", share % size).parse().unwrap();
        let (document, model) = (titled("a title", &text), Words(room));
        let model = with_model.then_some(&model as &dyn Embedder);
        let ranges = chunking.cut(&document, model).unwrap();
        prop_assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, text.len()));
        for pair in ranges.windows(2) {
            prop_assert!(pair[0].start < pair[1].start && pair[1].start <= pair[0].end && pair[0].end <= pair[1].end, "{ranges:?}");
        }
        for range in ranges {
            let words = text.get(range).unwrap().split_whitespace().count();
            prop_assert!(!with_model || words <= room.saturating_sub(3).max(room / 4).max(1), "{words}");
        }
    }
}
