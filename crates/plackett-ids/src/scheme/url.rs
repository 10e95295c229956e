//! Identifiers from URLs, with the title where the URL says little (Ultron's and DDRO's TU).

use super::text::{of_words, words_of};
use super::{DUPLICATES, Encoding, Reads, SchemeSpec, Source};
use crate::Item;
use plackett_core::counted;
use plackett_core::declaration::{OptionKind, OptionSpec, OptionValues};

/// The declaration.
pub static URL: SchemeSpec = SchemeSpec {
    name: "url",
    aliases: &["tu"],
    summary: "the words of the URL in square brackets, the last part of its path first and the domain last, where more than half of the parts are \
              words; else those of the title and the domain, or of the title alone",
    paper: "Ultron (2022); DDRO (2025)",
    reads: &[Reads::Urls],
    options: &[
        OptionSpec {
            name: "words",
            kind: OptionKind::Integer(0, 1000),
            default: Some("99"),
            help: "words at most; 0 for all",
        },
        DUPLICATES,
    ],
    holds: |_, sizes| 200 * sizes.items + 8 * sizes.text_bytes,
    encode: |options, source| Ok(encode(options, source)),
};

/// Parts of a path that say nothing of their page.
const PLAIN: [&str; 6] = ["index", "page", "item", "view", "default", "home"];
/// Endings of pages, which are not read.
const ENDINGS: [&str; 7] = ["html", "htm", "shtml", "php", "asp", "aspx", "jsp"];

fn encode(options: &OptionValues, source: &Source<'_>) -> Encoding {
    let mut encoding = of_words(source.items.iter().map(words), options);
    let without = source.items.iter().filter(|item| item.url.trim().is_empty()).count();
    encoding.remarks.extend((without > 0).then(|| {
        counted(
            without,
            "item has no URL; it has the words of its title",
            "items have no URL; they have the words of their title",
        )
    }));
    encoding
}

/// The words of an item.
fn words(item: &Item) -> Vec<String> {
    let (domain, parts) = parts(&item.url);
    let descriptive = parts.iter().filter(|part| is_descriptive(part)).count();
    let mut words: Vec<String> = match 2 * descriptive > parts.len() {
        true => parts.iter().rev().flat_map(|part| words_of(part)).collect(),
        false => words_of(&item.title),
    };
    words.extend(words_of(domain));
    words
}

/// Whether a part of a path says something of its page: it is no number, has more than two letters, and is no usual name of a page.
fn is_descriptive(part: &str) -> bool {
    let is_number = part.chars().all(|c| c.is_ascii_digit());
    !is_number && part.chars().count() > 2 && !PLAIN.contains(&part.to_lowercase().as_str())
}

/// The domain of a URL and the parts of its path, without what asks, points into the page, or ends the page's name.
fn parts(url: &str) -> (&str, Vec<String>) {
    // What asks, and the path too, may hold another URL: only the first `://` that has no `/` before it ends a protocol.
    let url = url.trim().split(['?', '#']).next().unwrap_or_default();
    let behind = match url.split_once("://") {
        Some((protocol, behind)) if !protocol.contains('/') => behind,
        _ => url,
    };
    let (place, path) = behind.split_once('/').unwrap_or((behind, ""));
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let domain = host.split_once(':').map_or(host, |(domain, _)| domain);
    let mut parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    if let Some(last) = parts.last_mut() {
        *last = without_ending(last).to_string();
    }
    (domain, parts)
}

fn without_ending(part: &str) -> &str {
    match part.rsplit_once('.') {
        Some((name, ending)) if ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) => name,
        _ => part,
    }
}

/// A part of a path with `%20` and the like as what they stand for.
fn decoded(part: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(part.len()), part.as_bytes());
    while let [first, behind @ ..] = rest {
        let digits =
            behind.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use crate::Item;
    use crate::scheme::{Source, parse};

    fn item(id: &str, url: &str, title: &str) -> Item {
        Item { url: url.into(), title: title.into(), ..Item::new(id) }
    }

    #[test]
    fn paths_of_words_go_before_titles() {
        let items = [
            item("a", "https://en.example.org/wiki/green-tea", "x"),
            item("b", "http://shop.org/item/42/index.html", "Red Fox"),
            // One of two parts is not more than half.
            item("c", "shop.org/tea/12", "Old Ships"),
            item("d", "", "Full moon"),
            item("e", "https://user@a.org:80/gr%C3%BCner%20tee.HTML?x=1#y", "no"),
            item("f", "https://a.org", "Front"),
            item("g", "https://a.org/100%/news/new", ""),
            // URLs within URLs.
            item("h", "shop.org/go?to=http://x.org/a", "Way out"),
            item("i", "web.org/save/http://x.org", "no"),
        ];
        let catalogue = parse("url").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        let texts: Vec<String> = (0..items.len()).map(|place| catalogue.text(place)).collect();
        let expected = [
            "[ green tea wiki en example org ]",
            "[ red fox shop org ]",
            "[ old ships shop org ]",
            "[ full moon ]",
            "[ grüner tee a org ]",
            "[ front a org ]",
            "[ new news 100 a org ]",
            "[ way out shop org ]",
            "[ x org http save web org ]",
        ];
        assert_eq!(texts, expected);
        assert_eq!(catalogue.remarks(), ["1 item has no URL; it has the words of its title"]);
    }

    #[test]
    fn pages_of_one_path_are_told_apart_and_items_without_urls_and_titles_are_refused() {
        let items =
            [item("a", "http://a.org/tea/green?p=1", ""), item("b", "http://a.org/tea/green?p=2", "")];
        let catalogue = parse("tu(words=2)").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
        assert_eq!(catalogue.text(1), "[ green tea ] <same_1>");
        let bare = [Item::new("a")];
        let error = parse("url").unwrap().catalogue(&Source::of_items(&bare, 1)).unwrap_err().to_string();
        assert!(error.contains("needs URLs or titles") && error.contains("`url`"), "{error}");
    }
}
