use super::*;
use plackett_ids::scheme::parse;

fn documents() -> Vec<Document> {
    let texts = ["red foxes run in woods", "old ships sail at sea", "a full moon is bright"];
    texts.iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text)).collect()
}

/// A training that takes a moment, of a tiny decoder.
pub(crate) fn tiny() -> RetrieverTraining {
    RetrieverTraining {
        first: 5,
        chunks: 2,
        chunk_words: 3,
        queries: 0,
        labelled: false,
        weights: None,
        curriculum: false,
        rank_every: 0,
        layers: 1,
        width: 16,
        words: 6,
        batch: 4,
        steps: 120,
        rate: 1e-2,
        seed: 1,
        decoder: DocidDecoder::Plain,
        titles: None,
    }
}

fn training() -> RetrieverTraining {
    RetrieverTraining { labelled: true, rank_every: 4, ..tiny() }
}

#[test]
fn kinds_of_texts_are_trained_on_as_often_as_they_weigh() {
    let documents = documents();
    let labelled = PairSource::new(vec![TextPair { text: "animals".into(), document: 0 }]);
    let similar = |_: &str, _: usize| Ok(Vec::new());
    let data = LearningData { documents: &documents, labelled: &labelled, similar: &similar, paths: None };
    let weighed = |weights: &str| RetrieverTraining { weights: weights.parse().ok(), ..training() };
    let count = |training: &RetrieverTraining| {
        let pairs = mixed(&training.sources(&data), 1);
        (pairs.len(), pairs.iter().filter(|pair| pair.text == "animals").count())
    };
    // Three documents with their first words and two chunks each, and a labelled query.
    assert_eq!(count(&training()), (10, 1));
    assert_eq!(count(&weighed("3:0:2")), (10, 4));
    for (training, expected) in [
        (weighed("1:1:1"), "pseudo queries are not learned from"),
        (weighed("0:0:1"), "first words and chunks are learned from and have 0"),
        (RetrieverTraining { curriculum: true, ..weighed("3:0:2") }, "in a curriculum"),
    ] {
        let error = training.check().unwrap_err().to_string();
        assert!(error.starts_with("weights: ") && error.contains(expected), "{error}");
    }
    assert!(weighed("3:0:2").check().is_ok());
}

#[test]
fn lists_are_learned_where_a_query_has_several_answers() {
    let catalogue = catalogue_of(&parse("atomic").unwrap(), &documents(), None, 1).unwrap();
    let answers = |documents: &[usize]| {
        let pair = |document: &usize| TextPair { text: "animals".into(), document: *document };
        PairSource::new(documents.iter().map(pair).collect())
    };
    let lists = RetrieverTraining { titles: Some(2), labelled: true, ..tiny() };
    assert!(lists.check_titles(&answers(&[0, 2]), &catalogue).is_ok());
    assert!(tiny().check_titles(&answers(&[0]), &catalogue).is_ok(), "no lists are asked for");
    // One answer, the same twice, and answers that are not learned from.
    let unlabelled = RetrieverTraining { labelled: false, ..lists.clone() };
    for (training, documents) in [(&lists, &[0][..]), (&lists, &[1, 1][..]), (&unlabelled, &[0, 2][..])] {
        let error = training.check_titles(&answers(documents), &catalogue).unwrap_err().to_string();
        assert!(error.starts_with("titles: no labelled query has several answers"), "{error}");
    }
    let decoder = "prefix-aware".parse().unwrap();
    let aware = RetrieverTraining { decoder, ..lists };
    let error = aware.check_titles(&answers(&[0, 2]), &catalogue).unwrap_err().to_string();
    assert!(error.contains("with the decoder `plain` alone"), "{error}");
}

#[test]
fn the_url_of_a_document_is_its_field() {
    let mut document = Document::new("a", "a text");
    document.metadata.insert("url".into(), "http://a.org/green/tea".into());
    let documents = [document, Document { title: "Title".into(), ..Document::new("b", "a text") }];
    let catalogue = catalogue_of(&parse("url").unwrap(), &documents, None, 1).unwrap();
    assert_eq!([catalogue.text(0), catalogue.text(1)], ["[ tea green a org ]", "[ title ]"]);
}

#[test]
fn documents_become_a_retriever_that_finds_them() {
    let documents = documents();
    let labelled = PairSource::new(vec![TextPair { text: "animals".into(), document: 0 }]);
    let similar = |_: &str, count: usize| Ok((0..3).take(count).collect());
    let data = LearningData { documents: &documents, labelled: &labelled, similar: &similar, paths: None };
    let catalogue = || catalogue_of(&parse("atomic").unwrap(), &documents, None, 1).unwrap();
    for curriculum in [false, true] {
        let training = RetrieverTraining { curriculum, ..training() };
        let mut parts = Vec::new();
        let learned = training
            .learn(&data, catalogue(), &Compute::new(1), None, &mut |part, _, _| parts.push(part))
            .unwrap();
        assert_eq!(parts.last(), Some(&if curriculum { (2, 2) } else { (1, 1) }));
        let folder = tempfile::tempdir().unwrap();
        learned.files.save(folder.path(), &learned.model, &learned.parameters).unwrap();
        let retriever = GenerativeRetriever::open(folder.path(), true).unwrap();
        let found = retriever.search(&["animals"], &Decoding::Beams { width: 3 }, 0).unwrap();
        assert_eq!((found[0].documents[0].0, found[0].documents.len()), (0, 3));
        let docids = learned.files.docids().unwrap();
        let share = recalled(&retriever, &docids, &learned.sources, 10).unwrap();
        // What comes last in a curriculum displaces what came first.
        assert!(share > if curriculum { 0.2 } else { 0.8 }, "{share}");
    }
    let nothing = RetrieverTraining { first: 0, chunks: 0, labelled: false, ..training() };
    assert!(nothing.check().unwrap_err().to_string().contains("nothing to learn from"));
    assert!(RetrieverTraining { width: 12, ..training() }.check().is_err());
}

#[test]
fn a_training_that_stopped_goes_on_to_the_same_bits() {
    let documents = documents();
    let labelled = PairSource::new(vec![TextPair { text: "animals".into(), document: 0 }]);
    let similar = |_: &str, count: usize| Ok((0..3).take(count).collect());
    let data = LearningData { documents: &documents, labelled: &labelled, similar: &similar, paths: None };
    let training = RetrieverTraining { curriculum: true, steps: 40, ..training() };
    let folder = tempfile::tempdir().unwrap();
    let learn = |checkpointing: Option<&Checkpointing<'_>>, progress: &mut PartProgress<'_>| {
        let catalogue = catalogue_of(&parse("atomic").unwrap(), &documents, None, 1).unwrap();
        training.learn(&data, catalogue, &Compute::new(1), checkpointing, progress)
    };
    let whole = learn(None, &mut |_, _, _| {}).unwrap();
    let checkpointing = Checkpointing { folder: folder.path(), identity: "a", every: 6 };
    // In the second part after 9 of 20 steps: its checkpoint has 6.
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        learn(Some(&checkpointing), &mut |part, record, _| assert!(part.0 == 1 || record.step < 9, "stop"))
    }));
    assert!(stopped.is_err());
    let rest = learn(Some(&checkpointing), &mut |_, _, _| {}).unwrap();
    assert_eq!((rest.resumed, rest.loss), (26, whole.loss));
    let numbers = |learned: &LearnedRetriever| -> Vec<Vec<f32>> {
        learned.parameters.iter().map(|(_, parameter)| parameter.value.to_vec()).collect()
    };
    assert_eq!(numbers(&rest), numbers(&whole));
    let other = Checkpointing { identity: "b", ..checkpointing };
    let error = learn(Some(&other), &mut |_, _, _| {}).err().unwrap().to_string();
    assert!(error.contains("other settings, data or model"), "{error}");
}
