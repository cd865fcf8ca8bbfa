//! The `ar` container of a .deb: three members, each with a 60-byte header.

use std::io::{self, Write};

use anyhow::{Result, bail};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Writes `members` as an archive owned by root, every member dated `epoch`.
pub fn write(out: &mut impl Write, epoch: u64, members: &[(&str, &[u8])]) -> io::Result<()> {
    out.write_all(MAGIC)?;
    for (name, bytes) in members {
        // dpkg 1.16 wants the name without the slash that System V puts behind it.
        writeln!(out, "{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, "100644", bytes.len())?;
        out.write_all(bytes)?;
        if bytes.len() % 2 == 1 {
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}

/// Splits an archive into its members. Lengths are checked against what is there; where only the `start` of an
/// archive is at hand, what is cut off is left out.
pub fn read(archive: &[u8], start: bool) -> Result<Vec<(String, &[u8])>> {
    let Some(mut rest) = archive.strip_prefix(MAGIC) else { bail!("found no ar archive") };
    let mut members = Vec::new();
    while !rest.is_empty() {
        let Some((header, tail)) = rest.split_at_checked(HEADER) else {
            if start {
                break;
            }
            bail!("found a cut ar header")
        };
        let text = |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim_end().to_owned();
        let size: usize =
            text(48, 58).parse().map_err(|_| anyhow::anyhow!("found no size in an ar header"))?;
        if start && size > tail.len() {
            break;
        }
        if &header[58..] != b"`\n" || size > tail.len() {
            bail!("found a damaged or cut ar member");
        }
        let (content, tail) = tail.split_at(size);
        members.push((text(0, 16).trim_end_matches('/').to_owned(), content));
        rest = tail.get(size % 2..).unwrap_or_default();
    }
    Ok(members)
}
