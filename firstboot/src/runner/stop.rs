//! Ends running commands before their time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A request to stop that every command of a [`super::Host`] hears. Clones are the same request.
#[derive(Clone, Default)]
pub struct Stop(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    asked: bool,
    waiting: Vec<Box<dyn FnOnce() + Send>>,
}

impl Stop {
    /// Ends what runs and whatever would run from now on.
    pub fn ask(&self) {
        let waiting = {
            let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.asked = true;
            self.0.1.notify_all();
            std::mem::take(&mut state.waiting)
        };
        for tell in waiting {
            tell();
        }
    }

    /// Whether it was asked for.
    pub fn asked(&self) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    /// Waits for `pause`, or until it is asked for; returns whether it was.
    pub fn rest(&self, pause: Duration) -> bool {
        let state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = self.0.1.wait_timeout_while(state, pause, |state| !state.asked);
        rested.unwrap_or_else(PoisonError::into_inner).0.asked
    }

    /// Has `tell` called as soon as it is asked for, at once if it was before.
    pub fn when_asked(&self, tell: impl FnOnce() + Send + 'static) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.asked {
            state.waiting.push(Box::new(tell));
            return;
        }
        drop(state);
        tell();
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Stop").field(&self.asked()).finish()
    }
}
