//! Names of files, so that what a package needs before it is unpacked comes first.

use crate::closure;
use crate::deb::control::Paragraph;

use super::lock::Locked;

/// Packages in so deep a chain are not named anew; the check of the closure refuses them.
const DEEPEST: usize = 9;

/// Gives the files of packages that others need before they are unpacked, and that are not in the base system, names that
/// come earlier in ASCII order: `0-` to `9-` before their own. `added` and `locked` are the same packages.
pub fn name_files(base: &[Paragraph], added: &[Paragraph], locked: &mut [Locked]) {
    let needs: Vec<Vec<usize>> = added
        .iter()
        .map(|package| {
            let missing = closure::needed_before(package, base);
            (0..added.len()).filter(|&other| missing.iter().any(|name| is(&added[other], name))).collect()
        })
        .collect();
    for (index, package) in locked.iter_mut().enumerate() {
        let depth = depth_below(&needs, index, DEEPEST + 1);
        if depth <= DEEPEST && needs.iter().any(|needs| needs.contains(&index)) {
            package.file = format!("{depth}-{}", package.file);
        }
    }
}

fn is(package: &Paragraph, name: &str) -> bool {
    let provides = |clause: &str| clause.split_whitespace().next() == Some(name);
    package.field("Package") == name || package.field("Provides").split(',').any(provides)
}

/// How many packages come one after the other before the `index`th, at most `limit`.
fn depth_below(needs: &[Vec<usize>], index: usize, limit: usize) -> usize {
    if limit == 0 {
        return 0;
    }
    needs[index].iter().map(|&other| 1 + depth_below(needs, other, limit - 1)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closure::Unpacked;
    use crate::deb::control::parse;
    use crate::packages::lock::file_name;

    fn named(base: &str, packages: &str) -> Vec<String> {
        let added = parse(packages);
        let mut locked: Vec<Locked> = added
            .iter()
            .map(|package| {
                let file = file_name(package.field("Package"), "1", "all");
                Locked {
                    name: String::new(),
                    version: String::new(),
                    architecture: String::new(),
                    size: 0,
                    sha256: String::new(),
                    source: String::new(),
                    uri: String::new(),
                    file,
                }
            })
            .collect();
        name_files(&parse(base), &added, &mut locked);
        let files: Vec<String> = locked.into_iter().map(|package| package.file).collect();
        let unpacked = files.iter().cloned().zip(added).map(|(file, control)| Unpacked { file, control });
        closure::check(&parse(base), &[], &unpacked.collect::<Vec<_>>()).unwrap();
        files
    }

    #[test]
    fn what_is_needed_first_gets_an_earlier_name() {
        let packages = "Package: a\nVersion: 1\nArchitecture: all\nPre-Depends: v (>= 1), c\n\n\
                        Package: c\nVersion: 1\nArchitecture: all\nPre-Depends: z\n\n\
                        Package: y\nVersion: 1\nArchitecture: all\nProvides: v (= 1)\n\n\
                        Package: z\nVersion: 1\nArchitecture: all\n";
        assert_eq!(named("", packages), ["a_1_all.deb", "1-c_1_all.deb", "0-y_1_all.deb", "0-z_1_all.deb"]);
        let base = "Package: c\nVersion: 1\n\nPackage: v\nVersion: 1\n\nPackage: z\nVersion: 1\n";
        assert_eq!(named(base, packages), ["a_1_all.deb", "c_1_all.deb", "y_1_all.deb", "z_1_all.deb"]);
    }
}
