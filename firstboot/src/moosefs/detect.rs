//! Which dialect is installed: what dpkg says, and never a guess.

use anyhow::Result;

use super::dialect::{ALL, Dialect};
use crate::outcome::Class;
use crate::support::sources::DPKG;
use crate::system::Sysroot;

/// The dialect that is installed; nothing where none is. Both of them, a part of one, and another version are errors.
pub fn dialect(root: &Sysroot) -> Result<Option<&'static dyn Dialect>> {
    detect(&root.attribute(DPKG).unwrap_or_default())
}

fn detect(status: &str) -> Result<Option<&'static dyn Dialect>> {
    let installed = installed(status);
    let version =
        |package: &str| installed.iter().find(|(name, _)| *name == package).map(|(_, version)| *version);
    let found: Vec<&'static dyn Dialect> = ALL
        .into_iter()
        .filter(|dialect| dialect.packages().iter().any(|package| version(package).is_some()))
        .collect();
    let dialect = match found[..] {
        [] => return Ok(None),
        [dialect] => dialect,
        _ => {
            let all = found.iter().flat_map(|dialect| dialect.packages()).copied();
            let there: Vec<&str> = all.filter(|package| version(package).is_some()).collect();
            return Err(Class::Refused.error(format!(
                "MooseFS: found packages of 1.6.27 and of 3.0 ({}), wanted those of one: remove the others",
                there.join(", ")
            )));
        }
    };
    for package in dialect.packages() {
        match version(package) {
            None => {
                return Err(Class::MissingTool.error(format!(
                    "MooseFS: the package {package} is not installed, and others of its kind are: install it, or remove those"
                )));
            }
            Some(version) if !is_of(version, dialect) => {
                return Err(Class::Refused.error(format!(
                    "MooseFS: found {package} {version}, wanted version {}: no other is known here",
                    dialect.version().trim_end_matches('.')
                )));
            }
            Some(_) => {}
        }
    }
    Ok(Some(dialect))
}

/// Is this version, with Debian's epoch and revision, one of the dialect's?
fn is_of(version: &str, dialect: &dyn Dialect) -> bool {
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let rest = upstream.strip_prefix(dialect.version());
    rest.is_some_and(|rest| {
        dialect.version().ends_with('.') || !rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// Name and version of every package that is installed.
fn installed(status: &str) -> Vec<(&str, &str)> {
    status.split("\n\n").filter_map(package).collect()
}

fn package(paragraph: &str) -> Option<(&str, &str)> {
    let field = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    (field("Status")? == "install ok installed").then_some((field("Package")?, field("Version")?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// dpkg's status where the packages of a dialect are installed.
    pub(crate) fn status(dialect: &dyn Dialect, version: &str) -> String {
        let paragraph = |package: &&str| {
            format!("Package: {package}\nStatus: install ok installed\nVersion: {version}\n\n")
        };
        dialect.packages().iter().map(paragraph).collect()
    }

    fn said(status: &str) -> String {
        match detect(status) {
            Ok(found) => found.map_or("none", Dialect::version).to_owned(),
            Err(error) => format!("{:?} {error}", Class::of(&error)),
        }
    }

    #[test]
    fn one_dialect_is_taken_and_nothing_is_guessed() {
        let [old, new] = ALL;
        let (whole, other) = (status(old, "1.6.27-5"), status(new, "3.0.117-1"));
        for (text, wanted) in [
            (String::new(), "none"),
            ("Package: bash\nStatus: install ok installed\nVersion: 4.2\n".into(), "none"),
            (whole.replace("install ok installed", "deinstall ok config-files"), "none"),
            (whole.clone(), "1.6.27"),
            (status(old, "1:1.6.27-5"), "1.6.27"),
            (other.clone(), "3.0."),
            (whole.clone() + &other, "Refused MooseFS: found packages of 1.6.27 and of 3.0 (mfs-master, "),
            (status(old, "1.6.25-1"), "Refused MooseFS: found mfs-master 1.6.25-1, wanted version 1.6.27"),
            (status(old, "1.6.270"), "Refused"),
            (status(new, "4.56.6"), "Refused MooseFS: found moosefs-master 4.56.6, wanted version 3.0:"),
            (
                other.replace("Package: moosefs-client", "Package: x"),
                "MissingTool MooseFS: the package moosefs-client is not",
            ),
        ] {
            let said = said(&text);
            assert!(said.starts_with(wanted), "{said}, wanted {wanted}, of {text}");
        }
    }
}
