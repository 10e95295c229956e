//! What is trained: named matrices, and their gradients.

use super::buffer::Buffer;
use std::collections::HashMap;
use std::sync::Arc;

/// A parameter of a [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParameterId(usize);

/// A named matrix, row-major. A vector is one row.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in the file of a model.
    pub name: String,
    /// Its numbers.
    pub value: Arc<Buffer>,
    /// Its rows; for a linear layer the outputs.
    pub rows: usize,
    /// Its columns; for a linear layer the inputs.
    pub columns: usize,
    /// Whether an optimiser may change it.
    pub trainable: bool,
}

impl Parameter {
    /// Whether it is a vector, of a bias or a norm, and not a matrix that happens to have one row, as that of a classifier
    /// or a score head with one output.
    pub fn is_vector(&self) -> bool {
        self.rows == 1 && !self.name.ends_with("classifier.weight") && self.name != "score.weight"
    }

    /// Its numbers, to be changed. What a tape still holds is copied first.
    pub fn values_mut(&mut self) -> &mut [f32] {
        let own: &mut Buffer = Arc::make_mut(&mut self.value);
        own
    }
}

/// The parameters of a model and its adapters, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    all: Vec<Parameter>,
    by_name: HashMap<String, ParameterId>,
}

impl Parameters {
    /// Adds a trainable parameter of `rows × columns` numbers.
    ///
    /// # Panics
    /// There are more or fewer numbers, or the name is taken: both are errors of the model's code.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        (rows, columns): (usize, usize),
        value: Vec<f32>,
    ) -> ParameterId {
        let name = name.into();
        assert_eq!(value.len(), rows * columns, "`{name}` is {rows} × {columns}");
        let id = ParameterId(self.all.len());
        assert!(self.by_name.insert(name.clone(), id).is_none(), "two parameters are called `{name}`");
        self.all.push(Parameter { name, value: Arc::new(value.into()), rows, columns, trainable: true });
        id
    }

    /// Puts another matrix, under another name, in the place of a parameter; whether it is trained stays.
    ///
    /// # Panics
    /// There are more or fewer than rows × columns numbers, or another parameter has the name: errors of the model's code.
    pub fn replace(
        &mut self,
        id: ParameterId,
        name: impl Into<String>,
        (rows, columns): (usize, usize),
        value: Vec<f32>,
    ) {
        let name = name.into();
        assert_eq!(value.len(), rows * columns, "`{name}` is {rows} × {columns}");
        let old = &mut self.all[id.0];
        self.by_name.remove(&old.name);
        assert!(self.by_name.insert(name.clone(), id).is_none(), "two parameters are called `{name}`");
        *old = Parameter { name, value: Arc::new(value.into()), rows, columns, trainable: old.trainable };
    }

    /// The parameter of a name.
    pub fn find(&self, name: &str) -> Option<ParameterId> {
        self.by_name.get(name).copied()
    }

    /// Every parameter with its id.
    pub fn iter(&self) -> impl Iterator<Item = (ParameterId, &Parameter)> {
        self.all.iter().enumerate().map(|(at, parameter)| (ParameterId(at), parameter))
    }

    /// Every parameter with its id, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ParameterId, &mut Parameter)> {
        self.all.iter_mut().enumerate().map(|(at, parameter)| (ParameterId(at), parameter))
    }

    /// Lets an optimiser change those parameters alone for which `trained` holds.
    pub fn train_only(&mut self, trained: impl Fn(&Parameter) -> bool) {
        for parameter in &mut self.all {
            parameter.trainable = trained(parameter);
        }
    }

    /// How many numbers an optimiser may change.
    pub fn trainable_count(&self) -> usize {
        self.all.iter().filter(|parameter| parameter.trainable).map(|parameter| parameter.value.len()).sum()
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.all.iter().map(|parameter| parameter.value.len()).sum()
    }
}

impl std::ops::Index<ParameterId> for Parameters {
    type Output = Parameter;

    fn index(&self, id: ParameterId) -> &Parameter {
        &self.all[id.0]
    }
}

impl std::ops::IndexMut<ParameterId> for Parameters {
    fn index_mut(&mut self, id: ParameterId) -> &mut Parameter {
        &mut self.all[id.0]
    }
}

/// Gradients of parameters, which add up over passes until they are cleared.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    of: HashMap<ParameterId, Vec<f32>>,
}

impl Gradients {
    /// The gradient of a parameter; `None` where nothing has reached it.
    pub fn get(&self, id: ParameterId) -> Option<&[f32]> {
        self.of.get(&id).map(Vec::as_slice)
    }

    /// The gradient of a parameter, to be changed.
    pub fn get_mut(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        self.of.get_mut(&id).map(Vec::as_mut_slice)
    }

    /// Takes a gradient out, to add to it elsewhere.
    pub(super) fn remove(&mut self, id: ParameterId) -> Option<Vec<f32>> {
        self.of.remove(&id)
    }

    /// Puts a gradient in the place of what there is.
    pub fn insert(&mut self, id: ParameterId, gradient: Vec<f32>) {
        self.of.insert(id, gradient);
    }

    /// Sets all gradients to zero and keeps their memory.
    pub fn clear(&mut self) {
        self.of.values_mut().for_each(|gradient| gradient.fill(0.0));
    }

    /// Multiplies all gradients with a number.
    pub fn scale(&mut self, by: f32) {
        self.of.values_mut().flatten().for_each(|gradient| *gradient *= by);
    }

    /// The Euclidean norm of all gradients together; sums run in the order of the parameters.
    pub fn norm(&self) -> f64 {
        let mut ids: Vec<ParameterId> = self.of.keys().copied().collect();
        ids.sort();
        ids.iter().map(|id| sum_of_squares(&self.of[id])).sum::<f64>().sqrt()
    }
}

/// In eight chains, which processors add side by side.
fn sum_of_squares(numbers: &[f32]) -> f64 {
    let (whole, rest) = numbers.as_chunks::<8>();
    let mut sums = [0f64; 8];
    for numbers in whole {
        sums.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += f64::from(*x) * f64::from(*x));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>()
}
