//! A stand-in for corosync's messages between the daemons: one request and one answer over TCP, each with an HMAC by the
//! cluster's authentication key over a number that the server chose for this connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

/// More than the largest database, in base64.
const LARGEST: usize = 64 << 20;
/// A peer that says nothing for so long is taken for gone.
pub const PATIENCE: Duration = Duration::from_secs(3);

type Seal = [u8; 32];
type Challenge = [u8; 16];

/// The key and the purpose of a port.
#[derive(Clone)]
pub struct Secret {
    key: Arc<Vec<u8>>,
    purpose: &'static str,
}

impl Secret {
    /// The key's bytes, and what they are used for here.
    pub fn new(key: Vec<u8>, purpose: &'static str) -> Self {
        Self { key: Arc::new(key), purpose }
    }

    fn mac(&self, way: &str, challenge: &Challenge, payload: &[u8]) -> io::Result<Hmac<Sha256>> {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.key).map_err(|_| broken("no key"))?;
        Ok(mac.chain_update(self.purpose).chain_update(way).chain_update(challenge).chain_update(payload))
    }

    fn send(&self, to: &mut TcpStream, way: &str, challenge: &Challenge, payload: &[u8]) -> io::Result<()> {
        let seal: Seal = self.mac(way, challenge, payload)?.finalize().into_bytes().into();
        let length = u32::try_from(payload.len()).map_err(|_| broken("too long"))?;
        to.write_all(&[&length.to_be_bytes(), seal.as_slice(), payload].concat())
    }

    fn receive(&self, from: &mut TcpStream, way: &str, challenge: &Challenge) -> io::Result<Vec<u8>> {
        let (mut length, mut seal): ([u8; 4], Seal) = ([0; 4], [0; 32]);
        from.read_exact(&mut length)?;
        from.read_exact(&mut seal)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > LARGEST {
            return Err(broken("too long"));
        }
        let mut payload = Vec::new();
        from.take(length as u64).read_to_end(&mut payload)?;
        let mac = self.mac(way, challenge, &payload)?;
        mac.verify_slice(&seal).map_err(|_| broken("a message has a wrong seal"))?;
        Ok(payload)
    }
}

/// Asks the daemon at `address`.
pub fn call<T: DeserializeOwned>(
    address: SocketAddr,
    secret: &Secret,
    request: &impl Serialize,
    patience: Duration,
) -> io::Result<T> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    prepare(&stream, patience)?;
    let mut challenge = Challenge::default();
    stream.read_exact(&mut challenge)?;
    secret.send(&mut stream, "ask", &challenge, &serde_json::to_vec(request)?)?;
    Ok(serde_json::from_slice(&secret.receive(&mut stream, "answer", &challenge)?)?)
}

/// Answers requests until the process ends; each in a thread of its own, because one may wait for another.
pub fn serve<Q: DeserializeOwned, A: Serialize>(
    listener: TcpListener,
    secret: Secret,
    answer: impl Fn(SocketAddr, Q) -> A + Send + Sync + 'static,
) {
    let (secret, answer) = (Arc::new(secret), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let (secret, answer) = (Arc::clone(&secret), Arc::clone(&answer));
            std::thread::spawn(move || {
                // A peer that breaks off or cannot prove itself gets no answer; it asks again if it wants one.
                let _ = one(stream, &secret, &*answer);
            });
        }
    });
}

fn one<Q: DeserializeOwned, A: Serialize>(
    mut stream: TcpStream,
    secret: &Secret,
    answer: &impl Fn(SocketAddr, Q) -> A,
) -> io::Result<()> {
    prepare(&stream, PATIENCE)?;
    let mut challenge = Challenge::default();
    getrandom::fill(&mut challenge).map_err(|_| broken("no random numbers"))?;
    stream.write_all(&challenge)?;
    let request = serde_json::from_slice(&secret.receive(&mut stream, "ask", &challenge)?)?;
    let reply = answer(stream.peer_addr()?, request);
    secret.send(&mut stream, "answer", &challenge, &serde_json::to_vec(&reply)?)
}

fn prepare(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PATIENCE))
}

fn broken(what: &str) -> io::Error {
    io::Error::other(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_key_gets_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        serve(listener, Secret::new(vec![1; 128], "test"), |_, number: u32| number + 1);
        let ask = |key: u8, purpose: &'static str| {
            call::<u32>(address, &Secret::new(vec![key; 128], purpose), &41, PATIENCE)
        };
        assert_eq!(ask(1, "test").unwrap(), 42);
        assert!(ask(2, "test").is_err(), "another key");
        assert!(ask(1, "other").is_err(), "another purpose");
    }
}
