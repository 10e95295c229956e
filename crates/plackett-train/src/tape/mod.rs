//! The tape: values, and what carries their gradients back.

mod buffer;
mod compute;
mod gradient_check;
mod parameter;
mod recompute;
mod small;

pub use buffer::{Buffer, Buffers};
pub use compute::Compute;
pub use gradient_check::{assert_gradients, assert_parameter_gradients};
pub use parameter::{Gradients, Parameter, ParameterId, Parameters};

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// A matrix on the tape, row-major.
#[derive(Clone, Debug)]
pub struct Var {
    id: usize,
    /// Its numbers.
    pub value: Arc<Buffer>,
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub columns: usize,
}

impl Var {
    /// Its only number.
    ///
    /// # Panics
    /// It has another shape than 1 × 1.
    pub fn item(&self) -> f32 {
        assert_eq!((self.rows, self.columns), (1, 1), "one number is expected");
        self.value[0]
    }
}

/// Carries the gradient of a value to those of the inputs.
type Backward = Box<dyn FnOnce(&mut Flow, Buffer)>;

/// A recorded value.
struct Node {
    /// Whether a gradient is wanted here: something trainable went in.
    needed: bool,
    backward: Option<Backward>,
}

/// Gradients on their way back.
pub struct Flow<'p> {
    parameters: &'p Parameters,
    slots: Vec<Option<Buffer>>,
    needed: Vec<bool>,
    buffers: Arc<Buffers>,
    /// Where and how operations compute.
    pub compute: Arc<Compute>,
}

impl Flow<'_> {
    /// A buffer of any contents.
    pub fn buffer(&self, length: usize) -> Buffer {
        self.buffers.take(length)
    }

    /// Whether anyone wants the gradient of a value.
    pub fn is_needed(&self, var: &VarRef) -> bool {
        self.needed[var.id]
    }

    /// Adds to the gradient of a value: `add` gets what is there, zeros at first.
    pub fn accumulate(&mut self, var: &VarRef, add: impl FnOnce(&mut [f32])) {
        if self.needed[var.id] {
            let buffers = &self.buffers;
            add(self.slots[var.id].get_or_insert_with(|| buffers.zeros(var.rows * var.columns)));
        }
    }

    /// As [`Flow::accumulate`], for what can also write: `add` gets any numbers and `true` where nothing is there yet.
    pub fn write_or_accumulate(&mut self, var: &VarRef, add: impl FnOnce(&mut [f32], bool)) {
        if self.needed[var.id] {
            let is_new = self.slots[var.id].is_none();
            let buffers = &self.buffers;
            let sum = self.slots[var.id].get_or_insert_with(|| buffers.take(var.rows * var.columns));
            add(sum, is_new);
        }
    }

    /// Adds a gradient that is there already.
    pub fn add(&mut self, var: &VarRef, gradient: Buffer) {
        if !self.needed[var.id] {
            return;
        }
        match &mut self.slots[var.id] {
            None => self.slots[var.id] = Some(gradient),
            Some(sum) => self.compute.zip(sum, &gradient, |sum, gradient| *sum += gradient),
        }
    }

    /// Adds a gradient that stays in use.
    pub fn add_copy(&mut self, var: &VarRef, gradient: &[f32]) {
        if self.needed[var.id] {
            let mut copy = self.buffer(gradient.len());
            copy.copy_from_slice(gradient);
            self.add(var, copy);
        }
    }

    /// Carries gradients back through operations, the last one first.
    fn run(&mut self, nodes: Vec<Node>) {
        for (id, node) in nodes.into_iter().enumerate().rev() {
            if let Some(backward) = node.backward
                && let Some(gradient) = self.slots[id].take()
            {
                backward(self, gradient);
            }
        }
    }
}

/// Which value of the tape is meant, and its shape, without its numbers.
#[derive(Clone, Copy, Debug)]
pub struct VarRef {
    id: usize,
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub columns: usize,
}

impl From<&Var> for VarRef {
    fn from(var: &Var) -> VarRef {
        VarRef { id: var.id, rows: var.rows, columns: var.columns }
    }
}

/// What a tape keeps of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recording {
    /// Nothing: there are values and no gradients.
    Nothing,
    /// Which values want a gradient, and not what carries it: this is a pass that is run once more, and has to compute what a
    /// recorded one does.
    Needs,
    /// All that gradients need.
    Everything,
}

/// Records operations while it lives.
pub struct Tape<'p> {
    parameters: &'p Parameters,
    nodes: RefCell<Vec<Node>>,
    leaves: RefCell<HashMap<ParameterId, Var>>,
    /// Numbers beside the loss, by name.
    told: RefCell<Vec<(&'static str, f64)>>,
    compute: Arc<Compute>,
    recording: Recording,
    /// Whether parts of a pass are run once more on the way back ([`Tape::recomputed`]).
    recomputing: bool,
}

impl<'p> Tape<'p> {
    /// An empty tape over some parameters.
    pub fn new(parameters: &'p Parameters, compute: &Arc<Compute>) -> Tape<'p> {
        Tape {
            parameters,
            nodes: RefCell::default(),
            leaves: RefCell::default(),
            told: RefCell::default(),
            compute: compute.clone(),
            recording: Recording::Everything,
            recomputing: false,
        }
    }

    /// A tape that records nothing, for values alone.
    pub fn inference(parameters: &'p Parameters, compute: &Arc<Compute>) -> Tape<'p> {
        Tape { recording: Recording::Nothing, ..Tape::new(parameters, compute) }
    }

    /// The parameters that it reads.
    pub fn parameters(&self) -> &'p Parameters {
        self.parameters
    }

    /// Where and how operations compute.
    pub fn compute(&self) -> &Arc<Compute> {
        &self.compute
    }

    /// A buffer of any contents.
    pub fn buffer(&self, length: usize) -> Buffer {
        self.compute.buffers.take(length)
    }

    /// Whether the gradient of a value is wanted.
    pub fn is_needed(&self, var: &Var) -> bool {
        self.nodes.borrow()[var.id].needed
    }

    /// Tells a number beside the loss, for the log: nothing is computed from it.
    pub fn tell(&self, name: &'static str, number: f64) {
        self.told.borrow_mut().push((name, number));
    }

    /// The numbers that were told under a name, in their order.
    pub fn told(&self, name: &str) -> Vec<f64> {
        let told = self.told.borrow();
        told.iter().filter(|(own, _)| *own == name).map(|(_, number)| *number).collect()
    }

    /// A value without a gradient.
    pub fn constant(&self, (rows, columns): (usize, usize), data: &[f32]) -> Var {
        let mut value = self.buffer(rows * columns);
        value.copy_from_slice(data);
        self.push(Arc::new(value), (rows, columns), false, None)
    }

    /// A value without a gradient whose numbers others hold too; nothing is copied.
    pub fn shared(&self, shape: (usize, usize), value: &Arc<Buffer>) -> Var {
        self.push(value.clone(), shape, false, None)
    }

    /// A parameter as a value; asked for again it is the same value.
    pub fn parameter(&self, id: ParameterId) -> Var {
        if let Some(var) = self.leaves.borrow().get(&id) {
            return var.clone();
        }
        let parameter = &self.parameters[id];
        let mut nodes = self.nodes.borrow_mut();
        let needed = parameter.trainable && self.recording != Recording::Nothing;
        nodes.push(Node { needed, backward: None });
        let var = Var {
            id: nodes.len() - 1,
            value: parameter.value.clone(),
            rows: parameter.rows,
            columns: parameter.columns,
        };
        self.leaves.borrow_mut().insert(id, var.clone());
        var
    }

    fn push(
        &self,
        value: Arc<Buffer>,
        (rows, columns): (usize, usize),
        needed: bool,
        backward: Option<Backward>,
    ) -> Var {
        assert_eq!(value.len(), rows * columns, "a value is {rows} × {columns}");
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { needed, backward });
        Var { id: nodes.len() - 1, value, rows, columns }
    }

    /// The door for every operation: a value, and what adds to the gradients of the inputs from that of the value.
    /// `backward` is kept only where a gradient is wanted.
    pub fn record(
        &self,
        inputs: &[&Var],
        shape: (usize, usize),
        value: Buffer,
        backward: impl FnOnce(&mut Flow, Buffer) + 'static,
    ) -> Var {
        let needed = inputs.iter().any(|input| self.is_needed(input));
        self.operation(Arc::new(value), shape, needed, backward)
    }

    /// The value of an operation, with what carries its gradient where the tape keeps that.
    fn operation(
        &self,
        value: Arc<Buffer>,
        shape: (usize, usize),
        needed: bool,
        backward: impl FnOnce(&mut Flow, Buffer) + 'static,
    ) -> Var {
        let is_kept = needed && self.recording == Recording::Everything;
        let backward: Option<Backward> = if is_kept { Some(Box::new(backward)) } else { None };
        self.push(value, shape, needed, backward)
    }

    /// Adds the gradients of `loss`, one number, to those of the parameters.
    pub fn backward(self, loss: &Var, gradients: &mut Gradients) {
        self.backward_from(loss, &[1.0], gradients);
    }

    /// As [`Tape::backward`], from the gradient of any value.
    pub fn backward_from(self, var: &Var, gradient: &[f32], gradients: &mut Gradients) {
        let (nodes, leaves, mut flow) = self.into_flow();
        for (parameter, leaf) in leaves.iter().filter(|(_, leaf)| flow.needed[leaf.id]) {
            flow.slots[leaf.id] = gradients.remove(*parameter).map(Buffer::from);
        }
        flow.add_copy(&VarRef::from(var), gradient);
        flow.run(nodes);
        for (parameter, leaf) in leaves {
            if let Some(gradient) = flow.slots[leaf.id].take() {
                gradients.insert(parameter, gradient.into_vec());
            }
        }
    }

    /// Its operations, its parameters, and what their gradients flow in.
    fn into_flow(self) -> (Vec<Node>, HashMap<ParameterId, Var>, Flow<'p>) {
        let nodes = self.nodes.into_inner();
        let needed: Vec<bool> = nodes.iter().map(|node| node.needed).collect();
        let slots = (0..nodes.len()).map(|_| None).collect();
        let buffers = self.compute.buffers.clone();
        let flow = Flow { parameters: self.parameters, slots, needed, buffers, compute: self.compute };
        (nodes, self.leaves.into_inner(), flow)
    }
}
