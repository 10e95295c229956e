//! The registry as text: for help and for `docs/adapters.md`.

use super::{ADAPTERS, AdapterSpec};
use std::fmt::Write;

/// The adapters with one sentence each, for a terminal.
pub fn listing() -> String {
    let mut text = String::new();
    for spec in ADAPTERS {
        let _ = writeln!(text, "{:<12} {}", spec.name, spec.summary);
    }
    text
}

/// Everything that is declared of an adapter, for a terminal.
pub fn show(spec: &AdapterSpec) -> String {
    let mut text = format!("{}\n{}\n\n", spec.name, spec.summary);
    if !spec.aliases.is_empty() {
        let _ = writeln!(text, "{:<12} {}", "also", spec.aliases.join(", "));
    }
    let _ = writeln!(text, "{:<12} {}\n{:<12} {}\n\noptions", "paper", spec.paper, "trains", spec.formula);
    for option in spec.options {
        let _ = writeln!(text, "  {:<12} {} ({})", option.name, option.help, option.expects());
    }
    text
}

/// The adapters as a page.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Adapters\n\n\
         Made from the registry (`plackett_train::adapter::ADAPTERS`); a test compares the two.\n\
         Spelling in training files: `name(option=value, …)`. An adapter is put on the linear layers that a training file names\n\
         (`all`, or ends of names: `query,value`, `q_proj`; `output.dense,!attention.output.dense` leaves some out); everything else\n\
         is frozen, heads excepted. In formulas a layer has `o` outputs and `i` inputs; they count the numbers that are trained for\n\
         one layer.\n\n\
         | adapter | what it does | trained numbers |\n| --- | --- | --- |\n",
    );
    for spec in ADAPTERS {
        let summary = spec.summary.trim_end_matches('.');
        let _ = writeln!(text, "| [`{0}`](#{0}) | {summary} | {1} |", spec.name, spec.formula);
    }
    for spec in ADAPTERS {
        let _ = write!(text, "\n## {}\n\n{}\n\n- paper: {}\n", spec.name, spec.summary, spec.paper);
        if !spec.aliases.is_empty() {
            let names: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let _ = writeln!(text, "- also: {}", names.join(", "));
        }
        let _ = writeln!(text, "- trained numbers: {}", spec.formula);
        for option in spec.options {
            let _ = writeln!(text, "- `{}` ({}): {}", option.name, option.expects(), option.help);
        }
    }
    text.push_str(KEPT);
    text.push_str(FACTORIZATION);
    let _ = write!(
        text,
        "\n## A new adapter\n\nIs a declaration in a file of its own, and a line in `ADAPTERS`. This one stands in `example.rs` with its \
         test, which runs with the others:\n\n```rust\n{}```\n",
        example()
    );
    text
}

/// The file of the example from its declaration on.
fn example() -> &'static str {
    include_str!("example.rs").split_once("that are stretched.\n").map_or("", |(_, text)| text)
}

/// What is said of adapters without the model that they were trained in.
const KEPT: &str = "
## Kept and put together

With `save_adapter = true` a training file keeps the adapter alone ([training.md](training.md#the-adapter-alone)): as PEFT does where PEFT has
such an adapter, else in `adapter.safetensors`; `plackett model merge BASE ADAPTER TARGET` puts it into its base. Differences of `lt-sft` that
were learned on the same base add up there (`--and ADAPTER`). `fila` is for a training file with texts to `forget`
([training.md](training.md#forgetting)). `bottleneck` stands between layers and in no weight, and the inference engine has no place for it: a
training file with it is refused, and it is for the library and for recipes, but for unlearning.
";

/// What is said of factorisation, which is no adapter.
const FACTORIZATION: &str = "
## Low-rank factorisation

`plackett_train::adapter::factorize` makes of a linear layer two thin ones without anything between them, before training (a low-rank
transformer) or after it (compression). Of the directory of an encoder (BERT, RoBERTa, XLM-R, CamemBERT) or a decoder in safetensors, not
quantised, the command makes another one, which searches or writes like any other (a decoder with LoRA adapters too), is trained further (whole, for LoRA reads whole layers), and
whose `README.md` has the error of each weight:

```sh
plackett model factorize all-MiniLM-L6-v2 ./thin --ratio 0.5            # or --rank 96
plackett model factorize ./my-encoder ./thin --rank 96 --last 3 --solver snmf --layers query,key
plackett model factorize HuggingFaceTB/SmolLM2-135M-Instruct ./thin --ratio 0.45 --last 10
plackett model show ./thin                                              # ranks and sizes
```

- paper: Cahyawijaya, Greenformers: Improving computation and memory efficiency in transformer models via low-rank approximation, 2021
- rank: a number for all layers, or a share of each layer's limit `⌊oi / (o + i)⌋`, from which on nothing is saved; a layer whose rank
  is 0 or not below its limit stays as it is, and the report says why
- solver (`--solver`): truncated SVD (`svd`, the least error), semi-NMF (`snmf`), or new random weights (`random`) for training from the
  start
- saved models hold `NAME.led_unit.0.weight` (rank × i), `NAME.led_unit.1.weight` (o × rank) and `NAME.led_unit.1.bias` in the place of
  `NAME.weight` and `NAME.bias`, in f32; the training engine builds them again from these, and the inference engine multiplies with the
  first, then with the second, in f32 or in int8: of an encoder after `plackett model quantize`, of a decoder, which that command refuses,
  with `plackett generate --precision int8`. Other tools, Hugging Face's among them, do not read them
- files of a model in bf16 or f16 become smaller below half the limit alone, since factors are f32; in memory, where all is f32, they are
  smaller below the limit
- an adapter is merged into the model before it is factorised: `plackett model merge` refuses thin layers
- embeddings, norms, pooler, heads and output matrices stay whole; GGUF files, ModernBERT and encoder–decoders are not factorised
- `advise(d, layers, n, r, k)`: operations, parameters and attention weights of the dense, the low-rank and the Linformer model
";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a recipe measured stands behind this line.
    const MEASURED: &str = "\n## Measured\n";

    #[test]
    fn the_page_in_docs_is_the_registry() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/adapters.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        let (declared, measured) = match page.find(MEASURED) {
            Some(at) => page.split_at(at),
            None => (page.as_str(), ""),
        };
        if std::env::var_os("PLACKETT_BLESS").is_some() {
            std::fs::write(path, markdown() + measured).unwrap();
            return;
        }
        assert_eq!(
            declared,
            markdown(),
            "run the tests with PLACKETT_BLESS=1 to write docs/adapters.md anew"
        );
    }

    #[test]
    fn defaults_are_values_and_names_stand_once() {
        let mut names: Vec<&str> = Vec::new();
        for spec in ADAPTERS {
            let configured = spec.configure([]).unwrap();
            assert_eq!(configured.to_string(), spec.name);
            assert!(show(spec).contains(spec.paper) && listing().contains(spec.summary));
            names.push(spec.name);
            names.extend(spec.aliases);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
