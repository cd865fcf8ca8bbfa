//! Will `dpkg --configure -a` find everything? A package whose dependency is neither in the base system nor on the image
//! ends the vendor's installation (docs/facts.md 3.5), so that is looked at before an image is made.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use anyhow::{Context, Result};
use cias_firstboot::outcome::Class;
use debversion::Version;

use crate::deb::control::{Paragraph, parse};

/// The largest dpkg status file that is read, in bytes.
const STATUS_LIMIT: u64 = 64 << 20;
/// The first bytes of a gzip file: RFC 1952.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const READING: &str = "reading the base system";

/// A package that the installer unpacks from the image.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The name of its file: files are unpacked in ASCII order.
    pub file: String,
    /// Its control paragraph.
    pub control: Paragraph,
}

/// Checks what `added` packages need against the base system, the image's own packages and each other. All that is
/// missing comes in one error.
pub fn check(base: &[Paragraph], image: &[Unpacked], added: &[Unpacked]) -> Result<()> {
    let unpacked = || image.iter().chain(added);
    let world = World::new(base.iter().chain(unpacked().map(|package| &package.control)));
    let installed = World::new(base.iter());
    let mut problems = Vec::new();
    for Unpacked { file, control: package } in added {
        let name = package.field("Package");
        let architecture = package.field("Architecture");
        if !["amd64", "all"].contains(&architecture) {
            problems.push(format!("{name} is for {architecture}, wanted amd64 or all"));
        }
        for field in ["Pre-Depends", "Depends"] {
            let unmet = clauses(package.field(field)).filter(|clause| !world.grants_one(clause));
            problems.extend(unmet.map(|clause| format!("{name} needs {}", shown(&clause))));
        }
        // Its first script runs while it is unpacked; nothing that comes with it is configured by then.
        let earlier = unpacked().filter(|other| other.file < *file).map(|other| &other.control);
        let there = World::new(base.iter().chain(earlier));
        let late = clauses(package.field("Pre-Depends")).filter(|clause| {
            world.grants_one(clause) && !installed.grants_one(clause) && !there.grants_one(clause)
        });
        problems.extend(late.map(|clause| {
            format!(
                "{name} needs {} before it is unpacked, which comes after {file} in ASCII order: rename its file",
                shown(&clause)
            )
        }));
        for field in ["Conflicts", "Breaks"] {
            let against = clauses(package.field(field)).flatten().filter(|wish| world.is_there(wish, name));
            problems.extend(against.map(|wish| format!("{name} goes not with {}", shown(&[wish]))));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Class::BadInput.error(format!(
        "the installation would end at `dpkg --configure -a`: {}; add what is missing with --packages, or leave these packages out",
        problems.join("; ")
    )))
}

/// The names in those of `package`'s Pre-Depends that `base` does not grant.
pub fn needed_before(package: &Paragraph, base: &[Paragraph]) -> Vec<String> {
    let base = World::new(base.iter());
    let missing = clauses(package.field("Pre-Depends")).filter(|clause| !base.grants_one(clause));
    missing.flatten().map(|wish| wish.name).collect()
}

/// The paragraphs of dpkg's status file inside the base system's tar, which may be packed with gzip.
pub fn base_status(mut tar: impl Read) -> Result<Vec<Paragraph>> {
    let mut magic = [0; 2];
    tar.read_exact(&mut magic).context(READING)?;
    let whole = magic.chain(tar);
    let plain: Box<dyn Read + '_> =
        if magic == GZIP { Box::new(flate2::read::MultiGzDecoder::new(whole)) } else { Box::new(whole) };
    status_in(tar::Archive::new(plain).entries().context(READING)?)
}

/// The same of a tar in which files can be skipped, which spares reading all of it.
pub fn base_status_in(mut tar: impl Read + Seek) -> Result<Vec<Paragraph>> {
    let mut magic = [0; 2];
    tar.read_exact(&mut magic).and_then(|()| tar.rewind()).context(READING)?;
    if magic == GZIP {
        return base_status(tar);
    }
    status_in(tar::Archive::new(tar).entries_with_seek().context(READING)?)
}

fn status_in<R: Read>(entries: tar::Entries<'_, R>) -> Result<Vec<Paragraph>> {
    let bad = || {
        Class::BadInput.error("the base system (/proxmox/pve-base.tar): found no dpkg status file in it, wanted a plain or gzip tar of Debian")
    };
    for entry in entries {
        let Ok(entry) = entry else { return Err(bad()) };
        let path = entry.path_bytes();
        if path.strip_prefix(b"./").unwrap_or(&path) == b"var/lib/dpkg/status" {
            let mut text = Vec::new();
            entry
                .take(STATUS_LIMIT)
                .read_to_end(&mut text)
                .context("reading the base system's package list")?;
            let installed = |package: &Paragraph| package.field("Status").ends_with(" installed");
            return Ok(parse(&String::from_utf8_lossy(&text)).into_iter().filter(installed).collect());
        }
    }
    Err(bad())
}

/// One alternative of a dependency: a name, and perhaps a version with its relation.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    name: String,
    version: Option<(String, Version)>,
}

/// What is installed in the end: versions by package name, and what is provided by which package.
struct World {
    versions: BTreeMap<String, Version>,
    provided: BTreeMap<String, Vec<(String, Option<Version>)>>,
}

impl World {
    /// Of two packages with one name, dpkg keeps the later one.
    fn new<'a>(packages: impl Iterator<Item = &'a Paragraph>) -> Self {
        let packages: BTreeMap<_, _> = packages.map(|package| (package.field("Package"), package)).collect();
        let mut world = Self { versions: BTreeMap::new(), provided: BTreeMap::new() };
        for (name, package) in packages {
            if let Ok(version) = package.field("Version").parse() {
                world.versions.insert(name.to_owned(), version);
            }
            for wish in clauses(package.field("Provides")).flatten() {
                let version = wish.version.map(|(_, version)| version);
                world.provided.entry(wish.name).or_default().push((name.to_owned(), version));
            }
        }
        world
    }

    fn grants(&self, wish: &Wish) -> bool {
        let real = self.versions.get(&wish.name).is_some_and(|version| wish.accepts(Some(version)));
        let provided = self.provided.get(&wish.name).into_iter().flatten();
        real || provided.into_iter().any(|(_, version)| wish.accepts(version.as_ref()))
    }

    fn grants_one(&self, clause: &[Wish]) -> bool {
        clause.iter().any(|wish| self.grants(wish))
    }

    /// As [`World::grants`], but what `own` itself is or provides does not count.
    fn is_there(&self, wish: &Wish, own: &str) -> bool {
        let real = self.versions.get(&wish.name).is_some_and(|version| wish.accepts(Some(version)));
        let mut provided = self.provided.get(&wish.name).into_iter().flatten();
        real && wish.name != own || provided.any(|(by, version)| by != own && wish.accepts(version.as_ref()))
    }
}

impl Wish {
    /// Is a package of `version` what is wished for? A provided package without a version fits only an open wish.
    fn accepts(&self, version: Option<&Version>) -> bool {
        let Some((relation, wanted)) = &self.version else { return true };
        let Some(version) = version else { return false };
        match relation.as_str() {
            "<<" => version < wanted,
            "<=" | "<" => version <= wanted,
            "=" => version == wanted,
            ">=" | ">" => version >= wanted,
            ">>" => version > wanted,
            _ => false,
        }
    }
}

/// A dependency field as its clauses, each with its alternatives.
fn clauses(field: &str) -> impl Iterator<Item = Vec<Wish>> {
    field
        .split(',')
        .filter(|clause| !clause.trim().is_empty())
        .map(|clause| clause.split('|').filter_map(wish).collect())
}

fn wish(text: &str) -> Option<Wish> {
    let text = text.split('[').next()?.trim();
    let (name, rest) = text.split_once('(').map_or((text, None), |(name, rest)| (name.trim(), Some(rest)));
    let name = name.split(':').next()?.to_owned();
    let version = match rest {
        Some(rest) => {
            let rest = rest.trim_end_matches(')').trim();
            let at = rest.find(|c: char| !"<>=".contains(c))?;
            let (relation, version) = rest.split_at(at);
            Some((relation.to_owned(), version.trim().parse().ok()?))
        }
        None => None,
    };
    Some(Wish { name, version })
}

fn shown(clause: &[Wish]) -> String {
    let one = |wish: &Wish| match &wish.version {
        Some((relation, version)) => format!("{} ({relation} {version})", wish.name),
        None => wish.name.clone(),
    };
    clause.iter().map(one).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Packages in files of their own names.
    fn unpacked(text: &str) -> Vec<Unpacked> {
        let package =
            |control: Paragraph| Unpacked { file: format!("{}.deb", control.field("Package")), control };
        parse(text).into_iter().map(package).collect()
    }

    const BASE: &str = "Package: libc6\nVersion: 2.13-38+deb7u1\nStatus: install ok installed\n\n\
                        Package: exim4\nVersion: 4.80-7\nProvides: mail-transport-agent\nStatus: install ok installed\n";

    #[test]
    fn dependencies_are_judged_as_dpkg_would() {
        for (fields, problem) in [
            ("Depends: libc6 (>= 2.3)", ""),
            ("Depends: libc6 (>= 2.14)", "demo needs libc6 (>= 2.14)"),
            ("Depends: libc6 (>> 2.13-38+deb7u1~), libc6:any (<< 3) [amd64]", ""),
            ("Depends: nothing | mail-transport-agent", ""),
            ("Depends: mail-transport-agent (>= 1)", "demo needs mail-transport-agent (>= 1)"),
            ("Depends: image-package", ""),
            (
                "Pre-Depends: missing-a\nDepends: missing-b | missing-c",
                "demo needs missing-a; demo needs missing-b or missing-c",
            ),
            ("Conflicts: exim4", "demo goes not with exim4"),
            ("Provides: mail-transport-agent\nConflicts: other-agent", ""),
            ("Breaks: libc6 (<< 2.13)", ""),
            ("Depends: demo (= 1.0)", ""),
        ] {
            let added = unpacked(&format!("Package: demo\nVersion: 1.0\nArchitecture: amd64\n{fields}\n"));
            let image = unpacked("Package: image-package\nVersion: 1\n");
            match check(&parse(BASE), &image, &added) {
                Ok(()) => assert_eq!(problem, "", "{fields}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        !problem.is_empty() && error.contains(&format!("`: {problem}; add")),
                        "{fields}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn another_architecture_is_refused() {
        let added = unpacked("Package: demo\nVersion: 1\nArchitecture: i386\n");
        assert!(check(&[], &[], &added).unwrap_err().to_string().contains("demo is for i386"));
    }

    #[test]
    fn a_package_that_replaces_one_of_the_base_counts_in_its_place() {
        let both = |exim: &str| {
            format!(
                "Package: exim4\nVersion: 4.99\nArchitecture: amd64\n{exim}\n\n\
                 Package: demo\nVersion: 1\nArchitecture: all\nBreaks: exim4 (<< 4.90)\nDepends: mail-transport-agent\n"
            )
        };
        check(&parse(BASE), &[], &unpacked(&both("Provides: mail-transport-agent"))).unwrap();
        let error = check(&parse(BASE), &[], &unpacked(&both("Section: mail"))).unwrap_err();
        assert!(error.to_string().contains("demo needs mail-transport-agent"), "{error}");
    }

    #[test]
    fn what_is_needed_before_unpacking_must_come_first() {
        let demo = "Package: demo\nVersion: 1\nArchitecture: all\nPre-Depends: tool\n\n";
        let tool = "Package: tool\nVersion: 1\nArchitecture: all\n";
        let error = check(&parse(BASE), &[], &unpacked(&format!("{demo}{tool}"))).unwrap_err().to_string();
        assert!(error.contains("`: demo needs tool before it is unpacked"), "{error}");
        assert!(check(&parse(BASE), &unpacked(tool), &unpacked(demo)).is_err());
        check(&parse(tool), &[], &unpacked(&format!("{demo}{tool}"))).unwrap();
        let mut early = unpacked(&format!("{demo}{tool}"));
        early[1].file = "0-tool.deb".into();
        check(&parse(BASE), &[], &early).unwrap();
    }

    #[test]
    fn the_status_is_found_in_a_plain_and_in_a_packed_tar() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(BASE.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, "var/lib/dpkg/status", BASE.as_bytes()).unwrap();
        let plain = builder.into_inner().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &plain).unwrap();
        for bytes in [plain, packed.finish().unwrap()] {
            assert_eq!(base_status(&bytes[..]).unwrap().len(), 2);
            assert_eq!(base_status_in(Cursor::new(&bytes)).unwrap().len(), 2);
        }
        assert_eq!(Class::of(&base_status(&[0; 2048][..]).unwrap_err()), Class::BadInput);
        assert_eq!(Class::of(&base_status_in(Cursor::new([0; 2048])).unwrap_err()), Class::BadInput);
    }
}
