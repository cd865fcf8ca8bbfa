//! Fills the templates of `overlay/templates`, which the binary carries.

use anyhow::{Context, Result};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// Fills `template`; a name that `values` lacks is an error, not an empty word. `name` is for errors.
pub fn render(name: &str, template: &str, values: impl Serialize) -> Result<String> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.render_named_str(name, template, values).with_context(|| format!("rendering {name}"))
}
