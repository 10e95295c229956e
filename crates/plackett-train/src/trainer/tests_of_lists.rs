//! Lists on a tiny decoder of bytes: losses by hand from its logits, what is refused, and that orders are learned.

use super::*;
use crate::TrainError;
use crate::nn::{LlamaConfig, Mode, TokenBatch};
use crate::objective::parse_sum;
use crate::tape::{Compute, Gradients, Parameters, Tape};

fn decoder(context: usize) -> (LanguageModel, Parameters) {
    let mut parameters = Parameters::default();
    let config = LlamaConfig::small(BYTE_VOCABULARY, 2, (32, 64), 4);
    let model = LanguageModel::of_bytes(&config, context, 3, &mut parameters).unwrap();
    // Larger weights than a training begins with, so that logits differ.
    for (_, parameter) in parameters.iter_mut().filter(|(_, parameter)| !parameter.is_vector()) {
        parameter.values_mut().iter_mut().for_each(|x| *x *= 6.0);
    }
    (model, parameters)
}

fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

/// Passages `Ax`, `By` … of which those with the greater letter are better.
fn list(letters: &str) -> ListExample {
    let labels: Vec<char> = ('A'..='Z').take(letters.len()).collect();
    let mut order: Vec<usize> = (0..letters.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(letters.as_bytes()[*place]));
    let passages: Vec<String> =
        labels.iter().zip(letters.chars()).map(|(label, letter)| format!("{label}{letter}")).collect();
    let (mut answer, mut ranks) = (String::new(), Vec::new());
    for (rank, place) in order.iter().enumerate() {
        if rank > 0 {
            answer.push('>');
            ranks.push(None);
        }
        answer.push_str(&format!("[{}]", labels[*place]));
        ranks.extend([Some(rank + 1); 3]);
    }
    ListExample {
        name: letters.into(),
        prompt: bytes(&format!("{}:", passages.join(" "))),
        answer: bytes(&answer),
        ranks,
        labels: labels.iter().map(|label| *label as u32).collect(),
        opening: 1,
        order,
    }
}

fn loss_of(objective: &str, lists: &[ListExample]) -> f64 {
    let (model, parameters) = decoder(64);
    let task = ListwiseTask::new(&model, lists, parse_sum(objective).unwrap()).unwrap();
    let tape = Tape::new(&parameters, &Compute::new(1));
    let all: Vec<usize> = (0..lists.len()).collect();
    let loss = task.loss(&tape, &all, Mode::default()).unwrap();
    let tokens = lists.iter().map(|list| list.answer.len()).sum();
    let used = if objective == "weighted-ranknet" { lists.len() } else { tokens };
    assert_eq!((loss.used, loss.skipped), (used, 0), "{objective}");
    f64::from(loss.value.item())
}

/// Logits after each token of a list by itself.
fn logits(list: &ListExample) -> Vec<Vec<f64>> {
    let (model, parameters) = decoder(64);
    let tape = Tape::inference(&parameters, &Compute::new(1));
    let tokens = [&list.prompt[..], &list.answer].concat();
    let batch = TokenBatch::new([&tokens[..]]);
    let hidden = model.llama.hidden(&tape, &batch);
    let rows: Vec<usize> = (0..tokens.len()).collect();
    let logits = model.llama.logits(&tape, &hidden, &rows);
    logits.value.chunks(logits.columns).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

/// −ln p of each token of an answer.
fn nll(list: &ListExample) -> Vec<f64> {
    let logits = logits(list);
    let of = |(at, token): (usize, &u32)| {
        let row = &logits[list.prompt.len() + at - 1];
        row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*token as usize]
    };
    list.answer.iter().enumerate().map(of).collect()
}

#[test]
fn losses_are_those_of_the_formulas() {
    let lists = [list("yx"), list("abc")];
    let nlls = lists.each_ref().map(nll);
    let tokens: usize = nlls.iter().map(Vec::len).sum();
    let language = nlls.iter().flatten().sum::<f64>() / tokens as f64;
    assert!((loss_of("language", &lists) - language).abs() < 1e-4);
    // FIRST: the logits of the labels after `[`; pairs weigh 1/(r_i + r_j), the mean over the pairs of a list.
    let mut ranking = 0.0;
    for list in &lists {
        let row = &logits(list)[list.prompt.len()];
        let scores: Vec<f64> = list.order.iter().map(|place| row[list.labels[*place] as usize]).collect();
        let (mut sum, mut pairs) = (0.0, 0.0);
        for i in 0..scores.len() {
            for j in i + 1..scores.len() {
                sum += (1.0 + (scores[j] - scores[i]).exp()).ln() / (i + j + 2) as f64;
                pairs += 1.0;
            }
        }
        ranking += sum / pairs / lists.len() as f64;
    }
    assert!((loss_of("weighted-ranknet", &lists) - ranking).abs() < 1e-4);
    let both = loss_of("language + 10*weighted-ranknet", &lists);
    assert!((both - language - 10.0 * ranking).abs() < 5e-4, "{both}");
    // FullRank: tokens of the label at rank r weigh 1 + 1/log2(r + 1), separators 1.
    let weight = |rank: &Option<usize>| rank.map_or(1.0, |rank| 1.0 + 1.0 / (rank as f64 + 1.0).log2());
    let weighed = lists.iter().zip(&nlls).flat_map(|(list, nll)| list.ranks.iter().zip(nll));
    let weighted = weighed.map(|(rank, nll)| weight(rank) * nll).sum::<f64>() / tokens as f64;
    assert!((loss_of("importance-aware", &lists) - weighted).abs() < 1e-4);
}

#[test]
fn noise_changes_the_loss_of_a_step_and_nothing_else() {
    let lists = [list("yx"), list("abc")];
    let (model, parameters) = decoder(64);
    let loss = |alpha: f32, mode: Mode| {
        let task = ListwiseTask::new(&model, &lists, parse_sum("language").unwrap()).unwrap();
        let tape = Tape::new(&parameters, &Compute::new(1));
        task.with_noise(alpha).loss(&tape, &[0, 1], mode).unwrap().value.item()
    };
    let step = |key: u64| Mode { key, is_training: true, ..Mode::default() };
    let plain = loss(0.0, Mode::default());
    assert_eq!(loss(0.0, step(1)), plain);
    assert_eq!(loss(5.0, Mode { key: 1, ..Mode::default() }), plain);
    assert_ne!(loss(5.0, step(1)), plain);
    assert_eq!(loss(5.0, step(1)), loss(5.0, step(1)));
    assert_ne!(loss(5.0, step(1)), loss(5.0, step(2)));
}

#[test]
fn measures_are_likelihoods_of_the_answer_and_its_first_label() {
    let lists = [list("yx"), list("abc"), list("ba")];
    let (model, parameters) = decoder(64);
    let compute = Compute::new(1);
    let measures = measure_lists(&model, &lists, (&compute, &parameters), 2).unwrap();
    for (list, measure) in lists.iter().zip(measures) {
        let nll = nll(list);
        assert!((measure.nll - nll.iter().sum::<f64>() / nll.len() as f64).abs() < 1e-4);
        assert!((measure.first - nll[..3].iter().sum::<f64>()).abs() < 1e-4);
    }
}

#[test]
fn lists_that_do_not_go_together_are_refused() {
    let refused = |objective: &str, context: usize, change: fn(&mut ListExample)| {
        let (model, _) = decoder(context);
        let mut list = list("yxz");
        change(&mut list);
        let lists = [list];
        let made = ListwiseTask::new(&model, &lists, parse_sum(objective).unwrap());
        made.err().map(|error: TrainError| error.to_string()).unwrap_or_default()
    };
    assert!(refused("dpo", 64, |_| ()).contains("needs more than an order"));
    assert!(refused("language", 12, |_| ()).contains("list yxz: it has"));
    assert!(refused("language", 64, |list| list.order = vec![0, 0, 1]).contains("no order"));
    assert!(refused("language", 64, |list| list.opening = 2).contains("not the label of the best passage"));
    assert!(refused("weighted-ranknet", 64, |list| list.labels.clear()).contains("needs one for each"));
    // Without a ranking objective labels are not needed.
    assert_eq!(refused("language", 64, |list| list.labels.clear()), "");
}

#[test]
fn an_order_is_learned_and_both_losses_reach_the_shared_layers() {
    let lists: Vec<ListExample> = ["ab", "ba", "ac", "ca", "bc", "cb"].map(list).into();
    let (model, mut parameters) = decoder(32);
    let compute = Compute::new(1);
    let task =
        ListwiseTask::new(&model, &lists, parse_sum("language + 10*weighted-ranknet").unwrap()).unwrap();
    let mut gradients = Gradients::default();
    let tape = Tape::new(&parameters, &compute);
    let loss = task.loss(&tape, &[0, 1], Mode::default()).unwrap().value;
    tape.backward(&loss, &mut gradients);
    let first = parameters.find("model.layers.0.self_attn.v_proj.weight").unwrap();
    assert!(gradients.get(first).unwrap().iter().any(|x| *x != 0.0));
    let settings = Settings { batch: 6, steps: 80, rate: 1e-2, checkpoint: 0, ..Settings::default() };
    let mut progress = |_: &StepRecord, _: usize| ();
    let report = train(&task, &compute, &mut parameters, &settings, (None, ""), None, &mut progress).unwrap();
    assert!(
        report.final_loss() < report.steps[0].loss / 2.0,
        "{} {}",
        report.steps[0].loss,
        report.final_loss()
    );
}
