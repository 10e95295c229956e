//! Pairs of a text and titles, drawn from pages.

use super::Page;
use plackett_core::counted;
use plackett_train::random::Stream;
use plackett_train::trainer::words_of;
use std::collections::HashMap;

/// What a pair was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PretrainingObjective {
    /// A paragraph of a page, to its title and some that it links to.
    InnerSentence,
    /// Leading paragraphs of a page, to the same.
    LeadParagraph,
    /// A paragraph with a link and its neighbours, to the title that the link leads to.
    Hyperlink,
}

/// A text, and the pages whose titles are to be written after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TitlePair {
    /// What is read.
    pub text: String,
    /// Places of pages, in the order in which their titles are written.
    pub pages: Vec<usize>,
    /// What it was made by.
    pub objective: PretrainingObjective,
    /// The page that it was drawn from.
    pub source: usize,
}

/// How pairs are drawn. The numbers are those of CorpusBrain's published code, which takes paragraphs where the paper speaks of sentences.
#[derive(Clone, Debug, PartialEq)]
pub struct CorpusPretraining {
    /// Inner sentence selection (ISS).
    pub inner: bool,
    /// Lead paragraph selection (LPS).
    pub lead: bool,
    /// Hyperlink identifier prediction (HIP); pages without links have none.
    pub hyperlinks: bool,
    /// Pages whose title has no more characters are left out.
    pub short_title: usize,
    /// Pages of fewer words are left out.
    pub page_words: usize,
    /// Paragraphs of no more words are left out.
    pub short_paragraph: usize,
    /// Paragraphs of a page that ISS draws, at most.
    pub inner_paragraphs: usize,
    /// Links of a page that HIP draws, at most.
    pub hyperlink_anchors: usize,
    /// Probabilities of none, one, two … linked titles behind the title.
    pub anchors: [f32; 5],
    /// Words of a text that will be read: what stands around a link is cut to so many with the link in their middle, and other texts that are
    /// longer are counted. 0 for all.
    pub read_words: usize,
    /// From which all draws follow.
    pub seed: u64,
}

impl Default for CorpusPretraining {
    fn default() -> CorpusPretraining {
        CorpusPretraining {
            inner: true,
            lead: true,
            hyperlinks: true,
            short_title: 3,
            page_words: 128,
            short_paragraph: 10,
            inner_paragraphs: 11,
            hyperlink_anchors: 3,
            anchors: [0.70, 0.20, 0.05, 0.03, 0.02],
            read_words: 0,
            seed: 1,
        }
    }
}

/// Pairs, and what was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PretrainingPairs {
    /// The pairs, page after page.
    pub pairs: Vec<TitlePair>,
    /// Pages whose title or text is too short.
    pub short_pages: usize,
    /// Paragraphs that are too short, of the other pages.
    pub short_paragraphs: usize,
    /// Links to titles that no page has (renamed pages, say).
    pub dangling: usize,
    /// Texts of which the model will read the beginning alone, or around a link its surroundings alone.
    pub cut_texts: usize,
    /// Links of a page to itself.
    pub own_links: usize,
    /// Targets that have fewer linked titles than were drawn, since their page has no more.
    pub short_targets: usize,
}

impl PretrainingPairs {
    /// The share of ISS and LPS targets with at least one linked title.
    pub fn anchored(&self) -> f64 {
        let own = |pair: &&TitlePair| pair.objective != PretrainingObjective::Hyperlink;
        let anchored = self.pairs.iter().filter(own).filter(|pair| pair.pages.len() > 1).count();
        anchored as f64 / self.pairs.iter().filter(own).count().max(1) as f64
    }

    /// What was left out, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let said = |count: usize, one: &str, many: &str| (count > 0).then(|| counted(count, one, many));
        [
            said(
                self.short_pages,
                "page has a title or a text that is too short; nothing is learned from it",
                "pages have a title or a text that is too short; nothing is learned from them",
            ),
            said(
                self.short_paragraphs,
                "paragraph is too short and is left out",
                "paragraphs are too short and are left out",
            ),
            said(
                self.dangling,
                "link leads to a title that no page has and is left out",
                "links lead to a title that no page has and are left out",
            ),
            said(
                self.own_links,
                "link leads to the page that it stands on and is left out",
                "links lead to the page that they stand on and are left out",
            ),
            said(
                self.cut_texts,
                "text is longer than what is read; the rest of it teaches nothing",
                "texts are longer than what is read; the rest of them teaches nothing",
            ),
            said(
                self.short_targets,
                "target has fewer linked titles than were drawn, for want of links",
                "targets have fewer linked titles than were drawn, for want of links",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A page as pairs are drawn from it.
struct Source<'p> {
    place: usize,
    paragraphs: Vec<&'p str>,
    /// Different pages that it links to.
    targets: Vec<usize>,
    /// Links as the place of a paragraph that is left, that of a page, and the page's title.
    links: Vec<(usize, usize, &'p str)>,
    stream: Stream,
    draws: u64,
}

impl Source<'_> {
    fn draw(&mut self) -> u64 {
        self.draws += 1;
        self.draws
    }

    /// `count` of `all`, drawn without putting back.
    fn some<T: Copy>(&mut self, all: &[T], count: usize) -> Vec<T> {
        let mut left = all.to_vec();
        let mut drawn = Vec::new();
        while drawn.len() < count && !left.is_empty() {
            let place = self.draw();
            drawn.push(left.swap_remove(self.stream.below(place, left.len())));
        }
        drawn
    }
}

impl CorpusPretraining {
    /// The pairs of pages, whose titles are different.
    pub fn pairs(&self, pages: &[Page]) -> PretrainingPairs {
        let places: HashMap<&str, usize> =
            pages.iter().enumerate().map(|(place, page)| (&page.title[..], place)).collect();
        let mut made = PretrainingPairs::default();
        for (place, page) in pages.iter().enumerate() {
            let words: usize = page.paragraphs.iter().map(|text| words_of(text).count()).sum();
            if page.title.chars().count() <= self.short_title || words < self.page_words {
                made.short_pages += 1;
                continue;
            }
            let mut source = self.source((pages, page), place, &places, &mut made);
            if self.lead {
                self.add_lead(&mut source, &mut made);
            }
            if self.inner {
                self.add_inner(&mut source, &mut made);
            }
            if self.hyperlinks {
                self.add_hyperlinks(&mut source, &mut made);
            }
        }
        made
    }

    fn source<'p>(
        &self,
        (pages, page): (&'p [Page], &'p Page),
        place: usize,
        places: &HashMap<&str, usize>,
        made: &mut PretrainingPairs,
    ) -> Source<'p> {
        let is_long = |text: &str| words_of(text).count() > self.short_paragraph;
        let mut kept: HashMap<usize, usize> = HashMap::new();
        let mut paragraphs: Vec<&str> = Vec::new();
        for (at, text) in page.paragraphs.iter().enumerate() {
            if is_long(text) {
                kept.insert(at, paragraphs.len());
                paragraphs.push(text);
            }
        }
        made.short_paragraphs += page.paragraphs.len() - paragraphs.len();
        let (mut links, mut targets) = (Vec::new(), Vec::new());
        for link in &page.links {
            let Some(target) = places.get(&link.title[..]).copied() else {
                made.dangling += 1;
                continue;
            };
            if target == place {
                made.own_links += 1;
                continue;
            }
            if !targets.contains(&target) {
                targets.push(target);
            }
            let shown = pages[target].title.as_str();
            links.extend(kept.get(&link.paragraph).map(|paragraph| (*paragraph, target, shown)));
        }
        let stream = Stream::new(self.seed, place as u64);
        Source { place, paragraphs, targets, links, stream, draws: 0 }
    }

    /// The page, and as many that it links to as are drawn.
    fn target(&self, source: &mut Source<'_>, made: &mut PretrainingPairs) -> Vec<usize> {
        let place = source.draw();
        let mut left = source.stream.uniform(place);
        let wanted = self.anchors.iter().position(|probability| {
            left -= probability;
            left < 0.0
        });
        let wanted = wanted.unwrap_or(0);
        let targets = source.targets.clone();
        let drawn = source.some(&targets, wanted);
        made.short_targets += usize::from(drawn.len() < wanted);
        [source.place].into_iter().chain(drawn).collect()
    }

    fn add_lead(&self, source: &mut Source<'_>, made: &mut PretrainingPairs) {
        let count = source.paragraphs.len();
        let mut seen = Vec::new();
        for range in [0..1, 0..3, 3..6, 6..9] {
            let range = range.start.min(count)..range.end.min(count);
            if range.is_empty() || seen.contains(&range) {
                continue;
            }
            let text = source.paragraphs[range.clone()].join(" ");
            seen.push(range);
            made.cut_texts += usize::from(self.is_cut(&text));
            let pages = self.target(source, made);
            made.pairs.push(TitlePair {
                text,
                pages,
                objective: PretrainingObjective::LeadParagraph,
                source: source.place,
            });
        }
    }

    fn add_inner(&self, source: &mut Source<'_>, made: &mut PretrainingPairs) {
        let paragraphs = source.paragraphs.clone();
        for text in source.some(&paragraphs, self.inner_paragraphs) {
            made.cut_texts += usize::from(self.is_cut(text));
            let pages = self.target(source, made);
            let objective = PretrainingObjective::InnerSentence;
            made.pairs.push(TitlePair { text: text.into(), pages, objective, source: source.place });
        }
    }

    fn is_cut(&self, text: &str) -> bool {
        self.read_words > 0 && words_of(text).count() > self.read_words
    }

    /// The words of a text that are read, with the title of a link in their middle; with the link's paragraph there, where it says the title in
    /// other words. `before` is what stands before the paragraph.
    fn around(&self, before: &str, paragraph: &str, title: &str, text: &str) -> String {
        let first = |text: &str| words_of(text).next();
        let start = words_of(before).count();
        let inside = first(title).and_then(|title| words_of(paragraph).position(|word| word == title));
        let middle = start + inside.unwrap_or(0);
        let words: Vec<String> = words_of(text).collect();
        let begin = middle.saturating_sub(self.read_words / 2).min(words.len() - self.read_words);
        words[begin..begin + self.read_words].join(" ")
    }

    fn add_hyperlinks(&self, source: &mut Source<'_>, made: &mut PretrainingPairs) {
        let links = source.links.clone();
        for (paragraph, target, title) in source.some(&links, self.hyperlink_anchors) {
            let around = paragraph.saturating_sub(1)..(paragraph + 2).min(source.paragraphs.len());
            let mut text = source.paragraphs[around].join(" ");
            if self.is_cut(&text) {
                made.cut_texts += 1;
                let before = source.paragraphs[paragraph.saturating_sub(1)..paragraph].join(" ");
                text = self.around(&before, source.paragraphs[paragraph], title, &text);
            }
            made.pairs.push(TitlePair {
                text,
                pages: vec![target],
                objective: PretrainingObjective::Hyperlink,
                source: source.place,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Link;
    use super::*;

    fn pages(count: usize) -> Vec<Page> {
        let filler = "and more words that make a paragraph long enough to be kept here";
        let page = |at: usize| Page {
            title: format!("Page {at}"),
            paragraphs: (0..12).map(|paragraph| format!("page{at} paragraph{paragraph} {filler}")).collect(),
            links: (1..7)
                .map(|other| Link { paragraph: other, title: format!("Page {}", (at + other) % count) })
                .collect(),
        };
        (0..count).map(page).collect()
    }

    #[test]
    fn three_of_ten_targets_have_linked_titles() {
        let made = CorpusPretraining::default().pairs(&pages(400));
        assert_eq!(made.pairs.len(), 400 * (4 + 11 + 3));
        assert!((made.anchored() - 0.3).abs() < 0.015, "{}", made.anchored());
        let longest = made.pairs.iter().map(|pair| pair.pages.len()).max();
        assert_eq!((longest, made.short_targets), (Some(5), 0));
        assert!(made.remarks().is_empty());
        for pair in &made.pairs {
            let mut pages = pair.pages.clone();
            pages.sort_unstable();
            pages.dedup();
            assert_eq!(pages.len(), pair.pages.len(), "no page is drawn twice");
        }
        assert_eq!(made, CorpusPretraining::default().pairs(&pages(400)));
        assert_ne!(made, CorpusPretraining { seed: 2, ..CorpusPretraining::default() }.pairs(&pages(400)));
    }

    #[test]
    fn texts_are_leading_paragraphs_single_ones_and_neighbours_of_links() {
        let pages = pages(9);
        let made = CorpusPretraining::default().pairs(&pages);
        let of = |objective| made.pairs.iter().filter(move |pair| pair.objective == objective);
        let lead: Vec<&TitlePair> = of(PretrainingObjective::LeadParagraph).take(4).collect();
        let text = |range: std::ops::Range<usize>| pages[0].paragraphs[range].join(" ");
        let expected = [text(0..1), text(0..3), text(3..6), text(6..9)];
        assert!(lead.iter().map(|pair| &pair.text).eq(&expected));
        assert!(lead.iter().all(|pair| pair.pages[0] == 0));
        for pair in of(PretrainingObjective::InnerSentence) {
            assert!(pages[pair.pages[0]].paragraphs.contains(&pair.text));
        }
        for pair in of(PretrainingObjective::Hyperlink) {
            let linked = (0..9).any(|page| {
                (1..7).any(|link| {
                    pair.pages == [(page + link) % 9]
                        && pair.text == pages[page].paragraphs[link - 1..link + 2].join(" ")
                })
            });
            assert!(linked, "{pair:?}");
        }
    }

    #[test]
    fn short_pages_short_paragraphs_and_dangling_links_are_counted() {
        let mut pages = pages(4);
        pages[0].title = "Abc".into();
        pages[1].paragraphs.truncate(3);
        pages[1].links.clear();
        pages[2].paragraphs[1] = "too short".into();
        pages[2].links.push(Link { paragraph: 0, title: "Nowhere".into() });
        let made = CorpusPretraining::default().pairs(&pages);
        assert_eq!((made.short_pages, made.short_paragraphs), (2, 1));
        assert!(made.dangling > 1, "also links to the renamed page");
        assert!(made.short_targets > 0 && made.own_links > 0, "six links among four pages come round");
        assert_eq!(made.remarks().len(), 5);
        assert!(made.pairs.iter().all(|pair| pair.text != "too short"));
        let bare = CorpusPretraining { hyperlinks: false, lead: false, ..CorpusPretraining::default() };
        assert!(bare.pairs(&pages).pairs.iter().all(|p| p.objective == PretrainingObjective::InnerSentence));
    }
}
