//! What happens, line by line: to standard error, and to a file that outlives the boot.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use anyhow::{Context, Result};

/// A log. Secrets never get here: the runner keeps standard input out of its lines.
#[derive(Debug, Default)]
pub struct Log {
    file: Option<Mutex<File>>,
    quiet: bool,
}

impl Log {
    /// Writes to standard error only.
    pub fn stderr() -> Self {
        Self::default()
    }

    /// Appends to the file at `path` too, which only root can read.
    pub fn to_file(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { file: Some(Mutex::new(file)), quiet: false })
    }

    /// Keeps nothing, for tests and for `cias plan`, whose commands only read.
    pub fn silent() -> Self {
        Self { file: None, quiet: true }
    }

    /// Tells a person: standard error and the file.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            eprintln!("cias: {line}");
        }
        self.note(line);
    }

    /// Notes a detail, such as a command: the file only.
    pub fn note(&self, line: &str) {
        let Some(file) = &self.file else { return };
        let stamp = humantime::format_rfc3339_seconds(SystemTime::now());
        let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // One write for each line, so that lines of two processes never mix; a full disk must not stop the work.
        let _ = file.write_all(format!("{stamp} {line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_gets_both_and_only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firstboot.log");
        for line in ["one", "two"] {
            Log::to_file(&path).unwrap().note(line);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let words: Vec<&str> = text.lines().map(|line| line.split_once("Z ").unwrap().1).collect();
        assert_eq!(words, ["one", "two"]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
