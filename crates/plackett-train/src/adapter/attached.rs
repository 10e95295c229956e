//! An adapter on a model: what the trainer calls, and what every kind of adapter does in its own way.

use super::bottleneck::{Bottleneck, Nice};
use super::fila::Importance;
use super::peft::{LoraWeights, PeftRanks};
use super::peft_files::PeftFiles;
use super::site::{fingerprint, weights_hash};
use super::sparse::SparseDifference;
use super::{Adaptable, Configured, Site, Targets};
use crate::TrainError;
use crate::nn::LinearAdapter;
use crate::tape::{Buffer, Gradients, ParameterId, Parameters, Tape, Var};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What the layers with one adapter share while the model runs.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Whether the adapter adds anything: not while it is merged into the weights or switched off.
    active: AtomicBool,
    /// The pass of the model, from which it follows what dropout leaves out.
    pass: AtomicU64,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared { active: AtomicBool::new(true), pass: AtomicU64::new(0) }
    }
}

impl Shared {
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// A key for dropout at a place, another one in each pass, and none of those of the model's own dropout: masks that are
    /// the same in two places would leave out the same numbers.
    pub(super) fn key(&self, place: usize) -> u64 {
        let pass = self.pass.load(Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        pass.wrapping_add((1 << 40) + place as u64)
    }
}

/// A linear layer's adapter that can be switched off.
#[derive(Debug)]
struct Switched {
    inner: Arc<dyn LinearAdapter>,
    shared: Arc<Shared>,
}

impl LinearAdapter for Switched {
    fn forward(&self, tape: &Tape, x: &Var, y: &Var) -> Var {
        if self.shared.is_active() { self.inner.forward(tape, x, y) } else { y.clone() }
    }

    fn weight_change(&self, parameters: &Parameters) -> Vec<f32> {
        self.inner.weight_change(parameters)
    }
}

/// What kinds of adapters do in their own way.
pub(crate) trait Method: Debug + Send + Sync {
    /// What stands at each linear layer, in the order of the sites; nothing for adapters that stand elsewhere.
    fn linear_adapters(&self) -> Vec<Arc<dyn LinearAdapter>> {
        Vec::new()
    }

    /// Whether the weights of the model are trained themselves.
    fn trains_base(&self) -> bool {
        false
    }

    /// Tells numbers that follow from the seed from those of another generator; `None` where nothing is drawn again.
    fn basis_check(&self) -> Option<String> {
        None
    }

    fn before_step(&self, _parameters: &Parameters, _gradients: &mut Gradients) {}

    fn after_step(&mut self, _parameters: &mut Parameters, _rate: f32) {}

    /// Goes on to the next phase of the training, if there is one.
    fn next_phase(&mut self, _parameters: &mut Parameters) -> bool {
        false
    }

    /// How many numbers are trained, where they are not parameters of its own.
    fn trained(&self) -> Option<usize> {
        None
    }

    /// How many numbers of the model's own weights can change in a phase and stay as they were in the end.
    fn left_out(&self) -> usize {
        0
    }

    /// What tells the phase from the others, and how many numbers are left, where each phase leaves an adapter of its own size.
    fn member(&self, _parameters: &Parameters) -> Option<(String, usize)> {
        None
    }

    /// What a checkpoint needs beside the parameters.
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over what [`Method::state`] gave; whether it fits.
    fn set_state(&mut self, state: &[u8]) -> bool {
        state.is_empty()
    }

    /// The same as LoRA, where it is one.
    fn lora(&self, _parameters: &Parameters) -> Option<LoraWeights> {
        None
    }

    /// The same as PEFT saves it, where PEFT has such an adapter that is no LoRA.
    fn peft(&self, _parameters: &Parameters, _sites: &[Site]) -> Option<PeftFiles> {
        None
    }

    /// How many components each layer has.
    fn ranks(&self, _parameters: &Parameters) -> Vec<usize> {
        Vec::new()
    }

    /// Cuts components that add nothing; the adapters that stand at the layers from then on.
    fn prune(&mut self, _parameters: &mut Parameters) -> Option<Vec<Arc<dyn LinearAdapter>>> {
        None
    }

    /// Takes what the loaded parameters hold out of the model's own weights, where they lie there.
    fn loaded(&mut self, _parameters: &mut Parameters) {}

    /// Moves a part of the weights into the adapter, where it begins so.
    fn rebase(
        &mut self,
        _parameters: &mut Parameters,
        _importance: &Importance,
    ) -> Option<Result<(), TrainError>> {
        None
    }

    /// What was changed in the model's own weights, where they are trained.
    fn difference(&self, _parameters: &Parameters) -> Option<SparseDifference> {
        None
    }

    /// The modules between an encoder's layers, where there are such.
    fn bottleneck(&self) -> Option<&Bottleneck> {
        None
    }

    /// Takes the adapter off a model's encoder, where it stands there, or puts it back.
    fn set_on(&self, _model: &mut dyn Adaptable, _on: bool) {}
}

/// An adapter on a model.
#[derive(Debug)]
pub struct Attached {
    /// The adapter with its options.
    pub configured: Configured,
    /// Which layers it was attached to.
    pub targets: Targets,
    /// What its draws follow from.
    pub seed: u64,
    pub(super) method: Box<dyn Method>,
    sites: Vec<Site>,
    /// Names of all linear layers of the model, with an adapter or without.
    linears: Vec<String>,
    parameters: Vec<ParameterId>,
    shared: Arc<Shared>,
    /// The weights before they were merged.
    originals: Vec<(ParameterId, Arc<Buffer>)>,
    /// The weights of the layers as the adapter found them, and their hash once it was asked for.
    base: (Vec<Arc<Buffer>>, OnceLock<String>),
}

impl Attached {
    pub(super) fn new(
        configured: Configured,
        targets: Targets,
        seed: u64,
        method: Box<dyn Method>,
        (sites, linears): (Vec<Site>, Vec<String>),
        (parameters, base): (Vec<ParameterId>, Vec<Arc<Buffer>>),
        shared: Arc<Shared>,
    ) -> Attached {
        let (originals, base) = (Vec::new(), (base, OnceLock::new()));
        Attached { configured, targets, seed, method, sites, linears, parameters, shared, originals, base }
    }

    /// The layers with an adapter, in order.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The parameters that it has added.
    pub fn parameters(&self) -> &[ParameterId] {
        &self.parameters
    }

    /// The invertible block behind the embeddings, where it has one: the adapter of a language.
    pub fn invertible(&self) -> Option<Arc<Nice>> {
        self.method.bottleneck()?.invertible()
    }

    /// How many numbers of it are trained; heads are not among them.
    pub fn trainable_count(&self, parameters: &Parameters) -> usize {
        let own = self.parameters.iter().map(|id| &parameters[*id]).filter(|parameter| parameter.trainable);
        self.method.trained().unwrap_or_else(|| own.map(|parameter| parameter.value.len()).sum())
    }

    /// How many numbers of the model's own weights a first phase of the training changes that go back to where they were, as all but the
    /// chosen ones do in LT-SFT: they are no trained numbers. Once they are chosen, it is of those.
    pub fn left_out(&self) -> usize {
        self.method.left_out()
    }

    /// Names and shapes of what it was made for, as SHA-256 in hexadecimal.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.sites.iter().map(|site| (site.name.as_str(), site.outputs, site.inputs)))
    }

    /// The weights of the layers that it was put on, as SHA-256 in hexadecimal: tells one base from another of the same shapes.
    pub fn base_hash(&self) -> &str {
        let (weights, hash) = &self.base;
        hash.get_or_init(|| {
            let named = self.sites.iter().zip(weights);
            weights_hash(named.map(|(site, weight)| (site.name.as_str(), &weight[..])))
        })
    }

    /// Says that another pass of the model begins, so that dropout leaves out other numbers.
    pub fn begin_pass(&self, pass: u64) {
        self.shared.pass.store(pass, Ordering::Relaxed);
    }

    /// To be called with the gradients of a step, before they are clipped: penalties are added, masks are applied.
    pub fn before_step(&self, parameters: &Parameters, gradients: &mut Gradients) {
        self.method.before_step(parameters, gradients);
    }

    /// To be called after each step of the optimiser, with its learning rate: thresholds are applied.
    pub fn after_step(&mut self, parameters: &mut Parameters, rate: f32) {
        self.method.after_step(parameters, rate);
    }

    /// To be called when all steps of a training are done. Where it is true there is another phase, which begins with a new
    /// optimiser and a new schedule: the next threshold of SoRA's scheduler, the sparse phase of LT-SFT.
    pub fn next_phase(&mut self, parameters: &mut Parameters) -> bool {
        self.method.next_phase(parameters)
    }

    /// What tells the phase from the others, as `xi = 0.3`, and how many numbers are left of the adapter; `None` where its phases do not
    /// leave a family of adapters.
    pub fn member(&self, parameters: &Parameters) -> Option<(String, usize)> {
        self.method.member(parameters)
    }

    /// What a checkpoint of a training needs beside the parameters: the phase, and which numbers are trained in it.
    pub fn state(&self) -> Vec<u8> {
        self.method.state()
    }

    /// Takes over the state of a checkpoint of the same adapter on the same model.
    ///
    /// # Errors
    /// It is that of another one; nothing is then changed.
    pub fn set_state(&mut self, state: &[u8]) -> Result<(), TrainError> {
        match self.method.set_state(state) {
            true => Ok(()),
            false => Err(self.unable("was checkpointed with other options or on another model; begin anew")),
        }
    }

    /// The rank of each layer as it stands, by the layer's name; empty for adapters without ranks.
    pub fn ranks(&self, parameters: &Parameters) -> Vec<(&str, usize)> {
        let names = self.sites.iter().map(|site| site.name.as_str());
        names.zip(self.method.ranks(parameters)).collect()
    }

    /// Cuts components that add nothing out of a model's adapter, which runs faster from then on; whether the adapter knows
    /// such components. Outputs stay the same; parameters of the adapter keep their shape in [`Parameters`], so that this is
    /// for use, not for more training.
    pub fn prune(&mut self, parameters: &mut Parameters, model: &mut dyn Adaptable) -> bool {
        match self.method.prune(parameters) {
            Some(adapters) => {
                self.put(model, adapters);
                true
            }
            None => false,
        }
    }

    /// Begins from the weights that matter most for a set of texts (FILA): those are moved from the model into the adapter,
    /// and what the model computes stays the same.
    ///
    /// # Errors
    /// The adapter has another beginning, or the importance of a layer is missing or no number.
    pub fn rebase(&mut self, parameters: &mut Parameters, importance: &Importance) -> Result<(), TrainError> {
        let done = self.method.rebase(parameters, importance);
        done.unwrap_or_else(|| Err(self.unable("begins from itself; use the adapter `fila`")))
    }

    /// The change of the model's own weights as a sparse vector.
    ///
    /// # Errors
    /// The adapter leaves them as they are.
    pub fn difference(&self, parameters: &Parameters) -> Result<SparseDifference, TrainError> {
        let difference = self.method.difference(parameters);
        difference
            .ok_or_else(|| self.unable("leaves the model's weights as they are; use the adapter `lt-sft`"))
    }

    /// The adapter as LoRA.
    ///
    /// # Errors
    /// It is no LoRA.
    pub fn lora(&self, parameters: &Parameters) -> Result<LoraWeights, TrainError> {
        let mut lora = self.method.lora(parameters).ok_or_else(|| {
            self.unable("is no sum of low rank; merge it into the model, or save it with its seed")
        })?;
        for (layer, site) in lora.layers.iter_mut().zip(&self.sites) {
            layer.name.clone_from(&site.name);
        }
        Ok(lora)
    }

    /// The adapter as PEFT saves it.
    ///
    /// # Errors
    /// PEFT has no such adapter, or lays its numbers out so that these cannot be.
    pub fn peft(&self, parameters: &Parameters, ranks: PeftRanks) -> Result<PeftFiles, TrainError> {
        let files = match self.method.peft(parameters, &self.sites) {
            Some(files) => files,
            None => self.lora(parameters)?.files(ranks),
        };
        Ok(files.without_others(&self.linears))
    }

    /// Writes the adapter as a directory of PEFT's, without heads.
    ///
    /// # Errors
    /// PEFT has no such adapter, or the files cannot be written.
    pub fn save_peft(
        &self,
        parameters: &Parameters,
        directory: &Path,
        base: &str,
        ranks: PeftRanks,
    ) -> Result<(), TrainError> {
        self.peft(parameters, ranks)?.save(directory, base)
    }

    pub(super) fn unable(&self, problem: &str) -> TrainError {
        TrainError::Setting(format!("`{}` {problem}", self.configured.spec.name))
    }

    /// Whether it is merged into the weights.
    pub fn is_merged(&self) -> bool {
        !self.originals.is_empty()
    }

    /// Checks that what the adapter learns can be put into the model's weights, or is in them already.
    ///
    /// # Errors
    /// It stands between layers, or at one that is factorised.
    pub fn check_mergeable(&self, parameters: &Parameters) -> Result<(), TrainError> {
        if self.method.trains_base() {
            return Ok(());
        }
        if self.method.linear_adapters().is_empty() {
            return Err(self.unable("has nothing that could be merged into the weights of linear layers"));
        }
        match self.sites.iter().find(|site| parameters[site.weight].columns != site.inputs) {
            Some(site) => {
                Err(self.unable(&format!("cannot be merged into `{}`, which is factorised", site.name)))
            }
            None => Ok(()),
        }
    }

    /// Adds what the adapter adds to the weights of the layers, so that the model is as fast as without it.
    ///
    /// # Errors
    /// The adapter adds nothing to weights: it stands between layers, or trains the weights themselves.
    pub fn merge(&mut self, parameters: &mut Parameters) -> Result<(), TrainError> {
        if self.method.trains_base() {
            return Err(self.unable("has nothing that could be merged: it trains the weights themselves"));
        }
        self.check_mergeable(parameters)?;
        if self.is_merged() {
            return Ok(());
        }
        let adapters = self.method.linear_adapters();
        for (adapter, site) in adapters.iter().zip(&self.sites) {
            let change = adapter.weight_change(parameters);
            let weight = &mut parameters[site.weight];
            self.originals.push((site.weight, weight.value.clone()));
            weight.values_mut().iter_mut().zip(change).for_each(|(weight, change)| *weight += change);
        }
        self.shared.active.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Puts the weights back as they were before [`Attached::merge`], bit for bit.
    pub fn unmerge(&mut self, parameters: &mut Parameters) {
        for (weight, value) in self.originals.drain(..) {
            parameters[weight].value = value;
        }
        self.shared.active.store(true, Ordering::Relaxed);
    }

    /// Switches the adapter on or off without taking it from the model; off, the model is the base model.
    pub fn set_active(&self, active: bool) {
        self.shared.active.store(active && !self.is_merged(), Ordering::Relaxed);
    }

    /// Takes the adapter off a model; another one can then stand there.
    pub fn detach(&self, model: &mut dyn Adaptable) {
        if !self.method.linear_adapters().is_empty() {
            self.linears_of(model).into_values().for_each(|linear| linear.adapter = None);
        }
        self.method.set_on(model, false);
    }

    /// Puts the adapter on a model of the same shapes, in place of what is there: swapping variants costs nothing.
    pub fn reattach(&self, model: &mut dyn Adaptable) {
        self.put(model, self.method.linear_adapters());
        self.method.set_on(model, true);
    }

    pub(super) fn put(&self, model: &mut dyn Adaptable, adapters: Vec<Arc<dyn LinearAdapter>>) {
        let mut linears = self.linears_of(model);
        for (site, inner) in self.sites.iter().zip(adapters) {
            if let Some(linear) = linears.get_mut(&site.name) {
                linear.adapter = Some(Arc::new(Switched { inner, shared: self.shared.clone() }));
            }
        }
    }

    fn linears_of<'m>(&self, model: &'m mut dyn Adaptable) -> BTreeMap<String, &'m mut crate::nn::Linear> {
        let own: Vec<&str> = self.sites.iter().map(|site| site.name.as_str()).collect();
        let linears = model.linears().into_iter().filter(|linear| own.contains(&linear.name.as_str()));
        linears.map(|linear| (linear.name.clone(), linear)).collect()
    }
}
