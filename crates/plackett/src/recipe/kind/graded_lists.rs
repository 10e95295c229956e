//! `graded-lists`: short lists of passages with a known order, for decoders that learn to rank lists.

use super::SEED;
use crate::recipe::data::question_pairs::{PAIRS, Passage, read};
use crate::recipe::error::{Problem, RecipeError, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, OutputKind, Values};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Registry, StageKind, StageOutput};
use crate::recipe::task::{Task, hash_file};
use plackett_core::formats::{BeirWriter, FormatError};
use plackett_core::{Document, Qrels, Query};
use plackett_lm::LmError;
use plackett_rank::model::{Role, TextEmbedder};
use plackett_train::random::Stream;
use std::collections::HashMap;
use std::path::Path;

/// The number that the stage gives.
const COUNT: &str = "lists";

/// Prices from the least to the greatest, each of which is one word, and one token of most vocabularies.
const PRICES: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/// Things that have a price.
const THINGS: [&str; 40] = [
    "chair", "table", "lamp", "clock", "book", "door", "window", "box", "bag", "cup", "bowl", "plate",
    "knife", "fork", "shirt", "coat", "hat", "shoe", "ring", "chain", "ball", "doll", "card", "flag", "drum",
    "horn", "bell", "boat", "car", "bike", "wheel", "rope", "stone", "brick", "tree", "flower", "apple",
    "bread", "fish", "horse",
];

/// What is asked of things with prices.
const DEAREST: &str = "which one costs the most";

/// The declaration.
pub static GRADED_LISTS: StageKind = StageKind {
    name: "graded-lists",
    help: "makes two collections in BEIR form, `train` and `test` (judgments `test`), of lists with a known order; the `list` of a `data` stage is then \
           `judged`, with order = \"ideal\" to teach it. `numbers`: things with a price in words, of which no price comes twice in a list; the dearest is the best. \
           `questions`: the passage that answers a question, others of the same title and others at random, in the order of their cosine with the question \
           by the bundled encoder. With `questions` no passage that answers a test question answers one to learn from, but it may stand in lists to learn from as \
           one of the others; `numbers` draws both collections from the same things and prices. Gives `lists`, how many there are of both",
    version: 1,
    gives: OutputKind::Numbers,
    fields: &[
        FieldSpec::new(
            "source",
            FieldKind::Choice(&["numbers", "questions"]),
            Default::Text("numbers"),
            "what the lists are made of",
        ),
        FieldSpec::new(
            "collection",
            FieldKind::Text,
            Default::Text("squad-pairs"),
            "pairs of questions and passages, where lists are made of such: a folder's name in PLACKETT_DATA, or a path",
        ),
        FieldSpec::new("sets", FieldKind::Texts, Default::Absent, "the sets of pairs that take part, then"),
        FieldSpec::new("train", FieldKind::Whole(1, i64::MAX), Default::Whole(1000), "lists to learn from"),
        FieldSpec::new("test", FieldKind::Whole(1, i64::MAX), Default::Whole(100), "lists to test with"),
        FieldSpec::new("size", FieldKind::Whole(2, 100), Default::Whole(5), "passages of a list"),
        SEED,
    ],
    chooses: None,
    check,
    numbers: |_, _| vec![COUNT.to_string()],
    outside: |values, environment| match values.word("source") {
        "questions" => {
            let pairs = environment.collection(values.word("collection"))?.join(PAIRS);
            let encoder = environment.fingerprint(plackett_lm::store::BUNDLED)?;
            Ok(vec![(PAIRS.into(), hash_file(&pairs)?), ("encoder".into(), encoder)])
        }
        _ => Ok(Vec::new()),
    },
    estimate: |task| {
        let lists = task.values.count("train") + task.values.count("test");
        // Numbers need no encoder.
        let each = if task.values.word("source") == "questions" {
            0.01 * task.values.count("size") as f64
        } else {
            0.0
        };
        let seconds = Some(1.0 + each * lists as f64);
        Ok(Estimate { work: format!("makes {lists} lists"), seconds, ..Estimate::default() })
    },
    run,
};

fn check(values: &Values, _: &Registry) -> Result<(), RecipeError> {
    let wrong = |field, problem: String| Err(values.wrong(field, 0, Problem::Said(problem)));
    let (size, most) = (values.count("size"), PRICES.len());
    match values.word("source") {
        "questions" if values.texts("sets").is_empty() => {
            wrong("source", "questions are of sets of pairs; name some in `sets`".into())
        }
        "numbers" if size > most => {
            wrong("size", format!("there are {most} prices, of which none comes twice in a list of {size}"))
        }
        _ => Ok(()),
    }
}

/// A list of which the first passage is the best.
struct Graded {
    query: String,
    passages: Vec<String>,
}

impl Graded {
    /// The grade of a passage by its place: the best has one more than its distance to the next, so that the gold passage of a
    /// question counts most; the last has none.
    fn grade(&self, place: usize) -> i32 {
        let worse = (self.passages.len() - 1 - place) as i32;
        worse + i32::from(place == 0)
    }
}

fn run(task: &Task<'_>) -> Result<StageOutput, StageError> {
    let values = task.values;
    let (train, test) = (values.count("train"), values.count("test"));
    let lists = match values.word("source") {
        "questions" => of_questions(task, train + test)?,
        _ => of_prices(values.count("seed") as u64, values.count("size"), train + test),
    };
    let (taught, tested) = lists.split_at(train);
    write(&task.folder.join("train"), "train", taught)?;
    write(&task.folder.join("test"), "test", tested)?;
    let number = Quantity::of_seed(COUNT, values.count("seed"), lists.len() as f64);
    Ok(StageOutput { numbers: vec![number], ..StageOutput::default() })
}

/// Things with prices, the dearest first.
fn of_prices(seed: u64, size: usize, count: usize) -> Vec<Graded> {
    let list = |nth: usize| {
        let prices = Stream::new(seed, 2 * nth as u64).permutation(PRICES.len());
        let things = Stream::new(seed, 2 * nth as u64 + 1).permutation(THINGS.len());
        let mut listed: Vec<(usize, usize)> = prices.into_iter().zip(things).take(size).collect();
        listed.sort_unstable_by_key(|(price, _)| std::cmp::Reverse(*price));
        let passage =
            |(price, thing): (usize, usize)| format!("{} costs {} coins", THINGS[thing], PRICES[price]);
        Graded { query: DEAREST.into(), passages: listed.into_iter().map(passage).collect() }
    };
    (0..count).map(list).collect()
}

/// Questions with the passage that answers and others, those nearest to the question first.
fn of_questions(task: &Task<'_>, count: usize) -> Result<Vec<Graded>, StageError> {
    let (values, seed) = (task.values, task.values.count("seed") as u64);
    let path = task.environment.collection(values.word("collection"))?.join(PAIRS);
    let passages = read(&path, &values.texts("sets"))?;
    let size = values.count("size");
    if passages.len() < count.max(size) {
        let problem =
            format!("{count} passages with a question are wanted, and there are {}", passages.len());
        return Err(StageError::Field { field: "train", problem });
    }
    let drawn = choose(&passages, (seed, size, count));
    let model = task.environment.models(None).open(None)?;
    let unfit = |problem| StageError::Field { field: "source", problem };
    let embedder = model.abilities().text_embedder().map_err(unfit)?;
    let mut lists = Vec::with_capacity(count);
    for (question, gold, others) in drawn {
        (task.progress)("embedding", lists.len() as u64, count as u64);
        let texts: Vec<&str> = others.iter().map(|at| passages[*at].text.as_str()).collect();
        let near = cosines(embedder.as_ref(), &question, &texts).map_err(|error| unfit(error.to_string()))?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by(|a, b| near[*b].total_cmp(&near[*a]));
        let best = std::iter::once(passages[gold].text.clone());
        let passages = best.chain(order.into_iter().map(|at| texts[at].to_string())).collect();
        lists.push(Graded { query: question, passages });
    }
    Ok(lists)
}

/// For so many questions, each of another passage, the passage and others: half of the same title, as far as there are such.
fn choose(
    passages: &[Passage],
    (seed, size, count): (u64, usize, usize),
) -> Vec<(String, usize, Vec<usize>)> {
    let mut titles: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, passage) in passages.iter().enumerate() {
        titles.entry(&passage.title).or_default().push(at);
    }
    let golds = Stream::new(seed, 0).permutation(passages.len());
    let one = |(nth, gold): (usize, usize)| {
        let stream = |side: u64| Stream::new(seed, 1 + 3 * nth as u64 + side);
        let question = stream(0).below(0, passages[gold].questions.len());
        let title = passages[gold].title.as_str();
        let same = titles.get(title).map_or(&[][..], Vec::as_slice);
        let near = stream(1).permutation(same.len()).into_iter().map(|at| same[at]).filter(|at| *at != gold);
        let mut others: Vec<usize> = near.take((size - 1) / 2).collect();
        // Sets without titles have one for all.
        let is_far = |at: &usize| titles.len() == 1 || passages[*at].title != title;
        let is_new = |at: &usize| *at != gold && !others.contains(at);
        let far = stream(2).permutation(passages.len()).into_iter().filter(|at| is_far(at) && is_new(at));
        let far: Vec<usize> = far.take(size - 1 - others.len()).collect();
        others.extend(far);
        (passages[gold].questions[question].clone(), gold, others)
    };
    golds.into_iter().take(count).enumerate().map(one).collect()
}

fn cosines(embedder: &dyn TextEmbedder, question: &str, texts: &[&str]) -> Result<Vec<f32>, LmError> {
    let asked =
        embedder.embed_texts(Role::Query, &[question])?.pop().map(|text| text.values).unwrap_or_default();
    let told = embedder.embed_texts(Role::Document, texts)?;
    Ok(told.iter().map(|text| text.values.iter().zip(&asked).map(|(a, b)| a * b).sum()).collect())
}

/// Writes lists as a collection: each has documents of its own, so that none is judged for two queries.
fn write(folder: &Path, name: &str, lists: &[Graded]) -> Result<(), StageError> {
    let writer = BeirWriter::create(folder)?;
    let (mut queries, mut documents, mut qrels) = (Vec::new(), Vec::new(), Qrels::new());
    for (nth, list) in lists.iter().enumerate() {
        let query = format!("{name}{nth}");
        for (place, passage) in list.passages.iter().enumerate() {
            let id = format!("{query}-{place}");
            let full = |source| FormatError::Full { file: folder.display().to_string(), source };
            qrels.query_mut(&query).push("0", &id, list.grade(place)).map_err(full)?;
            documents.push(Document::new(id, passage.clone()));
        }
        queries.push(Query::new(query, list.query.clone()));
    }
    writer.queries(&queries)?;
    writer.corpus(documents.into_iter().map(Ok))?;
    Ok(writer.qrels("test", &qrels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_fall_and_none_comes_twice() {
        let lists = of_prices(1, 5, 50);
        for list in &lists {
            let prices: Vec<usize> = list
                .passages
                .iter()
                .map(|passage| {
                    let price = passage.split(' ').nth(2).unwrap();
                    PRICES.iter().position(|known| *known == price).unwrap()
                })
                .collect();
            assert!(prices.windows(2).all(|pair| pair[0] > pair[1]), "{prices:?}");
        }
        assert_ne!(lists[0].passages, lists[1].passages);
        assert_eq!((0..5).map(|place| lists[0].grade(place)).collect::<Vec<_>>(), [5, 3, 2, 1, 0]);
    }

    #[test]
    fn lists_of_questions_have_other_passages_and_half_of_the_same_title() {
        let passage = |at: usize| Passage {
            title: format!("t{}", at / 6),
            text: format!("text {at}"),
            questions: vec![format!("q{at}")],
        };
        let passages: Vec<Passage> = (0..24).map(passage).collect();
        let chosen = choose(&passages, (1, 5, 20));
        assert_eq!(chosen.len(), 20);
        for (question, gold, others) in &chosen {
            assert_eq!(question, &format!("q{gold}"));
            assert_eq!(others.len(), 4);
            let same = others.iter().filter(|at| passages[**at].title == passages[*gold].title).count();
            assert!(same == 2 && !others.contains(gold), "{gold}: {others:?}");
        }
        let mut golds: Vec<usize> = chosen.iter().map(|(_, gold, _)| *gold).collect();
        golds.sort_unstable();
        golds.dedup();
        assert_eq!(golds.len(), 20);
    }

    #[test]
    fn written_lists_read_back_in_the_order_that_is_taught() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "train", &of_prices(1, 3, 4)).unwrap();
        let beir = plackett_core::formats::BeirFolder::open(folder.path()).unwrap();
        let qrels = beir.qrels("test").unwrap();
        assert_eq!((beir.queries().unwrap().len(), beir.corpus().unwrap().count()), (4, 12));
        let grades: Vec<i32> = qrels.query("train3").unwrap().iter().map(|judged| judged.grade).collect();
        assert_eq!(grades, [3, 1, 0]);
    }
}
