//! `cargo run --release -p plackett-rank --example noveleval_anchors`: query likelihood and yes/no with SmolLM2-135M-Instruct
//! on NovelEval (nDCG@10 over 21 questions, each with its own 20 passages), beside what was measured with transformers on the
//! same file and with the same prompts. Ends with 1 where a method is further than 0.01 from its anchor.

mod collection;

use collection::{Grades, data, ndcg, noveleval, smollm2};
use plackett_core::{RankRequest, Ranking};
use plackett_rank::{MethodSpec, Settings};
use std::process::ExitCode;

/// Methods and what transformers gives.
const ANCHORS: [(&str, f64); 2] = [("query-likelihood", 0.702), ("yes-no", 0.409)];

fn main() -> ExitCode {
    let (Some(data), Some(model)) = (data(), smollm2()) else { return ExitCode::SUCCESS };
    let (requests, grades) = noveleval(&data);
    let mut agree = true;
    for (method, anchor) in ANCHORS {
        let spec = MethodSpec::find(method).unwrap();
        let ranker = spec.ranker(model.clone(), spec.defaults(), Settings::default()).unwrap();
        let rankings: Vec<Ranking> = ranker.rank(&requests).into_iter().map(Result::unwrap).collect();
        let found = mean(&requests, &grades, &rankings);
        let seconds: f64 = rankings.iter().map(|ranking| ranking.trace.seconds).sum();
        let tokens: u64 = rankings.iter().map(|ranking| ranking.trace.prompt_tokens).sum();
        let verdict = if (found - anchor).abs() <= 0.01 { "agrees" } else { "differs" };
        agree &= verdict == "agrees";
        println!(
            "{method}: nDCG@10 {found:.4}, anchor {anchor}: {verdict} ({tokens} tokens in {seconds:.1} s)"
        );
    }
    if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn mean(requests: &[RankRequest], grades: &Grades, rankings: &[Ranking]) -> f64 {
    let each = requests.iter().zip(rankings).map(|(request, ranking)| {
        let order: Vec<&str> = ranking.entries.iter().map(|entry| entry.id.as_str()).collect();
        ndcg(grades, &request.query.id, &order)
    });
    each.sum::<f64>() / requests.len() as f64
}
