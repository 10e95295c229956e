//! `plackett ids`: identifiers that a model can write.

mod budget;
mod build;
mod check;
mod item_vectors;
mod kept_vectors;
mod labelled;
mod learn;
mod page;
mod prompts;
mod schemes;
mod show;
mod tune;
mod update;

use super::table::{Align, Table};
use super::terminal::plain;
use super::{Global, Outcome, Output};
use clap::{Args, Subcommand};
use plackett_genir::AutoencoderTrainer;
use plackett_ids::{Catalogue, Origin, Statistics};
use plackett_train::Compute;

/// Give items or documents identifiers that a model can write, and look at them
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett ids build items.jsonl --scheme 'rq(levels=3, codes=64)' --model all-MiniLM-L6-v2 \\\n    \
                        -o catalogue.jsonl\n  \
                        plackett ids build items.jsonl --scheme 'rq-vae(levels=3, codes=64, epochs=400)' \\\n    \
                        --vectors vectors.jsonl -o catalogue.jsonl\n  \
                        plackett ids build items.jsonl --scheme 'collaborative(clusters=10, most=200)' \\\n    \
                        --histories interactions.tsv -o catalogue.jsonl\n  \
                        plackett ids show catalogue.jsonl --item B004756YJA\n  \
                        plackett ids check catalogue.jsonl --items items.jsonl\n  \
                        plackett ids prompts catalogue.jsonl --histories interactions.tsv -o learn.jsonl\n  \
                        plackett ids learn papers.index -o papers.docids\n  \
                        plackett ids update papers.index --model papers.docids -o newer.docids\n  \
                        plackett ids tune papers.index --model papers.docids -o tuned.docids \\\n    \
                        --queries train.jsonl --qrels train.tsv\n  \
                        plackett ids schemes")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Build(Box<build::Arguments>),
    Show(show::Arguments),
    Check(check::Arguments),
    Prompts(prompts::Arguments),
    Learn(Box<learn::Arguments>),
    Update(Box<update::Arguments>),
    Tune(Box<tune::Arguments>),
    /// The identifier schemes there are, with their options
    Schemes,
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    match &arguments.action {
        Action::Build(arguments) => build::run(arguments, global, output),
        Action::Show(arguments) => show::run(arguments, global, output),
        Action::Check(arguments) => check::run(arguments, global, output),
        Action::Prompts(arguments) => prompts::run(arguments, global, output),
        Action::Learn(arguments) => learn::run(arguments, global, output),
        Action::Update(arguments) => update::run(arguments, global, output),
        Action::Tune(arguments) => tune::run(arguments, global, output),
        Action::Schemes => schemes::run(output),
    }
}

/// Does what may have a quantiser trained, whose steps are shown.
fn with_trainer<T>(
    output: &Output,
    work: impl FnOnce(&AutoencoderTrainer<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let bar = output.progress("quantiser", 0);
    let told = |step: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(step as u64);
    };
    let made = work(&AutoencoderTrainer::new(&Compute::new(rayon::current_num_threads()), &told));
    bar.finish_and_clear();
    made
}

/// What identifiers of a catalogue are like, for people.
fn described(catalogue: &Catalogue, statistics: &Statistics) -> String {
    let Statistics { items, sequences, tokens, dead_tokens, .. } = statistics;
    let lengths: Vec<String> =
        statistics.lengths.iter().map(|(length, items)| format!("{length}: {items}")).collect();
    let mut text = format!(
        "{}\n{}{items} items, {sequences} identifiers, {tokens} tokens ({dead_tokens} of them in none)\nitems by length: {}\n",
        plain(catalogue.scheme()),
        made_with(catalogue.origin()),
        lengths.join(", ")
    );
    text.push_str(&match statistics.is_unique() {
        true => "every item has an identifier of its own\n".to_string(),
        false => {
            let (items, most) = (statistics.colliding_items, statistics.largest_collision);
            format!("{items} items share theirs, up to {most} one\n")
        }
    });
    text.push_str(&match &statistics.first_clash {
        None => "no identifier begins another one\n".to_string(),
        Some(clash) => format!(
            "{} identifiers begin others, such as `{}` of {} that of {}\n",
            statistics.prefix_clashes,
            plain(&clash.codes),
            plain(&clash.item),
            plain(&clash.of)
        ),
    });
    text + &levels(statistics)
}

/// A line of what a catalogue was made with; none where it does not say.
fn made_with(origin: &Origin) -> String {
    let seed = origin.seed.map(|seed| format!("seed {seed}"));
    let vectors = origin.vectors.as_ref().map(|vectors| format!("vectors of {}", plain(vectors)));
    let held_out = origin.held_out.map(|count| format!("{count} positions of each history held out"));
    let parts: Vec<String> = [seed, vectors, held_out].into_iter().flatten().collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("made with {}\n", parts.join(", ")),
    }
}

fn levels(statistics: &Statistics) -> String {
    let columns =
        ["place", "items", "codes in use", "of", "dead", "entropy, bits", "of at most", "items of a code"];
    let mut table = Table::new(columns.map(|name| (name.to_string(), Align::Right)));
    let some = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
    for level in &statistics.levels {
        table.row([
            level.level.to_string(),
            level.items.to_string(),
            level.used.to_string(),
            some(level.codebook),
            some(level.dead),
            format!("{:.2}", level.entropy),
            format!("{:.2}", level.most_entropy),
            format!("{}–{}", level.smallest, level.largest),
        ]);
    }
    table.render()
}
