//! Asks the metadata server which chunkservers it has, as its own web view does (docs/facts.md 18). Both dialects know the question without a login;
//! a record of their answers begins alike and has another length.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::decide::Chunkserver;
use super::dialect::Dialect;

/// Where it listens for mounts and for questions.
pub const PORT: u16 = 9421;

/// How long it may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

const LIST: u32 = 500;
const LISTED: u32 = 501;

/// Says nothing, at any time.
const NOTHING: u32 = 0;

/// Longer than any list of chunkservers.
const LONGEST: usize = 1 << 20;

/// Does something listen there?
pub fn answers(address: Ipv4Addr, port: u16) -> bool {
    connect(SocketAddrV4::new(address, port)).is_ok()
}

fn connect(server: SocketAddrV4) -> Result<TcpStream> {
    Ok(TcpStream::connect_timeout(&SocketAddr::V4(server), LIMIT)?)
}

/// All chunkservers that the metadata server at `server` knows, also those that are away.
pub fn chunkservers(dialect: &dyn Dialect, server: SocketAddrV4) -> Result<Vec<Chunkserver>> {
    let ask = || {
        let mut stream = connect(server)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.write_all(&[LIST.to_be_bytes(), 0_u32.to_be_bytes()].concat())?;
        read(dialect, &mut stream)
    };
    ask().with_context(|| format!("asking mfsmaster at {server} for its chunkservers"))
}

fn read(dialect: &dyn Dialect, stream: &mut impl Read) -> Result<Vec<Chunkserver>> {
    let mut word = || -> Result<u32> {
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    };
    let length = loop {
        match (word()?, usize::try_from(word()?)?) {
            (LISTED, length) if length <= LONGEST => break length,
            (NOTHING, 0) => {}
            (NOTHING, 4) => drop(word()?),
            (other, length) => bail!("found message {other} of {length} bytes, wanted {LISTED}"),
        }
    };
    let mut records = vec![0; length];
    stream.read_exact(&mut records)?;
    let size = dialect.record();
    ensure!(
        length % size == 0,
        "found a list of {length} bytes, wanted records of {size} as version {} has them",
        dialect.version().trim_end_matches('.')
    );
    Ok(records.chunks_exact(size).map(chunkserver).collect())
}

/// One record. The first bit of its first byte says that it is away, then come three bytes of version, and the address.
fn chunkserver(record: &[u8]) -> Chunkserver {
    let mut address = [0; 4];
    address.copy_from_slice(&record[4..8]);
    Chunkserver { address: address.into(), is_connected: record[0] & 1 == 0 }
}

#[cfg(test)]
mod tests {
    use super::super::dialect::{New, Old};
    use super::*;

    /// The record of a chunkserver that 3.0.117 answered with.
    const RECORDED: &str = "000300ea0afe000124ce0001000000000400f00000000000384000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn message(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn each_dialects_list_is_read_and_what_is_none_is_an_error() {
        let recorded = bytes(RECORDED);
        let mut away = recorded.clone();
        (away[0], away[7]) = (5, 2);
        let there = Chunkserver { address: [10, 254, 0, 1].into(), is_connected: true };
        let gone = Chunkserver { address: [10, 254, 0, 2].into(), is_connected: false };
        let list = message(LISTED, &[recorded.clone(), away].concat());
        assert_eq!(read(&New, &mut &list[..]).unwrap(), [there, gone]);
        assert_eq!(read(&New, &mut &message(LISTED, b"")[..]).unwrap(), []);
        let one = message(LISTED, &recorded[..54]);
        assert_eq!(read(&Old, &mut &one[..]).unwrap(), [there]);
        let quiet = [message(NOTHING, b""), message(NOTHING, &[0; 4]), one.clone()].concat();
        assert_eq!(read(&Old, &mut &quiet[..]).unwrap(), [there]);
        for (answer, wanted) in [
            (one.clone(), "records of 69 as version 3.0"),
            (message(777, b"xx"), "message 777 of 2 bytes"),
            (list[..40].to_vec(), "failed to fill"),
            ([LISTED.to_be_bytes(), u32::MAX.to_be_bytes()].concat(), "message 501 of 4294967295"),
        ] {
            let said = format!("{:#}", read(&New, &mut &answer[..]).unwrap_err());
            assert!(said.contains(wanted), "{said}");
        }
    }
}
