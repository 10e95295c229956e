//! What must be true of all schemes, and the golden examples of their papers.

use super::{SCHEMES, Source, parse};
use crate::codebook::{Codebook, k_means};
use crate::{
    AutoencoderSettings, Catalogue, Histories, IdsError, Item, QuantizerTrainer, TrainedQuantizer,
    VectorTable,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

fn items(count: usize) -> Vec<Item> {
    let item = |at: usize| Item {
        id: format!("item {at}"),
        title: format!("Thing {} of kind {}", at / 3, at % 7),
        keywords: if at.is_multiple_of(2) { format!("thing {at}") } else { String::new() },
        text: format!("some words about {at}"),
        url: match at % 3 {
            0 => String::new(),
            kind => format!("https://things.org/kind-{kind}/thing-{}.html", at / 2),
        },
        categories: if at.is_multiple_of(11) {
            Vec::new()
        } else {
            vec!["All".into(), format!("Kind {}", at % 7)]
        },
    };
    (0..count).map(item).collect()
}

fn vectors(count: usize) -> Vec<Vec<f64>> {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    // Every tenth vector is that of the one before it.
    let mut all: Vec<Vec<f64>> = Vec::new();
    for at in 0..count {
        let drawn = (0..24).map(|_| random.random::<f64>() + (at % 5) as f64).collect();
        all.push(if at % 10 == 9 { all[at - 1].clone() } else { drawn });
    }
    all
}

/// A quantiser without layers: k-means of the vectors, then of what is left.
#[derive(Debug)]
struct Plain;

struct PlainQuantizer {
    books: Vec<Codebook>,
    last: Vec<f32>,
    dimension: usize,
}

/// Takes the centroids of codes off rows.
fn take_off(rows: &mut [f32], book: &Codebook, codes: &[u32], dimension: usize) {
    for (row, code) in rows.chunks_exact_mut(dimension).zip(codes) {
        row.iter_mut().zip(book.centroid(*code as usize)).for_each(|(x, own)| *x -= own);
    }
}

impl QuantizerTrainer for Plain {
    fn train(
        &self,
        rows: &[f32],
        dimension: usize,
        settings: &AutoencoderSettings,
    ) -> Result<Box<dyn TrainedQuantizer>, IdsError> {
        let (mut left, mut books) = (rows.to_vec(), Vec::new());
        for level in 0..settings.levels {
            let seed = settings.seed + level as u64;
            let (book, codes) = k_means(&left, dimension, settings.codes, 10, seed);
            take_off(&mut left, &book, &codes, dimension);
            books.push(book);
        }
        let book = &books[settings.levels - 1];
        let last = (0..book.len()).flat_map(|code| book.centroid(code).to_vec()).collect();
        Ok(Box::new(PlainQuantizer { books, last, dimension }))
    }
}

impl TrainedQuantizer for PlainQuantizer {
    fn encode(&self, rows: &[f32]) -> (Vec<u32>, Vec<f32>) {
        let (mut left, mut before) = (rows.to_vec(), Vec::<f32>::new());
        let mut levels = Vec::new();
        for book in &self.books {
            before.clone_from(&left);
            let codes = book.nearest(&left);
            take_off(&mut left, book, &codes, self.dimension);
            levels.push(codes);
        }
        let count = rows.len() / self.dimension;
        let codes = (0..count).flat_map(|row| levels.iter().map(move |codes| codes[row])).collect();
        (codes, before)
    }

    fn last_book(&self) -> &[f32] {
        &self.last
    }

    fn reconstruct(&self, rows: &[f32]) -> Vec<f32> {
        let mut left = rows.to_vec();
        for book in &self.books {
            let codes = book.nearest(&left);
            take_off(&mut left, book, &codes, self.dimension);
        }
        rows.iter().zip(left).map(|(x, left)| x - left).collect()
    }
}

/// Users who buy inside one of `groups` groups of items, which lie in turns; the last `unseen` items nobody buys.
fn histories(items: usize, groups: usize, unseen: usize) -> Vec<Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let bought = items - unseen;
    (0..items * 3)
        .map(|user| {
            (0..6).map(|_| random.random_range(0..bought / groups) * groups + user % groups).collect()
        })
        .collect()
}

fn with_all<T>(count: usize, look: impl Fn(&Source<'_>) -> T) -> T {
    let (items, histories) = (items(count), histories(count, 4, 9));
    let vectors = VectorTable::of_rows(&items, &vectors(count)).unwrap();
    let source = Source { vectors: Some(&vectors), trainer: Some(&Plain), ..Source::of_items(&items, 5) };
    look(&Source { histories: Some(&histories), ..source })
}

#[test]
fn every_scheme_gives_unique_prefix_free_sequences_and_the_same_each_time() {
    let mut written: Vec<String> = SCHEMES.iter().map(|spec| spec.name.to_string()).collect();
    let more = [
        "random(piece=2)",
        "sequential(users=random, last=item)",
        "sequential(users=short-to-long)",
        "sequential(users=long-to-short, start=1001)",
        "collaborative(clusters=4, most=20)",
        "collaborative(clusters=3, most=5, last=item)",
        "hierarchical(clusters=3, most=4)",
        "hierarchical(clusters=5, most=10, shared=true)",
        "rq(levels=2, codes=8)",
        "balanced-rq(levels=2, codes=16)",
        "rq-vae(levels=2, codes=8)",
        "rq-vae(levels=1, codes=4, sinkhorn=0)",
        "pq(parts=5, codes=4)",
        "title(words=2)",
        "keywords(words=3)",
        "url(words=2)",
        "ngrams(words=1)",
        "category(last=item)",
        "naive(start=0)",
    ];
    written.extend(more.map(str::to_string));
    for count in [1, 2, 40, 130] {
        for text in &written {
            let scheme = parse(text).unwrap();
            let make = |source: &Source<'_>| {
                let source = Source {
                    histories: source.histories.map(|h| if count < 40 { &[][..] } else { h }),
                    ..*source
                };
                scheme.catalogue(&source).unwrap_or_else(|error| panic!("{text}, {count}: {error}"))
            };
            // The source of few items has histories without any.
            let catalogue = match count < 40 {
                true => {
                    let (items, vectors) = (items(count + 1), vectors(count + 1));
                    let items: Vec<Item> = items[1..].to_vec();
                    let vectors = VectorTable::of_rows(&items, &vectors[1..]).unwrap();
                    let source = Source { histories: Some(&[]), ..Source::of_items(&items, 5) };
                    make(&Source { vectors: Some(&vectors), trainer: Some(&Plain), ..source })
                }
                false => with_all(count, make),
            };
            let statistics = catalogue.statistics();
            assert!(statistics.is_unique() && statistics.is_prefix_free(), "{text}, {count}: {statistics:?}");
            assert_eq!(catalogue.len(), count);
            if count >= 40 {
                assert_eq!(catalogue, with_all(count, make), "{text}");
            }
        }
    }
}

#[test]
fn collaborative_identifiers_recover_blocks_that_share_their_first_token() {
    let items = items(120);
    let histories = histories(120, 4, 8);
    let source = Source { histories: Some(&histories), ..Source::of_items(&items, 0) };
    let catalogue = parse("collaborative(clusters=4, most=30)").unwrap().catalogue(&source).unwrap();
    let first = |item: usize| catalogue.items()[item].codes[0];
    assert_eq!((0..4).map(first).collect::<HashSet<_>>().len(), 4);
    assert!((0..112).all(|item| first(item) == first(item % 4)));
    // What nobody buys has a branch of its own, whose token no block has.
    assert!(
        (112..120).all(|item| first(item) == first(112) && (0..4).all(|block| first(block) != first(112)))
    );
    assert!(catalogue.remarks()[0].starts_with("8 items"), "{:?}", catalogue.remarks());
    let statistics = catalogue.statistics();
    assert!(statistics.is_prefix_free() && statistics.is_unique());
}

#[test]
fn more_unseen_items_than_a_leaf_holds_are_cut_into_leaves() {
    let items = items(300);
    let histories = histories(300, 2, 260);
    let source = Source { histories: Some(&histories), ..Source::of_items(&items, 0) };
    let statistics =
        parse("collaborative(clusters=2, most=6)").unwrap().catalogue(&source).unwrap().statistics();
    assert!(statistics.is_prefix_free() && statistics.is_unique(), "{statistics:?}");
}

#[test]
fn held_out_positions_cannot_change_an_identifier() {
    let items = items(60);
    let whole =
        Histories { users: (0..180).map(|user| user.to_string()).collect(), items: histories(60, 3, 6) };
    for text in ["sequential", "collaborative(clusters=3, most=10)", "sequential(users=random)"] {
        let of = |histories: &[Vec<usize>]| {
            let source = Source { histories: Some(histories), ..Source::of_items(&items, 2) };
            parse(text).unwrap().catalogue(&source).unwrap().sha256().to_string()
        };
        let mut all = whole.clone();
        let before = of(&all.training(2));
        let leaking = of(&all.items);
        for (user, history) in all.items.iter_mut().enumerate() {
            let last = history.len() - 2;
            // Of another group than the rest of the history.
            history[last] = (user * 7 + 1) % 60;
            history[last + 1] = (user * 11 + 2) % 60;
        }
        assert_eq!(of(&all.training(2)), before, "{text}");
        assert_ne!(of(&all.items), leaking, "{text}: a structure of whole histories does know them");
    }
}

#[test]
fn sequential_numbers_follow_the_first_occurrence() {
    let items = items(6);
    let histories = vec![vec![4, 2], vec![2, 0], vec![5]];
    let source = Source { histories: Some(&histories), ..Source::of_items(&items, 0) };
    let texts = |text: &str| -> Vec<String> {
        let catalogue = parse(text).unwrap().catalogue(&source).unwrap();
        (0..6).map(|place| catalogue.text(place).replace(' ', "")).collect()
    };
    assert_eq!(texts("sequential"), ["1003", "1005", "1002", "1006", "1001", "1004"]);
    assert_eq!(texts("sequential(users=short-to-long)"), ["1004", "1005", "1003", "1006", "1002", "1001"]);
    assert_eq!(texts("sequential(start=8, piece=2)"), ["10", "12", "09", "13", "08", "11"]);
}

#[test]
fn levels_of_balanced_codes_have_one_size_within_one() {
    let codes =
        |text: &str| -> Catalogue { with_all(130, |source| parse(text).unwrap().catalogue(source).unwrap()) };
    let balanced = codes("balanced-rq(levels=3, codes=12)").statistics();
    let plain = codes("rq(levels=3, codes=12)").statistics();
    for (balanced, plain) in balanced.levels[..3].iter().zip(&plain.levels) {
        assert_eq!((balanced.smallest, balanced.largest, balanced.dead), (10, 11, Some(0)));
        assert!(balanced.entropy >= plain.entropy && balanced.most_entropy - balanced.entropy < 0.01);
    }
}

#[test]
fn codes_that_are_shared_are_dealt_out_anew_on_the_last_level() {
    let of = |text: &str| with_all(130, |source| parse(text).unwrap().catalogue(source).unwrap());
    let shared = of("rq-vae(levels=2, codes=16, sinkhorn=0, duplicates=keep)");
    let apart = of("rq-vae(levels=2, codes=16, duplicates=keep)");
    let [before, after] = [&shared, &apart].map(Catalogue::statistics);
    assert!(after.colliding_items < before.colliding_items, "{before:?}\n{after:?}");
    // Vectors that are the same cannot be told apart: every tenth and the one before it.
    assert!(after.colliding_items >= 26, "{after:?}");
    let first =
        |catalogue: &Catalogue| -> Vec<u32> { catalogue.items().iter().map(|item| item.codes[0]).collect() };
    assert_eq!(first(&shared), first(&apart), "other levels stay");
    let said = format!(
        "{} items shared all codes with others before Sinkhorn's algorithm dealt them out anew, and {} do after it",
        before.colliding_items, after.colliding_items
    );
    assert!(apart.remarks().contains(&said), "{:?}", apart.remarks());
    assert!(shared.remarks().iter().all(|remark| !remark.contains("Sinkhorn")), "{:?}", shared.remarks());
}

#[test]
fn what_does_not_come_back_falls_with_levels() {
    let missing = |levels: usize| -> f64 {
        let text = format!("rq-vae(levels={levels}, codes=4)");
        let catalogue = with_all(130, |source| parse(&text).unwrap().catalogue(source).unwrap());
        catalogue.remarks()[0].split(' ').next().unwrap().parse().unwrap()
    };
    let [one, two, four] = [1, 2, 4].map(missing);
    assert!(one > two && two > four && four > 0.0, "{one} {two} {four}");
}

#[test]
fn hybrids_end_with_a_token_that_no_other_item_has() {
    for text in
        ["sequential(last=item)", "collaborative(clusters=4, most=20, last=item)", "category(last=item)"]
    {
        let catalogue = with_all(130, |source| parse(text).unwrap().catalogue(source).unwrap());
        let last: HashSet<u32> =
            catalogue.items().iter().filter_map(|item| item.codes.last().copied()).collect();
        assert_eq!(last.len(), 130, "{text}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let items = items(3);
    let plain = [Item::new("a")];
    let of =
        |text: &str, source: &Source<'_>| parse(text).unwrap().catalogue(source).unwrap_err().to_string();
    let bare = Source::of_items(&plain, 0);
    assert!(of("rq", &bare).contains("needs vectors"));
    assert!(of("collaborative", &bare).contains("needs training histories"));
    assert!(of("title", &bare).contains("needs titles"));
    assert!(of("category", &bare).contains("needs category paths"));
    assert!(of("atomic", &Source::of_items(&[], 0)).contains("no item"));
    let twice = [Item::new("a"), Item::new("a")];
    assert!(of("atomic", &Source::of_items(&twice, 0)).contains("`a` stands twice"));
    let short = VectorTable::of_rows(&plain, &[vec![1.0]]).unwrap();
    let flat = VectorTable::of_rows(&items, &vec![vec![1.0]; 3]).unwrap();
    for (scheme, vectors, part) in
        [("rq", &short, "3 items and 1 vectors"), ("pq", &flat, "24 parts of a vector of 1 numbers")]
    {
        let message = of(scheme, &Source { vectors: Some(vectors), ..Source::of_items(&items, 0) });
        assert!(message.contains(part), "{message}");
    }
    for (vectors, part) in [
        (vec![vec![1.0]], "3 items and 1 vectors"),
        (vec![vec![1.0], vec![], vec![1.0]], "`item 1`"),
        (vec![vec![1.0], vec![f64::NAN], vec![1.0]], "`item 1`"),
    ] {
        let message = VectorTable::of_rows(&items, &vectors).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let beyond = Source { histories: Some(&[vec![3]]), ..Source::of_items(&items, 0) };
    assert!(of("sequential", &beyond).contains("item 3 of 3"));
    let nobody = of("rq-vae", &Source { vectors: Some(&flat), ..Source::of_items(&items, 0) });
    assert!(nobody.contains("`rq-vae` needs a quantiser to be trained; give a trainer"), "{nobody}");
    let unknown = parse("colaborative").unwrap_err().to_string();
    assert!(unknown.contains("did you mean `collaborative`?"), "{unknown}");
    assert!(parse("rq(levels=0)").unwrap_err().to_string().contains("levels is `0`"));
    assert!(parse("rq(levels=2").unwrap_err().to_string().contains("`)` is missing"));
}

#[test]
fn a_path_that_comes_back_has_each_category_once() {
    let cycle = [Item { categories: ["A", "B", "A"].map(str::to_string).to_vec(), ..Item::new("x") }];
    let catalogue = parse("category").unwrap().catalogue(&Source::of_items(&cycle, 0)).unwrap();
    assert_eq!(catalogue.text(0), "<category:A> <category:B> <item_0>");
    assert!(catalogue.remarks()[0].contains("came back"));
}

#[test]
fn where_vectors_lie_and_how_many_threads_there_are_change_no_identifier() {
    let (items, rows) = (items(700), vectors(700));
    let memory = VectorTable::of_rows(&items, &rows).unwrap();
    let mut file = VectorTable::in_file(tempfile::tempfile().unwrap(), 700, 24);
    for (row, vector) in rows.iter().enumerate() {
        let vector: Vec<f32> = vector.iter().map(|x| *x as f32).collect();
        file.set(row, "x", &vector).unwrap();
    }
    for text in [
        "rq(levels=2, codes=8, per-code=20)",
        "rq(levels=3, codes=8, beam=4)",
        "pq(parts=5, codes=4, per-code=30)",
        "hierarchical(clusters=3, most=40, per-code=50)",
        "balanced-rq(levels=2, codes=8)",
        "rq-vae(levels=2, codes=8, per-code=20)",
    ] {
        let of = |vectors: &VectorTable, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let source =
                    Source { vectors: Some(vectors), trainer: Some(&Plain), ..Source::of_items(&items, 3) };
                parse(text).unwrap().catalogue(&source).unwrap()
            })
        };
        let catalogue = of(&memory, 1);
        assert_eq!(of(&file, 3), catalogue, "{text}");
        let is_drawn = text.contains("per-code");
        assert_eq!(catalogue.remarks().iter().any(|remark| remark.contains("per-code")), is_drawn, "{text}");
    }
}

#[test]
fn what_is_held_grows_with_the_items_and_vectors_are_counted_apart() {
    let (items, histories) = (items(100), histories(100, 4, 9));
    for spec in SCHEMES {
        let scheme = parse(spec.name).unwrap();
        let few = scheme.memory(&super::Sizes::of(&items[..50], &histories[..100], 24));
        let all = scheme.memory(&super::Sizes::of(&items, &histories, 24));
        assert!(all.least > few.least, "{}", spec.name);
        let reads_vectors = spec.reads.contains(&super::Reads::Vectors);
        assert_eq!(all.vectors, if reads_vectors { 100 * 24 * 4 } else { 0 }, "{}", spec.name);
    }
}
