//! `/etc/fstab`: our lines are those by UUID below `/data`; all others stay as they are.

use super::FOLDER;

/// Options of a data disk. `nofail`: a boot must not wait for a disk that was taken out. No pass for fsck: a data disk
/// with errors must not stop the boot of a server far away; ext3 replays its journal by itself.
const OPTIONS: &str = "noatime,nofail 0 0";

/// The file, line by line.
pub struct Fstab {
    lines: Vec<String>,
}

impl Fstab {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Self {
        Self { lines: text.lines().map(ToOwned::to_owned).collect() }
    }

    /// The names below [`FOLDER`] that are given away.
    pub fn names(&self) -> Vec<String> {
        self.entries().map(|(_, name)| name.to_owned()).collect()
    }

    /// The name of the file system with this UUID.
    pub fn name_of(&self, uuid: &str) -> Option<String> {
        self.entries().find(|(known, _)| *known == uuid).map(|(_, name)| name.to_owned())
    }

    /// Adds a file system, unless it is there.
    pub fn add(&mut self, uuid: &str, name: &str) {
        if self.name_of(uuid).is_none() {
            self.lines.push(format!("UUID={uuid} {FOLDER}/{name} ext3 {OPTIONS}"));
        }
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let uuid = fields.next()?.strip_prefix("UUID=")?;
            let name = fields.next()?.strip_prefix(FOLDER)?.strip_prefix('/')?;
            Some((uuid, name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "/dev/pve/root / ext3 errors=remount-ro 0 1\n# a comment\nUUID=a /data/disk1 ext3 noatime 0 0\n\
                        UUID=b /boot ext3 defaults 0 1\n";

    #[test]
    fn only_what_is_new_is_added_and_the_rest_stays() {
        let mut fstab = Fstab::parse(TEXT);
        fstab.add("a", "disk7");
        assert_eq!(fstab.text(), TEXT);
        fstab.add("c", "disk2");
        assert_eq!(fstab.text(), format!("{TEXT}UUID=c /data/disk2 ext3 noatime,nofail 0 0\n"));
        assert_eq!(fstab.names(), ["disk1", "disk2"]);
        assert_eq!(fstab.name_of("b"), None);
    }
}
