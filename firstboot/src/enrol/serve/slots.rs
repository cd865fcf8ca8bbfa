//! How many sessions there may be at one point, so that whoever has the join key fills the Master with none. Each holds a lock on a file of its
//! own, which ends with its process, however that ends.

use std::fs::File;

use anyhow::Result;
use nix::fcntl::Flock;

use crate::files;
use crate::outcome::Class;
use crate::system::Sysroot;

/// Places for sessions.
pub(super) struct Slots {
    folder: &'static str,
    count: usize,
}

/// Sessions that have not said yet what they want. Nodes do so at once.
pub(super) const SILENT: Slots = Slots { folder: "/run/cias/enrol-silent", count: 128 };

/// Sessions that wait for their turn: more than join in the time that one may wait, and a node that is refused asks again by itself.
pub(super) const WAITING: Slots = Slots { folder: "/run/cias/enrol-waiting", count: 64 };

impl Slots {
    /// Takes a slot until the answer is dropped. If all are taken, that is [`Class::TryLater`].
    pub(super) fn take(&self, root: &Sysroot) -> Result<Flock<File>> {
        let folder = root.path(self.folder);
        files::make_folder(&folder, 0o700)?;
        let busy = || {
            format!(
                "{} other sessions are before this one, which are all that there may be: ask again",
                self.count
            )
        };
        for number in 0..self.count {
            match files::lock(&folder.join(number.to_string()), busy) {
                Err(error) if Class::of(&error) == Class::TryLater => {}
                other => return other,
            }
        }
        Err(Class::TryLater.error(busy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn each_slot_is_taken_once_and_free_when_its_holder_is_gone() {
        let (tree, slots) = (Tree::from_text(""), Slots { folder: "/run/cias/slots", count: 3 });
        let root = tree.root();
        let mut held: Vec<_> = (0..3).map(|_| slots.take(&root).unwrap()).collect();
        let error = slots.take(&root).unwrap_err();
        assert_eq!(Class::of(&error), Class::TryLater);
        assert!(error.to_string().starts_with("3 other sessions are before this one"), "{error}");
        drop(held.remove(1));
        held.push(slots.take(&root).unwrap());
        assert!(slots.take(&root).is_err());
    }
}
