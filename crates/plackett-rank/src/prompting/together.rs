//! One call of the model for all requests that wait for it.

use crate::model::{
    Anchor, AnchorRequest, AnswerForm, AttentionMass, AttentionOptions, AttentionRequest, CallError,
    ContinuationRequest, Generated, GenerationOptions, GenerationRequest, LabelLogits, LabelRequest,
    LanguageModel, Likelihood, Need, Prompt, PromptParts, PromptVector, Replies, Role, StoredBlockPrompt,
    Usage, VectorRequest, ViewRequest, ViewVectors,
};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A model that is shared by some members, each on a thread of its own. A member's call waits until every other member
/// waits too or has left; then the last one makes one batch of all calls and runs it.
pub(super) struct Together<'m> {
    model: &'m dyn LanguageModel,
    state: Mutex<State>,
    answered: Condvar,
}

struct State {
    /// Members that have not left.
    members: usize,
    waiting: Vec<(u64, Job)>,
    answers: HashMap<u64, Answer>,
    /// A call never came back.
    broken: bool,
}

/// What one member asks, as its own: it crosses threads.
enum Job {
    Labels(Vec<(Prompt, Vec<String>, bool)>),
    Likelihoods(Vec<(Prompt, String)>),
    Generate(Vec<(Prompt, AnswerForm, u64)>, GenerationOptions),
    Attention(Vec<(PromptParts, AttentionOptions)>),
    Vectors(Vec<OwnVector>),
    Views(Vec<(Prompt, usize, usize)>),
    Anchors(Vec<(Vec<f32>, Option<u64>)>),
}

/// A prompt whose vector is wanted, its side, and whether an end token stands behind it.
type OwnVector = (Prompt, Role, bool);

enum Answer {
    Labels(Replies<LabelLogits>),
    Likelihoods(Replies<Likelihood>),
    Generated(Replies<Generated>),
    Attention(Replies<AttentionMass>),
    Vectors(Replies<PromptVector>),
    Views(Replies<ViewVectors>),
    Anchors(Replies<Anchor>),
}

impl<'m> Together<'m> {
    pub fn new(model: &'m dyn LanguageModel, members: usize) -> Together<'m> {
        let state = State { members, waiting: Vec::new(), answers: HashMap::new(), broken: false };
        Together { model, state: Mutex::new(state), answered: Condvar::new() }
    }

    /// The model as a member has it, who leaves when it is dropped. Members have different numbers, by which their requests
    /// stand in a call: what they share is then accounted to the same member each time, whichever thread came first.
    pub fn member(&self, number: u64) -> Member<'_, 'm> {
        Member { together: self, number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, member: u64, job: Job) -> Option<Answer> {
        let mut state = self.state();
        state.waiting.push((member, job));
        if state.waiting.len() >= state.members {
            self.run_batch(state);
            state = self.state();
        }
        loop {
            if let Some(answer) = state.answers.remove(&member) {
                return Some(answer);
            }
            if state.broken {
                return None;
            }
            state = self.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks the model for everybody who waits.
    fn run_batch(&self, mut state: MutexGuard<'_, State>) {
        let mut waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.sort_by_key(|(member, _)| *member);
        let guard = Guard(self);
        let answers = round(self.model, waiting);
        std::mem::forget(guard);
        self.state().answers.extend(answers);
        self.answered.notify_all();
    }

    fn leave(&self) {
        let mut state = self.state();
        state.members = state.members.saturating_sub(1);
        if !state.waiting.is_empty() && state.waiting.len() >= state.members {
            self.run_batch(state);
        }
    }
}

/// Wakes the others when the model's call does not come back.
struct Guard<'t, 'm>(&'t Together<'m>);

impl Drop for Guard<'_, '_> {
    fn drop(&mut self) {
        self.0.state().broken = true;
        self.0.answered.notify_all();
    }
}

/// One of those who share a model. It waits for one call at a time.
pub(super) struct Member<'t, 'm> {
    together: &'t Together<'m>,
    number: u64,
}

impl Drop for Member<'_, '_> {
    fn drop(&mut self) {
        self.together.leave();
    }
}

/// All calls of one kind (and, for answers, with the same options) as one call of the model each.
fn round(model: &dyn LanguageModel, waiting: Vec<(u64, Job)>) -> Vec<(u64, Answer)> {
    let (mut labels, mut likelihoods, mut attention) = (Vec::new(), Vec::new(), Vec::new());
    let (mut vectors, mut views, mut anchors) = (Vec::new(), Vec::new(), Vec::new());
    let mut generated: Vec<(GenerationOptions, Vec<_>)> = Vec::new();
    for (ticket, job) in waiting {
        match job {
            Job::Labels(own) => labels.push((ticket, own)),
            Job::Likelihoods(own) => likelihoods.push((ticket, own)),
            Job::Attention(own) => attention.push((ticket, own)),
            Job::Vectors(own) => vectors.push((ticket, own)),
            Job::Views(own) => views.push((ticket, own)),
            Job::Anchors(own) => anchors.push((ticket, own)),
            Job::Generate(own, options) => match generated.iter_mut().find(|(known, _)| *known == options) {
                Some((_, jobs)) => jobs.push((ticket, own)),
                None => generated.push((options, vec![(ticket, own)])),
            },
        }
    }
    let mut answers = Vec::new();
    split(&mut answers, &labels, Answer::Labels, |all: &[&(Prompt, Vec<String>, bool)]| {
        let requests: Vec<LabelRequest<'_>> = all
            .iter()
            .map(|(prompt, labels, normalizer)| LabelRequest { prompt, labels, normalizer: *normalizer })
            .collect();
        model.label_logits(&requests)
    });
    split(&mut answers, &likelihoods, Answer::Likelihoods, |all: &[&(Prompt, String)]| {
        let requests: Vec<ContinuationRequest<'_>> =
            all.iter().map(|(prompt, continuation)| ContinuationRequest { prompt, continuation }).collect();
        model.log_likelihoods(&requests)
    });
    split(&mut answers, &attention, Answer::Attention, |all: &[&(PromptParts, AttentionOptions)]| {
        let requests: Vec<AttentionRequest<'_>> =
            all.iter().map(|(parts, options)| AttentionRequest { parts, options }).collect();
        model.attention(&requests)
    });
    split(&mut answers, &vectors, Answer::Vectors, |all: &[&OwnVector]| distinct_vectors(model, all));
    split(&mut answers, &views, Answer::Views, |all: &[&(Prompt, usize, usize)]| {
        let requests: Vec<ViewRequest<'_>> = all
            .iter()
            .map(|(prompt, views, first)| ViewRequest { prompt, views: *views, first: *first })
            .collect();
        model.view_vectors(&requests)
    });
    split(&mut answers, &anchors, Answer::Anchors, |all: &[&(Vec<f32>, Option<u64>)]| {
        let requests: Vec<AnchorRequest<'_>> =
            all.iter().map(|(vectors, untrained)| AnchorRequest { vectors, untrained: *untrained }).collect();
        model.anchors(&requests)
    });
    for (options, jobs) in &generated {
        split(&mut answers, jobs, Answer::Generated, |all: &[&(Prompt, AnswerForm, u64)]| {
            let requests: Vec<GenerationRequest<'_>> = all
                .iter()
                .map(|(prompt, form, sample)| GenerationRequest { prompt, form, sample: *sample })
                .collect();
            model.generate(&requests, options)
        });
    }
    answers
}

/// Vectors of prompts, each of which goes through the model once, however often it is asked for: documents are candidates of
/// many queries.
fn distinct_vectors(model: &dyn LanguageModel, all: &[&OwnVector]) -> Replies<PromptVector> {
    let mut known: HashMap<&OwnVector, usize> = HashMap::new();
    let mut requests: Vec<VectorRequest<'_>> = Vec::new();
    let places: Vec<(usize, bool)> = all
        .iter()
        .map(|own| {
            let next = requests.len();
            let place = *known.entry(own).or_insert(next);
            if place == next {
                let (prompt, role, end) = own;
                requests.push(VectorRequest { prompt, role: *role, end: *end });
            }
            (place, place == next)
        })
        .collect();
    let replies = model.prompt_vectors(&requests);
    let lost = || Err(CallError::Argument("the model gave too few answers".into()));
    let reply = |(place, fresh): (usize, bool)| {
        let mut reply = replies.get(place).cloned().unwrap_or_else(lost)?;
        if !fresh {
            reply.fresh = false;
            reply.usage.cached_tokens = reply.usage.prompt_tokens;
        }
        Ok(reply)
    };
    places.into_iter().map(reply).collect()
}

/// Something that says what it cost.
trait Costed {
    fn usage(&mut self) -> &mut Usage;
}

macro_rules! costed {
    ($($reply:ty),*) => {
        $(impl Costed for $reply {
            fn usage(&mut self) -> &mut Usage {
                &mut self.usage
            }
        })*
    };
}

costed!(LabelLogits, Likelihood, Generated, AttentionMass, PromptVector, ViewVectors, Anchor);

/// Calls the model for the requests of all tickets, and gives each ticket its own replies, with its share of the time.
fn split<R, T: Costed>(
    answers: &mut Vec<(u64, Answer)>,
    jobs: &[(u64, Vec<R>)],
    wrap: fn(Replies<T>) -> Answer,
    call: impl Fn(&[&R]) -> Replies<T>,
) {
    let all: Vec<&R> = jobs.iter().flat_map(|(_, own)| own).collect();
    if jobs.is_empty() {
        return;
    }
    let start = Instant::now();
    let mut replies = if all.is_empty() { Vec::new() } else { call(&all) };
    share(&mut replies, start.elapsed().as_secs_f64());
    if replies.len() != all.len() {
        let problem =
            format!("{} answers for {} prompts; the model's code is wrong", replies.len(), all.len());
        replies = crate::model::all_failed(all.len(), CallError::Argument(problem));
    }
    let mut replies = replies.into_iter();
    for (ticket, own) in jobs {
        answers.push((*ticket, wrap(replies.by_ref().take(own.len()).collect())));
    }
}

/// Divides the time of a call by the tokens that were computed for each reply.
fn share<T: Costed>(replies: &mut Replies<T>, seconds: f64) {
    let weight = |usage: &Usage| {
        (usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens) + 4 * usage.generated_tokens + 1)
            as f64
    };
    let total: f64 = replies.iter_mut().flatten().map(|reply| weight(reply.usage())).sum();
    for reply in replies.iter_mut().flatten() {
        let usage = reply.usage();
        usage.seconds = seconds * weight(usage) / total;
    }
}

fn lost<T>(count: usize) -> Replies<T> {
    crate::model::all_failed(count, CallError::Argument("the model's call never came back".into()))
}

impl LanguageModel for Member<'_, '_> {
    fn name(&self) -> &str {
        self.together.model.name()
    }

    fn can(&self, need: Need) -> Result<(), String> {
        self.together.model.can(need)
    }

    fn has_chat_template(&self) -> bool {
        self.together.model.has_chat_template()
    }

    fn max_tokens(&self) -> Option<usize> {
        self.together.model.max_tokens()
    }

    fn count_tokens(&self, prompts: &[&Prompt]) -> Result<Vec<usize>, CallError> {
        self.together.model.count_tokens(prompts)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, CallError> {
        self.together.model.token_spans(text)
    }

    fn written(&self, prompt: &Prompt) -> Result<Option<String>, CallError> {
        self.together.model.written(prompt)
    }

    fn tokens_after(&self, prompt: &Prompt, texts: &[&str]) -> Result<(Vec<u32>, Vec<Vec<u32>>), CallError> {
        self.together.model.tokens_after(prompt, texts)
    }

    fn label_logits(&self, requests: &[LabelRequest<'_>]) -> Replies<LabelLogits> {
        let own = requests.iter().map(|r| (r.prompt.clone(), r.labels.to_vec(), r.normalizer)).collect();
        match self.together.ask(self.number, Job::Labels(own)) {
            Some(Answer::Labels(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn log_likelihoods(&self, requests: &[ContinuationRequest<'_>]) -> Replies<Likelihood> {
        let own = requests.iter().map(|r| (r.prompt.clone(), r.continuation.to_string())).collect();
        match self.together.ask(self.number, Job::Likelihoods(own)) {
            Some(Answer::Likelihoods(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn generate(
        &self,
        requests: &[GenerationRequest<'_>],
        options: &GenerationOptions,
    ) -> Replies<Generated> {
        let own = requests.iter().map(|r| (r.prompt.clone(), r.form.clone(), r.sample)).collect();
        match self.together.ask(self.number, Job::Generate(own, options.clone())) {
            Some(Answer::Generated(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn attention(&self, requests: &[AttentionRequest<'_>]) -> Replies<AttentionMass> {
        let own = requests.iter().map(|r| (r.parts.clone(), r.options.clone())).collect();
        match self.together.ask(self.number, Job::Attention(own)) {
            Some(Answer::Attention(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn stored_blocks(&self) -> Option<&StoredBlockPrompt> {
        self.together.model.stored_blocks()
    }

    fn prompt_vectors(&self, requests: &[VectorRequest<'_>]) -> Replies<PromptVector> {
        let own = requests.iter().map(|r| (r.prompt.clone(), r.role, r.end)).collect();
        match self.together.ask(self.number, Job::Vectors(own)) {
            Some(Answer::Vectors(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn view_vectors(&self, requests: &[ViewRequest<'_>]) -> Replies<ViewVectors> {
        let own = requests.iter().map(|r| (r.prompt.clone(), r.views, r.first)).collect();
        match self.together.ask(self.number, Job::Views(own)) {
            Some(Answer::Views(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn anchors(&self, requests: &[AnchorRequest<'_>]) -> Replies<Anchor> {
        let own = requests.iter().map(|r| (r.vectors.to_vec(), r.untrained)).collect();
        match self.together.ask(self.number, Job::Anchors(own)) {
            Some(Answer::Anchors(replies)) => replies,
            _ => lost(requests.len()),
        }
    }

    fn vector_facts(&self) -> Vec<(String, String)> {
        self.together.model.vector_facts()
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.together.model.facts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ScriptedModel;

    /// Members that ask one after another, each so many times, as `method` code would.
    fn run(rounds: &[usize]) -> ScriptedModel {
        let model = ScriptedModel::new().labels(|prompt, label| Ok((prompt.len() + label.len()) as f64));
        let together = Together::new(&model, rounds.len());
        std::thread::scope(|scope| {
            for (member, rounds) in rounds.iter().enumerate() {
                let together = &together;
                scope.spawn(move || {
                    let model = together.member(member as u64);
                    for round in 0..*rounds {
                        let prompt = Prompt::text("x".repeat(10 * member + round));
                        let labels = ["A".to_string()];
                        let request = LabelRequest { prompt: &prompt, labels: &labels, normalizer: false };
                        let reply = model.label_logits(&[request]).remove(0).unwrap();
                        assert_eq!(reply.logits, [Some((10 * member + round + 1) as f64)]);
                    }
                });
            }
        });
        model
    }

    #[test]
    fn members_that_wait_are_served_by_one_call() {
        // Three members need 3, 1 and 5 answers: 5 calls with 3, 2, 2, 1 and 1 prompts.
        let calls = run(&[3, 1, 5]).calls();
        assert_eq!(calls.iter().map(|call| call.prompts).collect::<Vec<_>>(), [3, 2, 2, 1, 1]);
        assert_eq!(run(&[0, 0, 2]).calls().len(), 2);
    }

    #[test]
    fn requests_of_a_call_stand_in_the_order_of_their_members_whoever_comes_first() {
        for _ in 0..50 {
            let lengths: Vec<usize> = run(&[1; 8]).read().iter().map(String::len).collect();
            assert_eq!(lengths, [0, 10, 20, 30, 40, 50, 60, 70]);
        }
    }
}
