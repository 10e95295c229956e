//! `plackett arena fit`: a leaderboard from votes.

use super::page;
use crate::command::number::{real, whole};
use crate::command::paths::Paths;
use crate::command::table::{Align, Table};
use crate::command::{Global, Outcome, Output};
use anyhow::anyhow;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use plackett_arena::rating::{Board, BoardOptions, EloOptions, IntervalKind, RatingOptions, TieModel};
use plackett_arena::{VoteAccount, VoteFilter, VoteOptions, Votes, read_votes};
use plackett_core::formats::atomic;
use serde_json::json;
use std::path::PathBuf;

/// Rate models by votes between them: Bradley–Terry with intervals, Elo beside it
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        plackett arena fit votes.jsonl\n  \
                        plackett arena fit votes.csv --anchor mixtral=1114 --csv board.csv\n  \
                        plackett arena fit votes.jsonl --by-category --bootstrap 1000 --by-voter --page board.html\n\n\
                        A vote is a line such as {\"model_a\": \"x\", \"model_b\": \"y\", \"winner\": \"model_a\", \"judge\": \"7\"}; CSV\n\
                        with these columns and the logs of voting platforms are read too. Ranks that intervals allow stand\n\
                        as 2–4.")]
pub struct Arguments {
    /// Files of votes (`-`: standard input)
    #[arg(required = true)]
    votes: Vec<PathBuf>,
    /// How ties count: half a win for each, or as a model of ties has them
    #[arg(long, value_name = "MODEL", default_value = "half", value_parser = ties())]
    ties: TieModel,
    /// Strength of the pull towards equal ratings: 1 as leaderboards have it, 0 for none
    #[arg(long, value_name = "X", default_value = "1", value_parser = real(" from 0", |x| x >= 0.0))]
    penalty: f64,
    /// Intervals from so many rounds of drawing votes again [default: the sandwich estimator]
    #[arg(long, value_name = "ROUNDS", value_parser = whole::<usize>(2..=100_000))]
    bootstrap: Option<usize>,
    /// Take votes of one voter to belong together: intervals that are honest where few people cast many votes
    #[arg(long)]
    by_voter: bool,
    /// Give one model a rating, and the others theirs beside it [default: the mean is 1000]
    #[arg(long, value_name = "MODEL=RATING")]
    anchor: Option<String>,
    /// Only votes whose voters did not see names
    #[arg(long)]
    anonymous: bool,
    /// Only votes of this category
    #[arg(long, value_name = "NAME", conflicts_with = "by_category")]
    category: Option<String>,
    /// The field that has the category [default: category, task or prompt, the first that is there]
    #[arg(long, value_name = "FIELD")]
    category_field: Option<String>,
    /// A board for each category beside that of all votes
    #[arg(long)]
    by_category: bool,
    /// Count only the first so many votes of each voter on a pair
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..))]
    repeats: Option<usize>,
    /// Leave out a model
    #[arg(long, value_name = "MODEL")]
    exclude: Vec<String>,
    /// Leave out a voter
    #[arg(long, value_name = "VOTER")]
    ban: Vec<String>,
    /// What names of this arena begin with; it is cut off, and other models are left out
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Points that a vote moves in Elo at most
    #[arg(long, value_name = "X", default_value = "4", value_parser = real(" above 0", |x| x > 0.0))]
    elo_k: f64,
    /// Of draws and shuffles
    #[arg(long, value_name = "N", default_value = "42", value_parser = whole::<u64>(0..))]
    seed: u64,
    /// Write the board as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a page with intervals drawn, wins by pair and categories, which opens without a network
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

fn ties() -> impl TypedValueParser<Value = TieModel> {
    PossibleValuesParser::new(TieModel::ALL.iter().map(|(name, _)| *name))
        .try_map(|text| text.parse::<TieModel>())
}

/// Runs the command.
pub fn run(arguments: &Arguments, global: &Global, output: &Output) -> Outcome {
    let paths = Paths::default().reads("VOTES", &arguments.votes);
    paths.writes("--csv", &arguments.csv).writes("--page", &arguments.page).check(output)?;
    for (flag, path) in [("--csv", &arguments.csv), ("--page", &arguments.page)] {
        if path.as_deref() == Some(std::path::Path::new("-")) {
            return Err(
                anyhow!("{flag} -: the name of a file is expected; standard output has the board").into()
            );
        }
    }
    let options = board_options(arguments)?;
    let mut all = Votes::default();
    let reading = VoteOptions {
        line_limit: global.max_line_bytes,
        exclude: arguments.exclude.clone(),
        ban: arguments.ban.clone(),
        prefix: arguments.prefix.clone(),
        category: arguments.category_field.clone(),
    };
    for path in &arguments.votes {
        all.append(read_votes(path, &reading)?);
    }
    all.sort_by_time();
    check_names(arguments, &all)?;
    let filter = VoteFilter {
        anonymous: arguments.anonymous,
        category: arguments.category.clone(),
        repeats: arguments.repeats.unwrap_or(0),
    };
    let votes = all.filtered(&filter);
    let board = Board::new(&votes, &options)?;
    board.warnings.iter().for_each(|warning| output.warn(warning));
    say_what_is_left_out(&votes.account, output);
    let categories = categories(arguments, &votes, &options, output)?;
    if let Some(path) = &arguments.csv {
        let text = board.csv();
        atomic::write(path, |out| write!(out, "{text}"))?;
    }
    if let Some(path) = &arguments.page {
        page::write(path, &board, &categories, &votes, &options)?;
    }
    if output.json {
        let categories: Vec<_> =
            categories.iter().map(|(name, board)| json!({"category": name, "board": board})).collect();
        return Ok(output.print_json(&json!({
            "votes": votes.all.len(),
            "account": votes.account,
            "board": board,
            "categories": categories,
            "csv": arguments.csv,
            "page": arguments.page,
        }))?);
    }
    output.print(&format!("{} votes on {} models\n\n", votes.all.len(), board.rows.len()))?;
    output.print_styled(&table(&board))?;
    for (name, board) in &categories {
        output.print(&format!("\n{name}\n\n"))?;
        output.print_styled(&table(board))?;
    }
    for (what, path) in [("board", &arguments.csv), ("page", &arguments.page)] {
        if let Some(path) = path {
            output.print(&format!("\n{what}: {}\n", path.display()))?;
        }
    }
    Ok(())
}

fn board_options(arguments: &Arguments) -> anyhow::Result<BoardOptions> {
    let anchor = match &arguments.anchor {
        None => None,
        Some(text) => {
            let parts =
                text.rsplit_once('=').and_then(|(name, rating)| Some((name, rating.parse::<f64>().ok()?)));
            let parts = parts.filter(|(_, rating)| rating.is_finite());
            let (name, rating) = parts
                .ok_or_else(|| anyhow!("--anchor {text}: MODEL=RATING is expected, such as mixtral=1114"))?;
            Some((name.to_string(), rating))
        }
    };
    Ok(BoardOptions {
        rating: RatingOptions { ties: arguments.ties, penalty: arguments.penalty },
        intervals: arguments.bootstrap.map_or(IntervalKind::Sandwich, IntervalKind::Bootstrap),
        by_voter: arguments.by_voter,
        anchor,
        seed: arguments.seed,
        elo: EloOptions { k: arguments.elo_k },
        ..BoardOptions::default()
    })
}

/// Refuses names that no vote has: a misspelt one would change nothing.
fn check_names(arguments: &Arguments, votes: &Votes) -> anyhow::Result<()> {
    if let Some(category) = arguments.category.as_ref().filter(|name| !votes.categories.contains(name)) {
        let known: Vec<&str> = votes.categories.iter().take(10).map(String::as_str).collect();
        let known = if known.is_empty() {
            "votes have none".into()
        } else {
            format!("there are: {}", known.join(", "))
        };
        return Err(anyhow!("--category {category}: no vote has this category; {known}"));
    }
    if arguments.by_category && votes.categories.is_empty() {
        return Err(anyhow!(
            "--by-category: votes have no field category, task or prompt; name one with --category-field"
        ));
    }
    let named = |flag: &str| format!("{flag}: votes do not say who voted (a field judge or voter)");
    if votes.voters.is_empty() && (arguments.by_voter || arguments.repeats.is_some()) {
        return Err(anyhow!(named(if arguments.by_voter { "--by-voter" } else { "--repeats" })));
    }
    for (flag, names) in [("--ban", &arguments.ban), ("--exclude", &arguments.exclude)] {
        if let Some(name) = names.iter().find(|name| !votes.left_out.contains(*name)) {
            return Err(anyhow!("{flag} {name}: no vote has this name, so that nothing would be left out"));
        }
    }
    Ok(())
}

fn say_what_is_left_out(account: &VoteAccount, output: &Output) {
    for (count, what) in [
        (account.invalid, "invalid votes: a name is missing, or shown names are not those that answered"),
        (account.banned, "votes of banned voters"),
        (account.excluded, "votes on excluded models"),
        (account.with_itself, "votes of a model against itself, which say nothing"),
        (account.filtered, "votes that filters take out"),
    ] {
        if count > 0 {
            output.warn(&format!("left out: {count} {what}"));
        }
    }
    if account.not_votes > 0 {
        output.note(&format!("{} lines of the log are no votes", account.not_votes));
    }
}

fn categories(
    arguments: &Arguments,
    votes: &Votes,
    options: &BoardOptions,
    output: &Output,
) -> anyhow::Result<Vec<(String, Board)>> {
    let mut boards = Vec::new();
    let without = votes.all.iter().filter(|vote| vote.category.is_none()).count();
    if arguments.by_category && without > 0 {
        output.warn(&format!("{without} votes have no category, and count on the board of all votes alone"));
    }
    for name in votes.categories.iter().filter(|_| arguments.by_category) {
        let own = votes.filtered(&VoteFilter { category: Some(name.clone()), ..VoteFilter::default() });
        match Board::new(&own, options) {
            Ok(board) => boards.push((name.clone(), board)),
            // The board of all votes is there, and that of every category that has one.
            Err(error) => output.warn(&format!("category {name}: no board: {error}")),
        }
    }
    Ok(boards)
}

/// The board for a terminal.
fn table(board: &Board) -> String {
    let columns = [
        ("rank", Align::Right),
        ("model", Align::Left),
        ("rating", Align::Right),
        ("95 %", Align::Right),
        ("votes", Align::Right),
        ("won", Align::Right),
        ("Elo", Align::Right),
        ("to tell from next", Align::Right),
    ];
    let mut table = Table::new(columns.map(|(name, align)| (name.to_string(), align)));
    for (at, row) in board.rows.iter().enumerate() {
        let rank = super::ranks(row);
        let next = super::to_next(row, at + 1 == board.rows.len());
        table.row([
            rank,
            crate::command::terminal::plain(&row.model).to_string(),
            format!("{:.1}", row.rating),
            format!("{:.0} – {:.0}", row.lower, row.upper),
            row.votes.to_string(),
            row.average_win_rate.map_or_else(String::new, |rate| format!("{:.0} %", 100.0 * rate)),
            format!("{:.0} ({:.0} – {:.0})", row.elo, row.elo_by_order.0, row.elo_by_order.1),
            next,
        ]);
    }
    let tie = board.tie_parameter.map_or_else(String::new, |(name, value)| format!(", {name} {value:.3}"));
    format!(
        "{}\nties: {}{tie}. won: mean share of decided votes over opponents. Elo in the order of votes, and over shuffles of them.\n",
        table.render(),
        board.ties
    )
}
