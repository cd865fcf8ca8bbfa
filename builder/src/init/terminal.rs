//! Asks at the terminal, and leaves it as it was: also when it is interrupted while it shows nothing of a password.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use cias_firstboot::interrupt::Interrupt;
use cias_firstboot::outcome::{Class, conclude};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// As long as this lives, an interruption ends the program at once: a question would wait for its answer.
pub struct Asking {
    /// Whether it lives. Held while the terminal changes, so that an interruption comes before or after that.
    asking: Arc<Mutex<bool>>,
    before: Termios,
}

impl Asking {
    /// Begins to ask.
    pub fn begin(interrupt: &Interrupt) -> Result<Self> {
        let asking = Arc::new(Mutex::new(true));
        let before = tcgetattr(std::io::stdin()).context("looking at the terminal")?;
        let (heard, own, restored) = (interrupt.clone(), Arc::clone(&asking), before.clone());
        interrupt.stop().when_asked(move || {
            // Held until the end, so that whoever asks does not go on meanwhile.
            let asking = own.lock().unwrap_or_else(PoisonError::into_inner);
            if *asking {
                // A terminal that is gone needs nothing.
                let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &restored);
                conclude(heard.check());
                std::process::exit(Class::Interrupted as i32);
            }
        });
        Ok(Self { asking, before })
    }

    /// Asks for one line that is not shown while it is typed.
    pub fn password(&self, question: &str) -> Result<String> {
        let mut silent = self.before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        self.set(&silent)?;
        let answer = line(question);
        self.set(&self.before)?;
        answer
    }

    fn set(&self, modes: &Termios) -> Result<()> {
        let _held = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        tcsetattr(std::io::stdin(), OptionalActions::Now, modes).context("setting the terminal")
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }
}

/// Asks for one line.
pub fn line(question: &str) -> Result<String> {
    eprint!("{question}");
    std::io::stderr().flush().context("asking")?;
    let mut line = String::new();
    let length = std::io::stdin().read_line(&mut line).context("reading the answer")?;
    anyhow::ensure!(length > 0, "the answer ended");
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}
