//! A stand-in for memdb's operations, with their error numbers (pve-3.2-tools.md 2.3 and 2.4).

use std::sync::Arc;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::tree::{Content, Entry, Tree};
use super::{LOCKS, MAX_BYTES, MAX_FILE, MAX_INODES, ROOT, split, vm};

/// A change, as it is sent to the other members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// A new empty file.
    Create(String),
    /// A new folder.
    Mkdir(String),
    /// Bytes at an offset of a file.
    Write(String, u64, #[serde(with = "crate::b64")] Vec<u8>),
    /// A new length of a file.
    Truncate(String, u64),
    /// A new time in seconds.
    Touch(String, u64),
    /// A file goes.
    Unlink(String),
    /// An empty folder goes.
    Rmdir(String),
    /// From, to.
    Rename(String, String),
    /// The time of a lock's folder was set to 0: it goes if nobody renewed it for long enough.
    Unlock(String),
}

/// Who makes a change, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The node's number.
    pub writer: u32,
    /// Seconds since 1970.
    pub time: u64,
}

impl Tree {
    /// Makes the change, or leaves everything as it is.
    pub fn apply(&mut self, op: &Op, stamp: Stamp) -> Result<(), Errno> {
        match op {
            Op::Create(path) => self.create(path, Content::File(Arc::default()), stamp)?,
            Op::Mkdir(path) => self.create(path, Content::Folder, stamp)?,
            Op::Write(path, offset, data) => {
                let offset = usize::try_from(*offset).map_err(|_| Errno::EFBIG)?;
                let end = offset.checked_add(data.len()).ok_or(Errno::EFBIG)?;
                self.change(path, stamp, |bytes| {
                    let length = bytes.len().max(end);
                    (length, move |bytes: &mut Vec<u8>| bytes[offset..end].copy_from_slice(data))
                })?;
            }
            Op::Truncate(path, size) => {
                let size = usize::try_from(*size).map_err(|_| Errno::EFBIG)?;
                self.change(path, stamp, |_| (size, |_: &mut Vec<u8>| ()))?;
            }
            Op::Touch(path, time) => self.touch(path, *time, stamp)?,
            Op::Unlink(path) => self.unlink(path)?,
            Op::Rmdir(path) => self.rmdir(path)?,
            Op::Rename(from, to) => self.rename(from, to, stamp)?,
            Op::Unlock(path) => self.unlock(path)?,
        }
        (self.writer, self.mtime) = (stamp.writer, stamp.time);
        self.advance(&serde_json::to_vec(&(op, stamp)).unwrap_or_default());
        Ok(())
    }

    fn parent(&self, path: &str) -> Result<u64, Errno> {
        let folder = self.folder_of(path).ok_or(Errno::ENOENT)?;
        let is_folder = folder == ROOT || self.entry(folder).is_some_and(Entry::is_folder);
        if is_folder { Ok(folder) } else { Err(Errno::ENOTDIR) }
    }

    fn create(&mut self, path: &str, content: Content, stamp: Stamp) -> Result<(), Errno> {
        let (parent, name) = (self.parent(path)?, split(path).1);
        if matches!(name, "" | "." | "..") {
            return Err(Errno::EACCES);
        }
        if name.len() > 255 {
            return Err(Errno::ENAMETOOLONG);
        }
        if self.child(parent, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let guest = vm::of_path(path).filter(|_| content != Content::Folder);
        if guest.is_some_and(|(id, node, kind)| self.vms.taken_by_another(id, node, kind)) {
            return Err(Errno::EEXIST);
        }
        if self.entries.len() + 1 >= MAX_INODES {
            return Err(Errno::ENOSPC);
        }
        let inode = self.version + 1;
        let entry = Entry {
            parent,
            name: name.to_owned(),
            version: inode,
            writer: stamp.writer,
            mtime: stamp.time,
            content,
        };
        self.names.insert((parent, entry.name.clone()), inode);
        self.entries.insert(inode, entry);
        if let Some((id, node, kind)) = guest {
            self.vms.note(id, node, kind);
        }
        Ok(())
    }

    /// Sets a file's length as `plan` says, and then its bytes.
    fn change<F: FnOnce(&mut Vec<u8>)>(
        &mut self,
        path: &str,
        stamp: Stamp,
        plan: impl FnOnce(&[u8]) -> (usize, F),
    ) -> Result<(), Errno> {
        let (inode, total) = (self.find(path).ok_or(Errno::ENOENT)?, self.bytes);
        let version = self.version + 1;
        let entry = self.entries.get_mut(&inode).ok_or(Errno::EISDIR)?;
        let Content::File(bytes) = &mut entry.content else { return Err(Errno::EISDIR) };
        let (length, edit) = plan(bytes);
        if length > MAX_FILE {
            return Err(Errno::EFBIG);
        }
        let total = total - bytes.len() + length;
        if total > MAX_BYTES {
            return Err(Errno::ENOSPC);
        }
        let bytes = Arc::make_mut(bytes);
        bytes.resize(length, 0);
        edit(bytes);
        (entry.version, entry.writer, entry.mtime) = (version, stamp.writer, stamp.time);
        self.bytes = total;
        if let Some((id, node, kind)) = vm::of_path(path) {
            self.vms.note(id, node, kind);
        }
        Ok(())
    }

    fn touch(&mut self, path: &str, time: u64, stamp: Stamp) -> Result<(), Errno> {
        let (inode, version) = (self.find(path).ok_or(Errno::ENOENT)?, self.version + 1);
        // The root's time is that of the last write.
        if let Some(entry) = self.entries.get_mut(&inode) {
            (entry.version, entry.writer, entry.mtime) = (version, stamp.writer, time);
        }
        Ok(())
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        let inode = self.find(path).ok_or(Errno::ENOENT)?;
        if self.entry(inode).is_none_or(Entry::is_folder) {
            return Err(Errno::EISDIR);
        }
        self.remove(inode);
        if let Some((id, ..)) = vm::of_path(path) {
            self.vms.drop(id);
        }
        Ok(())
    }

    fn rmdir(&mut self, path: &str) -> Result<(), Errno> {
        let inode = self.find(path).ok_or(Errno::ENOENT)?;
        let entry = self.entry(inode).ok_or(Errno::EBUSY)?;
        if !entry.is_folder() {
            return Err(Errno::ENOTDIR);
        }
        if self.list(inode).next().is_some() {
            return Err(Errno::ENOTEMPTY);
        }
        self.remove(inode);
        Ok(())
    }

    /// Only the folder of a lock goes this way.
    fn unlock(&mut self, path: &str) -> Result<(), Errno> {
        if split(path).0 == LOCKS { self.rmdir(path) } else { Err(Errno::EACCES) }
    }

    fn remove(&mut self, inode: u64) {
        if let Some(entry) = self.entries.remove(&inode) {
            self.bytes -= entry.size();
            self.names.remove(&(entry.parent, entry.name));
        }
    }

    fn rename(&mut self, from: &str, to: &str, stamp: Stamp) -> Result<(), Errno> {
        let inode = self.find(from).ok_or(Errno::ENOENT)?;
        let entry = self.entry(inode).ok_or(Errno::EBUSY)?.clone();
        if entry.is_folder() && self.list(inode).next().is_some() {
            return Err(Errno::ENOTEMPTY);
        }
        let (parent, name) = (self.parent(to)?, split(to).1);
        if parent == inode {
            return Err(Errno::EINVAL);
        }
        let target = self.child(parent, name);
        match target.and_then(|target| self.entry(target)) {
            Some(found) if found.is_folder() && !entry.is_folder() => return Err(Errno::EISDIR),
            Some(found) if !found.is_folder() && entry.is_folder() => return Err(Errno::ENOTDIR),
            Some(_) if target.is_some_and(|target| self.list(target).next().is_some()) => {
                return Err(Errno::ENOTEMPTY);
            }
            _ => {}
        }
        let old = vm::of_path(from).map(|(id, ..)| id);
        let new = vm::of_path(to).filter(|_| !entry.is_folder());
        if let Some((id, node, kind)) = new
            && old != Some(id)
            && self.vms.taken_by_another(id, node, kind)
        {
            return Err(Errno::EEXIST);
        }
        if let Some(target) = target.filter(|target| *target != inode) {
            self.remove(target);
        }
        // As the vendor's: the name alone counts here, wherever the file was.
        if let Some(id) = vm::number(split(from).1).filter(|_| !entry.is_folder()) {
            self.vms.drop(id);
        }
        if let Some((id, node, kind)) = new {
            self.vms.note(id, node, kind);
        }
        self.names.remove(&(entry.parent, entry.name));
        self.names.insert((parent, name.to_owned()), inode);
        let version = self.version + 1;
        if let Some(entry) = self.entries.get_mut(&inode) {
            name.clone_into(&mut entry.name);
            (entry.parent, entry.version, entry.writer) = (parent, version, stamp.writer);
        }
        Ok(())
    }
}
