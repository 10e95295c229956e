//! Unlearning on decoders of some thousand numbers.

use super::*;
use crate::adapter::{LoraWeights, Texts};
use crate::nn::LlamaConfig;
use crate::objective::parse;
use crate::tape::{Compute, Gradients, Parameters, Tape};
use crate::trainer::{
    ADAPTER, BYTE_VOCABULARY, END_OF_TEXT, LanguageModel, Settings, Task, TextExample, encode_bytes, train,
};
use std::sync::Arc;

fn pair(prompt: &str, answer: &str) -> TokenPair {
    let mut answer = encode_bytes(answer);
    answer.push(END_OF_TEXT);
    TokenPair { prompt: encode_bytes(prompt), answer }
}

fn forget() -> Vec<TokenPair> {
    [("a?", "xyx"), ("b?", "yxxy"), ("c?", "zx")].map(|(prompt, answer)| pair(prompt, answer)).to_vec()
}

fn retain() -> Vec<TokenPair> {
    [("d?", "uvw"), ("e?", "vvu"), ("f?", "wu"), ("g?", "uwvu"), ("h?", "wvw")]
        .map(|(prompt, answer)| pair(prompt, answer))
        .to_vec()
}

fn fresh(seed: u64) -> (LanguageModel, Parameters) {
    let mut parameters = Parameters::default();
    let shape = LlamaConfig::small(BYTE_VOCABULARY, 2, (32, 48), 2);
    (LanguageModel::of_bytes(&shape, 256, seed, &mut parameters).unwrap(), parameters)
}

/// A decoder that knows some answers by heart.
fn memorised(pairs: &[TokenPair]) -> (LanguageModel, Parameters) {
    let (decoder, mut parameters) = fresh(3);
    let settings =
        Settings { batch: 8, steps: 150, rate: 5e-3, warmup: 5, checkpoint: 0, ..Settings::default() };
    let task = AnswerTask { llama: &decoder.llama, pairs };
    train(&task, &Compute::new(1), &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    (decoder, parameters)
}

fn both() -> (LanguageModel, Parameters) {
    memorised(&[forget(), retain()].concat())
}

fn accuracy(decoder: &LanguageModel, parameters: &Parameters, pairs: &[TokenPair]) -> f64 {
    let measured = measure_answers(&decoder.llama, parameters, pairs, &Compute::new(1));
    measured.iter().map(AnswerMeasure::accuracy).sum::<f64>() / pairs.len() as f64
}

fn nll(decoder: &LanguageModel, parameters: &Parameters, pairs: &[TokenPair]) -> f64 {
    let measured = measure_answers(&decoder.llama, parameters, pairs, &Compute::new(1));
    measured.iter().map(|measure| measure.nll).sum::<f64>() / pairs.len() as f64
}

fn job(objective: &str, adapter: &str, steps: usize) -> UnlearningJob {
    let mut job = UnlearningJob { objective: objective.into(), ..UnlearningJob::default() };
    job.trained.adapter = adapter.into();
    job.settings = Settings { batch: 3, steps, warmup: 2, rate: 3e-3, ..job.settings };
    job
}

fn unlearned(job: &UnlearningJob) -> (LanguageModel, Parameters, UnlearningOutcome) {
    let (mut decoder, mut parameters) = both();
    let refusals = [pair("", "q").answer];
    let texts = (&forget()[..], &retain()[..]);
    let outcome =
        job.run(&mut decoder.llama, &mut parameters, texts, &refusals, &Compute::new(1), &mut |_, _, _| {
            false
        });
    (decoder, parameters, outcome.unwrap())
}

#[test]
fn answers_are_supervised_and_prompts_are_not() {
    let pairs = [pair("ab", "c"), TokenPair { prompt: Vec::new(), answer: vec![5, 6, 7] }];
    let batch = AnswerBatch::new(&pairs);
    assert_eq!(batch.targets, [(1, 99), (2, END_OF_TEXT), (4, 6), (5, 7)]);
    assert_eq!(batch.ranges, [0..2, 2..4]);
    assert_eq!(pairs.each_ref().map(TokenPair::supervised), [2, 2]);
}

#[test]
fn what_is_learned_by_heart_is_measured_written_and_extracted() {
    let (decoder, parameters) = both();
    let compute = Compute::new(1);
    assert!(accuracy(&decoder, &parameters, &forget()) > 0.99);
    let forget = forget();
    let prompts: Vec<(&[u32], usize)> = forget.iter().map(|pair| (&pair.prompt[..], 9)).collect();
    let written = greedy(&decoder.llama, &parameters, &prompts, END_OF_TEXT, &compute);
    for (written, pair) in written.iter().zip(&forget) {
        assert_eq!(written[..], pair.answer[..pair.answer.len() - 1]);
    }
    let short =
        greedy(&decoder.llama, &parameters, &[(&forget[0].prompt, 2), (&[], 2)], END_OF_TEXT, &compute);
    assert_eq!(short, [forget[0].answer[..2].to_vec(), Vec::new()]);
    let extracted =
        extraction_likelihood(&decoder.llama, &parameters, &forget, (2, 9, END_OF_TEXT), &compute);
    // The last has two tokens: no beginning has a pair of tokens that is left.
    assert_eq!(extracted, [1.0, 1.0, 0.0]);
    // One measured alone is one measured together with others, and the likelihood is that of the loss.
    let alone = measure_answers(&decoder.llama, &parameters, &forget[1..2], &compute)[0];
    assert!(
        (alone.nll - measure_answers(&decoder.llama, &parameters, &forget, &compute)[1].nll).abs() < 1e-5
    );
    let tape = Tape::inference(&parameters, &compute);
    let task = AnswerTask { llama: &decoder.llama, pairs: &forget };
    let loss = task.loss(&tape, &[1], Default::default()).unwrap().value.item();
    assert!((alone.nll - f64::from(loss)).abs() < 1e-5);
    assert!((alone.probability() - (-alone.nll).exp()).abs() < 1e-12);
}

#[test]
fn partners_follow_from_seed_and_place_and_are_drawn_evenly() {
    let mut counts = [0usize; 5];
    (0..5000).for_each(|place| counts[Pairing::new(1).partner(place, 5)] += 1);
    assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    assert_eq!(Pairing::new(9).partner(77, 1000), Pairing::new(9).partner(77, 1000));
    assert_ne!(
        (0..20).map(|at| Pairing::new(1).partner(at, 1000)).collect::<Vec<_>>(),
        (0..20).map(|at| Pairing::new(2).partner(at, 1000)).collect::<Vec<_>>()
    );
}

/// The gradient of one weight by the mean loss of some pairs.
fn gradient(decoder: &LanguageModel, parameters: &Parameters, pairs: &[TokenPair], name: &str) -> Vec<f32> {
    let tape = Tape::new(parameters, &Compute::new(1));
    let task = AnswerTask { llama: &decoder.llama, pairs };
    let all: Vec<usize> = (0..pairs.len()).collect();
    let loss = task.loss(&tape, &all, Default::default()).unwrap();
    let mut gradients = Gradients::default();
    tape.backward(&loss.value, &mut gradients);
    gradients.get(parameters.find(name).unwrap()).unwrap().to_vec()
}

#[test]
fn importance_is_of_batch_means_times_tokens() {
    let (decoder, mut parameters) = fresh(5);
    let (forget, retain) = (forget(), vec![retain()[0].clone()]);
    let name = "model.layers.1.self_attn.q_proj.weight";
    let id = parameters.find(name).unwrap();
    parameters[id].trainable = false;
    let texts = (&forget[..], &retain[..]);
    let pass =
        measure_importance(&decoder.llama, &mut parameters, &[id], texts, (2, 1), &Compute::new(1)).unwrap();
    // Two batches, one pass for each kind of texts.
    assert_eq!(pass.passes, 4);
    let flags: Vec<bool> =
        parameters.iter().map(|(other, parameter)| parameter.trainable == (other != id)).collect();
    assert!(flags.iter().all(|right| *right), "what is trainable is as it was");
    parameters[id].trainable = true;
    let squares = |pairs: &[TokenPair]| -> Vec<f64> {
        let tokens: usize = pairs.iter().map(TokenPair::supervised).sum();
        let gradient = gradient(&decoder, &parameters, pairs, name);
        gradient.iter().map(|slope| f64::from(*slope).powi(2) * tokens as f64).collect()
    };
    let (first, second) = (squares(&forget[..2]), squares(&forget[2..]));
    // The only answer to be kept stands twice in the first batch and once in the second.
    let kept = squares(&retain);
    let ratio = pass.importance.ratio(id, 1e-5, false).unwrap();
    for at in (0..ratio.len()).step_by(97) {
        let of_forget = (first[at] + second[at]) / (4.0 + 5.0 + 3.0);
        let of_retain = 3.0 * kept[at] / 12.0;
        let expected = of_forget / (1e-5 + of_retain);
        assert!((ratio[at] - expected).abs() <= 1e-3 * expected + 1e-9, "{at}: {} {expected}", ratio[at]);
    }
    let share = pass.importance.share_below(id, 1e-5).unwrap();
    let below = kept.iter().filter(|square| 3.0 * *square / 12.0 < 1e-5).count();
    assert!((share - below as f64 / kept.len() as f64).abs() < 0.01);
    assert!(pass.importance.share_below(id, f64::MAX).unwrap() == 1.0);
}

#[test]
fn swapping_the_roles_swaps_the_row_weights() {
    let (mut decoder, mut parameters) = both();
    let attached = crate::adapter::parse("fila").unwrap();
    let targets = crate::adapter::Targets::All;
    let attached = attached.attach(&mut parameters, &mut decoder.llama, &targets, 1, |_| false).unwrap();
    let weights: Vec<_> = attached.sites().iter().map(|site| site.weight).collect();
    let (forget, retain) = (forget(), retain());
    let compute = Compute::new(1);
    let texts = (&forget[..], &retain[..]);
    let pass =
        measure_importance(&decoder.llama, &mut parameters, &weights, texts, (2, 1), &compute).unwrap();
    // The share of pairs of rows that stand in the same order by both, over all layers.
    let (mut same, mut all) = (0, 0);
    for [own, swapped] in row_weights(&pass.importance, attached.sites(), 0.1, true) {
        assert_eq!(own.len(), swapped.len());
        for (a, b) in (0..own.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            same += usize::from((own[a] > own[b]) == (swapped[a] > swapped[b]));
            all += 1;
        }
    }
    assert!(same * 10 < all * 9, "{same} of {all} pairs");
    assert_eq!(
        pass.importance.swapped().swapped().ratio(weights[0], 1e-5, false),
        pass.importance.ratio(weights[0], 1e-5, false)
    );
}

#[test]
fn re_basing_changes_no_logit() {
    let mut job = job("inverted-hinge", "fila(rank=4)", 1);
    job.settings.rate = 0.0;
    job.settings.decay = 0.0;
    let (decoder, parameters, outcome) = unlearned(&job);
    let rebase = outcome.rebase.unwrap();
    assert!(rebase.difference < 1e-4, "{}", rebase.difference);
    // Three answers in batches of two, for both kinds of texts.
    assert_eq!(rebase.pass.passes, 4);
    let (base, untouched) = both();
    let (own, before) = (nll(&decoder, &parameters, &forget()), nll(&base, &untouched, &forget()));
    assert!((own - before).abs() < 1e-4, "{own} {before}");
}

#[test]
fn every_objective_makes_the_model_forget_and_most_keep_the_rest() {
    let before = {
        let (decoder, parameters) = both();
        (nll(&decoder, &parameters, &forget()), nll(&decoder, &parameters, &retain()))
    };
    for (objective, adapter) in [
        ("inverted-hinge", "lora(rank=8)"),
        ("inverted-hinge", "fila(rank=8)"),
        ("gradient-difference", "lora(rank=8)"),
        ("npo", "lora(rank=8)"),
        ("refusal", "lora(rank=8)"),
        ("gradient-ascent + reference-kl", "lora(rank=8)"),
        ("gradient-ascent", "full"),
    ] {
        let (decoder, parameters, outcome) = unlearned(&job(objective, adapter, 25));
        let (forgotten, kept) =
            (nll(&decoder, &parameters, &forget()), nll(&decoder, &parameters, &retain()));
        assert!(forgotten > before.0 + 0.5, "{objective} {adapter}: {forgotten} after {}", before.0);
        assert_eq!(outcome.report.total, 25);
        if objective != "gradient-ascent" {
            assert!(kept < 0.5 && kept < forgotten / 3.0, "{objective} {adapter}: {kept}, {forgotten}");
        }
    }
}

#[test]
fn an_unlearning_ends_when_who_looks_on_says_so() {
    let (mut decoder, mut parameters) = both();
    let (forget, retain) = (forget(), retain());
    let mut seen = Vec::new();
    let mut observe = |step: usize, _: &crate::nn::Llama, _: &Parameters| {
        seen.push(step);
        step == 4
    };
    let job = job("inverted-hinge", "lora", 10);
    let compute = Compute::new(1);
    let texts = (&forget[..], &retain[..]);
    let outcome = job.run(&mut decoder.llama, &mut parameters, texts, &[], &compute, &mut observe).unwrap();
    assert_eq!((outcome.report.total, outcome.report.steps.len(), outcome.report.ended), (4, 4, true));
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[test]
fn weights_are_the_same_for_any_number_of_threads() {
    let of = |workers: usize| {
        let (mut decoder, mut parameters) = both();
        let (forget, retain) = (forget(), retain());
        let compute: Arc<Compute> = Compute::new(workers);
        let texts = (&forget[..], &retain[..]);
        let job = job("inverted-hinge", "fila(rank=4)", 3);
        job.run(&mut decoder.llama, &mut parameters, texts, &[], &compute, &mut |_, _, _| false).unwrap();
        parameters.iter().flat_map(|(_, parameter)| parameter.value.to_vec()).collect::<Vec<f32>>()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    assert!(pool.install(|| of(3)) == of(1));
}

#[test]
fn a_decoder_comes_back_with_its_adapter_merged() {
    let (mut decoder, parameters, _) = unlearned(&job("inverted-hinge", "fila(rank=4)", 5));
    let folder = tempfile::tempdir().unwrap();
    decoder.save(folder.path(), &parameters).unwrap();
    let mut read = Parameters::default();
    let again = LanguageModel::open(folder.path(), &mut read).unwrap();
    assert_eq!(again.llama.config, decoder.llama.config);
    let (own, other) = (nll(&decoder, &parameters, &forget()), nll(&again, &read, &forget()));
    assert!((own - other).abs() < 1e-4, "{own} {other}");
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let message = |objective: &str, adapter: &str, forget: &[TokenPair]| {
        let (mut decoder, mut parameters) = fresh(1);
        let job = job(objective, adapter, 1);
        let compute = Compute::new(1);
        let texts = (forget, &retain()[..]);
        let error = job.run(&mut decoder.llama, &mut parameters, texts, &[], &compute, &mut |_, _, _| false);
        error.map(drop).unwrap_err().to_string()
    };
    assert!(message("ranknet", "lora", &forget()).contains("`ranknet` is not about the tokens of answers"));
    assert!(message("idk", "lora", &forget()).contains("`refusal` needs answers that refuse"));
    assert!(message("idk + ga", "lora", &forget()).contains("cannot be summed"));
    assert!(message("ihl", "fila", &[]).contains("one of them is missing"));
    assert!(message("ihl", "lora", &[]).contains("answers to be forgotten and answers to be kept"));
    assert!(parse("idk").is_ok());
    let odd = LlamaConfig::small(BYTE_VOCABULARY, 1, (30, 8), 4);
    let error = LanguageModel::of_bytes(&odd, 16, 1, &mut Parameters::default());
    assert!(error.map(drop).unwrap_err().to_string().contains("multiple of twice the heads"));
    assert_eq!(Texts::Forget as usize, 0);
}

/// The texts that [`forget`] and [`retain`] have as pairs.
fn texts() -> (Vec<TextExample>, Vec<TextExample>) {
    let text = |(prompt, target): (&str, &str)| TextExample { prompt: prompt.into(), target: target.into() };
    let forget = [("a?", "xyx"), ("b?", "yxxy"), ("c?", "zx")].map(text).to_vec();
    let retain = [("d?", "uvw"), ("e?", "vvu"), ("f?", "wu"), ("g?", "uwvu"), ("h?", "wvw")];
    (forget, retain.map(text).to_vec())
}

/// e to the mean −ln p of a byte of the targets.
fn perplexity(decoder: &LanguageModel, parameters: &Parameters, texts: &[TextExample]) -> f64 {
    let pairs: Vec<TokenPair> = texts
        .iter()
        .map(|text| TokenPair { prompt: encode_bytes(&text.prompt), answer: encode_bytes(&text.target) })
        .collect();
    let measured = measure_answers(&decoder.llama, parameters, &pairs, &Compute::new(1));
    let bytes: usize = texts.iter().map(|text| text.target.len()).sum();
    let nll: f64 = measured.iter().map(|answer| answer.nll * answer.tokens as f64).sum();
    (nll / bytes as f64).exp()
}

#[test]
fn a_decoder_in_a_directory_forgets_texts() {
    let folder = tempfile::tempdir().unwrap();
    let (base, output) = (folder.path().join("base"), folder.path().join("out"));
    let (mut decoder, parameters) = both();
    decoder.save(&base, &parameters).unwrap();
    let (forget, retain) = texts();
    let mut job = TextUnlearningJob { job: job("inverted-hinge", "fila(rank=8)", 25), tokens: 64 };
    job.job.trained.save_adapter = true;
    job.job.settings.checkpoint = 10;
    let work = output.join("training");
    let run = || {
        let texts = UnlearningTexts { forget: &forget, retain: &retain, validation: &retain[..1] };
        let (compute, places) = (Compute::new(1), (work.as_path(), output.as_path()));
        job.run(&base, texts, places, "it", &compute, &mut |_, _| {}).unwrap()
    };
    let (outcome, known) = run();
    let counts: Vec<(&str, usize)> = known.iter().map(|known| (known.texts, known.count)).collect();
    assert_eq!(counts, [("forget", 3), ("retain", 5), ("validation", 1)]);
    let [forgotten, kept, held] = &known[..] else { panic!("{known:?}") };
    assert!((forgotten.perplexity[0] - perplexity(&decoder, &parameters, &forget)).abs() < 1e-4);
    assert!(forgotten.accuracy[0] > 0.99 && kept.accuracy[0] > 0.99);
    assert!(forgotten.perplexity[1] > 1.3 * forgotten.perplexity[0], "{forgotten:?}");
    assert!(kept.perplexity[1] < forgotten.perplexity[1], "{kept:?} {forgotten:?}");
    let [_, after] = outcome.validation.unwrap();
    assert!((after.exp() - held.perplexity[1]).abs() < 1e-6);
    assert_eq!((outcome.report.total, outcome.cut.pairs, outcome.cut.of), (25, 0, 9));
    // What was saved is what was measured, and so is the base with the adapter alone.
    let mut read = Parameters::default();
    let again = LanguageModel::open(&output, &mut read).unwrap();
    let close = |own: f64| (own.ln() - forgotten.perplexity[1].ln()).abs() < 1e-2;
    assert!(close(perplexity(&again, &read, &forget)));
    let mut parameters = Parameters::default();
    let mut decoder = LanguageModel::open(&base, &mut parameters).unwrap();
    let adapter = LoraWeights::open(&output.join(ADAPTER)).unwrap();
    adapter.put_into(&mut parameters, &mut decoder.llama).unwrap();
    assert!(close(perplexity(&decoder, &parameters, &forget)));
    // The same again goes on after the last step, with the same importance and the same bits.
    let bytes = std::fs::read(output.join("model.safetensors")).unwrap();
    let (outcome, same) = run();
    assert_eq!((outcome.report.resumed, same), (25, known));
    assert!(std::fs::read(output.join("model.safetensors")).unwrap() == bytes);
}

#[test]
fn what_texts_cannot_be_unlearned_with_is_refused() {
    let refused = |change: fn(&mut TextUnlearningJob)| {
        let mut job = TextUnlearningJob { job: job("inverted-hinge", "fila", 2), tokens: 64 };
        job.check().unwrap();
        change(&mut job);
        job.check().unwrap_err().to_string()
    };
    assert!(refused(|job| job.job.objective = "refusal".into()).contains("needs answers that refuse"));
    assert!(refused(|job| job.job.settings.evaluate = 2).starts_with("evaluate: "));
    assert!(refused(|job| job.job.settings.dropout = 0.1).contains("dropout = 0.1"));
    assert!(refused(|job| job.tokens = 1).starts_with("tokens: "));
    let full = refused(|job| {
        job.job.trained.adapter = "full".into();
        job.job.trained.save_adapter = true;
    });
    assert!(full.starts_with("save_adapter: adapter = \"full\" is none"), "{full}");
    let folder = tempfile::tempdir().unwrap();
    let (mut decoder, parameters) = fresh(3);
    decoder.save(folder.path(), &parameters).unwrap();
    let single = [TextExample { prompt: String::new(), target: "x".into() }];
    let job = TextUnlearningJob { job: job("inverted-hinge", "lora", 2), tokens: 64 };
    let (work, output) = (folder.path().join("work"), folder.path().join("out"));
    let texts = UnlearningTexts { forget: &single, retain: &single, validation: &[] };
    let places = (work.as_path(), output.as_path());
    let error = job.run(folder.path(), texts, places, "", &Compute::new(1), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().starts_with("forget: text 1 has a single token"), "{error}");
    assert!(!output.exists());
}
