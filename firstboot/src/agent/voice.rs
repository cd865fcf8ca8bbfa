//! Where the agent's sentences go: its log, the console and syslog.

use std::io::IsTerminal;
use std::os::unix::net::UnixDatagram;

use crate::console::Console;
use crate::log::Log;
use crate::site::visible;
use crate::system::Sysroot;

/// Facility daemon, severity notice (RFC 3164, 4.1.1).
const PRIORITY: u8 = 3 << 3 | 5;

/// Tells people.
pub struct Voice<'a> {
    root: &'a Sysroot,
    log: &'a Log,
}

impl<'a> Voice<'a> {
    /// Of the node below `root`, with its own log.
    pub fn new(root: &'a Sysroot, log: &'a Log) -> Self {
        Self { root, log }
    }

    /// Says a sentence everywhere. What came over the wire may be in it.
    pub fn say(&self, sentence: &str) {
        let sentence = visible(sentence);
        self.log.say(&format!("agent: {sentence}"));
        // Who started it by hand has just read it.
        if !std::io::stderr().is_terminal() {
            let kernel_line = self.root.text("/proc/cmdline").unwrap_or_default();
            Console::open(&self.root.path("/dev"), &kernel_line).say(&format!("cias: {sentence}"));
        }
        self.tell_syslog(&sentence);
    }

    /// Straight to its socket: no program of the target is needed. A syslog that is not there, or busy, holds nothing up.
    fn tell_syslog(&self, sentence: &str) {
        let message = format!("<{PRIORITY}>cias-agent[{}]: {sentence}", std::process::id());
        let _ = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to(message.as_bytes(), self.root.path("/dev/log"))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn a_sentence_reaches_syslog_on_one_line_without_control_characters() {
        let tree = Tree::from_text("/dev/\n");
        let root = tree.root();
        let syslog = UnixDatagram::bind(root.path("/dev/log")).unwrap();
        let log = Log::silent();
        Voice::new(&root, &log).say("refused: \u{1b}[2Jfull");
        let mut buffer = [0; 256];
        let count = syslog.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        assert!(text.starts_with("<29>cias-agent[") && text.contains("]: refused: "), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
