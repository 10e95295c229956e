//! `category-paths`: a hierarchy of categories for a collection, and the paths of each of its documents.

use super::{SEED, dataset_of, index};
use crate::recipe::categories::{AssignedPaths, own_paths};
use crate::recipe::choosing::{TextVectors, cosine};
use crate::recipe::docids::Corpus;
use crate::recipe::error::{Problem, StageError};
use crate::recipe::field::{Default, FieldKind, FieldSpec, Gives};
use crate::recipe::quantity::Quantity;
use crate::recipe::registry::{Estimate, Made, StageKind};
use crate::recipe::task::Task;
use plackett_genir::category_paths::{CategoryHierarchy, CategoryPath, parse_selector, shortlist};
use plackett_lm::store::BUNDLED;
use plackett_search::Index;

const NUMBERS: [&str; 4] = ["paths", "each", "several", "own_title"];

/// The declaration.
pub static CATEGORY_PATHS: StageKind = StageKind {
    name: "category-paths",
    help: "a hierarchy of categories for a collection whose titles are those of articles, say: the title, and below it topics (clusters of the \
           documents of one title by the vectors of the index, named by the two words that tell them from the others). Each document gets \
           a shortlist of the paths whose vectors (bundled encoder) are most like its own, wherever they are in the hierarchy, and a \
           selector chooses from it. Gives `paths` (how many), `each` (mean paths of a document), `several` (share of the documents with more \
           than one) and `own_title` (share of the documents whose first path begins with their title)",
    version: 1,
    gives: Gives::Numbers,
    fields: &[
        FieldSpec::required(
            "index",
            FieldKind::Stage(&[Gives::Index]),
            "an index of the corpus, with vectors",
        ),
        FieldSpec::new("topics", FieldKind::Whole(1, 1000), Default::Whole(4), "topics of a title at most"),
        FieldSpec::new("depth", FieldKind::Whole(1, 100), Default::Whole(4), "categories of a path at most"),
        FieldSpec::new("shortlist", FieldKind::Whole(1, 10_000), Default::Whole(10), "paths of a shortlist"),
        FieldSpec::new(
            "selector",
            FieldKind::Text,
            Default::Text("nearest(paths=3)"),
            "who chooses from the shortlist: `nearest(paths=N)`, or `branches(paths=N)`, which takes one path of each title",
        ),
        SEED,
    ],
    chooses: None,
    check: |values, _| match parse_selector(values.word("selector")) {
        Ok(_) => Ok(()),
        Err(error) => Err(values.wrong("selector", 0, Problem::Said(error.to_string()))),
    },
    numbers: |_, _| NUMBERS.map(str::to_string).to_vec(),
    outside: |_, surroundings| Ok(vec![("model".into(), surroundings.fingerprint(BUNDLED)?)]),
    estimate: |_| {
        Ok(Estimate { work: "makes category paths".into(), seconds: Some(5.0), ..Estimate::default() })
    },
    run,
};

fn run(task: &Task<'_>) -> Result<Made, StageError> {
    let values = task.values;
    let dataset = dataset_of(task, values.word("index"))?;
    let opened = Index::open(task.input(values.word("index"))?.folder.join(index::FOLDER))?;
    let corpus = Corpus::read(&dataset)?;
    let vectors = corpus.vectors(&opened)?;
    let seed = values.count("seed") as u64;
    let own = own_paths(&corpus.documents, &vectors, values.count("topics"), seed)?;
    let hierarchy = CategoryHierarchy::of_paths(own.iter().cloned(), values.count("depth"))?;
    let of_paths = TextVectors::embed(task, hierarchy.paths().iter().map(ToString::to_string).collect())?;
    let selector = parse_selector(values.word("selector"))?;
    let mut documents = Vec::with_capacity(vectors.len());
    for vector in &vectors {
        let vector: Vec<f32> = vector.iter().map(|number| *number as f32).collect();
        let similarity = |path: &CategoryPath| Ok(cosine(&vector, of_paths.get(&path.to_string())?));
        let similarities =
            hierarchy.paths().iter().map(similarity).collect::<Result<Vec<f64>, StageError>>()?;
        let listed = shortlist(&similarities, values.count("shortlist"));
        let shown: Vec<(&CategoryPath, f64)> =
            listed.iter().map(|(path, similarity)| (&hierarchy.paths()[*path], *similarity)).collect();
        documents.push(selector.select(&shown).into_iter().map(|at| listed[at].0).collect::<Vec<usize>>());
    }
    let count = documents.len() as f64;
    let begins_with_title = |(paths, own): &(&Vec<usize>, &CategoryPath)| {
        let first = paths.first().and_then(|path| hierarchy.paths()[*path].categories().first());
        first == own.categories().first()
    };
    let numbers = [
        hierarchy.paths().len() as f64,
        documents.iter().map(Vec::len).sum::<usize>() as f64 / count,
        documents.iter().filter(|paths| paths.len() > 1).count() as f64 / count,
        documents.iter().zip(&own).filter(begins_with_title).count() as f64 / count,
    ];
    let cut = hierarchy.cut();
    let made = AssignedPaths { hierarchy, documents, vectors: of_paths };
    made.write(task.folder)?;
    let number = |(name, number): (&&str, f64)| Quantity::of_seed(*name, values.count("seed"), number);
    Ok(Made {
        numbers: NUMBERS.iter().zip(numbers).map(number).collect(),
        warnings: (cut > 0)
            .then(|| format!("{cut} paths are cut to {} categories", values.count("depth")))
            .into_iter()
            .collect(),
        facts: vec![("an example".into(), made.hierarchy.paths()[0].to_string())],
    })
}
