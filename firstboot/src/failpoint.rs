//! Points at which a test can cut the power: before and after every write and every command.
//!
//! They exist only with the cargo feature `failpoints`; in a release [`hit`] is empty. `CIAS_FAILPOINT=NAME` kills
//! the process at the point of that name, `CIAS_FAILPOINT=#N` at the N-th point reached (from 1), and
//! `CIAS_FAILPOINT_LIST=FILE` appends the name of each point reached to FILE.

/// Passes the point `name`; with the feature `failpoints` the process may end here as if the power went.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);

    let count = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(list) = std::env::var_os("CIAS_FAILPOINT_LIST") {
        // One write for each line: disks are formatted at the same time.
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&list);
        if let Err(error) = opened.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes())) {
            // A test that counts points must not go on with a short list.
            eprintln!("error: listing failpoints in {}: {error}", list.display());
            std::process::abort();
        }
    }
    let wanted = std::env::var("CIAS_FAILPOINT").unwrap_or_default();
    if wanted == name || wanted == format!("#{count}") {
        // No destructor and no flush runs after this: that is what a power cut looks like to a process.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Passes the point `name`; without the feature `failpoints` nothing happens.
#[cfg(not(feature = "failpoints"))]
pub fn hit(_name: &str) {}
