//! The page of a leaderboard: one HTML file that opens without a network and needs nothing beside itself.

use askama::Template;
use plackett_arena::Votes;
use plackett_arena::rating::{Board, BoardOptions, IntervalKind};
use plackett_core::formats::atomic;
use std::path::Path;

/// Models whose wins by pair are drawn: more do not fit a screen.
const MATRIX: usize = 25;

#[derive(Template)]
#[template(path = "arena.html")]
struct Page {
    chips: Vec<(&'static str, String)>,
    boards: Vec<BoardView>,
    names: Vec<String>,
    matrix: Vec<(String, Vec<Cell>)>,
    left_out: usize,
    intervals: String,
    version: &'static str,
}

/// A board as it is drawn.
struct BoardView {
    title: String,
    rows: Vec<Row>,
}

struct Row {
    rank: String,
    /// For sorting.
    best_rank: usize,
    model: String,
    rating: String,
    interval: String,
    /// Left end, width and middle of the bar, in percent.
    left: f64,
    width: f64,
    middle: f64,
    votes: usize,
    rate: String,
    elo: String,
    next: String,
}

struct Cell {
    text: String,
    title: String,
    /// How far from an even score, from 0 to 100, and for whom.
    shade: u32,
    good: bool,
}

/// Writes the page.
///
/// # Errors
/// It cannot be written.
pub fn write(
    path: &Path,
    board: &Board,
    categories: &[(String, Board)],
    votes: &Votes,
    options: &BoardOptions,
) -> anyhow::Result<()> {
    let mut boards = vec![view("All votes", board)];
    boards.extend(categories.iter().map(|(name, board)| view(name, board)));
    let count = board.rows.len().min(MATRIX);
    let names = board.rows[..count].iter().map(|row| row.model.clone()).collect();
    let matrix =
        (0..count).map(|i| (board.rows[i].model.clone(), (0..count).map(|j| cell(board, i, j)).collect()));
    let intervals = match options.intervals {
        IntervalKind::Sandwich => "sandwich estimator".to_string(),
        IntervalKind::Bootstrap(rounds) => format!("bootstrap of {rounds} rounds"),
    };
    let page = Page {
        chips: vec![
            ("votes", votes.all.len().to_string()),
            ("models", board.rows.len().to_string()),
            (
                "voters",
                if votes.voters.is_empty() { "not said".into() } else { votes.voters.len().to_string() },
            ),
            ("ties", board.ties.to_string()),
            ("penalty", options.rating.penalty.to_string()),
        ],
        boards,
        names,
        matrix: matrix.collect(),
        left_out: board.rows.len() - count,
        intervals: if options.by_voter { format!("{intervals}, by voter") } else { intervals },
        version: env!("CARGO_PKG_VERSION"),
    };
    let html = page.render()?;
    Ok(atomic::write(path, |out| write!(out, "{html}"))?)
}

fn view(title: &str, board: &Board) -> BoardView {
    let low = board.rows.iter().map(|row| row.lower).fold(f64::INFINITY, f64::min);
    let high = board.rows.iter().map(|row| row.upper).fold(f64::NEG_INFINITY, f64::max);
    let place = |x: f64| (100.0 * (x - low) / (high - low).max(1e-9)).clamp(0.0, 100.0);
    let row = |(at, row): (usize, &plackett_arena::rating::BoardRow)| Row {
        rank: super::ranks(row),
        best_rank: at + 1,
        model: row.model.clone(),
        rating: format!("{:.0}", row.rating),
        interval: format!("{:.0} – {:.0}", row.lower, row.upper),
        left: place(row.lower),
        width: (place(row.upper) - place(row.lower)).max(0.5),
        middle: place(row.rating),
        votes: row.votes,
        rate: row.average_win_rate.map_or_else(|| "–".into(), |rate| format!("{:.0}", 100.0 * rate)),
        elo: format!("{:.0}", row.elo),
        next: super::to_next(row, at + 1 == board.rows.len()),
    };
    BoardView { title: title.into(), rows: board.rows.iter().enumerate().map(row).collect() }
}

fn cell(board: &Board, i: usize, j: usize) -> Cell {
    let (a, b) = (&board.rows[i].model, &board.rows[j].model);
    match board.win_shares[i][j] {
        Some(share) => Cell {
            text: format!("{:.0}", 100.0 * share),
            title: format!(
                "{a} won {:.0} % of decided votes against {b} ({} votes)",
                100.0 * share,
                board.vote_counts[i][j]
            ),
            shade: (140.0 * (share - 0.5).abs()) as u32,
            good: share >= 0.5,
        },
        None => Cell {
            text: String::new(),
            title: if i == j { String::new() } else { format!("{a} and {b}: no decided vote") },
            shade: 0,
            good: true,
        },
    }
}
