//! How a command ends: classes of errors and the exit codes that go with them.
//!
//! Errors travel as [`anyhow::Error`]; the one that decides the exit code carries a [`Class`]. Whatever
//! carries none is [`Class::Failed`].

use std::fmt;
use std::process::ExitCode;

/// The exit codes, as the help tells them.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 4 missing tool,\n\
                              5 refused for safety, 6 try later, 130 interrupted.";

/// Why a command did not succeed. The numbers are the documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Something that should have worked did not.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// The site file, the ISO or a package is not usable.
    BadInput = 3,
    /// A program that is needed is not there.
    MissingTool = 4,
    /// Going on could destroy data or split the cluster.
    Refused = 5,
    /// Nothing is wrong, but it is too early: no quorum, no Master.
    TryLater = 6,
    /// The user pressed Ctrl-C.
    Interrupted = 130,
}

impl Class {
    /// Those with which the same would come out again: a person must look first.
    pub const FINAL: [Self; 4] = [Self::Usage, Self::BadInput, Self::MissingTool, Self::Refused];

    /// An error of this class. `message` is one sentence that says what was found, what was wanted and the
    /// way out.
    pub fn error(self, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Classified { class: self, message: message.into() })
    }

    /// The class of the innermost [`Class::error`] that `error` wraps.
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Classified>())
            .map_or(Class::Failed, |found| found.class)
    }
}

/// What became of several things, each of which was tried whatever became of the others: one error that has all of theirs.
pub fn all(results: impl IntoIterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let failed: Vec<String> =
        results.into_iter().filter_map(|result| result.err().map(|error| format!("{error:#}"))).collect();
    if failed.is_empty() { Ok(()) } else { Err(Class::Failed.error(failed.join("; "))) }
}

#[derive(Debug)]
struct Classified {
    class: Class,
    message: String,
}

impl fmt::Display for Classified {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Classified {}

/// Ends a command: prints the error, if there is one, on one line of stderr and returns its exit code.
pub fn conclude(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(Class::of(&error) as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_keeps_the_class() {
        let wrapped =
            Err::<(), _>(Class::Refused.error("disk in use")).context("choosing a disk").unwrap_err();
        assert_eq!(Class::of(&wrapped), Class::Refused);
        assert_eq!(format!("{wrapped:#}"), "choosing a disk: disk in use");
        assert_eq!(Class::of(&anyhow::anyhow!("plain")), Class::Failed);
    }
}
