//! `name` or `name(option=value, …)`, as training files write adapters and objectives.

/// The parts of an expression.
pub struct Expression<'t> {
    /// The name before the parentheses.
    pub name: &'t str,
    /// What stands in them.
    options: &'t str,
}

impl<'t> Expression<'t> {
    /// Parts a name from its options.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn split(text: &'t str) -> Result<Expression<'t>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("nothing is written".into());
        }
        match text.split_once('(') {
            None => Ok(Expression { name: text, options: "" }),
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(options) => Ok(Expression { name, options }),
                None => Err("`)` is missing at the end".into()),
            },
        }
    }

    /// Options with their values.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn options(&self) -> Result<Vec<(&'t str, &'t str)>, String> {
        let written = self.options.split(',').map(str::trim).filter(|option| !option.is_empty());
        let parted = written.map(|option| match option.split_once('=') {
            Some((name, value)) => Ok((name.trim(), value.trim())),
            None => Err(format!("`{option}` has no `=`")),
        });
        parted.collect()
    }
}
