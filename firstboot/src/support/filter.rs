//! The one filter that every text of a bundle goes through. Pure but for the streams.
//!
//! Of a secret that is known, any 16 bytes in a row are hidden, as text, base64 or hexadecimal, so that a part of it, wrapped or cut
//! off, does not pass either.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::marks::{self, Pem};

/// What stands for what was hidden.
pub const HIDDEN: &str = "[redacted]";
/// How much of a secret in a row is hidden wherever it stands.
const WINDOW: usize = 16;
/// Shorter strings would hide half of every text.
pub const LEAST: usize = 6;
/// Longer lines are left out as a whole, so that memory stays bounded.
const LINE: usize = 256 << 10;

/// Knows the secrets of a node.
#[derive(Default)]
pub struct Filter {
    windows: HashSet<[u8; WINDOW]>,
    short: Vec<Vec<u8>>,
}

impl Filter {
    /// Hides `secrets` in each of their forms. Of those with several lines, each line is one.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut filter = Self::default();
        for secret in secrets {
            // Of a binary key no line is meant.
            filter.learn(secret);
            for line in secret.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                // A mark of PEM is no secret, and hides what it encloses anyway.
                if !line.starts_with(b"-----") {
                    filter.learn(line);
                }
            }
        }
        filter
    }

    fn learn(&mut self, secret: &[u8]) {
        if secret.len() < LEAST || secret.starts_with(b"-----") {
            return;
        }
        let mut forms = vec![secret.to_vec()];
        forms.extend(encoded(secret));
        if let Some(bytes) = from_hex(secret) {
            forms.extend(encoded(&bytes));
            forms.push(bytes);
        }
        let slashes = String::from_utf8_lossy(secret).replace('/', "\\/");
        forms.push(slashes.into_bytes());
        for form in forms {
            if form.len() < WINDOW {
                self.short.push(form);
            } else {
                self.windows
                    .extend(form.windows(WINDOW).filter_map(|part| <[u8; WINDOW]>::try_from(part).ok()));
            }
        }
    }

    /// A line without what must not be shown; `pem` is what the lines before it left.
    pub fn line(&self, line: &[u8], pem: &mut Pem) -> Vec<u8> {
        let (line, end) = line.strip_suffix(b"\n").map_or((line, &b""[..]), |line| (line, b"\n"));
        let mut hidden = vec![false; line.len()];
        let known = line.windows(WINDOW).enumerate();
        let known = known.filter(|(_, part)| self.windows.contains(*part)).map(|(at, _)| at..at + WINDOW);
        let short = self.short.iter().flat_map(|form| {
            let hit =
                move |(at, part): (usize, &[u8])| (part == form.as_slice()).then_some(at..at + form.len());
            line.windows(form.len()).enumerate().filter_map(hit)
        });
        let marks = [pem.hidden(line), marks::hashes(line), marks::values(line)];
        for range in known.chain(short).chain(marks.into_iter().flatten()) {
            hidden[range].fill(true);
        }
        let mut clean = Vec::with_capacity(line.len());
        for (at, byte) in line.iter().enumerate() {
            match (hidden[at], at > 0 && hidden[at - 1]) {
                (false, _) => clean.push(*byte),
                (true, false) => clean.extend(HIDDEN.as_bytes()),
                (true, true) => {}
            }
        }
        clean.extend(end);
        clean
    }

    /// Copies a text line by line without what must not be shown; of the first `skip` bytes only the filter takes note, and the
    /// line in which they end is left out. Returns how many bytes were written.
    pub fn copy(&self, from: impl Read, mut to: impl Write, skip: u64) -> Result<u64> {
        let mut from = BufReader::new(from);
        let (mut pem, mut read, mut written) = (Pem::default(), 0, 0);
        loop {
            let mut line = Vec::new();
            let count = (&mut from).take(LINE as u64).read_until(b'\n', &mut line).context("reading it")?;
            if count == 0 {
                return Ok(written);
            }
            let begin = read;
            read += count as u64;
            let clean = if line.last() != Some(&b'\n') && count == LINE {
                pem.hidden(&line);
                read += pass_over(&mut from)?;
                format!("{HIDDEN}, a line of more than {LINE} bytes\n").into_bytes()
            } else {
                self.line(&line, &mut pem)
            };
            if begin >= skip {
                to.write_all(&clean).context("writing its copy")?;
                written += clean.len() as u64;
            }
        }
    }

    /// A short text without what must not be shown.
    pub fn text(&self, text: &str) -> String {
        let mut pem = Pem::default();
        let lines = text.split_inclusive('\n').map(|line| self.line(line.as_bytes(), &mut pem));
        String::from_utf8_lossy(&lines.collect::<Vec<_>>().concat()).into_owned()
    }
}

/// Reads on to the end of a line; how many bytes that were.
fn pass_over(from: &mut impl BufRead) -> Result<u64> {
    let mut passed = 0;
    loop {
        let chunk = from.fill_buf().context("reading it")?;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(chunk.len(), |end| end + 1);
        let is_over = end.is_some() || chunk.is_empty();
        from.consume(count);
        passed += count as u64;
        if is_over {
            return Ok(passed);
        }
    }
}

/// `bytes` in hexadecimal, and in base64 at each place that they may have in a longer text, without the characters
/// that depend on their neighbours.
fn encoded(bytes: &[u8]) -> Vec<Vec<u8>> {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    let hex: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    let mut forms = vec![hex.to_ascii_uppercase().into_bytes(), hex.into_bytes()];
    for before in 0..3 {
        let padded = [vec![0; before], bytes.to_vec()].concat();
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for engine in [&STANDARD, &URL_SAFE] {
            let text = engine.encode(&padded).into_bytes();
            forms.push(text[first..last].to_vec());
        }
    }
    forms
}

/// The bytes that hexadecimal digits stand for, if a text is nothing else.
fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let text =
        std::str::from_utf8(text).ok().filter(|text| text.len().is_multiple_of(2) && text.is_ascii())?;
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn clean(secrets: &[&str], text: &str) -> String {
        Filter::new(secrets.iter().map(|secret| secret.as_bytes())).text(text)
    }

    #[test]
    fn a_known_secret_is_hidden_in_every_form_and_part() {
        let bytes = from_hex(KEY.as_bytes()).unwrap();
        for form in [
            KEY.to_owned(),
            KEY.to_ascii_uppercase(),
            KEY[20..40].to_owned(),
            STANDARD.encode(&bytes),
            STANDARD.encode(KEY),
            URL_SAFE.encode(&bytes),
            String::from_utf8(encoded(KEY.as_bytes())[0].clone()).unwrap(),
        ] {
            // The last character of base64 tells less than a byte.
            let shown = clean(&[KEY], &format!("a {form} b\n"));
            let rest = shown.strip_prefix("a [redacted]").and_then(|rest| rest.strip_suffix(" b\n"));
            assert!(rest.is_some_and(|rest| rest.len() <= 3), "{form}: {shown}");
        }
        for before in ["", "x", "xy"] {
            let text = STANDARD.encode(format!("{before}{KEY} and more"));
            let shown = clean(&[KEY], &text);
            assert!(shown.contains(HIDDEN) && shown.len() < 35, "{shown}");
            let text = STANDARD.encode(format!("{before}abcd1234 and more"));
            assert!(clean(&["abcd1234"], &text).contains(HIDDEN), "{text}");
        }
        assert_eq!(clean(&[KEY], "0123456789 is a number\n"), "0123456789 is a number\n");
    }

    #[test]
    fn a_cut_begins_after_a_whole_line_and_knows_what_came_before_it() {
        let text =
            "one\n-----BEGIN RSA PRIVATE KEY-----\nMHcCAQEE\nQQ==\n-----END RSA PRIVATE KEY-----\ntwo\n";
        let mut out = Vec::new();
        Filter::default().copy(text.as_bytes(), &mut out, 40).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "[redacted]\n[redacted]\ntwo\n");
    }

    #[test]
    fn a_line_without_an_end_is_left_out() {
        let text = format!("one\n{}{KEY}\ntwo\n", "a ".repeat(LINE));
        let mut out = Vec::new();
        let count = Filter::default().copy(text.as_bytes(), &mut out, 0).unwrap();
        let wanted = format!("one\n{HIDDEN}, a line of more than {LINE} bytes\ntwo\n");
        assert_eq!((String::from_utf8(out).unwrap(), count), (wanted.clone(), wanted.len() as u64));
    }
}
