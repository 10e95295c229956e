//! A tiny retriever learns four documents.

use super::*;
use crate::{AutoencoderTrainer, RetrieverTask};
use plackett_ids::scheme::Encoding;
use plackett_ids::{Item, VectorTable};
use plackett_train::Compute;
use plackett_train::nn::LlamaConfig;
use plackett_train::trainer::{Settings, train};

const TEXTS: [&str; 4] = ["red fox", "old ship", "full moon", "new moon"];

fn made(folder: &Path) -> RetrieverFiles {
    let tokens = ["<a>", "<b>", "<c>"].map(str::to_string).to_vec();
    let language = DocidLanguage::new(TEXTS, &tokens, (1, 6));
    // The last two documents have one docid.
    let codes = [[0, 1], [0, 2], [1, 1], [1, 1]].map(|codes| codes.to_vec()).to_vec();
    let encoding = Encoding { tokens, codes, ..Encoding::default() };
    let items = ["a", "b", "c", "d"].map(Item::new);
    let catalogue = Catalogue::new("test", &items, encoding).unwrap();
    let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
    let mut parameters = Parameters::default();
    let config = LlamaConfig::small(0, 1, (16, 32), 2);
    let vocabulary = files.language.vocabulary();
    let model = LanguageModel::of_words(vocabulary, &config, 12, 3, &mut parameters).unwrap();
    let docids = files.docids().unwrap();
    let pairs = TEXTS.iter().zip(&docids).map(|(text, docid)| (files.language.prompt(text), docid.clone()));
    let settings = Settings { batch: 4, steps: 120, rate: 1e-2, checkpoint: 0, ..Settings::default() };
    let task = RetrieverTask::new(&model, pairs.collect(), &settings, None).unwrap();
    train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    files.save(folder, &model, &parameters).unwrap();
    files
}

#[test]
fn what_was_learned_is_found_and_shared_docids_expand_to_their_documents() {
    let folder = tempfile::tempdir().unwrap();
    let files = made(folder.path());
    for shortened in [false, true] {
        let retriever = GenerativeRetriever::open(folder.path(), shortened).unwrap();
        assert_eq!(retriever.files().catalogue, files.catalogue);
        assert_eq!(retriever.docids().report().docids, 3);
        let annealing = ReverseAnnealing { draws: 5, ..ReverseAnnealing::default() };
        for decoding in [Decoding::Beams { width: 5 }, Decoding::ReverseAnnealing { annealing, seed: 1 }] {
            let found = retriever.search(&["the red fox", "Moon!"], &decoding, 0).unwrap();
            assert_eq!(found[0].documents[0].0, 0);
            let moons: Vec<usize> = found[1].documents[..2].iter().map(|(document, _)| *document).collect();
            assert_eq!(moons, [2, 3]);
            assert_eq!(found[1].documents[0].1, found[1].documents[1].1);
            assert_eq!((found[0].documents.len(), found[0].docids.len()), (4, 3), "all there are");
            assert!(found[0].branches > 0);
        }
    }
}

#[test]
fn a_catalogue_of_another_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = made(folder.path());
    let path = folder.path().join(CATALOGUE_FILE);
    files.catalogue.shuffled(2).unwrap().save(&path).unwrap();
    let error = RetrieverFiles::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains(CATALOGUE_FILE) && error.contains("not the catalogue"), "{error}");
    files.catalogue.save(&path).unwrap();
    assert!(RetrieverFiles::open(folder.path()).is_ok());
    let weights = folder.path().join(WEIGHTS_FILE);
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let error = RetrieverFiles::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains(WEIGHTS_FILE) && error.contains("not the file"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = RetrieverFiles::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains(CATALOGUE_FILE), "{error}");
    std::fs::write(folder.path().join(RETRIEVER_FILE), "{").unwrap();
    let error = RetrieverFiles::open(folder.path()).err().unwrap().to_string();
    assert!(error.contains(RETRIEVER_FILE) && error.contains("line 1"), "{error}");
}

#[test]
fn docids_of_one_token_take_one_pass_of_the_model_and_one_softmax() {
    use plackett_ids::scheme::{Source, parse};
    use plackett_lm::decode::{Branch, LogitIds, log_sum_exp};
    let items: Vec<Item> = (0..50).map(|at| Item::new(format!("d{at}"))).collect();
    let catalogue = parse("atomic").unwrap().catalogue(&Source::of_items(&items, 1)).unwrap();
    let language = DocidLanguage::new(TEXTS, catalogue.tokens(), (1, 4));
    let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
    let tokens: Vec<u32> = files.docids().unwrap().iter().map(|docid| docid[0]).collect();
    let mut parameters = Parameters::default();
    let (config, vocabulary) = (LlamaConfig::small(0, 1, (16, 32), 2), files.language.vocabulary());
    let model = LanguageModel::of_words(vocabulary, &config, 8, 3, &mut parameters).unwrap();
    let folder = tempfile::tempdir().unwrap();
    files.save(folder.path(), &model, &parameters).unwrap();
    let retriever = GenerativeRetriever::open(folder.path(), true).unwrap();
    let found = retriever.search(&["red fox"], &Decoding::Beams { width: 10 }, 0).unwrap().remove(0);
    assert_eq!((found.documents.len(), found.branches), (10, 1));
    let (mut session, prompt) = (retriever.session(), files.language.prompt("red fox"));
    let (parent, logit_ids) = (session.root(), LogitIds::Only(&tokens));
    let branch = Branch { parent, tokens: &prompt, logit_ids, normalizer: false };
    let logits = session.extend(&[branch], &[]).unwrap().remove(0).logits;
    let mut order: Vec<usize> = (0..tokens.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    for ((document, score), expected) in found.documents.into_iter().zip(order) {
        let log = f64::from(logits[expected]) - log_sum_exp(&logits);
        assert!(document == expected && (score - log).abs() < 1e-6, "{document} {score}, {expected} {log}");
    }
}

#[test]
fn ten_thousand_beams_of_each_scheme_are_docids_of_the_catalogue() {
    use plackett_ids::scheme::{Reads, SCHEMES, Source, parse};
    use plackett_train::random::Stream;
    let (documents, queries) = (125, 80);
    let stream = Stream::new(4, 1);
    let word =
        |place: usize| ["red", "fox", "ship", "moon", "tea", "glass", "bread"][stream.below(place as u64, 7)];
    let items: Vec<Item> = (0..documents)
        .map(|at| Item {
            title: format!("{} {} {at}", word(2 * at), word(2 * at + 1)),
            keywords: format!("{} {at}", word(3 * at)),
            text: format!("{} and {} number {at}", word(4 * at), word(5 * at)),
            categories: vec![word(at).into(), word(7 * at).into()],
            url: format!("https://{}.org/{}/about-{}-{at}", word(at), word(6 * at), word(8 * at)),
            ..Item::new(format!("d{at}"))
        })
        .collect();
    let vectors: Vec<Vec<f64>> = (0..documents as u64)
        .map(|row| (0..24).map(|at| f64::from(stream.normal(9000 + row * 24 + at))).collect())
        .collect();
    let vectors = VectorTable::of_rows(&items, &vectors).unwrap();
    let histories: Vec<Vec<usize>> = (0..200)
        .map(|user| (0..6).map(|at| stream.below(5000 + user * 6 + at, documents)).collect())
        .collect();
    let compute = Compute::new(1);
    let silent = |_: usize, _: usize| {};
    let trainer = AutoencoderTrainer::new(&compute, &silent);
    let mut written = 0;
    // As many items as these histories have lie in one leaf by default; smaller ones are cut.
    let schemes: Vec<&str> =
        SCHEMES.iter().map(|spec| spec.name).chain(["collaborative(clusters=4, most=20)"]).collect();
    for written_as in &schemes {
        let scheme = parse(written_as).unwrap();
        let spec = scheme.spec;
        let source = Source {
            vectors: spec.reads.contains(&Reads::Vectors).then_some(&vectors),
            trainer: Some(&trainer),
            histories: spec.reads.contains(&Reads::Histories).then_some(&histories[..]),
            ..Source::of_items(&items, 1)
        };
        let catalogue = scheme.catalogue(&source).unwrap();
        let language = DocidLanguage::new(TEXTS, catalogue.tokens(), (1, 4));
        let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::Plain };
        let docids = files.docids().unwrap();
        let mut parameters = Parameters::default();
        let config = LlamaConfig::small(0, 1, (16, 32), 2);
        let context = 6 + docids.iter().map(Vec::len).max().unwrap();
        let model =
            LanguageModel::of_words(files.language.vocabulary(), &config, context, 3, &mut parameters)
                .unwrap();
        let folder = tempfile::tempdir().unwrap();
        files.save(folder.path(), &model, &parameters).unwrap();
        let retriever = GenerativeRetriever::open(folder.path(), false).unwrap();
        let language = &retriever.files().language;
        let prompts: Vec<Vec<u32>> = (0..queries).map(|at| language.prompt(word(9 * at))).collect();
        for found in retriever.hypotheses(&prompts, documents).unwrap() {
            let mut seen = vec![false; documents];
            for one in &found.hypotheses {
                written += 1;
                assert!(one.score.is_finite(), "{written_as}");
                let own = retriever.docids().documents(one.output);
                assert!(!own.is_empty(), "{written_as}");
                for document in own {
                    assert_eq!(one.tokens, docids[*document], "{written_as}: what was written is its docid");
                    assert!(!std::mem::replace(&mut seen[*document], true), "{written_as}");
                    assert!(!retriever.files().catalogue.items()[*document].title.is_empty());
                }
            }
            assert!(seen.into_iter().all(|seen| seen), "{written_as}: as many beams as documents find all");
        }
    }
    assert!(written >= 9_000 * schemes.len(), "{written}");
}
