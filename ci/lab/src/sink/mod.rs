//! What listens on the lab's side of the segment and keeps what nodes send: a relay for mail, and a place to post to.

pub mod http;
pub mod smtp;

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{Shutdown, shutdown};

use crate::net::{GATEWAY, Net};

/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_mins(5);

/// Talks with a client, and hands over each thing that it brought.
type Talk<T> = fn(&TcpStream, &mut dyn FnMut(T)) -> std::io::Result<()>;

/// Something that listens until it is dropped.
pub struct Sink<T> {
    listener: Arc<TcpListener>,
    received: Arc<Mutex<Vec<T>>>,
}

impl<T: Clone + Send + 'static> Sink<T> {
    /// Listens at a port of the lab's own address on the segment.
    fn on_segment(net: &Net, port: u16, talk: Talk<T>) -> Result<Self> {
        // A socket belongs to where it was made, whoever uses it.
        let bind =
            || TcpListener::bind((GATEWAY, port)).with_context(|| format!("listening at {GATEWAY}:{port}"));
        Ok(Self::of(net.enter(bind)?, talk))
    }

    fn of(listener: TcpListener, talk: Talk<T>) -> Self {
        let (listener, received) = (Arc::new(listener), Arc::new(Mutex::new(Vec::new())));
        let (source, kept) = (Arc::clone(&listener), Arc::clone(&received));
        std::thread::spawn(move || {
            // It fails when it is shut down.
            while let Ok((client, from)) = source.accept() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let mut keep = |one| kept.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                    let done = client.set_read_timeout(Some(SILENCE)).and_then(|()| talk(&client, &mut keep));
                    if let Err(error) = done {
                        eprintln!("lab: what {from} sent was not understood: {error}");
                    }
                });
            }
        });
        Self { listener, received }
    }

    /// What has come so far, in its order.
    pub fn received(&self) -> Vec<T> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Drop for Sink<T> {
    fn drop(&mut self) {
        if let Err(error) = shutdown(self.listener.as_raw_fd(), Shutdown::Both) {
            eprintln!("lab: shutting a listener down: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn it_keeps_what_several_clients_bring_and_stops_when_it_is_dropped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let sink: Sink<String> = Sink::of(listener, |mut client, keep| {
            let mut text = String::new();
            client.read_to_string(&mut text)?;
            keep(text);
            client.write_all(b"kept")
        });
        for text in ["one", "two"] {
            let mut client = TcpStream::connect(place).unwrap();
            client.write_all(text.as_bytes()).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "kept");
        }
        assert_eq!(sink.received(), ["one", "two"]);
        drop(sink);
        let gone = crate::wait::until(Duration::from_secs(10), || {
            Ok(TcpStream::connect(place).is_err().then_some(()))
        });
        assert!(gone.unwrap().is_some(), "it still listens");
    }
}
