//! `/etc/fstab`: our lines are those by UUID below `/data`; all others stay as they are, byte for byte.

use std::collections::BTreeMap;

use super::FOLDER;

/// Options of a data disk. `nofail`: a boot must not stop for a disk that was taken out; `mount -a` of util-linux 2.20,
/// which wheezy's mountall.sh calls, then says nothing and goes on. No pass for fsck: a data disk with errors must not
/// stop the boot of a server far away, and ext3 replays its journal by itself.
const OPTIONS: &str = "noatime,nofail 0 0";

/// The file's text.
pub struct Fstab {
    text: String,
}

impl Fstab {
    /// Takes the file's text.
    pub fn parse(text: &str) -> Self {
        Self { text: text.to_owned() }
    }

    /// The names below [`FOLDER`] that are given away, by UUID.
    pub fn names(&self) -> BTreeMap<String, String> {
        let entry = |line: &str| {
            let mut fields = line.split_ascii_whitespace();
            let uuid = fields.next()?.strip_prefix("UUID=")?.to_owned();
            let name = fields.next()?.strip_prefix(FOLDER)?.strip_prefix('/')?.to_owned();
            Some((uuid, name))
        };
        self.text.lines().filter_map(entry).collect()
    }

    /// What is mounted, or swapped on, elsewhere than below [`FOLDER`]: the first fields.
    pub fn elsewhere(&self) -> Vec<String> {
        let entry = |line: &str| {
            let mut fields = line.split_ascii_whitespace().take_while(|field| !field.starts_with('#'));
            let (what, point) = (fields.next()?, fields.next()?);
            let ours = point.strip_prefix(FOLDER).is_some_and(|rest| rest.starts_with('/'));
            (!ours).then(|| what.to_owned())
        };
        self.text.lines().filter_map(entry).collect()
    }

    /// Adds a file system, unless it is there.
    pub fn add(&mut self, uuid: &str, name: &str) {
        if self.names().contains_key(uuid) {
            return;
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.extend(["UUID=", uuid, " ", FOLDER, "/", name, " ext3 ", OPTIONS, "\n"]);
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "/dev/pve/root / ext3 errors=remount-ro 0 1\n# a comment\nUUID=a /data/disk1 ext3 noatime 0 0\n\
                        UUID=b /boot ext3 defaults 0 1";

    #[test]
    fn only_what_is_new_is_added_and_the_rest_stays() {
        let mut fstab = Fstab::parse(TEXT);
        fstab.add("a", "disk7");
        assert_eq!(fstab.text(), TEXT);
        fstab.add("c", "disk2");
        assert_eq!(fstab.text(), format!("{TEXT}\nUUID=c /data/disk2 ext3 noatime,nofail 0 0\n"));
        assert_eq!(fstab.elsewhere(), ["/dev/pve/root", "UUID=b"]);
        let names = [("a", "disk1"), ("c", "disk2")].map(|(uuid, name)| (uuid.to_owned(), name.to_owned()));
        assert_eq!(fstab.names(), BTreeMap::from(names));
    }
}
