//! Stand-in: records calls and answers from a script instead of running anything. For tests only.

use std::sync::Mutex;

use anyhow::Result;

use super::{Call, Output, Runner, table};

/// Answers each call by the first rule whose beginning fits its line; calls without a rule succeed in silence. Calls
/// outside the table are errors, as on the real machine.
#[derive(Default)]
pub(crate) struct Fake {
    rules: Vec<(String, i32, String, String)>,
    lines: Mutex<Vec<String>>,
}

impl Fake {
    /// Calls whose line begins with `line` print `stdout`.
    pub(crate) fn prints(mut self, line: &str, stdout: &str) -> Self {
        self.rules.push((line.into(), 0, stdout.into(), String::new()));
        self
    }

    /// Calls whose line begins with `line` end with `code` and print `stderr`.
    pub(crate) fn fails(mut self, line: &str, code: i32, stderr: &str) -> Self {
        self.rules.push((line.into(), code, String::new(), stderr.into()));
        self
    }

    /// The lines of all calls so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Runner for Fake {
    fn outcome(&self, call: &Call) -> Result<Output> {
        table::check(table::TABLE, call)?;
        let line = call.line();
        self.lines.lock().unwrap().push(line.clone());
        let rule = self.rules.iter().find(|rule| line.starts_with(&rule.0));
        Ok(rule.map_or_else(Output::default, |(_, code, stdout, stderr)| Output {
            code: *code,
            stdout: stdout.clone(),
            stderr: stderr.clone(),
        }))
    }
}
