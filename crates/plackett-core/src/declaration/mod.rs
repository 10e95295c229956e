//! What registries have in common (methods, adapters, objectives): declarations with names and options, from which
//! expressions are read.

mod expression;
mod nearest;
mod option;

pub use expression::Expression;
pub use nearest::{nearest, suggestion};
pub use option::{OptionError, OptionKind, OptionSpec, OptionValues};

/// A line of a registry.
pub trait Declaration: 'static {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Other names for the same.
    fn aliases(&self) -> &'static [&'static str];
}

/// Makes a structure with the fields `name` and `aliases` a [`Declaration`] that is shown as its name.
#[macro_export]
macro_rules! impl_declaration {
    ($spec:ty) => {
        impl $crate::declaration::Declaration for $spec {
            fn name(&self) -> &'static str {
                self.name
            }

            fn aliases(&self) -> &'static [&'static str] {
                self.aliases
            }
        }

        impl ::std::fmt::Debug for $spec {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name)
            }
        }
    };
}

/// A name that no declaration has.
pub struct Unknown {
    /// The names there are, with commas between them.
    pub known: String,
    /// The name or alias that is written most alike.
    pub nearest: Option<&'static str>,
}

/// The declaration of a name or alias; case and `_` for `-` do not matter.
///
/// # Errors
/// [`Unknown`] with the names there are and the nearest one.
pub fn find<D: Declaration>(registry: &[&'static D], name: &str) -> Result<&'static D, Unknown> {
    let wanted = name.trim().to_lowercase().replace('_', "-");
    let is_meant = |spec: &D| spec.name() == wanted || spec.aliases().contains(&wanted.as_str());
    registry.iter().find(|spec| is_meant(spec)).copied().ok_or_else(|| {
        let all = registry
            .iter()
            .flat_map(|spec| std::iter::once(spec.name()).chain(spec.aliases().iter().copied()));
        let names: Vec<&str> = registry.iter().map(|spec| spec.name()).collect();
        Unknown { known: names.join(", "), nearest: nearest(&wanted, all) }
    })
}
