//! The numbers of a decoder about what it has learned by heart.

use super::corpus::{Corpus, Item};
use crate::recipe::quantity::{Quantity, mean};
use plackett_core::diversity::{RougeText, distinct, rouge};
use plackett_train::nn::Llama;
use plackett_train::trainer::{END_OF_TEXT, decode_bytes};
use plackett_train::unlearning::measures::{harmonic_mean, truth_forgotten, truth_kept, truth_quotient};
use plackett_train::unlearning::{AnswerMeasure, TokenPair, extraction_likelihood, greedy, measure_answers};
use plackett_train::{Compute, Parameters};
use std::sync::Arc;

/// The names of the numbers of an [`Evaluation`].
pub const NUMBERS: [&str; 18] = [
    "forget_ma",
    "forget_nll",
    "forget_probability",
    "forget_rouge",
    "forget_el",
    "forget_truth",
    "forget_truth_score",
    "forget_repeats",
    "forget_distinct",
    "forget_length",
    "retain_ma",
    "retain_nll",
    "retain_probability",
    "retain_rouge",
    "retain_truth",
    "unrelated_nll",
    "unrelated_perplexity",
    "utility",
];

/// Answers to be kept that are written out.
const WRITTEN: usize = 30;

/// Bytes that are written after a question at most.
const LONGEST: usize = 48;

/// n of EL_n, and beginnings of an answer from which the rest is written.
const EXTRACTION: (usize, usize) = (10, 3);

/// The numbers of one kind of items.
struct Side {
    keys: Vec<String>,
    measured: Vec<AnswerMeasure>,
    /// Truth quotients.
    truth: Vec<f64>,
    /// ROUGE-L recall of what is written after the first questions.
    rouge: Vec<f64>,
    /// What is written.
    written: Vec<Vec<u32>>,
}

/// Everything that is measured.
pub struct Evaluation {
    /// The numbers, by their names of [`NUMBERS`].
    pub numbers: Vec<Quantity>,
}

impl Evaluation {
    /// Measures a decoder; `seed` is the key of numbers that are not of one answer.
    pub fn new(
        llama: &Llama,
        parameters: &Parameters,
        corpus: &Corpus,
        seed: usize,
        compute: &Arc<Compute>,
    ) -> Evaluation {
        let model = (llama, parameters, compute);
        let forget = Side::new(&corpus.forget, usize::MAX, model);
        let retain = Side::new(&corpus.retain, WRITTEN, model);
        let unrelated = measure_answers(llama, parameters, &corpus.held_out, compute);
        let pairs: Vec<TokenPair> = corpus.forget.iter().map(|item| item.pair.clone()).collect();
        let (n, beginnings) = EXTRACTION;
        let extracted =
            extraction_likelihood(llama, parameters, &pairs, (n, beginnings, END_OF_TEXT), compute);
        // What is too short to repeat itself repeats nothing.
        let different = |n: usize| move |written: &Vec<u32>| distinct(written, n).unwrap_or(1.0);
        let repeats = forget.written.iter().map(different(4)).map(|share| 1.0 - share).collect();
        let distinct_pairs = forget.written.iter().map(different(2)).collect();
        let length = forget.written.iter().map(|written| written.len() as f64).collect();
        let unrelated: Vec<f64> = unrelated.iter().map(|measure| measure.nll).collect();
        let perplexity = mean(&unrelated).exp();
        let of_forget = |name: &str, values| Quantity::by_query(name, forget.keys.clone(), values);
        let of_retain = |name: &str, values: Vec<f64>| {
            Quantity::by_query(name, retain.keys[..values.len()].to_vec(), values)
        };
        let passages = (1..=unrelated.len()).map(|at| at.to_string()).collect();
        let numbers = vec![
            of_forget("forget_ma", forget.of(AnswerMeasure::accuracy)),
            of_forget("forget_nll", forget.of(|measure| measure.nll)),
            of_forget("forget_probability", forget.of(AnswerMeasure::probability)),
            of_forget("forget_rouge", forget.rouge.clone()),
            of_forget("forget_el", extracted),
            of_forget("forget_truth", forget.truth.clone()),
            of_forget("forget_truth_score", forget.truth.iter().copied().map(truth_forgotten).collect()),
            of_forget("forget_repeats", repeats),
            of_forget("forget_distinct", distinct_pairs),
            of_forget("forget_length", length),
            of_retain("retain_ma", retain.of(AnswerMeasure::accuracy)),
            of_retain("retain_nll", retain.of(|measure| measure.nll)),
            of_retain("retain_probability", retain.of(AnswerMeasure::probability)),
            of_retain("retain_rouge", retain.rouge.clone()),
            of_retain("retain_truth", retain.truth.clone()),
            Quantity::by_query("unrelated_nll", passages, unrelated),
            Quantity::of_seed("unrelated_perplexity", seed, perplexity),
            Quantity::of_seed("utility", seed, retain.utility()),
        ];
        Evaluation { numbers }
    }

    /// The values of a number.
    pub fn values(&self, name: &str) -> &[f64] {
        values_of(&self.numbers, name)
    }
}

/// The values of a number among others; none where it is not there.
pub fn values_of<'q>(numbers: &'q [Quantity], name: &str) -> &'q [f64] {
    numbers.iter().find(|quantity| quantity.name == name).map_or(&[], |quantity| &quantity.values)
}

impl Side {
    fn new(
        items: &[Item],
        written: usize,
        (llama, parameters, compute): (&Llama, &Parameters, &Arc<Compute>),
    ) -> Side {
        let measure = |pairs: &[TokenPair]| measure_answers(llama, parameters, pairs, compute);
        let own: Vec<TokenPair> = items.iter().map(|item| item.pair.clone()).collect();
        let other_words: Vec<TokenPair> = items.iter().map(|item| item.paraphrase.clone()).collect();
        let wrong: Vec<TokenPair> = items.iter().flat_map(|item| item.wrong.clone()).collect();
        let (right, wrong) = (measure(&other_words), measure(&wrong));
        let mut rest = &wrong[..];
        let truth = items.iter().zip(&right).map(|(item, right)| {
            let (now, later) = rest.split_at(item.wrong.len());
            rest = later;
            truth_quotient(right.nll, &now.iter().map(|wrong| wrong.nll).collect::<Vec<_>>())
        });
        let truth = truth.collect();
        let shown = &items[..items.len().min(written)];
        let prompts: Vec<(&[u32], usize)> =
            shown.iter().map(|item| (&item.pair.prompt[..], LONGEST)).collect();
        let written = greedy(llama, parameters, &prompts, END_OF_TEXT, compute);
        let recall = |(item, written): (&Item, &Vec<u32>)| {
            rouge(&RougeText::new(&item.answer), &RougeText::new(&decode_bytes(written))).longest.recall
        };
        let rouge = shown.iter().zip(&written).map(recall).collect();
        let keys = items.iter().map(|item| item.key.clone()).collect();
        Side { keys, measured: measure(&own), truth, rouge, written }
    }

    fn of(&self, number: impl Fn(&AnswerMeasure) -> f64) -> Vec<f64> {
        self.measured.iter().map(number).collect()
    }

    /// The harmonic mean of the three scores, as of one of the sets of TOFU's model utility.
    fn utility(&self) -> f64 {
        let truth: Vec<f64> = self.truth.iter().copied().map(truth_kept).collect();
        harmonic_mean(&[mean(&self.of(AnswerMeasure::probability)), mean(&self.rouge), mean(&truth)])
    }
}
