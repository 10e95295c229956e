//! The hooks of an adapter and of somebody else around the same steps.

use super::{Hooks, PhaseMember};
use crate::TrainError;
use crate::tape::{Gradients, Parameters};
use std::path::Path;

/// What an adapter does, where there is one, and after it what somebody else does.
pub(crate) struct Joined<'h, H> {
    /// The adapter.
    pub adapter: Option<&'h mut dyn Hooks>,
    /// Whoever comes after it.
    pub other: H,
}

impl<H: Hooks> Hooks for Joined<'_, H> {
    fn begin_pass(&mut self, pass: u64) {
        if let Some(adapter) = &mut self.adapter {
            adapter.begin_pass(pass);
        }
        self.other.begin_pass(pass);
    }

    fn before_step(&mut self, parameters: &Parameters, gradients: &mut Gradients) {
        if let Some(adapter) = &mut self.adapter {
            adapter.before_step(parameters, gradients);
        }
        self.other.before_step(parameters, gradients);
    }

    fn after_step(&mut self, parameters: &mut Parameters, rate: f32) {
        if let Some(adapter) = &mut self.adapter {
            adapter.after_step(parameters, rate);
        }
        self.other.after_step(parameters, rate);
    }

    /// Whether one of them says so; both are asked.
    fn is_done(&mut self, parameters: &Parameters) -> bool {
        let by_adapter = self.adapter.as_mut().is_some_and(|adapter| adapter.is_done(parameters));
        self.other.is_done(parameters) || by_adapter
    }

    /// Whether one of them has another one; both are asked.
    fn next_phase(&mut self, parameters: &mut Parameters) -> bool {
        let of_adapter = self.adapter.as_mut().is_some_and(|adapter| adapter.next_phase(parameters));
        self.other.next_phase(parameters) || of_adapter
    }

    fn save_phase(&self, parameters: &Parameters, folder: &Path) -> Result<Option<PhaseMember>, TrainError> {
        match &self.adapter {
            Some(adapter) => adapter.save_phase(parameters, folder),
            None => self.other.save_phase(parameters, folder),
        }
    }

    /// The length of the adapter's state, that state, and the other's.
    fn state(&self) -> Vec<u8> {
        let adapter = self.adapter.as_ref().map(|adapter| adapter.state()).unwrap_or_default();
        let length = (adapter.len() as u64).to_le_bytes();
        [&length[..], &adapter, &self.other.state()].concat()
    }

    fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
        let parts = state.split_first_chunk::<8>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
        });
        let Some((of_adapter, of_other)) = parts else {
            let problem = "the checkpoint's state cannot be read; delete it, and the training begins anew";
            return Err(TrainError::Setting(problem.into()));
        };
        if let Some(adapter) = &mut self.adapter {
            adapter.set_state(of_adapter)?;
        }
        self.other.set_state(of_other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts passes, and says of itself whether it is done.
    #[derive(Default)]
    struct Counted {
        passes: u8,
        done: bool,
    }

    impl Hooks for Counted {
        fn begin_pass(&mut self, _pass: u64) {
            self.passes += 1;
        }

        fn is_done(&mut self, _parameters: &Parameters) -> bool {
            self.done
        }

        fn state(&self) -> Vec<u8> {
            vec![self.passes; 3]
        }

        fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
            self.passes = state.iter().sum();
            Ok(())
        }
    }

    #[test]
    fn both_are_told_and_each_ends_the_training() {
        for (by_adapter, by_other) in [(false, false), (true, false), (false, true)] {
            let mut adapter = Counted { done: by_adapter, ..Counted::default() };
            let other = Counted { done: by_other, ..Counted::default() };
            let mut joined = Joined { adapter: Some(&mut adapter), other };
            joined.begin_pass(4);
            assert_eq!(joined.is_done(&Parameters::default()), by_adapter || by_other);
            assert_eq!((joined.other.passes, adapter.passes), (1, 1));
        }
    }

    #[test]
    fn each_has_its_own_state_again() {
        let mut adapter = Counted { passes: 2, done: false };
        let state = Joined { adapter: Some(&mut adapter), other: Counted { passes: 5, done: false } }.state();
        assert_eq!(state, [3, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 5, 5, 5]);
        let mut again = Counted::default();
        let mut joined = Joined { adapter: Some(&mut again), other: Counted::default() };
        joined.set_state(&state).unwrap();
        assert!(joined.set_state(&state[..9]).is_err() && joined.set_state(&[1]).is_err());
        assert_eq!((joined.other.passes, again.passes), (15, 6));
    }
}
