//! Sorted fine-tuning on a tiny decoder of bytes: gradients, baselines, and what is measured at each depth.

use super::*;
use crate::nn::{LlamaConfig, Mode, TokenBatch};
use crate::objective::parse_sum;
use crate::tape::{Compute, Gradients, Parameters, Tape};
use plackett_lm::decode::LogitIds;
use plackett_lm::decoder::{DecoderModel, DecoderOptions, OutputRequest, Positions, Request};

const LAYERS: usize = 4;

fn config() -> LlamaConfig {
    LlamaConfig {
        vocab_size: BYTE_VOCABULARY,
        hidden_size: 32,
        num_hidden_layers: LAYERS,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        intermediate_size: 48,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        attention_bias: false,
        mlp_bias: false,
        qkv_bias: false,
    }
}

/// A tiny decoder; weights are larger than at the beginning of a training, so that depths differ.
fn decoder(tied: bool) -> (LanguageModel, Parameters) {
    let mut parameters = Parameters::default();
    let config = LlamaConfig { tie_word_embeddings: tied, ..config() };
    let model = LanguageModel::of_bytes(&config, 64, 3, &mut parameters).unwrap();
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.is_vector()) {
        parameter.values_mut().iter_mut().for_each(|x| *x *= 4.0);
    }
    (model, parameters)
}

fn sequences() -> Vec<Vec<u32>> {
    windows_of_bytes(["the cat sat on the mat and ", "purred at night while dogs barked and ran"], 24)
}

fn task(model: &LanguageModel) -> LanguageTask<'_> {
    LanguageTask::of_tokens(model, sequences(), parse_sum("language").unwrap()).unwrap()
}

/// The loss and the gradients by name of one batch.
fn gradients(task: &dyn Task, parameters: &Parameters) -> (f32, Vec<(String, Vec<f32>)>) {
    let (compute, mut gradients) = (Compute::new(1), Gradients::default());
    let tape = Tape::new(parameters, &compute);
    let loss = task.loss(&tape, &[0, 1], Mode::default()).unwrap().value;
    let value = loss.item();
    tape.backward(&loss, &mut gradients);
    let named = parameters
        .iter()
        .map(|(id, parameter)| {
            let zeros = || vec![0.0; parameter.value.len()];
            (parameter.name.clone(), gradients.get(id).map_or_else(zeros, <[f32]>::to_vec))
        })
        .collect();
    (value, named)
}

#[test]
fn the_last_layer_alone_is_plain_fine_tuning_bit_for_bit() {
    for tied in [false, true] {
        let (model, parameters) = decoder(tied);
        let sorted = task(&model).with_read_outs(ReadOuts::shared(&model, &[LAYERS]).unwrap());
        let (loss, sorted) = gradients(&sorted, &parameters);
        // Plain fine-tuning, written out: the whole pass, then one cross-entropy.
        let compute = Compute::new(1);
        let tape = Tape::new(&parameters, &compute);
        let sequences = &sequences()[..2];
        let batch = TokenBatch::new(sequences.iter().map(Vec::as_slice));
        let hidden = model.llama.hidden(&tape, &batch);
        let targets: Vec<(usize, u32)> = (0..2)
            .flat_map(|at| (1..24).map(move |place| (24 * at + place - 1, place, at)))
            .map(|(row, place, at)| (row, sequences[at][place]))
            .collect();
        let log_probabilities = model.llama.log_probabilities(&tape, &hidden, &targets);
        let plain = tape.scale(&tape.sum(&log_probabilities), -1.0 / targets.len() as f32);
        assert!((plain.item() - loss).abs() < 1e-5, "{} {loss}", plain.item());
        let (same, plain) = gradients(&task(&model), &parameters);
        assert_eq!(loss.to_bits(), same.to_bits());
        for ((name, a), (_, b)) in sorted.iter().zip(&plain) {
            assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
        }
        assert!(
            sorted
                .iter()
                .any(|(name, of)| name.ends_with("layers.3.mlp.up_proj.weight")
                    && of.iter().any(|x| *x != 0.0))
        );
    }
}

#[test]
fn the_gradient_of_the_mean_is_the_mean_of_the_gradients() {
    for tied in [false, true] {
        let (model, parameters) = decoder(tied);
        let depths = [1, 2, 4];
        let of = |depths: &[usize]| {
            gradients(&task(&model).with_read_outs(ReadOuts::shared(&model, depths).unwrap()), &parameters)
        };
        let (loss, together) = of(&depths);
        let apart: Vec<_> = depths.iter().map(|depth| of(&[*depth])).collect();
        let mean = apart.iter().map(|(loss, _)| loss).sum::<f32>() / 3.0;
        assert!((loss - mean).abs() < 1e-5, "{loss} {mean}");
        for (at, (name, together)) in together.iter().enumerate() {
            for (place, gradient) in together.iter().enumerate() {
                let mean = apart.iter().map(|(_, of)| of[at].1[place]).sum::<f32>() / 3.0;
                assert!((gradient - mean).abs() < 1e-5, "{name} at {place}: {gradient} {mean}");
            }
        }
    }
}

#[test]
fn layers_beyond_the_deepest_read_out_get_no_gradient() {
    let (model, parameters) = decoder(false);
    let shallow = task(&model).with_read_outs(ReadOuts::shared(&model, &[1, 2]).unwrap());
    for (name, gradient) in gradients(&shallow, &parameters).1 {
        let beyond = name.starts_with("model.layers.2.") || name.starts_with("model.layers.3.");
        assert_eq!(gradient.iter().all(|x| *x == 0.0), beyond, "{name}");
    }
}

#[test]
fn the_first_layers_taken_out_are_the_read_out_at_that_depth() {
    let (model, parameters) = decoder(false);
    let compute = Compute::new(1);
    let whole = task(&model).with_read_outs(ReadOuts::shared(&model, &[2]).unwrap());
    let mut own = Parameters::default();
    let extracted = model.first_layers(&parameters, 2, &mut own).unwrap();
    assert_eq!(extracted.llama.layers.len(), 2);
    assert!(own.count() < parameters.count());
    let [a, b] = [
        mean_loss(&whole, &compute, &parameters, 2).unwrap(),
        mean_loss(&task(&extracted), &compute, &own, 2).unwrap(),
    ];
    assert_eq!(a.to_bits(), b.to_bits());
    let error = model.first_layers(&parameters, 5, &mut Parameters::default()).err().unwrap().to_string();
    assert!(error.contains("the first 5 of a model with 4"), "{error}");
}

#[test]
fn heads_of_their_own_begin_as_copies_and_nothing_else_is_trained() {
    let (model, mut parameters) = decoder(false);
    let compute = Compute::new(1);
    let before = parameters.clone();
    let shared = task(&model).with_read_outs(ReadOuts::shared(&model, &[1, 2, 4]).unwrap());
    let own = ReadOuts::own_heads(&model, &[1, 2, 4], &mut parameters).unwrap();
    assert_eq!(parameters.trainable_count(), 2 * BYTE_VOCABULARY * 32);
    let measured =
        |task: &LanguageTask, parameters: &Parameters| measure_depths(task, &compute, parameters, 2);
    let all = task(&model).with_read_outs(own.clone());
    let first = measured(&all, &parameters);
    assert_eq!(first, measured(&shared, &before));
    let trained = task(&model).with_read_outs(own.trained(&parameters));
    assert_eq!(own.trained(&parameters).depths().collect::<Vec<_>>(), [1, 2]);
    let settings = Settings { batch: 2, steps: 30, rate: 1e-2, ..Settings::default() };
    train(&trained, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let after = measured(&all, &parameters);
    assert!(after[0].nll() < first[0].nll() && after[1].nll() < first[1].nll());
    assert_eq!(after[2], first[2]);
    for (id, parameter) in before.iter() {
        assert_eq!(parameters[id].value[..], parameter.value[..], "{}", parameter.name);
    }
}

#[test]
fn sorted_fine_tuning_makes_every_depth_usable() {
    let (model, mut parameters) = decoder(false);
    let compute = Compute::new(1);
    let sorted = task(&model).with_read_outs(ReadOuts::shared(&model, &[1, 2, 4]).unwrap());
    let settings = Settings { batch: 2, steps: 120, rate: 5e-3, ..Settings::default() };
    train(&sorted, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    for measure in measure_depths(&sorted, &compute, &parameters, 2) {
        assert!(measure.nll() < 0.6 && measure.accuracy() > 0.8, "{} {}", measure.depth, measure.nll());
    }
}

#[test]
fn measures_are_those_of_the_loss_and_of_greedy_decoding() {
    let (model, mut parameters) = decoder(false);
    let compute = Compute::new(1);
    let example = TextExample { prompt: "the cat".into(), target: " sat on the mat".into() };
    let other = TextExample { prompt: "a dog".into(), target: " barks".into() };
    let of =
        |examples: &[TextExample]| LanguageTask::new(&model, examples, parse_sum("language").unwrap(), 32);
    let settings = Settings { batch: 1, steps: 60, rate: 5e-3, ..Settings::default() };
    let first = of(std::slice::from_ref(&example)).unwrap();
    train(&first, &compute, &mut parameters, &settings, (None, ""), None, &mut |_, _| {}).unwrap();
    let both = of(&[example.clone(), other]).unwrap();
    let measured = measure_depths(&both, &compute, &parameters, 1).remove(0);
    assert_eq!((measured.depth, measured.texts[0].tokens, measured.texts[1].tokens), (LAYERS, 15, 6));
    let loss = mean_loss(&first, &compute, &parameters, 1).unwrap();
    assert!((loss - measured.texts[0].nll).abs() < 1e-5, "{loss} {}", measured.texts[0].nll);
    assert!(measured.texts[0].exact && !measured.texts[1].exact);
    assert_eq!(measured.exact_match(), 0.5);
    // Greedy decoding, token by token, writes what `exact` promises.
    let mut tokens = encode_bytes(&example.prompt);
    for _ in 0..15 {
        let tape = Tape::inference(&parameters, &compute);
        let batch = TokenBatch::new([&tokens[..]]);
        let hidden = model.llama.hidden(&tape, &batch);
        let logits = model.llama.logits(&tape, &hidden, &[tokens.len() - 1]);
        let best = (0..BYTE_VOCABULARY).rev().max_by(|a, b| logits.value[*a].total_cmp(&logits.value[*b]));
        tokens.push(best.unwrap() as u32);
    }
    assert_eq!(decode_bytes(&tokens), "the cat sat on the mat");
}

#[test]
fn the_inference_engine_reads_every_depth_of_what_is_saved() {
    let (mut model, parameters) = decoder(false);
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path(), &parameters).unwrap();
    let options = DecoderOptions { precision: plackett_lm::Precision::F32, ..DecoderOptions::default() };
    let engine = DecoderModel::open(folder.path(), &options).unwrap();
    let tokens = engine.tokenizer().encode("the cat sät on", false, false).unwrap();
    assert_eq!(tokens, encode_bytes("the cat sät on"));
    assert_eq!(engine.tokenizer().ends(), [END_OF_TEXT]);
    let compute = Compute::new(1);
    let tape = Tape::inference(&parameters, &compute);
    let mut seen = 0;
    model.llama.each_layer(&tape, &TokenBatch::new([&tokens[..]]), |depth, hidden| {
        let ours = model.llama.logits(&tape, hidden, &[tokens.len() - 1]);
        let outputs = OutputRequest {
            logits_at: Positions::Last,
            logit_ids: LogitIds::All,
            ..OutputRequest::default()
        };
        let request =
            Request { tokens: &tokens, cache: None, pattern: Default::default(), adapter: None, outputs };
        let theirs = engine.forward_until(&[request], depth).unwrap().remove(0).logits.remove(0);
        for (ours, theirs) in ours.value.iter().zip(&theirs) {
            assert!((ours - theirs).abs() < 1e-3, "depth {depth}: {ours} {theirs}");
        }
        seen += 1;
    });
    assert_eq!(seen, LAYERS);
}

#[test]
fn more_read_outs_take_more_memory() {
    let (model, parameters) = decoder(false);
    let peak = |depths: &[usize]| {
        let task = task(&model).with_read_outs(ReadOuts::shared(&model, depths).unwrap());
        let (compute, mut gradients) = (Compute::new(1), Gradients::default());
        let tape = Tape::new(&parameters, &compute);
        let loss = task.loss(&tape, &[0, 1], Mode::default()).unwrap().value;
        tape.backward(&loss, &mut gradients);
        compute.peak_bytes()
    };
    let (one, four) = (peak(&[4]), peak(&[1, 2, 3, 4]));
    assert!(one > 0 && four > one, "{one} {four}");
}

/// A base model in a folder.
fn base() -> tempfile::TempDir {
    let (mut model, parameters) = decoder(false);
    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path(), &parameters).unwrap();
    folder
}

fn run_job(job: &LanguageJob, output: &std::path::Path) -> (Outcome, [Vec<DepthMeasure>; 2]) {
    let text = |prompt: &str, target: &str| TextExample { prompt: prompt.into(), target: target.into() };
    let learned = [text("the cat", " sat on the mat"), text("a dog", " barks at night")];
    let (work, base) = (output.join("training"), base());
    let places = (work.as_path(), output);
    job.run(base.path(), (&learned, &learned[..1]), places, "job", &Compute::new(1), &mut |_, _| {}).unwrap()
}

#[test]
fn a_job_trains_depths_adapters_own_heads_and_the_first_layers() {
    let settings = Settings { batch: 2, steps: 60, rate: 5e-3, ..Settings::default() };
    let sorted = LanguageJob { tokens: 18, depths: vec![2, 4], settings, ..LanguageJob::default() };
    let own_heads = Trained { adapter: OWN_HEADS.into(), ..Trained::default() };
    let adapted = Trained { adapter: "lora(rank=4)".into(), ..Trained::default() };
    for job in [
        sorted.clone(),
        LanguageJob { trained: own_heads, ..sorted.clone() },
        LanguageJob { trained: adapted, ..sorted.clone() },
        LanguageJob { layers: 2, depths: vec![1, 2], ..sorted.clone() },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (outcome, [before, after]) = run_job(&job, folder.path());
        let depths = |measures: &[DepthMeasure]| measures.iter().map(|own| own.depth).collect::<Vec<_>>();
        assert_eq!((depths(&before), depths(&after)), (job.depths.clone(), job.depths.clone()));
        assert!(after[0].nll() < before[0].nll(), "{}", job.trained.adapter);
        let [loss_before, loss_after] = outcome.validation.unwrap();
        assert!(loss_after < loss_before);
        // `the cat sat on the mat` has 22 bytes.
        assert_eq!((outcome.cut.pairs, outcome.cut.of), (3, 3));
        assert!(
            outcome.cut.sentence().unwrap().starts_with("3 of 3 texts with their prompts have more than 18")
        );
        let layers = if job.layers == 0 { LAYERS } else { job.layers };
        let engine = DecoderModel::open(folder.path(), &DecoderOptions::default()).unwrap();
        assert_eq!(engine.info().layers, layers);
        let has_heads = folder.path().join(EXIT_HEADS).is_file();
        assert_eq!(has_heads, job.trained.adapter == OWN_HEADS);
    }
}

#[test]
fn a_job_that_cannot_be_is_refused() {
    let said = |job: LanguageJob| job.check().unwrap_err().to_string();
    let usual = LanguageJob::default;
    assert!(said(LanguageJob { depths: vec![3, 3], ..usual() }).contains("3 stands before 3"));
    assert!(said(LanguageJob { tokens: 1, ..usual() }).contains("tokens: a whole number from 2"));
    let head = Trained { adapter: "head".into(), ..Trained::default() };
    assert!(said(LanguageJob { trained: head, ..usual() }).contains("exit-heads"));
    assert!(said(LanguageJob { objective: "languish".into(), ..usual() }).starts_with("objective: "));
}

#[test]
fn depths_that_cannot_be_are_refused() {
    let (model, _) = decoder(false);
    for (depths, said) in [
        (&[][..], "none is given"),
        (&[0, 4], "0 is none of the model's layers, which are 1 to 4"),
        (&[5], "5 is none of the model's layers"),
        (&[2, 1], "2 stands before 1"),
        (&[2, 2], "2 stands before 2"),
    ] {
        let error = ReadOuts::shared(&model, depths).err().unwrap().to_string();
        assert!(error.starts_with("depths: ") && error.contains(said), "{error}");
    }
    let error = ReadOuts::own_heads(&model, &[4], &mut Parameters::default()).err().unwrap().to_string();
    assert!(error.contains("layers before the last"), "{error}");
    for (sequence, said) in
        [(vec![1], "it has 1 tokens"), (vec![1; 65], "2 to 64"), (vec![1, 257], "token 257")]
    {
        let objective = parse_sum("language").unwrap();
        let error = LanguageTask::of_tokens(&model, vec![sequence], objective).err().unwrap().to_string();
        assert!(error.contains("sequence 1") && error.contains(said), "{error}");
    }
}
