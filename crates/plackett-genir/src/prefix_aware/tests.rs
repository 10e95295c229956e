//! A tiny retriever with a prefix-aware decoder, from its training to its answers.

use super::task::divergence;
use super::*;
use crate::beam_options::by_sum;
use crate::learning::tests::tiny;
use crate::learning::{LearningData, RetrieverTraining, catalogue_of};
use crate::representation::PairSource;
use crate::reverse_annealing::ReverseAnnealing;
use crate::{
    Decoding, DocidDecoder, DocidLanguage, GenerativeRetriever, PathRetriever, RetrieverFiles, RetrieverTask,
};
use plackett_core::Document;
use plackett_ids::scheme::{Encoding, parse};
use plackett_ids::{Catalogue, Item};
use plackett_lm::decode::{DecodeRequest, Normalize, TrieConstraint, decode};
use plackett_train::nn::LlamaConfig;
use plackett_train::trainer::{LanguageModel, Settings, Task, train};

const TEXTS: [&str; 6] = ["red fox", "old ship", "full moon", "new bread", "green tea", "blown glass"];
const END: u32 = 1;

struct Learned {
    files: RetrieverFiles,
    model: LanguageModel,
    head: PrefixHead,
    parameters: Parameters,
    pairs: Vec<(Vec<u32>, Vec<u32>)>,
}

fn options(consistency: f32) -> PrefixAware {
    PrefixAware { layers: 1, dropout: 0.1, consistency }
}

/// A retriever of six documents after some steps; what the first token of a docid is at its second place depends on the first one.
fn learned(options: PrefixAware, steps: usize) -> Learned {
    let tokens = ["<a>", "<b>", "<c>"].map(str::to_string).to_vec();
    let language = DocidLanguage::new(TEXTS, &tokens, (1, 6));
    let codes = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]].map(|codes| codes.to_vec()).to_vec();
    let encoding = Encoding { tokens, codes, ..Encoding::default() };
    let items = ["a", "b", "c", "d", "e", "f"].map(Item::new);
    let catalogue = Catalogue::new("test", &items, encoding).unwrap();
    let files = RetrieverFiles { language, catalogue, decoder: DocidDecoder::PrefixAware(options) };
    let docids = files.docids().unwrap();
    let mut parameters = Parameters::default();
    let config = LlamaConfig { tie_word_embeddings: true, ..LlamaConfig::small(0, 1, (16, 32), 2) };
    let vocabulary = files.language.vocabulary();
    let model = LanguageModel::of_words(vocabulary, &config, 12, 3, &mut parameters).unwrap();
    let head = PrefixHead::drawn(&mut parameters, &head_config(&docids, 16, &options), 3).unwrap();
    let prompts = TEXTS.iter().map(|text| files.language.prompt(text));
    let pairs: Vec<_> = prompts.zip(docids).collect();
    if steps > 0 {
        let settings = Settings { batch: 6, steps, rate: 1e-2, checkpoint: 0, ..Settings::default() };
        let task = RetrieverTask::prefix_aware(&model, (&head, options), pairs.clone(), &settings, None);
        let (task, compute) = (task.unwrap(), Compute::new(1));
        train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    }
    Learned { files, model, head, parameters, pairs }
}

#[test]
fn answers_have_the_scores_of_the_training() {
    let learned = learned(options(0.1), 250);
    let folder = tempfile::tempdir().unwrap();
    learned.files.save(folder.path(), &learned.model, &learned.parameters).unwrap();
    let retriever = GenerativeRetriever::open(folder.path(), false).unwrap();
    assert_eq!(retriever.files().decoder, learned.files.decoder);
    let constraint = TrieConstraint::new(retriever.docids().trie(), None).unwrap();
    let compute = Compute::new(1);
    for (own, (prompt, docid)) in learned.pairs.iter().enumerate() {
        let mut session = retriever.session();
        let prefix = session.root();
        let request = DecodeRequest { prefix, prompt, constraint: &constraint, index: 0 };
        let found = decode(&mut *session, &[request], &by_sum(6, Normalize::Vocabulary)).unwrap();
        let found = found.into_iter().next().unwrap().unwrap();
        assert_eq!(found.hypotheses.len(), 6);
        let best = &found.hypotheses[0];
        assert_eq!((&best.tokens, retriever.docids().documents(best.output)), (docid, &[own][..]));
        for one in &found.hypotheses {
            let pairs = vec![(prompt.clone(), one.tokens.clone())];
            let (model, head) = (&learned.model, &learned.head);
            let task = PrefixAwareTask { model, head, options: options(0.1), pairs };
            let tape = Tape::inference(&learned.parameters, &compute);
            let loss = task.loss(&tape, &[0], Mode::default()).unwrap().value.item();
            let expected = -f64::from(loss) * one.tokens.len() as f64;
            assert!((one.log_prob - expected).abs() < 1e-3, "{} is not {expected}", one.log_prob);
        }
    }
}

#[test]
fn what_is_written_twice_has_the_logits_of_the_training_each_time() {
    let learned = learned(options(0.0), 0);
    let folder = tempfile::tempdir().unwrap();
    learned.files.save(folder.path(), &learned.model, &learned.parameters).unwrap();
    let docids = learned.files.docids().unwrap();
    let shape = (learned.files.language.vocabulary().len(), 16);
    let served = ServedHead::open(folder.path(), &docids, &options(0.0), shape, 1).unwrap();
    let hidden: Vec<f32> = (0..4 * 16).map(|at| ((at * 5 + 2) % 7) as f32 / 3.0 - 1.0).collect();
    let written: [&[u32]; 4] = [&[], &docids[0][..1], &[], &docids[0][..1]];
    let found = served.logits(&hidden, &written).unwrap();
    let compute = Compute::new(1);
    let tape = Tape::inference(&learned.parameters, &compute);
    let (head, table) = (&learned.head, tape.parameter(learned.model.llama.head));
    for (row, own) in written.iter().enumerate() {
        let (adapted, sequences) = head.adapted(&tape, &[*own], Mode::default()).unwrap();
        let adapted = tape.select_rows(&adapted, &[sequences[0].end - 1]);
        let hidden = tape.constant((1, 16), &hidden[row * 16..][..16]);
        let expected = head.logits(&tape, &table, (&hidden, &adapted), &[own.len()], Mode::default());
        let expected = &expected[0].logits.value;
        assert_eq!(found[row].len(), expected.len());
        assert!(found[row].iter().zip(expected.iter()).all(|(a, b)| (a - b).abs() < 1e-5), "row {row}");
    }
}

#[test]
fn all_documents_are_found_by_beams_and_by_draws() {
    let learned = learned(options(0.0), 250);
    let folder = tempfile::tempdir().unwrap();
    learned.files.save(folder.path(), &learned.model, &learned.parameters).unwrap();
    for shortened in [false, true] {
        let retriever = GenerativeRetriever::open(folder.path(), shortened).unwrap();
        let annealing = ReverseAnnealing { draws: 6, ..ReverseAnnealing::default() };
        for decoding in [Decoding::Beams { width: 6 }, Decoding::ReverseAnnealing { annealing, seed: 1 }] {
            let together = retriever.search(&TEXTS, &decoding, 0).unwrap();
            for (own, (text, found)) in TEXTS.iter().zip(&together).enumerate() {
                assert_eq!((found.documents[0].0, found.documents.len()), (own, 6), "{text}");
            }
            // What is asked beside a query changes nothing.
            let alone = retriever.search(&TEXTS[..1], &decoding, 0).unwrap();
            assert_eq!(alone[0].documents, together[0].documents);
        }
    }
}

#[test]
fn consistency_is_added_in_training_alone_and_by_its_weight() {
    let learned = learned(options(0.0), 0);
    let compute = Compute::new(1);
    let loss = |consistency: f32, mode: Mode| {
        let (model, head, pairs) = (&learned.model, &learned.head, learned.pairs.clone());
        let task = PrefixAwareTask { model, head, options: options(consistency), pairs };
        let tape = Tape::inference(&learned.parameters, &compute);
        let loss = task.loss(&tape, &[0, 3, 5], mode).unwrap();
        assert_eq!((loss.used, loss.skipped), (9, 0));
        loss.value.item()
    };
    assert_eq!(loss(0.0, Mode::default()), loss(2.0, Mode::default()));
    let training = Mode { key: 7, is_training: true, ..Mode::default() };
    let [one, two, three] = [1.0, 2.0, 3.0].map(|weight| loss(weight, training));
    assert!(two - one > 1e-4, "{one} {two}");
    assert!((three - two - (two - one)).abs() < 1e-4, "{one} {two} {three}");
}

#[test]
fn the_divergence_of_two_passes_by_hand() {
    let parameters = Parameters::default();
    let tape = Tape::inference(&parameters, &Compute::new(1));
    let logs = |shares: [f32; 2]| tape.constant((1, 2), &shares.map(f32::ln));
    // ½ [¼ (ln ½ − ln ¼) − ¼ (ln ½ − ln ¾)] = ⅛ ln 3.
    let (halves, quarters) = (logs([0.5, 0.5]), logs([0.25, 0.75]));
    for (a, b) in [(&halves, &quarters), (&quarters, &halves)] {
        let found = divergence(&tape, std::slice::from_ref(a), std::slice::from_ref(b)).item();
        assert!((found - 3f32.ln() / 8.0).abs() < 1e-6, "{found}");
    }
    let twice = divergence(&tape, &[halves.clone(), halves.clone()], &[quarters, halves]).item();
    assert!((twice - 3f32.ln() / 8.0).abs() < 1e-6, "{twice}");
}

#[test]
fn docids_with_which_nothing_follows_from_prefixes_are_refused() {
    let refused = |docids: &[&[u32]]| {
        let docids: Vec<Vec<u32>> = docids.iter().map(|docid| docid.to_vec()).collect();
        check_prefixes(&docids, "some").err().map(|error| error.to_string()).unwrap_or_default()
    };
    // Of one token; with a choice after one beginning alone; with choices after beginnings of different lengths.
    let one_token: [&[u32]; 3] = [&[5, END], &[6, END], &[7, END]];
    let one_choice: [&[u32]; 3] = [&[5, 6, END], &[5, 7, END], &[6, 7, END]];
    let apart: [&[u32]; 3] = [&[5, 6, 7, END], &[5, 6, 8, END], &[5, 7, END]];
    for docids in [&one_token, &one_choice, &apart] {
        let error = refused(docids);
        assert!(error.contains("changes nothing with these docids (scheme `some`)"), "{error}");
    }
    let both: [&[u32]; 4] = [&[5, 6, END], &[5, 7, END], &[6, 5, END], &[6, 7, END]];
    assert_eq!(refused(&both), "");
}

#[test]
fn a_training_leaves_a_retriever_that_answers() {
    let documents: Vec<Document> =
        TEXTS[..4].iter().enumerate().map(|(at, text)| Document::new(format!("d{at}"), *text)).collect();
    let labelled = PairSource::default();
    let similar = |_: &str, _: usize| Ok(Vec::new());
    let data = LearningData { documents: &documents, labelled: &labelled, similar: &similar, paths: None };
    let learn = |scheme: &str, decoder: &str| {
        let decoder = decoder.parse().unwrap();
        let training = RetrieverTraining { chunks: 0, chunk_words: 5, steps: 250, decoder, ..tiny() };
        let catalogue = catalogue_of(&parse(scheme).unwrap(), &documents, None, 1).unwrap();
        training.learn(&data, catalogue, &Compute::new(1), None, &mut |_, _, _| {})
    };
    // 08, 09, 10 and 11: 0 and 1 may stand at both places, 8 and 9 only after 0.
    let learned = learn("naive(start=8)", "prefix-aware(layers=1)").unwrap();
    let plain = learn("naive(start=8)", "plain").unwrap();
    assert!(learned.parameters.count() > plain.parameters.count());
    let folder = tempfile::tempdir().unwrap();
    learned.save(folder.path()).unwrap();
    let retriever = GenerativeRetriever::open(folder.path(), true).unwrap();
    let answers = retriever.search(&TEXTS[..4], &Decoding::Beams { width: 4 }, 0).unwrap();
    for (own, found) in answers.iter().enumerate() {
        assert_eq!((found.documents[0].0, found.documents.len()), (own, 4));
    }
    // A plain one that takes its place leaves nothing of it.
    plain.save(folder.path()).unwrap();
    assert!(!folder.path().join(HEAD_FILE).exists());
    assert!(GenerativeRetriever::open(folder.path(), true).unwrap().files().decoder.is_plain());
    let error = learn("atomic", "prefix-aware").err().unwrap().to_string();
    assert!(error.contains("scheme `atomic`") && error.contains("changes nothing"), "{error}");
}

#[test]
fn a_head_that_is_damaged_or_missing_is_refused() {
    let learned = learned(options(0.0), 0);
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    learned.files.save(at, &learned.model, &learned.parameters).unwrap();
    let error = PathRetriever::open(at, true).err().unwrap().to_string();
    assert!(error.contains("prefix-aware decoder") && error.contains("`plain`"), "{error}");
    let path = at.join(HEAD_FILE);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = RetrieverFiles::open(at).err().unwrap().to_string();
    assert!(error.contains(HEAD_FILE) && error.contains("not the file"), "{error}");
    let missing = crate::GenirError::file(&path, std::io::ErrorKind::NotFound.into()).to_string();
    assert!(missing.contains("there is no such file") && !missing.contains("os error"), "{missing}");
    let mut without = Parameters::default();
    let model = LanguageModel::open(at, &mut without).unwrap();
    let error = learned.files.save(at, &model, &without).err().unwrap().to_string();
    assert!(error.contains("the weights of its head"), "{error}");
}

#[test]
fn a_head_with_more_layers_than_its_settings_say_is_refused() {
    let learned = learned(PrefixAware { layers: 2, ..options(0.0) }, 0);
    let folder = tempfile::tempdir().unwrap();
    learned.files.save(folder.path(), &learned.model, &learned.parameters).unwrap();
    assert!(GenerativeRetriever::open(folder.path(), false).is_ok());
    let path = folder.path().join(RETRIEVER_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let fewer = text.replace("\"layers\": 2", "\"layers\": 1");
    assert_ne!(fewer, text);
    std::fs::write(&path, fewer).unwrap();
    let error = GenerativeRetriever::open(folder.path(), false).err().unwrap().to_string();
    assert!(error.contains(HEAD_FILE) && error.contains("`prefix_head.layers.1."), "{error}");
    assert!(error.contains("than the 1 that retriever.json says"), "{error}");
}

#[test]
fn label_smoothing_does_not_go_with_it() {
    let learned = learned(options(0.0), 0);
    let (settings, pairs) = (Settings::default(), learned.pairs.clone());
    let head = (&learned.head, options(0.0));
    let task = RetrieverTask::prefix_aware(&learned.model, head, pairs, &settings, None).unwrap();
    assert_eq!(task.count(), 6);
    let error = task.with_label_smoothing(0.1).err().unwrap().to_string();
    assert!(error.contains("label smoothing"), "{error}");
}
