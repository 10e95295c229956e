//! What filters let through is what a look at every document finds, in every kind of search.

use plackett_core::fusion::{Method, fuse};
use plackett_core::{Document, Ranking, Trace};
use plackett_search::chunk::document_of;
use plackett_search::{
    Bm25, Chunking, DenseSearch, Embedded, Embedder, FieldType, Filter, Index, IndexSettings, ModelIdentity,
    Rm3, SearchError, Selection,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const DIM: usize = 16;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    fn word(&mut self) -> String {
        format!("w{}", self.below(40) * self.below(40) / 40)
    }
}

/// Vectors that depend on the text alone.
struct Hashes;

fn vector(text: &str) -> Vec<f32> {
    let seed = text.bytes().fold(7u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    let mut random = Random(seed);
    (0..DIM).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect()
}

impl Embedder for Hashes {
    fn dim(&self) -> usize {
        DIM
    }

    fn embed_documents(&self, texts: &[&str]) -> Result<Embedded, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Embedded { vectors: texts.iter().flat_map(|t| vector(t)).collect(), ..Embedded::default() })
    }
}

fn create(path: &Path, chunking: Option<Chunking>) -> Index {
    let model = Some(ModelIdentity { name: "hashes".into(), dim: DIM, fingerprint: None });
    Index::create(path, &IndexSettings { model, chunking, ..IndexSettings::default() }).unwrap()
}

/// Fields of several types, of which documents have some, and one in which they disagree.
fn metadata(random: &mut Random) -> Value {
    let mut fields = json!({});
    let mut put = |name: &str, value: Value| fields[name] = value;
    let tags = ["pod", "nova", "état", "a \"b\"", "2024-01-03"];
    if random.below(4) > 0 {
        put("tags", (0..random.below(4)).map(|_| json!(random.one(&tags))).collect());
    }
    if random.below(5) > 0 {
        put("year", json!(2015 + random.below(12)));
    }
    if random.below(3) > 0 {
        put("price", json!(random.below(40) as f64 / 4.0));
    }
    if random.below(2) > 0 {
        put("draft", json!(random.below(2) == 0));
    }
    if random.below(3) > 0 {
        let (day, hour) = (1 + random.below(9), random.below(24));
        let whole = random.below(2) == 0;
        let date = format!("2024-01-0{day}");
        put("on", json!(if whole { date } else { format!("{date}T{hour:02}:00:00Z") }));
    }
    let name = random.one(&["Ada", "Ben", "Cleo"]).to_string();
    put(
        "author",
        if random.below(3) > 0 { json!({"name": name, "id": random.below(5)}) } else { Value::Null },
    );
    put(
        "mixed",
        [json!(random.below(4)), json!(random.below(4).to_string()), json!("x"), json!(true)]
            [random.below(4) as usize]
            .clone(),
    );
    fields
}

/// A filter in its own form, which prints as the library reads it.
enum Asked {
    Compare(&'static str, &'static str, Value),
    In(&'static str, Vec<Value>),
    Exists(&'static str),
    Not(Box<Asked>),
    Joined(&'static str, Vec<Asked>),
}

const FIELDS: [&str; 8] = ["tags", "year", "price", "draft", "on", "author.name", "author.id", "mixed"];

fn literal(field: &str, random: &mut Random) -> Value {
    match field {
        "tags" => json!(random.one(&["pod", "nova", "état", "a \"b\"", "2024-01-03", "gone"])),
        "year" => json!(2013 + random.below(16)),
        "price" if random.below(2) == 0 => json!(random.below(10)),
        "price" => json!(random.below(80) as f64 / 8.0),
        "draft" => json!(random.below(2) == 0),
        "on" if random.below(2) == 0 => json!(format!("2024-01-0{}", 1 + random.below(9))),
        "on" => json!(format!("2024-01-0{}T{:02}:00:00Z", 1 + random.below(9), random.below(24))),
        "author.name" => json!(random.one(&["Ada", "Ben", "Cleo", "Dan"])),
        "author.id" => json!(random.below(6)),
        _ => [json!(random.below(4)), json!("x"), json!(true), json!("3")][random.below(4) as usize].clone(),
    }
}

fn asked(random: &mut Random, depth: u64) -> Asked {
    let field = *random.one(&FIELDS);
    match random.below(if depth > 0 { 9 } else { 5 }) {
        0..3 => {
            let value = literal(field, random);
            let ordered = value.is_number() || hours(&value).is_some();
            let comparisons = ["=", "!=", "<", "<=", ">", ">="];
            let sign = comparisons[random.below(if ordered { 6 } else { 2 }) as usize];
            Asked::Compare(field, sign, value)
        }
        3 => Asked::In(field, (0..1 + random.below(3)).map(|_| literal(field, random)).collect()),
        4 => Asked::Exists(field),
        5 => Asked::Not(Box::new(asked(random, depth - 1))),
        _ => {
            let word = *random.one(&[" and ", " or "]);
            Asked::Joined(word, (0..2 + random.below(2)).map(|_| asked(random, depth - 1)).collect())
        }
    }
}

impl Asked {
    fn text(&self) -> String {
        match self {
            Asked::Compare(field, sign, value) => format!("{field} {sign} {value}"),
            Asked::In(field, values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                format!("{field} in ({})", values.join(", "))
            }
            Asked::Exists(field) => format!("exists({field})"),
            Asked::Not(inner) => format!("not ({})", inner.text()),
            Asked::Joined(word, parts) => {
                parts.iter().map(|part| format!("({})", part.text())).collect::<Vec<_>>().join(word)
            }
        }
    }

    fn lets(&self, document: &Value) -> bool {
        let any = |field: &str, sign: &str, literal: &Value| {
            let found = values(document, field);
            found.iter().any(|value| met(value, sign, literal) == Some(true))
        };
        match self {
            Asked::Compare(field, "!=", value) => !any(field, "=", value),
            Asked::Compare(field, sign, value) => any(field, sign, value),
            Asked::In(field, values) => values.iter().any(|value| any(field, "=", value)),
            Asked::Exists(field) => !values(document, field).is_empty(),
            Asked::Not(inner) => !inner.lets(document),
            Asked::Joined(" and ", parts) => parts.iter().all(|part| part.lets(document)),
            Asked::Joined(_, parts) => parts.iter().any(|part| part.lets(document)),
        }
    }

    /// Whether some value of the filter compares with no value of its field.
    fn is_unlike(&self, documents: &[(String, Value)]) -> bool {
        let unlike = |field: &str, sign: &str, literal: &Value| {
            let mut all = documents.iter().flat_map(|(_, document)| values(document, field));
            !all.any(|value| met(&value, sign, literal).is_some())
        };
        match self {
            Asked::Compare(field, sign, value) => unlike(field, sign, value),
            Asked::In(field, values) => values.iter().any(|value| unlike(field, "=", value)),
            Asked::Exists(field) => {
                !documents.iter().any(|(_, document)| !values(document, field).is_empty())
            }
            Asked::Not(inner) => inner.is_unlike(documents),
            Asked::Joined(_, parts) => parts.iter().any(|part| part.is_unlike(documents)),
        }
    }
}

/// The values of a field, those of lists one by one.
fn values(document: &Value, field: &str) -> Vec<Value> {
    let found = field.split('.').try_fold(document, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(value) => vec![value.clone()],
    }
}

/// Hours from the beginning of January 2024 to a date of it, and to its end.
fn hours(value: &Value) -> Option<(i64, i64)> {
    let text = value.as_str()?.strip_prefix("2024-01-0")?;
    let day: i64 = text.get(..1)?.parse().ok()?;
    match text.get(2..4) {
        None => Some((24 * day, 24 * day + 24)),
        Some(hour) => Some((24 * day + hour.parse::<i64>().ok()?, 24 * day + hour.parse::<i64>().ok()? + 1)),
    }
}

/// Whether a value stands so to a literal; `None` where the two do not compare.
fn met(value: &Value, sign: &str, literal: &Value) -> Option<bool> {
    let equal = sign == "=" || sign == "!=";
    if let Some((start, end)) = hours(literal) {
        let at = match hours(value) {
            Some((at, _)) => at,
            None => return (equal && value.is_string()).then_some(false),
        };
        return Some(ordered(sign, at < start, at >= end));
    }
    if let Some(literal) = literal.as_f64() {
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
        return Some(ordered(sign, number < literal, number > literal));
    }
    if literal.is_boolean() {
        return value.is_boolean().then(|| value == literal);
    }
    value.is_string().then(|| value == literal)
}

fn ordered(sign: &str, less: bool, greater: bool) -> bool {
    match sign {
        "<" => less,
        "<=" => !greater,
        ">" => greater,
        ">=" => !less,
        _ => !less && !greater,
    }
}

/// Documents in several segments, some of them deleted again, and what is left.
fn collection(path: &Path, seed: u64, chunking: Option<Chunking>) -> (Index, Vec<(String, Value)>) {
    let mut random = Random(seed);
    let mut index = create(path, chunking);
    let mut writer = index.writer(Some(&Hashes)).unwrap();
    let mut kept = Vec::new();
    for number in 0..150 + random.below(150) {
        let text: Vec<String> = (0..1 + random.below(12)).map(|_| random.word()).collect();
        let fields = metadata(&mut random);
        let id = format!("d{number}");
        let metadata = fields.as_object().unwrap().clone();
        writer.put(Document { metadata, ..Document::new(&id, text.join(" ")) }).unwrap();
        kept.push((id, fields));
        if number % 97 == 50 {
            writer.commit().unwrap();
        }
    }
    kept.retain(|(id, _)| random.below(8) > 0 || !writer.delete(id).unwrap());
    writer.finish().unwrap();
    (index, kept)
}

/// The first of a ranking of everything that a filter lets through.
fn brute_force(all: &[(String, f64)], lets: &dyn Fn(&str) -> bool, k: usize) -> Vec<(String, f64)> {
    all.iter().filter(|(id, _)| lets(id)).take(k).cloned().collect()
}

/// What two first stages find, joined.
fn joined(words: Vec<(String, f64)>, vectors: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let [words, vectors] = [words, vectors].map(|found| Ranking::from_scores("q", found, Trace::default()));
    let fused = fuse("q", &[words, vectors], Method::RRF, &[]).unwrap();
    fused.entries.into_iter().map(|entry| (entry.id, entry.score)).collect()
}

/// Searches in every way among what a filter lets through, and compares with all that is found without it.
fn compare(index: &Index, selection: &Selection<'_>, lets: &dyn Fn(&str) -> bool, random: &mut Random) {
    let (bm25, all) = (Bm25::default(), index.passages());
    let query: Vec<String> = (0..1 + random.below(5)).map(|_| random.word()).collect();
    let (query, k) = (query.join(" "), 1 + random.below(20) as usize);
    let vector = vector(&query);
    let words = index.search_bm25(&query, &bm25, all).unwrap();
    assert_eq!(selection.search_bm25(&query, &bm25, k).unwrap(), brute_force(&words, lets, k), "{query} {k}");
    let near = index.search_vector(&vector, all).unwrap();
    let nearest = |k| selection.search_dense(&vector, k, &DenseSearch::default()).unwrap().documents;
    assert_eq!(nearest(k), brute_force(&near, lets, k), "{query} {k}");
    let terms = selection.expand(&query, &bm25, &Rm3::default()).unwrap();
    let found = selection.search_terms(&terms, &bm25, k).unwrap();
    let expanded = index.search_terms(&terms, &bm25, all).unwrap();
    assert_eq!(found, brute_force(&expanded, lets, k), "{query} {k}");
    // What is fused are the best of each stage among those that pass, and not those of the best that pass.
    let fused = joined(selection.search_bm25(&query, &bm25, k).unwrap(), nearest(k));
    assert_eq!(fused, joined(brute_force(&words, lets, k), brute_force(&near, lets, k)), "{query} {k}");
    assert!(fused.iter().all(|(id, _)| lets(id)), "{query} {k}");
}

/// Draws a filter and tries it; false for one that is rightly refused, as it asks for what no document has.
fn tries_one(index: &Index, documents: &[(String, Value)], random: &mut Random) -> bool {
    let by_id: BTreeMap<&str, &Value> = documents.iter().map(|(id, v)| (id.as_str(), v)).collect();
    let wanted = asked(random, 3);
    let text = wanted.text();
    let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(filter.to_string().parse::<Filter>().as_ref(), Ok(&filter));
    let selection = match index.select(Some(&filter)) {
        Ok(selection) => selection,
        Err(SearchError::Filter(said)) => {
            assert!(wanted.is_unlike(documents), "{text}: {said}");
            return false;
        }
        Err(error) => panic!("{text}: {error}"),
    };
    let mut ids: Vec<&str> = selection.ids().collect();
    ids.sort_unstable();
    let mut expected: Vec<&str> = by_id.keys().copied().filter(|id| wanted.lets(by_id[*id])).collect();
    expected.sort_unstable();
    assert_eq!((ids, selection.len()), (expected.clone(), expected.len()), "{text}");
    // Passages pass with their documents.
    let document =
        |id: &str| if index.has_passages() { document_of(id).unwrap().to_string() } else { id.into() };
    println!("{text}");
    compare(index, &selection, &|id| wanted.lets(by_id[document(id).as_str()]), random);
    true
}

/// A thousand filters, each with a query, over ten collections, of which one is cut into passages.
#[test]
fn a_filtered_search_is_a_look_at_every_document() {
    let mut tried = 0;
    for seed in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let chunking = (seed == 9).then(|| "4/1".parse().unwrap());
        let (index, documents) = collection(&folder.path().join("i"), seed, chunking);
        assert_eq!(index.passages() > index.len(), seed == 9);
        let mut random = Random(1000 + seed);
        let (mut here, mut refused) = (0, 0);
        while here < 100 {
            match tries_one(&index, &documents, &mut random) {
                true => here += 1,
                false => refused += 1,
            }
            assert!(refused < 100, "{refused} filters were refused, {here} not");
        }
        tried += here;
    }
    assert_eq!(tried, 1000);
}

#[test]
fn facets_count_what_every_document_has() {
    let folder = tempfile::tempdir().unwrap();
    let (index, documents) = collection(&folder.path().join("i"), 77, None);
    let filter: Filter = "year >= 2018 and not draft = true".parse().unwrap();
    let selection = index.select(Some(&filter)).unwrap();
    let lets = |fields: &Value| {
        values(fields, "year").iter().any(|year| year.as_i64() >= Some(2018))
            && fields.get("draft") != Some(&json!(true))
    };
    for field in ["tags", "year", "author.name", "mixed"] {
        let facets = selection.facets(field).unwrap();
        let mut expected: BTreeMap<String, usize> = BTreeMap::new();
        let mut holders = 0;
        for (_, fields) in documents.iter().filter(|(_, fields)| lets(fields)) {
            let mut own: Vec<String> = values(fields, field).iter().map(Value::to_string).collect();
            own.sort();
            own.dedup();
            holders += usize::from(!own.is_empty());
            own.into_iter().for_each(|value| *expected.entry(value).or_default() += 1);
        }
        let found: BTreeMap<String, usize> =
            facets.values.iter().map(|facet| (facet.value.to_string(), facet.count)).collect();
        assert_eq!((&found, facets.documents), (&expected, holders), "{field}");
        assert!(facets.values.windows(2).all(|pair| pair[0].count >= pair[1].count));
    }
    let ids: Vec<&str> = selection.ids().collect();
    assert_eq!(index.facets_of("tags", ids).unwrap(), selection.facets("tags").unwrap());
    assert!(selection.facets("tag").unwrap_err().to_string().contains("did you mean `tags`?"));
}

#[test]
fn fields_and_their_types_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = create(&folder.path().join("i"), None);
    let mut writer = index.writer(Some(&Hashes)).unwrap();
    let rows = [
        json!({"year": 2020, "tags": ["a"], "on": "2024-01-01", "cell": "7", "body": "x".repeat(600), "odd": 1}),
        json!({"year": 2021.5, "tags": "b", "on": "2024-01-01T10:00:00Z", "cell": "", "flag": true, "odd": "one"}),
        json!({"author": {"name": "Ada"}, "flags": "False", "gone": 1}),
    ];
    for (number, row) in rows.iter().enumerate() {
        let metadata = row.as_object().unwrap().clone();
        writer.put(Document { metadata, ..Document::new(format!("d{number}"), "words") }).unwrap();
    }
    writer.commit().unwrap();
    let metadata = json!({"other": 1}).as_object().unwrap().clone();
    writer.put(Document { metadata, ..Document::new("d9", "words") }).unwrap();
    writer.finish().unwrap();
    let shown = |index: &Index| -> Vec<String> {
        index.fields().unwrap().iter().map(|field| format!("{field} {}", field.documents)).collect()
    };
    let expected = [
        "author.name (keyword) 1",
        "body (text) 1",
        "cell (number) 1",
        "flag (boolean) 1",
        "flags (boolean) 1",
        "gone (number) 1",
        "odd (keyword or number) 2",
        "on (date) 2",
        "other (number) 1",
        "tags (list of keyword) 2",
        "year (number) 2",
    ];
    assert_eq!(shown(&index), expected);
    let mut writer = index.writer(Some(&Hashes)).unwrap();
    writer.delete("d2").unwrap();
    writer.finish().unwrap();
    assert!(!shown(&index).iter().any(|field| field.starts_with("gone") || field.starts_with("author")));
    let chosen = |index: &Index, text: &str| {
        let filter: Filter = text.parse().unwrap();
        let selection = index.select(Some(&filter));
        selection.map(|selection| {
            let mut ids: Vec<String> = selection.ids().map(String::from).collect();
            ids.sort();
            ids.join(" ")
        })
    };
    for (text, ids) in [
        ("year > 2020", "d1"),
        ("metadata.year = 2020.0", "d0"),
        ("cell = 7 and on = 2024-01-01", "d0"),
        ("on >= 2024-01-01T10:00", "d1"),
        ("not exists(year)", "d9"),
        ("body != 'short'", "d0 d1 d9"),
        ("odd in (1, 'one')", "d0 d1"),
    ] {
        assert_eq!(chosen(&index, text).unwrap(), ids, "{text}");
    }
    for (text, said) in [
        ("yaer = 1", "did you mean `year`?"),
        ("nothing = 1", "the fields are body (text), cell (number)"),
        ("year = '2020'", "`year` (number) has no texts, and \"2020\" is a text"),
        ("flag = 1", "`flag` (boolean) has no numbers"),
        ("tags > 2024-01-01", "has no dates"),
        ("tags in ('a', 5)", "`tags` (list of keyword) has no numbers, and 5 is a number"),
    ] {
        let error = chosen(&index, text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

#[test]
fn types_that_were_given_hold_and_a_wrong_value_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    let types = BTreeMap::from([("zip".to_string(), FieldType::Keyword)]);
    let mut index = Index::create(&path, &IndexSettings { types, ..IndexSettings::default() }).unwrap();
    let document = |id: &str, zip: Value| Document {
        metadata: json!({"zip": zip}).as_object().unwrap().clone(),
        ..Document::new(id, "words")
    };
    let mut writer = index.writer(None).unwrap();
    writer.put(document("a", json!(1234))).unwrap();
    let error = writer.put(document("b", json!("x".repeat(600)))).unwrap_err().to_string();
    assert!(error.contains("document `b`") && error.contains("--field-types says keyword"), "{error}");
    writer.finish().unwrap();
    assert_eq!(index.len(), 1);
    let filter: Filter = "zip = '1234'".parse().unwrap();
    let reopened = Index::open(&path).unwrap();
    assert_eq!(reopened.select(Some(&filter)).unwrap().len(), 1);
    assert_eq!(reopened.settings().types["zip"], FieldType::Keyword);
}

#[test]
fn a_field_that_was_made_a_text_is_refused_in_comparisons_and_not_found_empty() {
    let folder = tempfile::tempdir().unwrap();
    let types = BTreeMap::from([("metadata.zip".to_string(), FieldType::Text)]);
    let settings = IndexSettings { types, ..IndexSettings::default() };
    let mut index = Index::create(folder.path().join("i"), &settings).unwrap();
    let mut writer = index.writer(None).unwrap();
    let metadata = json!({"zip": "1234"}).as_object().unwrap().clone();
    writer.put(Document { metadata, ..Document::new("a", "words") }).unwrap();
    writer.finish().unwrap();
    for text in ["zip = '1234'", "zip != '1'", "zip in ('1')", "zip < 3", "metadata.zip = '1234'"] {
        let error = index.select(Some(&text.parse().unwrap())).err().unwrap().to_string();
        assert!(
            error.contains("type text") && error.contains("--field-types zip=keyword"),
            "{text}: {error}"
        );
    }
    assert_eq!(index.select(Some(&"exists(zip)".parse().unwrap())).unwrap().len(), 1);
}

/// An index whose manifest has no filters opens, is searched and changed, and says what a filter needs.
#[test]
fn an_older_index_opens_and_refuses_filters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("i");
    let settings = IndexSettings { filters: false, ..IndexSettings::default() };
    let mut index = Index::create(&path, &settings).unwrap();
    let manifest = path.join("plackett-index.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["format_version"] = 2.into();
    value["settings"].as_object_mut().unwrap().remove("filters").unwrap();
    std::fs::write(&manifest, value.to_string()).unwrap();
    let mut writer = index.writer(None).unwrap();
    writer.put(Document::new("a", "apple")).unwrap();
    writer.finish().unwrap();
    let index = Index::open(&path).unwrap();
    assert_eq!(index.search_bm25("apple", &Bm25::default(), 5).unwrap().len(), 1);
    let filter: Filter = "year = 1".parse().unwrap();
    for error in
        [index.select(Some(&filter)).err(), index.fields().err(), index.facets_of("year", ["a"]).err()]
    {
        let error = error.unwrap().to_string();
        assert!(error.contains("older plackett") && error.contains("index the collection again"), "{error}");
    }
}

/// Few documents of many are looked up one by one, and the answer is the same to the bit.
#[test]
fn selective_and_broad_filters_give_the_same_scores() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = Index::create(folder.path().join("i"), &IndexSettings::default()).unwrap();
    let mut writer = index.writer(None).unwrap();
    let mut random = Random(5);
    for number in 0..20_000u64 {
        let text: Vec<String> = (0..1 + random.below(20)).map(|_| random.word()).collect();
        let metadata = json!({"n": number, "part": number % 100}).as_object().unwrap().clone();
        writer.put(Document { metadata, ..Document::new(number.to_string(), text.join(" ")) }).unwrap();
    }
    writer.finish().unwrap();
    let bm25 = Bm25::default();
    for (text, lets) in [
        ("part = 7", &(|n: u64| n % 100 == 7) as &dyn Fn(u64) -> bool),
        ("part < 90", &|n| n % 100 < 90),
        ("n in (3, 19999)", &|n| n == 3 || n == 19_999),
        ("n >= 8190 and n < 8200", &|n| (8190..8200).contains(&n)),
        ("n < 0", &|_| false),
    ] {
        let filter: Filter = text.parse().unwrap();
        let selection = index.select(Some(&filter)).unwrap();
        for query in ["w1", "w1 w2 w3", "w0 w20 w37", "w30 w30 w5 w0 w11"] {
            let all = index.search_bm25(query, &bm25, 20_000).unwrap();
            for k in [1, 10, 1000] {
                let found = selection.search_bm25(query, &bm25, k).unwrap();
                assert_eq!(
                    found,
                    brute_force(&all, &|id| lets(id.parse().unwrap()), k),
                    "{text} {query} {k}"
                );
            }
        }
    }
}
