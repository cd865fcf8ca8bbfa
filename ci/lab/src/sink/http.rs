//! A stand-in for the service behind a webhook: it takes what is posted, whatever it is, and says so.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use anyhow::Result;

use super::Sink;
use crate::net::Net;

/// Where it listens.
pub const PORT: u16 = 8008;

/// No message is longer.
const MOST: usize = 1 << 20;

/// Something that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// The path of the request.
    pub path: String,
    /// The kind of its body.
    pub kind: String,
    /// Its body.
    pub body: String,
}

impl Post {
    /// The body, which must be JSON; nothing if it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Begins to listen on the segment.
pub fn listen(net: &Net) -> Result<Sink<Post>> {
    Sink::on_segment(net, PORT, talk)
}

fn talk(mut client: &TcpStream, keep: &mut dyn FnMut(Post)) -> std::io::Result<()> {
    let answer = match read(&mut BufReader::new(client))? {
        Some(post) => {
            keep(post);
            "204 No Content"
        }
        None => "400 Bad Request",
    };
    client.write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n").as_bytes())
}

/// A request to post something; nothing for every other one.
fn read(from: &mut impl BufRead) -> std::io::Result<Option<Post>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        head.push(line.to_owned());
    }
    let first: Vec<&str> = head.first().map(|line| line.split(' ').collect()).unwrap_or_default();
    let ["POST", path, version] = first.as_slice() else { return Ok(None) };
    let field = |name: &str| {
        let found = head.iter().filter_map(|line| line.split_once(':'));
        found.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let length = field("Content-Length").and_then(|text| text.parse().ok()).filter(|length| *length <= MOST);
    let (Some(length), true) = (length, version.starts_with("HTTP/1.")) else { return Ok(None) };
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let Ok(body) = String::from_utf8(body) else { return Ok(None) };
    let kind = field("Content-Type").unwrap_or_default().to_owned();
    Ok(Some(Post { path: (*path).to_owned(), kind, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_wget_is_kept_whole_and_others_are_refused() {
        let of = |text: &str| read(&mut text.as_bytes()).unwrap();
        let head = "POST /T0KEN HTTP/1.1\r\nUser-Agent: Wget/1.13.4 (linux-gnu)\r\nContent-Type: application/json\r\ncontent-length: 17\r\n\r\n";
        let post = of(&format!("{head}{{\"event\":\"test\"}}\nmore")).unwrap();
        assert_eq!((post.path.as_str(), post.kind.as_str()), ("/T0KEN", "application/json"));
        assert_eq!((post.json()["event"].as_str(), post.body.len()), (Some("test"), 17));
        for other in [
            "",
            "GET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n",
            "POST / HTTP/2\r\nContent-Length: 0\r\n\r\n",
            "rubbish\r\n\r\n",
        ] {
            assert_eq!(of(other), None, "{other:?}");
        }
        assert!(read(&mut "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc".as_bytes()).is_err(), "cut off");
        assert_eq!(
            of("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap().json(),
            serde_json::Value::Null
        );
    }
}
