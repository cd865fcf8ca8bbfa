//! A stand-in for pmxcfs's file system: FUSE over the group's database. Everything that changes something is answered from
//! a thread of its own, because it may have to wait for the other members.

mod serve;
mod synthetic;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileType, INodeNo};
use nix::errno::Errno;

use crate::db::{Entry, Op, ROOT, private};
use crate::group::{Group, State};
use synthetic::Synthetic;

/// Inodes of synthetic entries start here; those of the database are one more than there, because FUSE's root is 1.
const SYNTHETIC: u64 = 1 << 60;
/// Nothing is kept by the kernel: another member may change it at any time.
const TTL: Duration = Duration::ZERO;

/// The file system of one node.
#[derive(Clone)]
pub struct Fs(Arc<Inner>);

struct Inner {
    group: Arc<Group>,
    me: String,
    gid: u32,
    started: SystemTime,
    /// Synthetic files as they were when they were opened.
    open: Mutex<HashMap<u64, Vec<u8>>>,
    handles: AtomicU64,
}

/// What an inode of FUSE is.
enum Inode {
    Database(u64),
    Synthetic(Synthetic),
}

fn inode(number: INodeNo) -> Result<Inode, Errno> {
    match number.0.checked_sub(SYNTHETIC) {
        None => Ok(Inode::Database(number.0 - 1)),
        Some(index) => {
            let index = usize::try_from(index).map_err(|_| Errno::ENOENT)?;
            synthetic::ALL.get(index).map(|(_, found)| Inode::Synthetic(*found)).ok_or(Errno::ENOENT)
        }
    }
}

fn text(name: &OsStr) -> Result<&str, Errno> {
    name.to_str().ok_or(Errno::EINVAL)
}

impl Fs {
    /// The node `me`'s view of the group.
    pub fn new(group: Arc<Group>, me: &str) -> Self {
        let www = nix::unistd::Group::from_name("www-data").ok().flatten();
        Self(Arc::new(Inner {
            group,
            me: me.to_owned(),
            gid: www.map_or(0, |group| group.gid.as_raw()),
            started: SystemTime::now(),
            open: Mutex::default(),
            handles: AtomicU64::new(1),
        }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.group.lock()
    }

    /// The path of a name in a folder, for something that may be changed.
    fn path(&self, parent: INodeNo, name: &OsStr) -> Result<String, Errno> {
        let (Inode::Database(folder), name) = (inode(parent)?, text(name)?) else {
            return Err(Errno::EACCES);
        };
        if folder == ROOT && synthetic::ALL.iter().any(|(found, _)| *found == name) {
            return Err(Errno::EACCES);
        }
        let folder = self.state().tree.path(folder).ok_or(Errno::ENOENT)?;
        Ok(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") })
    }

    /// The path of something that may be changed.
    fn own_path(&self, number: INodeNo) -> Result<String, Errno> {
        match inode(number)? {
            Inode::Database(inode) => self.state().tree.path(inode).ok_or(Errno::ENOENT),
            Inode::Synthetic(_) => Err(Errno::EACCES),
        }
    }

    /// What was just made. If it is not there, another member's database took the place of ours in between, and the change
    /// went with it: then it is answered as any other without a quorum.
    fn made(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        self.lookup(parent, name).map_err(|error| if error == Errno::ENOENT { Errno::EACCES } else { error })
    }

    fn lookup(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let (Inode::Database(folder), name) = (inode(parent)?, text(name)?) else {
            return Err(Errno::ENOTDIR);
        };
        let index = synthetic::ALL.iter().position(|(found, _)| *found == name).filter(|_| folder == ROOT);
        let number = match index {
            Some(index) => SYNTHETIC + index as u64,
            None => self.state().tree.child(folder, name).ok_or(Errno::ENOENT)? + 1,
        };
        self.attributes(INodeNo(number))
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let found = inode(number)?;
        let state = self.state();
        let writable = self.0.group.quorate(&state);
        let (kind, mode, size, time) = match found {
            Inode::Database(inode) => {
                let path = state.tree.path(inode).ok_or(Errno::ENOENT)?;
                let entry = state.tree.entry(inode);
                let folder = entry.is_none_or(Entry::is_folder);
                let mode: u16 = match (folder, private(&path)) {
                    (true, false) => 0o750,
                    (true, true) => 0o700,
                    (false, false) => 0o640,
                    (false, true) => 0o600,
                };
                let kind = if folder { FileType::Directory } else { FileType::RegularFile };
                (kind, mode, entry.map_or(0, Entry::size), entry.map_or(state.tree.mtime, |e| e.mtime))
            }
            Inode::Synthetic(found) => {
                let started = self.started();
                if let Some(target) = found.target(&self.0.me) {
                    (FileType::Symlink, 0o750, target.len(), started)
                } else {
                    let size = found.text(&self.0.group, &state, &self.0.me, started).len();
                    (FileType::RegularFile, 0o440, size, started)
                }
            }
        };
        let mode = if writable { mode } else { mode & !0o222 };
        Ok(self.attribute(number, kind, mode, size as u64, time))
    }

    fn attribute(&self, ino: INodeNo, kind: FileType, perm: u16, size: u64, time: u64) -> FileAttr {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid: 0,
            gid: self.0.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn started(&self) -> u64 {
        self.0.started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }

    /// What is in a folder: inode, type and name.
    fn list(&self, number: INodeNo) -> Result<Vec<(u64, FileType, String)>, Errno> {
        let Inode::Database(folder) = inode(number)? else { return Err(Errno::ENOTDIR) };
        let state = self.state();
        let parent = state.tree.entry(folder).map_or(ROOT, |entry| entry.parent);
        let mut all = vec![
            (number.0, FileType::Directory, ".".to_owned()),
            (parent + 1, FileType::Directory, "..".to_owned()),
        ];
        for (name, inode) in state.tree.list(folder) {
            let is_folder = state.tree.entry(inode).is_some_and(Entry::is_folder);
            let kind = if is_folder { FileType::Directory } else { FileType::RegularFile };
            all.push((inode + 1, kind, name.to_owned()));
        }
        for (index, (name, found)) in synthetic::ALL.iter().enumerate().filter(|_| folder == ROOT) {
            let kind = if found.target("").is_some() { FileType::Symlink } else { FileType::RegularFile };
            all.push((SYNTHETIC + index as u64, kind, (*name).to_owned()));
        }
        Ok(all)
    }

    /// Opens: the handle of a synthetic file's text, or none.
    fn opened(&self, number: INodeNo, to_write: bool) -> Result<Option<u64>, Errno> {
        match inode(number)? {
            Inode::Database(_) => Ok(None),
            Inode::Synthetic(_) if to_write => Err(Errno::EACCES),
            Inode::Synthetic(found) => {
                let text = found.text(&self.0.group, &self.state(), &self.0.me, self.started());
                let handle = self.0.handles.fetch_add(1, Ordering::Relaxed);
                self.handles().insert(handle, text.into_bytes());
                Ok(Some(handle))
            }
        }
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<u8>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self, number: INodeNo, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let part = |bytes: &[u8]| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            bytes[from..bytes.len().min(from + size as usize)].to_vec()
        };
        match inode(number)? {
            Inode::Database(inode) => {
                let state = self.state();
                let entry = state.tree.entry(inode).ok_or(Errno::ENOENT)?;
                entry.bytes().map(|bytes| part(bytes)).ok_or(Errno::EISDIR)
            }
            Inode::Synthetic(_) => self.handles().get(&handle).map(|bytes| part(bytes)).ok_or(Errno::EBADF),
        }
    }

    /// Makes a change, then answers.
    fn change(&self, op: Result<Op, Errno>, answer: impl FnOnce(&Self, Result<(), Errno>) + Send + 'static) {
        match op {
            Err(errno) => answer(self, Err(errno)),
            Ok(op) => {
                let fs = self.clone();
                std::thread::spawn(move || {
                    let done = fs.0.group.submit(&op);
                    answer(&fs, done);
                });
            }
        }
    }
}
