//! Texts of a server. What it cannot do is refused by name before anything is sent.

use super::Arguments;
use super::asked::{Asked, Language};
use super::report::{Generated, GenerationOutput, Shown, Written};
use crate::command::{Failure, Global};
use anyhow::{Context, bail};
use plackett::pipeline::Models;
use plackett_lm::chat::Message;
use plackett_lm::decode::Strategy;
use plackett_remote::{Api, Capability, ChatRequest, CompletionRequest, Generation, RemoteModel};

/// Asks the server for all prompts.
pub(super) fn run(
    arguments: &Arguments,
    asked: &Asked,
    prompts: &[String],
    global: &Global,
) -> Result<GenerationOutput, Failure> {
    let models = Models::new(Some(arguments.model.clone()), global.models());
    let model = models.remote(None)?.context("not a server")?;
    check(arguments, global, &model)?;
    let samples = match &asked.strategy {
        Strategy::Sample(sampling) => sampling.samples,
        _ => 1,
    };
    let how = generation(asked);
    let numbered = prompts.iter().flat_map(|prompt| (0..samples as u32).map(move |repeat| (prompt, repeat)));
    let answers = match model.config().api {
        Api::Chat => {
            let request = |(prompt, repeat): (&String, u32)| {
                let system = arguments.system.iter().map(|text| Message::new("system", text));
                let messages = system.chain([Message::new("user", prompt)]).collect();
                ChatRequest { messages, generation: repeated(&how, repeat) }
            };
            model.chat(&numbered.map(request).collect::<Vec<_>>())?
        }
        _ => {
            let request = |(prompt, repeat): (&String, u32)| CompletionRequest {
                prompt: prompt.clone(),
                generation: repeated(&how, repeat),
            };
            model.complete(&numbered.map(request).collect::<Vec<_>>())?
        }
    };
    let mut answers = answers.into_iter();
    let mut results = Vec::new();
    for index in 0..prompts.len() {
        let own: Result<Vec<plackett_remote::Generated>, _> = answers.by_ref().take(samples).collect();
        let own = own.with_context(|| arguments.place(index)).map_err(Failure::Service)?;
        results.push(generated(index, own));
    }
    Ok(GenerationOutput {
        model: arguments.model.clone(),
        kind: "remote",
        adapter: None,
        opened: None,
        depths: Default::default(),
        results,
    })
}

/// Each draw has a seed of its own, as each is a request of its own.
fn repeated(how: &Generation, repeat: u32) -> Generation {
    let seed = how.seed.map(|seed| seed.wrapping_add(u64::from(repeat)));
    Generation { seed, repeat, ..how.clone() }
}

fn generation(asked: &Asked) -> Generation {
    let most = asked.most(u32::MAX as usize) as u32;
    let stop = match &asked.language {
        Language::Text(stops) => stops.clone(),
        _ => Vec::new(),
    };
    let plain = Generation { max_tokens: most, stop, ..Generation::default() };
    match asked.strategy {
        Strategy::Sample(sampling) => {
            Generation { temperature: sampling.temperature as f32, seed: Some(sampling.seed), ..plain }
        }
        _ => plain,
    }
}

fn generated(index: usize, answers: Vec<plackett_remote::Generated>) -> Generated {
    let prompt_tokens = answers.iter().map(|answer| answer.usage.prompt_tokens).sum();
    let generated_tokens = answers.iter().map(|answer| answer.usage.completion_tokens).sum();
    let shown = answers.into_iter().enumerate().map(|(group, answer)| Shown {
        written: Written { finish: answer.finish, ..Written::text(&answer.text) },
        log_prob: None,
        score: None,
        tokens: None,
        forced: 0,
        group,
    });
    Generated {
        index,
        prompt_tokens,
        generated_tokens,
        passes: None,
        branches: None,
        unfinished: 0,
        truncated: None,
        hypotheses: shown.collect(),
    }
}

/// Refuses what needs a model on this machine.
fn check(arguments: &Arguments, global: &Global, model: &RemoteModel) -> anyhow::Result<()> {
    model.require(Capability::Generation)?;
    if let Some(flag) = Asked::flag(arguments) {
        model.require(Capability::ConstrainedDecoding).with_context(|| flag)?;
    }
    let search = &arguments.search;
    let chat = model.config().api == Api::Chat;
    let refused = [
        ("--beams", search.beams.is_some(), "a server chooses each token itself"),
        ("--top-k", search.top_k.is_some(), "servers have no common form for it"),
        ("--top-p", search.top_p.is_some(), "it is not sent to servers yet"),
        ("--adapter", arguments.adapter.is_some(), "the server's model has its own; ask it for that model"),
        ("--precision", arguments.precision.is_some(), "the server has chosen it"),
        ("--cache", arguments.cache.is_some(), "the server has chosen it"),
        ("--memory-budget", global.memory_budget.is_some(), "the server has its own memory"),
        ("--control-tokens", arguments.control_tokens, "the server keeps its tokenizer"),
        ("--chat", arguments.chat && !chat, "the interface continues plain text; use …/v1/chat/completions"),
    ];
    let depths = arguments.depths.given().map(|(flag, given)| (flag, given, "it runs its model whole"));
    if let Some((flag, _, reason)) = refused.into_iter().chain(depths).find(|(_, given, _)| *given) {
        bail!("{flag}: {} is a server; {reason}", model.name());
    }
    Ok(())
}
