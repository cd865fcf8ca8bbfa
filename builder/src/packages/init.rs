//! `cias-builder packages init`: a commented `packages.toml`.

use anyhow::Result;
use cias_firstboot::files;
use cias_firstboot::site::visible;

use super::args::InitArgs;
use crate::workplace;

/// Writes the file.
pub fn init(args: &InitArgs) -> Result<()> {
    workplace::check(&args.out, args.force, std::iter::empty())?;
    files::write(&args.out, text(&args.profile), 0o644)?;
    let shown = visible(&args.out.display().to_string());
    eprintln!("wrote {shown}; fill in mirrors and keys");
    eprintln!("next: cias-builder packages resolve --iso IN {shown}");
    Ok(())
}

fn text(profile: &str) -> String {
    let sources = match profile {
        "lab" => include_str!("../../../overlay/templates/packages-lab.toml"),
        _ => include_str!("../../../overlay/templates/packages-pve-3.2.toml"),
    };
    include_str!("../../../overlay/templates/packages.toml")
        .replace("@profile@", profile)
        .replace("@sources@", sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::profile::NAMES;
    use crate::packages::request;

    #[test]
    fn only_mirrors_and_keys_are_to_be_filled_in_and_the_comments_say_the_defaults() {
        for profile in NAMES {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("packages.toml");
            std::fs::write(&path, text(profile)).unwrap();
            let error = request::load(&path, "x").unwrap_err().to_string();
            let findings: Vec<&str> = error.lines().skip(1).collect();
            assert!(
                findings.iter().all(|line| line.contains("source.uri") || line.contains("source.keys")),
                "{error}"
            );

            let mut filled =
                text(profile).replace("uri = \"\"", "uri = \"http://mirror.example.com/debian\"");
            for key in filled
                .clone()
                .split('"')
                .filter(|word| ["debian-wheezy.asc", "moosefs.asc", "debian-bookworm.asc"].contains(word))
            {
                std::fs::write(folder.path().join(key), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n").unwrap();
            }
            // Two sources of the example may have one suite, but then at two addresses.
            filled = filled.replacen("mirror.example.com/debian", "other.example.com/debian", 1);
            std::fs::write(&path, &filled).unwrap();
            let plain = request::load(&path, "x").unwrap();
            assert_eq!(plain.profile.as_deref(), Some(profile));
            let defaults =
                filled.replace("\n# packages = ", "\npackages = ").replace("\n# allow_", "\nallow_");
            assert_ne!(defaults, filled);
            std::fs::write(&path, defaults.replace("\n# architectures", "\narchitectures")).unwrap();
            assert_eq!(request::load(&path, "x").unwrap().id().unwrap(), plain.id().unwrap());
        }
    }
}
