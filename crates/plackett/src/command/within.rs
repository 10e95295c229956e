//! Bars that move within a query: a reranker says how many of its texts it has read, and whichever bar is there shows it.

use indicatif::ProgressBar;
use plackett_rank::Progress;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is told by rerankers and shown by a bar. Clones are the same.
#[derive(Clone, Default)]
pub struct Within(Arc<Mutex<Option<Shown>>>);

/// How it is shown.
enum Shown {
    /// By a bar of its own.
    Alone(ProgressBar),
    /// Behind the words of a bar that counts queries.
    Behind(ProgressBar, &'static str),
}

impl Within {
    fn shown(&self) -> MutexGuard<'_, Option<Shown>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What rerankers are told to call.
    pub fn progress(&self) -> Progress {
        let shared = self.clone();
        Arc::new(move |done, total| shared.moved(done, total))
    }

    /// Lets a bar count texts from now on.
    pub fn show(&self, bar: &ProgressBar) {
        *self.shown() = Some(Shown::Alone(bar.clone()));
    }

    /// Lets a bar that counts queries, and says `what`, say how far those are that are under way.
    pub fn show_behind(&self, bar: &ProgressBar, what: &'static str) {
        *self.shown() = Some(Shown::Behind(bar.clone(), what));
    }

    /// Lets no bar move any more.
    pub fn hide(&self) {
        *self.shown() = None;
    }

    fn moved(&self, done: usize, total: usize) {
        match &*self.shown() {
            Some(Shown::Alone(bar)) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Some(Shown::Behind(bar, what)) if done < total => {
                bar.set_message(format!("{what} {done}/{total}"))
            }
            Some(Shown::Behind(bar, what)) => bar.set_message(*what),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_that_is_there_moves_with_the_texts() {
        let (within, queries, texts) = (Within::default(), ProgressBar::hidden(), ProgressBar::hidden());
        let progress = within.progress();
        progress(1, 9);
        within.show_behind(&queries, "reranking");
        progress(3, 10);
        assert_eq!((queries.message().as_str(), queries.position()), ("reranking 3/10", 0));
        progress(10, 10);
        assert_eq!(queries.message(), "reranking");
        within.show(&texts);
        progress(4, 20);
        assert_eq!((texts.position(), texts.length()), (4, Some(20)));
        within.hide();
        progress(5, 20);
        assert_eq!(texts.position(), 4);
    }
}
