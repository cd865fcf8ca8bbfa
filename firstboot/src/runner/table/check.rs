//! Whether a call is inside the table.

use anyhow::Result;

use super::Row;
use crate::runner::Call;

/// Is `call` inside the table? The error is a bug of ours, not of the machine.
pub fn check(rows: &[Row], call: &Call) -> Result<()> {
    let Some(row) = rows.iter().find(|row| row.program == call.program()) else {
        anyhow::bail!(
            "the program {} is not in the table of what the target has (runner/table.rs)",
            call.program()
        );
    };
    for arg in call.arguments().iter().take_while(|arg| *arg != "--") {
        let name = arg.split('=').next().unwrap_or(arg);
        if name.starts_with('-') && name.len() > 1 && !row.options.contains(&name) {
            anyhow::bail!(
                "the option {name} of {} is not in the table of what {} {} has (runner/table.rs)",
                row.program,
                row.package,
                row.version
            );
        }
    }
    check_values(row, call)?;
    let mut words = row.options.iter().filter(|option| !option.starts_with('-')).peekable();
    if words.peek().is_some() && !words.any(|word| call.arguments().iter().any(|arg| arg == word)) {
        anyhow::bail!("`{}` has no sub-command that is in the table (runner/table.rs)", call.line());
    }
    Ok(())
}

/// Has each option whose values are listed only those?
fn check_values(row: &Row, call: &Call) -> Result<()> {
    let arguments = call.arguments();
    for (at, arg) in arguments.iter().enumerate() {
        let next = arguments.get(at + 1).map_or("", String::as_str);
        let (name, value) = arg.split_once('=').unwrap_or((arg, next));
        let Some((_, allowed)) = row.values.iter().find(|(option, _)| *option == name) else { continue };
        let word = |part: &str| part.split('=').next().unwrap_or(part).to_owned();
        if let Some(word) = value.split(',').map(word).find(|word| !allowed.contains(&&**word)) {
            anyhow::bail!(
                "the value {word:?} of {name} of {} is not in the table of what {} {} has (runner/table.rs)",
                row.program,
                row.package,
                row.version
            );
        }
    }
    Ok(())
}
