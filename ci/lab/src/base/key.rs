//! Content keys: the same inputs give the same name, so that a cache is never stale.

use anyhow::{Context, Result};
use cias_firstboot::runner::{Call, Runner};
use sha2::{Digest, Sha256};

use super::{Options, Shop, packages, roots};

/// Sources of this recipe; a change of any of them makes a new image.
const RECIPE: [&str; 6] = [
    include_str!("image.rs"),
    include_str!("kernel.rs"),
    include_str!("node.rs"),
    include_str!("packages.rs"),
    include_str!("roots.rs"),
    include_str!("variant.rs"),
];

/// The first 16 hexadecimal digits of the SHA-256 of `parts`.
pub fn of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Lengths keep two lists with the same concatenation apart.
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The key of the whole image.
pub(super) fn of_image(shop: &Shop, options: &Options) -> Result<String> {
    let (standins, more) = (&options.standins, options.variant.packages());
    let mut parts: Vec<Vec<u8>> = RECIPE.iter().map(|text| text.as_bytes().to_vec()).collect();
    parts.extend(super::image::STANDINS.iter().map(|(_, text)| text.as_bytes().to_vec()));
    parts.extend(packages::STANDINS.iter().map(|text| text.as_bytes().to_vec()));
    parts.push(std::fs::read(standins).with_context(|| format!("reading {}", standins.display()))?);
    let packages = [roots::INSTALLER, roots::NODE, more, &["linux-image-cloud-amd64"]].concat();
    parts.push(versions(shop, &packages)?.into_bytes());
    if let Some(folder) = &options.installer {
        let mut files: Vec<_> = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok).collect();
        files.sort_by(|a, b| a.path().cmp(b.path()));
        for file in files.iter().filter(|file| file.file_type().is_file()) {
            parts.push(
                std::fs::read(file.path()).with_context(|| format!("reading {}", file.path().display()))?,
            );
        }
    }
    Ok(of(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

/// The versions that apt would install, one line a package.
pub(super) fn versions(shop: &Shop, packages: &[&str]) -> Result<String> {
    let output = shop.host.run(&Call::new("apt-cache").arg("policy").args(packages.iter().copied()))?.stdout;
    let wanted = |line: &&str| !line.starts_with(' ') || line.trim_start().starts_with("Candidate:");
    let lines: Vec<&str> = output.lines().filter(wanted).collect();
    anyhow::ensure!(
        lines.len() >= 2 * packages.len(),
        "apt knows not all of {packages:?}: run `apt-get update`"
    );
    Ok(lines.join("\n"))
}
