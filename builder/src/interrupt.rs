//! Ctrl-C and SIGTERM: noted here, honoured between two steps, so that temporary files are removed.

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user wants to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Notes SIGINT and SIGTERM from now on. A second signal ends the program at once with code 130.
    pub fn install() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let code = Class::Interrupted as i32;
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .context("installing a signal handler")?;
        }
        Ok(Self(flag))
    }

    /// Fails if the user wants to stop.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Class::Interrupted.error("interrupted; nothing was left behind"));
        }
        Ok(())
    }
}
