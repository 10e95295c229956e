//! Bottleneck adapters: a small network behind the feed-forward network of each layer of an encoder.

mod compose;
mod nice;

pub use compose::{Stage, compose};
pub use nice::Nice;

use super::attached::{Method, Shared};
use super::lora::free;
use super::{Adaptable, AdapterSpec, OptionKind, OptionSpec, Parts, Request, Site};
use crate::TrainError;
use crate::engine::Engine;
use crate::nn::{Bert, EmbeddingAdapter, Initializer, LayerNorm, SublayerAdapter};
use crate::tape::{ParameterId, Parameters, Tape, Var};
use std::sync::Arc;

/// z = LN(f + x); a = U relu(D z) + f, which takes the place of the feed-forward network's output f.
pub(super) static SPEC: AdapterSpec = AdapterSpec {
    name: "bottleneck",
    aliases: &["pfeiffer", "mad-x"],
    summary: "Puts a small two-layer network behind the feed-forward network of each layer of an encoder.",
    paper: "Pfeiffer et al., MAD-X: An adapter-based framework for multi-task cross-lingual transfer, EMNLP 2020; for rerankers: \
            Litschko et al., Parameter-efficient neural reranking for cross-lingual and multilingual retrieval, COLING 2022",
    options: &[
        OptionSpec {
            name: "reduction",
            kind: OptionKind::Integer(1, 1 << 16),
            default: Some("16"),
            help: "the encoder's width over that of the bottleneck",
        },
        OptionSpec {
            name: "invertible",
            kind: OptionKind::Switch,
            default: Some("false"),
            help: "whether an invertible block (NICE) stands behind the embeddings, as in adapters of languages",
        },
        OptionSpec {
            name: "skip",
            kind: OptionKind::Integer(0, 1 << 16),
            default: Some("0"),
            help: "the first layers, which get no adapter (AdapterDrop)",
        },
    ],
    formula: "2·h·m + m + h with m = ⌊h / reduction⌋, for each layer of width h; with invertible=true 2 · (h²/4 + 3h/4) more in all",
    count: |options, layers| {
        let reduction = options.count("reduction");
        let modules =
            layers.iter().skip(options.count("skip")).map(|(width, _)| module_numbers(*width, reduction));
        let nice = match (options.switch("invertible"), layers.first()) {
            (true, Some((width, _))) => Nice::count(*width),
            _ => 0,
        };
        modules.sum::<usize>() + nice
    },
    needs_importance: false,
    attach,
};

/// Numbers of one module.
fn module_numbers(width: usize, reduction: usize) -> usize {
    let inner = width / reduction;
    2 * width * inner + inner + width
}

/// How many numbers a sparse fine-tuning trains that is as large as a bottleneck adapter on `layers` layers.
pub fn equal_sparse_budget(width: usize, layers: usize, reduction: usize) -> usize {
    layers * module_numbers(width, reduction)
}

/// A linear layer of an adapter.
#[derive(Clone, Copy, Debug)]
struct Thin {
    weight: ParameterId,
    bias: ParameterId,
}

impl Thin {
    /// Weights from the normal distribution with deviation 0.02, biases zero.
    fn new(
        parameters: &mut Parameters,
        source: &mut Initializer,
        name: &str,
        (outputs, inputs): (usize, usize),
    ) -> Thin {
        let weight = free(parameters, format!("{name}.weight"));
        let weight = parameters.add(weight, (outputs, inputs), source.normal(outputs * inputs, 0.02));
        let bias = free(parameters, format!("{name}.bias"));
        Thin { weight, bias: parameters.add(bias, (1, outputs), vec![0.0; outputs]) }
    }

    fn forward(&self, tape: &Tape, x: &Var, residual: Option<&Var>) -> Var {
        tape.linear(x, &tape.parameter(self.weight), Some(&tape.parameter(self.bias)), residual)
    }
}

/// The module of one layer.
#[derive(Debug)]
struct Module {
    down: Thin,
    up: Thin,
    shared: Arc<Shared>,
}

impl Module {
    /// U relu(D LN(f + x)) + f.
    fn apply(&self, tape: &Tape, output: &Var, residual: &Var, norm: &LayerNorm) -> Var {
        if !self.shared.is_active() {
            return output.clone();
        }
        let normal = norm.forward(tape, &tape.add(output, residual));
        self.up.forward(tape, &tape.relu(&self.down.forward(tape, &normal, None)), Some(output))
    }
}

impl SublayerAdapter for Module {
    fn forward(&self, tape: &Tape, output: &Var, residual: &Var, norm: &LayerNorm, _segments: &[u32]) -> Var {
        self.apply(tape, output, residual, norm)
    }
}

/// The modules of all layers.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    /// By layer; nothing for those that are skipped.
    modules: Vec<Option<Arc<Module>>>,
    nice: Option<Arc<Nice>>,
}

impl Method for Bottleneck {
    fn set_on(&self, model: &mut dyn Adaptable, on: bool) {
        let Some(encoder) = model.encoder() else { return };
        self.take_off(encoder);
        if !on {
            return;
        }
        for (layer, module) in encoder.layers.iter_mut().zip(&self.modules) {
            layer.adapters.extend(module.clone().map(|module| module as Arc<dyn SublayerAdapter>));
        }
        encoder.embedding_adapters.extend(self.nice.clone().map(|nice| nice as Arc<dyn EmbeddingAdapter>));
    }

    fn bottleneck(&self) -> Option<&Bottleneck> {
        Some(self)
    }
}

impl Bottleneck {
    /// The block behind the embeddings.
    pub(super) fn invertible(&self) -> Option<Arc<Nice>> {
        self.nice.clone()
    }

    fn take_off(&self, encoder: &mut Bert) {
        for (layer, module) in encoder.layers.iter_mut().zip(&self.modules) {
            let own = module.as_ref().map(|module| Arc::as_ptr(module).cast::<()>());
            layer.adapters.retain(|adapter| Some(Arc::as_ptr(adapter).cast::<()>()) != own);
        }
        let own = self.nice.as_ref().map(|nice| Arc::as_ptr(nice).cast::<()>());
        encoder.embedding_adapters.retain(|adapter| Some(Arc::as_ptr(adapter).cast::<()>()) != own);
    }
}

fn attach(request: Request) -> Result<Parts, TrainError> {
    let Request { options, parameters, model, targets, seed, shared, .. } = request;
    if *targets != super::Targets::All {
        let problem = "stands behind whole layers of an encoder; its targets can only be `all`";
        return Err(options.problem(problem).into());
    }
    let encoder = model.encoder();
    let encoder =
        encoder.ok_or_else(|| options.problem("needs an encoder; decoders have no place for it"))?;
    let (width, reduction, skip) =
        (encoder.config.hidden_size, options.count("reduction"), options.count("skip"));
    if reduction > width || skip >= encoder.layers.len() {
        let layers = encoder.layers.len();
        return Err(options
            .problem(format!("the encoder has the width {width} and {layers} layers; nothing is left of it"))
            .into());
    }
    if options.switch("invertible") && width % 4 != 0 {
        let problem = format!("invertible=true needs a width that 4 divides; it is {width}");
        return Err(options.problem(problem).into());
    }
    let mut source = Initializer::new(seed);
    let (mut modules, mut sites) = (Vec::new(), Vec::new());
    for (at, layer) in encoder.layers.iter().enumerate() {
        // The fingerprint names every layer, so that files tell models of other depths.
        sites.push(Site::of(&layer.output));
        if at < skip {
            modules.push(None);
            continue;
        }
        let name = format!("{}.adapter", layer.output.name.trim_end_matches(".dense"));
        let inner = width / reduction;
        let down = Thin::new(parameters, &mut source, &format!("{name}_down"), (inner, width));
        let up = Thin::new(parameters, &mut source, &format!("{name}_up"), (width, inner));
        modules.push(Some(Arc::new(Module { down, up, shared: shared.clone() })));
    }
    let nice =
        options.switch("invertible").then(|| Arc::new(Nice::new(parameters, &mut source, width, shared)));
    Ok(Parts { method: Box::new(Bottleneck { modules, nice }), sites })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Toy, assert_close};
    use super::super::{Attached, open, parse};
    use super::*;

    #[test]
    fn numbers_are_those_of_the_authors_scripts() {
        let layers = [(768, 3072); 12];
        let count = |text: &str| parse(text).unwrap().trainable_count(&layers);
        let expected = [14_174_208, 7_091_712, 3_550_464, 1_779_840, 894_528, 451_872];
        for (reduction, expected) in [1, 2, 4, 8, 16, 32].into_iter().zip(expected) {
            assert_eq!(count(&format!("bottleneck(reduction={reduction})")), expected);
            assert_eq!(equal_sparse_budget(768, 12, reduction), expected);
        }
        assert_eq!(Nice::count(768), 296_064);
        assert_eq!(count("bottleneck(reduction=2, invertible=true)"), 7_387_776);
        let small = |text: &str| parse(text).unwrap().trainable_count(&[(384, 1536); 6]);
        assert_eq!((small("bottleneck(reduction=2)"), small("bottleneck(reduction=16)")), (888_192, 113_040));
    }

    fn shapes(attached: &Attached) -> Vec<(usize, usize)> {
        attached.sites().iter().map(|site| (site.outputs, site.inputs)).collect()
    }

    #[test]
    fn a_fresh_adapter_changes_little_and_trains_the_formulas_numbers() {
        let before = Toy::bert().outputs();
        for text in
            ["bottleneck(reduction=2)", "bottleneck(reduction=4, invertible=true)", "bottleneck(skip=1)"]
        {
            let text = text.replace("(skip", "(reduction=8, skip");
            let mut toy = Toy::bert();
            let mut attached = toy.attach(&text, "all");
            assert_eq!(
                attached.trainable_count(&toy.parameters),
                attached.configured.trainable_count(&shapes(&attached))
            );
            assert_ne!(toy.outputs(), before);
            assert_close(&toy.outputs(), &before, 2e-2);
            assert!(attached.merge(&mut toy.parameters).is_err());
            attached.set_active(false);
            // The residual is added apart from the product, which rounds otherwise.
            assert_close(&toy.outputs(), &before, 1e-5);
        }
        let refused = |toy: &mut Toy, text: &str, targets: &str| {
            toy.attach_seeded(text, targets, 1).unwrap_err().to_string()
        };
        assert!(refused(&mut Toy::llama(), "bottleneck", "all").contains("encoder"));
        assert!(refused(&mut Toy::bert(), "bottleneck", "query").contains("`all`"));
        assert!(refused(&mut Toy::bert(), "bottleneck(reduction=9)", "all").contains("width 8"));
    }

    /// Takes hidden units far from where their slope jumps, half of them on either side, so that differences are gradients.
    fn settle(toy: &mut Toy) {
        for (_, parameter) in toy.parameters.iter_mut() {
            if ["adapter_down.bias", "F.0.bias", "G.0.bias"].iter().any(|part| parameter.name.contains(part))
            {
                let values = parameter.values_mut().iter_mut().enumerate();
                values.for_each(|(at, value)| *value = if at % 2 == 0 { 4.0 } else { -4.0 });
            }
        }
    }

    #[test]
    fn gradients_are_differences() {
        let mut toy = Toy::bert();
        let attached = toy.attach("bottleneck(reduction=2, invertible=true)", "all");
        toy.shake(&attached, 0.2);
        settle(&mut toy);
        toy.assert_gradients(attached.parameters());
    }

    #[test]
    fn its_file_comes_back_bit_for_bit_and_it_is_swapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("language.safetensors");
        let mut toy = Toy::bert();
        let attached = toy.attach("bottleneck(reduction=2, invertible=true)", "all");
        toy.shake(&attached, 0.2);
        attached.save(&toy.parameters, &path, &[]).unwrap();
        let mut other = Toy::bert();
        let opened = open(&path, &mut other.parameters, &mut other.bert).unwrap();
        assert_eq!(other.outputs(), toy.outputs());
        opened.detach(&mut other.bert);
        assert_eq!(other.outputs(), Toy::bert().outputs());
    }

    /// A model with two language adapters and one of a task.
    fn composed() -> (Toy, [Attached; 3]) {
        let mut toy = Toy::bert();
        let mut attach = |text: &str, seed: u64| {
            let attached = toy.attach_seeded(text, "all", seed).unwrap();
            toy.shake_by(&attached, 0.2, seed);
            attached
        };
        let first = attach("bottleneck(reduction=2, invertible=true)", 1);
        let second = attach("bottleneck(reduction=2, invertible=true)", 2);
        let task = attach("bottleneck(reduction=4)", 3);
        (toy, [first, second, task])
    }

    #[test]
    fn languages_are_split_by_segments_below_the_task() {
        let (mut toy, [first, second, task]) = composed();
        let mut outputs = |stages: &[Stage]| {
            compose(&mut toy.bert, stages).unwrap();
            toy.outputs()
        };
        let queries = outputs(&[Stage::All(&first), Stage::All(&task)]);
        let documents = outputs(&[Stage::All(&second), Stage::All(&task)]);
        assert_ne!(queries, documents);
        assert_eq!(outputs(&[Stage::Split(&first, &first), Stage::All(&task)]), queries);
        let split = outputs(&[Stage::Split(&first, &second), Stage::All(&task)]);
        assert!(split != queries && split != documents);
        assert_eq!(outputs(&[]), Toy::bert().outputs());
        // Without a second segment only the first language is left.
        toy.join_segments();
        compose(&mut toy.bert, &[Stage::Split(&first, &second), Stage::All(&task)]).unwrap();
        let split = toy.outputs();
        compose(&mut toy.bert, &[Stage::All(&first), Stage::All(&task)]).unwrap();
        assert_eq!(split, toy.outputs());
        // Attached one after another is stacked.
        compose(&mut toy.bert, &[]).unwrap();
        first.reattach(&mut toy.bert);
        task.reattach(&mut toy.bert);
        assert_eq!(toy.outputs(), split);
        let lora = toy.attach("lora", "query");
        let error = compose(&mut toy.bert, &[Stage::All(&lora)]).unwrap_err();
        assert!(error.to_string().contains("`lora`"), "{error}");
    }

    #[test]
    fn split_languages_have_gradients() {
        let (mut toy, [first, second, task]) = composed();
        compose(&mut toy.bert, &[Stage::Split(&first, &second), Stage::All(&task)]).unwrap();
        let ids: Vec<ParameterId> =
            [&first, &second, &task].iter().flat_map(|attached| attached.parameters()).copied().collect();
        for id in &ids {
            toy.parameters[*id].trainable = true;
        }
        settle(&mut toy);
        toy.assert_gradients(&ids);
    }
}
