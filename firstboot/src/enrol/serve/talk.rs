//! One side of a session: lines from the node with a time limit, which reading alone has not.

use std::io::{BufReader, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Result;

use crate::enrol::protocol::{FromMaster, FromNode, hear, tell};

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// A line.
    Line(FromNode),
    /// The node has ended, or its connection.
    End,
    /// Something that is no line of the protocol.
    Strange(anyhow::Error),
    /// Nothing in that time.
    Nothing,
}

/// A session with a node.
pub struct Talk<W> {
    lines: Receiver<Result<FromNode>>,
    out: W,
}

impl<W: Write> Talk<W> {
    /// Reads `input` from now on, on a thread that ends with it.
    pub fn new(input: impl Read + Send + 'static, out: W) -> Self {
        let (send, lines) = channel();
        std::thread::spawn(move || {
            let mut input = BufReader::new(input);
            // A line that is none is the last one; whoever has stopped listening wants no more.
            while let Some(line) = hear(&mut input).transpose() {
                let strange = line.is_err();
                if send.send(line).is_err() || strange {
                    break;
                }
            }
        });
        Self { lines, out }
    }

    /// What comes within `limit`.
    pub fn hear(&self, limit: Duration) -> Heard {
        match self.lines.recv_timeout(limit) {
            Ok(Ok(line)) => Heard::Line(line),
            Ok(Err(error)) => Heard::Strange(error),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }

    /// Says it; false if nobody is there to hear.
    pub fn tell(&mut self, what: &FromMaster) -> bool {
        tell(&mut self.out, what).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_then_what_is_none_then_the_end() {
        let input = &b"\"joined\"\n\"what\"\n\"joined\"\n"[..];
        let talk = Talk::new(input, Vec::new());
        let hear = || talk.hear(Duration::from_secs(30));
        assert!(matches!(hear(), Heard::Line(FromNode::Joined)));
        assert!(matches!(hear(), Heard::Strange(_)));
        assert!(matches!(hear(), Heard::End));
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let (read, _write) = std::io::pipe().unwrap();
        let talk = Talk::new(read, Vec::new());
        assert!(matches!(talk.hear(Duration::from_millis(10)), Heard::Nothing));
    }
}
