//! Parts of a pass of which only what goes in is kept: what lies between is computed once more on the way back, so that the memory
//! of a deep model is that of one layer and of what goes into each (Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear
//! memory cost, 2016).
//!
//! Gradients keep their bits. The part runs on a tape of its own, into which the sums of gradients that are there already move and
//! out of which they come back, so that everything is added in the order in which it would be without.

use super::{Buffer, Flow, ParameterId, Recording, Tape, Var, VarRef};

impl<'p> Tape<'p> {
    /// The same tape, and whether it runs parts of a pass once more on the way back. One that records nothing keeps nothing either,
    /// and never does.
    #[must_use]
    pub fn recomputing(self, is_on: bool) -> Tape<'p> {
        Tape { recomputing: is_on && self.recording == Recording::Everything, ..self }
    }

    /// Whether it does: without it nobody needs to own what [`Tape::recomputed`] would run again.
    pub fn is_recomputing(&self) -> bool {
        self.recomputing
    }

    /// What `part` makes of some values of this tape, of which only these are kept where the tape is [`recomputing`](Tape::recomputing).
    /// `part` gets a tape and the values as they are on it, in their order, and gives the same numbers each time; it uses no other
    /// values, and reads parameters from the tape that it gets.
    pub fn recomputed(&self, inputs: &[&Var], part: impl Fn(&Tape, &[Var]) -> Var + 'static) -> Var {
        let inputs: Vec<Var> = inputs.iter().map(|var| (*var).clone()).collect();
        if !self.recomputing {
            return part(self, &inputs);
        }
        let first = Tape { recording: Recording::Needs, ..Tape::new(self.parameters, &self.compute) };
        let y = part(&first, &first.inputs(&inputs, |var| self.is_needed(var)));
        let (shape, needed) = ((y.rows, y.columns), first.is_needed(&y));
        let kept = CheckpointedSegment { part, inputs, parameters: self.trained_of(&first) };
        self.operation(y.value, shape, needed, move |flow, gradient| kept.pull_back(flow, gradient))
    }

    /// Values of another tape on this one.
    fn inputs(&self, vars: &[Var], is_needed: impl Fn(&Var) -> bool) -> Vec<Var> {
        let input = |var: &Var| self.push(var.value.clone(), (var.rows, var.columns), is_needed(var), None);
        vars.iter().map(input).collect()
    }

    /// The trained parameters that a part has read, with their places on this tape, in the order of the parameters.
    fn trained_of(&self, part: &Tape) -> Vec<(ParameterId, VarRef)> {
        let leaves = part.leaves.borrow();
        let trained = leaves.iter().filter(|(_, leaf)| part.is_needed(leaf));
        let mut ids: Vec<ParameterId> = trained.map(|(id, _)| *id).collect();
        ids.sort();
        ids.into_iter().map(|id| (id, VarRef::from(&self.parameter(id)))).collect()
    }
}

/// What is kept of a part: what it is computed from once more.
struct CheckpointedSegment<F> {
    part: F,
    /// What goes in.
    inputs: Vec<Var>,
    /// What it reads and is trained, with its places on the tape around it.
    parameters: Vec<(ParameterId, VarRef)>,
}

impl<F: Fn(&Tape, &[Var]) -> Var> CheckpointedSegment<F> {
    /// Runs the part again, recorded this time, and carries the gradient of what comes out through it.
    fn pull_back(self, flow: &mut Flow, gradient: Buffer) {
        let tape = Tape::new(flow.parameters, &flow.compute);
        let inputs = tape.inputs(&self.inputs, |var| flow.is_needed(&VarRef::from(var)));
        let y = VarRef::from(&(self.part)(&tape, &inputs));
        // Places of a value on the tape around the part, and on that of the part.
        let values = self.inputs.iter().zip(&inputs);
        let mut places: Vec<(VarRef, VarRef)> =
            values.map(|(outer, own)| (VarRef::from(outer), VarRef::from(own))).collect();
        drop(inputs);
        let (nodes, leaves, mut own_flow) = tape.into_flow();
        let own = |id: &ParameterId| leaves.get(id).map(VarRef::from);
        places.extend(self.parameters.iter().filter_map(|(id, outer)| Some((*outer, own(id)?))));
        for (outer, own) in places.iter().filter(|(outer, _)| flow.needed[outer.id]) {
            own_flow.slots[own.id] = flow.slots[outer.id].take();
        }
        own_flow.add(&y, gradient);
        own_flow.run(nodes);
        for (outer, own) in &places {
            if let Some(gradient) = own_flow.slots[own.id].take() {
                flow.add(outer, gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compute, Gradients, Parameters};
    use super::*;
    use crate::engine::Engine;

    /// Twelve numbers of both signs.
    fn numbers(by: usize) -> Vec<f32> {
        (0..12).map(|at| ((at * by + 5) % 13) as f32 / 6.0 - 1.0).collect()
    }

    /// What goes in, the weight of all parts, and what nothing reads.
    fn parameters() -> (Parameters, [ParameterId; 3]) {
        let mut parameters = Parameters::default();
        let ids =
            [("x", 3), ("w", 5), ("other", 7)].map(|(name, by)| parameters.add(name, (3, 4), numbers(by)));
        (parameters, ids)
    }

    /// (dropout of tanh(x · wᵀ)) · w + x.
    fn part(tape: &Tape, x: &Var, w: ParameterId) -> Var {
        let w = tape.parameter(w);
        let inner = tape.dropout(&tape.tanh(&tape.linear(x, &w, None, None)), 0.25, 9);
        tape.linear(&inner, &tape.transpose(&w), None, Some(x))
    }

    /// Three parts one after another, each of which reads the same weight, and a sum that reads what goes into the second one too.
    fn loss(tape: &Tape, [x, w, _]: [ParameterId; 3]) -> Var {
        let mut x = tape.parameter(x);
        let mut between = Vec::new();
        for _ in 0..3 {
            x = tape.recomputed(&[&x], move |tape, x| part(tape, &x[0], w));
            between.push(x.clone());
        }
        tape.sum(&tape.square(&tape.plus(&x, &tape.exp(&between[0]))))
    }

    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    /// The loss and the gradients of all parameters after two passes that add up.
    fn passes(parameters: &Parameters, ids: [ParameterId; 3], is_on: bool) -> (u32, Vec<Option<Vec<u32>>>) {
        let (compute, mut gradients, mut value) = (Compute::new(1), Gradients::default(), 0);
        for _ in 0..2 {
            let tape = Tape::new(parameters, &compute).recomputing(is_on);
            let loss = loss(&tape, ids);
            value = loss.item().to_bits();
            tape.backward(&loss, &mut gradients);
        }
        (value, ids.iter().map(|id| gradients.get(*id).map(bits)).collect())
    }

    #[test]
    fn gradients_are_bit_for_bit_those_of_what_is_kept() {
        let (mut parameters, ids) = parameters();
        let kept = passes(&parameters, ids, false);
        assert!(kept.1[0].is_some() && kept.1[1].is_some() && kept.1[2].is_none());
        assert_eq!(passes(&parameters, ids, true), kept);
        // With a frozen weight the gradient goes through, and with a frozen input it begins in the first part.
        for frozen in [ids[1], ids[0]] {
            parameters.iter_mut().for_each(|(id, parameter)| parameter.trainable = id != frozen);
            let kept = passes(&parameters, ids, false);
            assert_eq!(kept.1.iter().filter(|gradient| gradient.is_some()).count(), 1);
            assert_eq!(passes(&parameters, ids, true), kept);
        }
    }

    #[test]
    fn where_nothing_is_trained_nothing_is_kept() {
        let (mut parameters, ids) = parameters();
        parameters.train_only(|_| false);
        let compute = Compute::new(1);
        let tape = Tape::new(&parameters, &compute).recomputing(true);
        let loss = loss(&tape, ids);
        assert!(!tape.is_needed(&loss));
        assert!(tape.nodes.borrow().iter().all(|node| node.backward.is_none()));
        // A tape for values alone has nothing to run again.
        assert!(!Tape::inference(&parameters, &compute).recomputing(true).is_recomputing());
    }

    #[test]
    fn a_value_that_goes_in_twice_has_both_gradients() {
        let (parameters, [x, ..]) = parameters();
        let gradient = |is_on: bool| {
            let tape = Tape::new(&parameters, &Compute::new(1)).recomputing(is_on);
            let x = tape.parameter(x);
            let y = tape.recomputed(&[&x, &x], |tape, both| tape.times(&both[0], &both[1]));
            let (loss, mut gradients) = (tape.sum(&y), Gradients::default());
            tape.backward(&loss, &mut gradients);
            parameters.iter().next().and_then(|(id, _)| gradients.get(id)).map(<[f32]>::to_vec)
        };
        let expected: Vec<f32> = numbers(3).iter().map(|x| 2.0 * x).collect();
        assert_eq!((gradient(false), gradient(true)), (Some(expected.clone()), Some(expected)));
    }
}
