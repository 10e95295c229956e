//! A tiny retriever learns documents of which one has two paths.

use super::*;
use crate::beam_options::tests::log_prob;
use crate::category_paths::{ExampleTargets, PathExamples};
use crate::representation::{PairSource, TextPair};
use crate::{DocidDecoder, DocidLanguage, RetrieverTask};
use plackett_ids::scheme::parse;
use plackett_ids::{Item, scheme};
use plackett_train::nn::LlamaConfig;
use plackett_train::trainer::{LanguageModel, Settings, train};
use plackett_train::{Compute, Parameters};

/// Texts with their path and document: the second document is a ship and old.
const EXAMPLES: [(&str, usize, usize); 4] =
    [("red fox", 0, 0), ("big ship", 1, 1), ("old thing", 2, 1), ("old moon", 2, 2)];
const PATHS: [&str; 3] = ["Nature >> Animals", "Craft >> Ships", "Craft >> History"];

fn made(folder: &Path, docids: &str) {
    let items = ["fox", "ship", "moon"].map(|name| Item { title: name.into(), ..Item::new(name) });
    let source = scheme::Source::of_items(&items, 1);
    let catalogue = parse(docids).unwrap().catalogue(&source).unwrap();
    let paths = PATHS.map(|path| CategoryPath::parse(path).unwrap());
    let hierarchy = CategoryHierarchy::of_paths(paths, 4).unwrap();
    let tokens: Vec<String> =
        catalogue.tokens().iter().cloned().chain(PathLanguage::vocabulary(&hierarchy)).collect();
    let language = DocidLanguage::new(EXAMPLES.map(|example| example.0), &tokens, (1, 6));
    let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
    let paths = PathLanguage::new(&files.language, files.catalogue.tokens(), &hierarchy).unwrap();
    let docids = files.docids().unwrap();
    let pairs = EXAMPLES
        .map(|(text, path, document)| (files.language.prompt(text), paths.target(path, &docids[document])));
    let mut parameters = Parameters::default();
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    let vocabulary = files.language.vocabulary();
    let model = LanguageModel::of_words(vocabulary, &config, 24, 3, &mut parameters).unwrap();
    let settings = Settings { batch: 4, steps: 200, rate: 1e-2, checkpoint: 0, ..Settings::default() };
    let task = RetrieverTask::new(&model, pairs.to_vec(), &settings, None).unwrap();
    train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    files.save_with(folder, &model, &parameters, Some(&hierarchy)).unwrap();
}

#[test]
fn hits_come_with_the_paths_that_were_learned_for_any_scheme_of_docids() {
    for docids in ["title", "atomic", "naive(start=0)"] {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path(), docids);
        for (shortened, constrained) in [(false, false), (true, true)] {
            let retriever = PathRetriever::open(folder.path(), shortened).unwrap();
            let decoding = PathDecoding { paths: 1, width: 3, constrained, score: PathScore::Joint };
            let texts = EXAMPLES.map(|example| example.0);
            let found = retriever.search(&texts, &decoding).unwrap();
            for (found, (text, path, document)) in found.iter().zip(EXAMPLES) {
                assert_eq!(found.hits[0].document, document, "{docids}, {text}");
                assert_eq!(found.paths[0].member, Some(path), "{docids}, {text}");
                assert_eq!(found.paths[0].explanation(), PATHS[path]);
                assert_eq!((found.hits.len(), found.paths.len()), (3, 1));
            }
        }
    }
}

#[test]
fn scores_are_of_the_docid_or_of_both_and_each_document_comes_once() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path(), "title");
    let retriever = PathRetriever::open(folder.path(), false).unwrap();
    let search = |score| {
        let decoding = PathDecoding { paths: 3, width: 3, constrained: true, score };
        retriever.search(&["big ship"], &decoding).unwrap().remove(0)
    };
    let (docid, joint) = (search(PathScore::Docid), search(PathScore::Joint));
    assert_eq!(joint.paths, docid.paths);
    let mean = search(PathScore::Mean);
    assert_eq!(mean.hits.len(), docid.hits.len());
    let files = RetrieverFiles::open(folder.path()).unwrap();
    let docids = files.docids().unwrap();
    for hit in &mean.hits {
        let path = retriever.language().target(mean.paths[hit.path].member.unwrap(), &[]);
        let read = [&files.language.prompt("big ship")[..], &path[..]].concat();
        let sum = log_prob(retriever.retriever(), &read, &docids[hit.document]);
        let by_hand = sum / docids[hit.document].len() as f64;
        assert!((hit.score - by_hand).abs() < 1e-4, "{} and not {by_hand}", hit.score);
    }
    let paths: f64 = joint.paths.iter().map(|path| path.log_prob.exp()).sum();
    assert!((paths - 1.0).abs() < 1e-5, "three paths are all there are: {paths}");
    for hit in &joint.hits {
        let same = docid.hits.iter().find(|other| (other.document, other.path) == (hit.document, hit.path));
        if let Some(same) = same {
            assert!((hit.score - same.score - joint.paths[hit.path].log_prob).abs() < 1e-9);
        }
    }
    let mut documents: Vec<usize> = joint.hits.iter().map(|hit| hit.document).collect();
    documents.sort_unstable();
    assert_eq!((documents, joint.reached_again), (vec![0, 1, 2], 3));
    assert!(joint.cost.docid_branches > joint.cost.path_branches);
}

#[test]
fn a_document_that_two_paths_reach_comes_once_with_its_greater_score() {
    let hit = |document, path, score| PathHit { document, path, score };
    let hits = [hit(7, 0, -2.0), hit(4, 0, -1.5), hit(7, 1, -1.0), hit(5, 1, -1.5), hit(4, 1, -1.5)];
    let (merged, again) = best_of_paths(hits, 10);
    assert_eq!(merged, [hit(7, 1, -1.0), hit(4, 0, -1.5), hit(5, 1, -1.5)], "likelier paths go first");
    assert_eq!(again, 2);
    assert_eq!(best_of_paths(hits, 1), (vec![hit(7, 1, -1.0)], 2));
    assert_eq!(best_of_paths([], 3), (Vec::new(), 0));
}

#[test]
fn paths_of_another_retriever_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path(), "title");
    let path = folder.path().join(HIERARCHY_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("sha256\":\"", "sha256\":\"0", 1)).unwrap();
    let error = PathRetriever::open(folder.path(), false).err().unwrap().to_string();
    assert!(error.contains(HIERARCHY_FILE) && error.contains("other docids"), "{error}");
    std::fs::write(&path, text.replace("Animals", "Beasts")).unwrap();
    let error = PathRetriever::open(folder.path(), false).err().unwrap().to_string();
    assert!(error.contains("`beasts`"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(PathRetriever::open(folder.path(), false).is_err());
}

#[test]
fn a_document_is_taught_with_the_path_of_each_text() {
    let items = ["fox", "ship"].map(Item::new);
    let catalogue = parse("atomic").unwrap().catalogue(&scheme::Source::of_items(&items, 1)).unwrap();
    let paths = ["Craft >> Ships", "Craft >> History"].map(|path| CategoryPath::parse(path).unwrap());
    let hierarchy = CategoryHierarchy::of_paths(paths, 4).unwrap();
    let tokens: Vec<String> =
        catalogue.tokens().iter().cloned().chain(PathLanguage::vocabulary(&hierarchy)).collect();
    let language = DocidLanguage::new(["a ship"], &tokens, (1, 6));
    let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
    let docids = files.docids().unwrap();
    let pair = |(text, document): (&str, usize)| TextPair { text: text.into(), document };
    let taught = [("a fox", 0), ("a ship sails", 1), ("old ships", 1)].map(pair);
    let sources = [PairSource::new(taught[..2].to_vec()), PairSource::new(taught[2..].to_vec())];
    // Asked about the document with two paths alone.
    let choose = |pairs: &[&TextPair]| {
        assert!(pairs.iter().all(|pair| pair.document == 1));
        Ok(pairs.iter().map(|pair| usize::from(pair.text.contains("old"))).collect())
    };
    let documents = [vec![1], vec![0, 1]];
    let examples = PathExamples { hierarchy: &hierarchy, documents: &documents, choose: &choose };
    let targets = ExampleTargets::new(&files, &docids, Some(&examples), &sources).unwrap();
    let language = PathLanguage::new(&files.language, files.catalogue.tokens(), &hierarchy).unwrap();
    let expected = [(1, 0), (0, 1), (1, 1)].map(|(path, document)| language.target(path, &docids[document]));
    assert_eq!(taught.clone().map(|pair| targets.of(&pair)), expected);
    assert_eq!(targets.longest(), expected[2].len());
    assert_eq!(targets.diversity(Some(&examples)), Some(1.0));
    let plain = ExampleTargets::new(&files, &docids, None, &sources).unwrap();
    assert_eq!((plain.of(&taught[0]), plain.longest()), (docids[0].clone(), 2));
    let examples = PathExamples { documents: &[vec![], vec![0]], ..examples };
    let error = ExampleTargets::new(&files, &docids, Some(&examples), &sources).err().unwrap().to_string();
    assert!(error.contains("document 0") && error.contains("no category path"), "{error}");
}
