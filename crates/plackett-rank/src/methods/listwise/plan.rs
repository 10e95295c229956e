//! Which windows are asked, and in which order: the same for all listwise methods.

use crate::method::{OptionError, OptionKind, OptionSpec, OptionValues};
use crate::model::CallError;
use crate::prompting::{Order, RankContext};
use plackett_core::ask_tell::AskTell;
use plackett_core::permutation::Permutation;
use plackett_core::windows::{
    SlidingOptions, TopDown, TopDownOptions, Tournament, TournamentOptions, Window, WindowError,
    WindowSchedule, window_ranges,
};

pub(super) const SCHEDULE: OptionSpec = OptionSpec {
    name: "schedule",
    kind: OptionKind::Choice(&["sliding", "full", "multi-pass", "top-down", "tournament"]),
    default: Some("sliding"),
    help: "which windows are asked: sliding from the tail to the head, one over the full list, pass after pass over what the \
           passes before have not settled, for a whole order (FullRank's labels), partitions around a pivot (Parry et al. 2024), \
           or groups of which the better half goes on (Chen et al. 2024)",
};

pub(super) const WINDOW: OptionSpec = OptionSpec {
    name: "window",
    kind: OptionKind::Integer(2, 10_000),
    default: Some("20"),
    help: "passages in one prompt",
};

pub(super) const STRIDE: OptionSpec = OptionSpec {
    name: "stride",
    kind: OptionKind::Integer(1, 10_000),
    default: None,
    help: "places by which the next window is nearer to the head; without it half of the window",
};

pub(super) const PASSES: OptionSpec = OptionSpec {
    name: "passes",
    kind: OptionKind::Integer(1, 1000),
    default: Some("1"),
    help: "how often all windows are gone through",
};

pub(super) const DEPTH: OptionSpec = OptionSpec {
    name: "depth",
    kind: OptionKind::Integer(2, 10_000),
    default: None,
    help: "only the first so many candidates are reranked, the others keep their places; without it all",
};

pub(super) const TOP: OptionSpec = OptionSpec {
    name: "top",
    kind: OptionKind::Integer(1, 10_000),
    default: None,
    help: "only the first so many ranks are wanted: the last window writes so many labels, others as many as can travel on; \
           without it all labels are written",
};

pub(super) const PIVOT: OptionSpec = OptionSpec {
    name: "pivot",
    kind: OptionKind::Integer(2, 10_000),
    default: None,
    help: "rank of the pivot in the first window of schedule=top-down; without it half of the window",
};

pub(super) const TOURNAMENTS: OptionSpec = OptionSpec {
    name: "tournaments",
    kind: OptionKind::Integer(1, 1000),
    default: Some("1"),
    help: "how many tournaments are held with schedule=tournament (TourRank-10: 10)",
};

pub(super) const SEED: OptionSpec = OptionSpec {
    name: "seed",
    kind: OptionKind::Integer(0, i64::MAX),
    default: Some("0"),
    help: "seed of everything that is drawn: shuffled copies, groups of tournaments, sampled answers",
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schedule {
    Sliding,
    Full,
    MultiPass,
    TopDown,
    Tournament,
}

impl Schedule {
    /// That of a word of [`SCHEDULE`].
    fn named(word: &str) -> Schedule {
        match word {
            "full" => Schedule::Full,
            "multi-pass" => Schedule::MultiPass,
            "top-down" => Schedule::TopDown,
            "tournament" => Schedule::Tournament,
            _ => Schedule::Sliding,
        }
    }
}

/// The windows that a method asks.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    schedule: Schedule,
    window: usize,
    stride: usize,
    passes: usize,
    depth: Option<usize>,
    top: Option<usize>,
    pivot: usize,
    tournaments: usize,
    seed: u64,
}

/// What answers the windows of one round: an order of the places of each.
pub(super) type Answers<'a> =
    &'a mut dyn FnMut(&mut RankContext<'_>, &[Window]) -> Result<Vec<Permutation>, CallError>;

impl Plan {
    /// Reads the options. `seeded` says whether the method draws something itself.
    ///
    /// # Errors
    /// Options that do not go together, and those that would have no effect.
    pub fn read(options: &OptionValues, seeded: bool) -> Result<Plan, OptionError> {
        use Schedule::{Full, MultiPass, Sliding, TopDown, Tournament};
        let word = options.get_choice("schedule").unwrap_or("sliding");
        let schedule = Schedule::named(word);
        let effects: [(&str, &[Schedule]); 6] = [
            ("window", &[Sliding, MultiPass, TopDown, Tournament]),
            ("stride", &[Sliding, MultiPass]),
            ("passes", &[Sliding, Full]),
            ("top", &[Sliding, Full]),
            ("pivot", &[TopDown]),
            ("tournaments", &[Tournament]),
        ];
        for (name, schedules) in effects {
            if options.is_given(name) && !schedules.contains(&schedule) {
                return Err(
                    options.problem(format!("{name} has no effect with schedule={word}; leave it out"))
                );
            }
        }
        if options.is_given("seed") && !seeded && schedule != Tournament {
            return Err(options.problem("seed has no effect, because nothing is drawn; leave it out"));
        }
        let window = options.get_count("window").unwrap_or(20);
        let stride = options.get_count("stride").unwrap_or((window / 2).max(1));
        if stride > window {
            return Err(options.problem(format!(
                "stride is {stride} and window {window}; candidates between two windows would never be read, so give a \
                 stride of at most {window}"
            )));
        }
        if schedule == MultiPass && stride == window {
            return Err(options.problem(format!(
                "stride and window are both {window}; with schedule=multi-pass a pass settles as many ranks as two windows share, so \
                 give a stride of at most {}",
                window - 1
            )));
        }
        let pivot = options.get_count("pivot").unwrap_or((window / 2).max(2));
        if schedule == TopDown && pivot >= window {
            return Err(options.problem(format!(
                "pivot is {pivot} and window {window}; the pivot's rank must be below the window, which has at least 3 passages"
            )));
        }
        Ok(Plan {
            schedule,
            window,
            stride,
            passes: options.get_count("passes").unwrap_or(1),
            depth: options.get_count("depth"),
            top: options.get_count("top"),
            pivot,
            tournaments: options.get_count("tournaments").unwrap_or(1),
            seed: options.get_count("seed").unwrap_or(0) as u64,
        })
    }

    /// The seed as written.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether only the first ranks are written.
    pub fn is_partial(&self) -> bool {
        self.top.is_some()
    }

    /// The most passages in a prompt; `None` for as many as there are.
    pub fn most(&self) -> Option<usize> {
        let window = if self.schedule == Schedule::Full { None } else { Some(self.window) };
        window.into_iter().chain(self.depth).min()
    }

    /// How many windows so many candidates take; for top-down partitioning when no candidate beats the pivot.
    pub fn windows(&self, candidates: usize) -> u64 {
        let n = self.depth.unwrap_or(candidates).min(candidates);
        let windows = match self.schedule {
            Schedule::Sliding => self.passes.saturating_mul(window_ranges(n, self.window, self.stride).len()),
            Schedule::Full => self.passes * usize::from(n > 1),
            Schedule::MultiPass => self.multi_pass(n).map_or(0, |windows| windows.total()),
            Schedule::TopDown => usize::from(n > 1) + n.saturating_sub(self.window).div_ceil(self.window - 1),
            Schedule::Tournament => {
                let options = TournamentOptions::halving(n, self.window, self.tournaments, 0);
                self.tournaments * options.stages.iter().map(|stage| stage.groups).sum::<usize>()
            }
        };
        windows as u64
    }

    fn multi_pass(&self, candidates: usize) -> Result<WindowSchedule, WindowError> {
        WindowSchedule::multi_pass(candidates, self.window, self.stride)
    }

    /// Orders the candidates of a request by asking for windows until the schedule has come to its end. Each place of
    /// the list keeps its score, only candidates move, so that scores always fall.
    pub fn rank(&self, context: &mut RankContext<'_>, answers: Answers<'_>) -> Result<Order, CallError> {
        let all = context.len();
        let n = self.depth.unwrap_or(all).min(all);
        let wrong = |error: WindowError| CallError::Argument(error.to_string());
        let order = match self.schedule {
            Schedule::Sliding | Schedule::Full => {
                let options = SlidingOptions {
                    size: if self.schedule == Schedule::Full { n.max(2) } else { self.window },
                    stride: if self.schedule == Schedule::Full { n.max(2) } else { self.stride },
                    passes: self.passes,
                    depth: None,
                    top: self.top,
                };
                let mut windows = WindowSchedule::sliding(n, &options).map_err(wrong)?;
                drive(&mut windows, context, answers)?;
                windows.order()
            }
            Schedule::MultiPass => {
                let mut windows = self.multi_pass(n).map_err(wrong)?;
                drive(&mut windows, context, answers)?;
                windows.order()
            }
            Schedule::TopDown => {
                let options = TopDownOptions { size: self.window, pivot: self.pivot };
                let mut partitions = TopDown::new(n, &options).map_err(wrong)?;
                drive(&mut partitions, context, answers)?;
                partitions.order()
            }
            Schedule::Tournament => {
                let seed = context.seed(self.seed);
                let options = TournamentOptions::halving(n, self.window, self.tournaments, seed);
                let mut tournament = Tournament::new(n, &options).map_err(wrong)?;
                drive(&mut tournament, context, answers)?;
                tournament.order()
            }
        };
        if n < all {
            context.note("depth", format!("{n} of {all} candidates; the others keep their places"));
        }
        Ok(Order::Places(order.items().iter().copied().chain(n..all).collect()))
    }
}

/// Asks until nothing is left to ask.
fn drive<A: AskTell<Question = Window, Answer = Permutation>>(
    algorithm: &mut A,
    context: &mut RankContext<'_>,
    answers: Answers<'_>,
) -> Result<(), CallError> {
    while !algorithm.is_finished() {
        let windows = algorithm.ask().to_vec();
        context.count("windows", windows.len() as u64);
        let found = answers(context, &windows)?;
        algorithm.tell(found).map_err(|error| CallError::Argument(error.to_string()))?;
    }
    Ok(())
}
