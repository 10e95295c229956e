//! Algorithms that stop to ask: the ask-and-tell interface.
//!
//! An algorithm that needs a model's answers does not call the model. It says which questions are open
//! ([`AskTell::ask`]) and goes on when it is told the answers ([`AskTell::tell`]). So the sorts and windows of many
//! queries advance together, and whoever owns the model puts all open questions into one batch ([`run_together`]).

/// An algorithm that asks questions and is told answers.
pub trait AskTell {
    /// What it asks.
    type Question;
    /// What it is told.
    type Answer;

    /// The open questions; none depends on the answer of another. Empty once the algorithm has finished. Calling it
    /// again without a `tell` gives the same.
    fn ask(&self) -> &[Self::Question];

    /// Takes the answers to all open questions, in their order, and goes on to the next ones. After an error
    /// nothing has changed.
    fn tell(&mut self, answers: Vec<Self::Answer>) -> Result<(), TellError>;

    /// Whether nothing is left to ask.
    fn is_finished(&self) -> bool {
        self.ask().is_empty()
    }
}

/// Answers that do not fit the open questions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// Too few or too many.
    #[error("{answers} answers for {questions} open questions; answer each once, in order")]
    Count {
        /// How many questions are open.
        questions: usize,
        /// How many answers came.
        answers: usize,
    },
    /// An answer about another number of items than the question has.
    #[error("answer {answer} orders {found} items, but the question has {wanted}")]
    Size {
        /// Which answer, from 0.
        answer: usize,
        /// Items in the question.
        wanted: usize,
        /// Items in the answer.
        found: usize,
    },
}

impl TellError {
    /// Checks the number of answers.
    pub(crate) fn check_count(questions: usize, answers: usize) -> Result<(), TellError> {
        if questions == answers { Ok(()) } else { Err(TellError::Count { questions, answers }) }
    }
}

/// An open question and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a, Q> {
    /// Place of the algorithm in the slice given to [`run_together`].
    pub algorithm: usize,
    /// The question.
    pub question: &'a Q,
}

/// Advances all algorithms until none asks any more. In each round `answer` gets the open questions of all of them
/// at once and returns one answer each, in the same order. Returns the number of rounds; an error of `answer` ends
/// the run and leaves the algorithms as they were before that round.
pub fn run_together<A, E, F>(algorithms: &mut [A], mut answer: F) -> Result<usize, E>
where
    A: AskTell,
    E: From<TellError>,
    F: FnMut(&[Open<'_, A::Question>]) -> Result<Vec<A::Answer>, E>,
{
    let mut rounds = 0;
    loop {
        let open: Vec<Open<'_, A::Question>> = algorithms
            .iter()
            .enumerate()
            .flat_map(|(algorithm, a)| a.ask().iter().map(move |question| Open { algorithm, question }))
            .collect();
        if open.is_empty() {
            return Ok(rounds);
        }
        rounds += 1;
        let questions = open.len();
        let answers = answer(&open)?;
        TellError::check_count(questions, answers.len())?;
        let mut answers = answers.into_iter();
        for algorithm in algorithms.iter_mut().filter(|a| !a.is_finished()) {
            let own = answers.by_ref().take(algorithm.ask().len()).collect();
            algorithm.tell(own)?;
        }
    }
}
