//! The families of encoders by name.

use crate::error::LmError;
use crate::family::bert::Bert;
use crate::family::encoder::Family;
use crate::family::modernbert::ModernBert;
use crate::family::t5::T5;
use crate::files::config::JsonFile;
use crate::files::weights::WeightSet;
use plackett_kernel::Precision;

/// Families that can be opened, by `model_type` of config.json.
pub const SUPPORTED: &[&str] = &["bert", "roberta", "xlm-roberta", "camembert", "modernbert", "t5"];

/// Those whose linear layers may be stored as two factors.
pub(crate) const FACTORIZABLE: &[&str] = &["bert", "roberta", "xlm-roberta", "camembert"];

/// Opens the body of the model that `config` describes.
pub(crate) fn open(
    config: &JsonFile,
    weights: &WeightSet,
    precision: Precision,
) -> Result<Box<dyn Family>, LmError> {
    let kind = config.text("model_type").unwrap_or_default();
    // Said before a whole weight is looked for where there are two factors.
    let whole_alone = SUPPORTED.contains(&kind) && !FACTORIZABLE.contains(&kind);
    if let Some(layer) = weights.factorized().first().filter(|_| whole_alone) {
        let (name, families) = (&layer.name, FACTORIZABLE.join(", "));
        let problem =
            format!("`{name}` is stored as two factors, which are read of {families} and decoders alone");
        return Err(config.problem(problem));
    }
    match kind {
        "bert" if config.number_or("separate_layers", 0.0) > 0.0 => Err(config.problem(
            "`separate_layers`: its first layers keep the two texts of a pair apart, which this engine does not do; it is run by the \
             training engine (the stage kind `trained-rank` of recipes)"
                .into(),
        )),
        "bert" => Ok(Box::new(Bert::open(config, weights, precision, &["", "bert."], 0)?)),
        "roberta" | "xlm-roberta" | "camembert" => {
            // Positions count from the padding id plus one.
            let offset = config.size_or("pad_token_id", 1)? + 1;
            Ok(Box::new(Bert::open(config, weights, precision, &["", "roberta."], offset)?))
        }
        "modernbert" => Ok(Box::new(ModernBert::open(config, weights, precision)?)),
        "t5" => Ok(Box::new(T5::open(config, weights, precision)?)),
        _ => Err(config.unknown_architecture(SUPPORTED)),
    }
}
