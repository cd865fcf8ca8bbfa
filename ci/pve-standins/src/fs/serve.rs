//! The stand-in's answers to the kernel. What the vendor's has no operation for is ENOSYS (pve-3.2-tools.md 2.4).

use std::ffi::OsStr;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenAccMode, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno;

use super::{Fs, Inode, TTL, inode};
use crate::db::{LOCKS, MAX_BYTES, MAX_INODES, Op, split};

const FIRST: Generation = Generation(0);

fn number(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno as i32)
}

fn seconds(time: TimeOrNow) -> u64 {
    let time = match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    };
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn answer_entry(reply: ReplyEntry, attributes: Result<fuser::FileAttr, Errno>) {
    match attributes {
        Ok(attributes) => reply.entry(&TTL, &attributes, FIRST),
        Err(errno) => reply.error(number(errno)),
    }
}

fn answer_attributes(reply: ReplyAttr, attributes: Result<fuser::FileAttr, Errno>) {
    match attributes {
        Ok(attributes) => reply.attr(&TTL, &attributes),
        Err(errno) => reply.error(number(errno)),
    }
}

fn answer_empty(reply: ReplyEmpty, done: Result<(), Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(number(errno)),
    }
}

impl Filesystem for Fs {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, Self::lookup(self, parent, name));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(reply, self.attributes(ino));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if mode.is_some() || uid.is_some() || gid.is_some() {
            return reply.error(fuser::Errno::ENOSYS);
        }
        let op = self.own_path(ino).map(|path| match (size, mtime.map(seconds)) {
            (Some(size), _) => Op::Truncate(path, size),
            (None, Some(0)) if split(&path).0 == LOCKS => Op::Unlock(path),
            (None, time) => Op::Touch(path, time.unwrap_or_else(|| seconds(TimeOrNow::Now))),
        });
        let old = self.attributes(ino);
        // A lock that just went is answered with what it was.
        let unlock = matches!(op, Ok(Op::Unlock(_)));
        self.change(op, move |fs, done| {
            let now = done.and_then(|()| fs.attributes(ino));
            answer_attributes(reply, if unlock && now == Err(Errno::ENOENT) { old } else { now });
        });
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = match inode(ino) {
            Ok(Inode::Synthetic(found)) => found.target(&self.0.me),
            _ => None,
        };
        match target {
            Some(target) => reply.data(target.as_bytes()),
            None => reply.error(fuser::Errno::EINVAL),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        let name = name.to_owned();
        self.change(self.path(parent, &name).map(Op::Mkdir), move |fs, done| {
            answer_entry(reply, done.and_then(|()| Self::made(fs, parent, &name)));
        });
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(self.path(parent, name).map(Op::Unlink), |_, done| answer_empty(reply, done));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.change(self.path(parent, name).map(Op::Rmdir), |_, done| answer_empty(reply, done));
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(fuser::Errno::ENOSYS);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(fuser::Errno::EINVAL);
        }
        let paths = self.path(parent, name).and_then(|from| Ok((from, self.path(newparent, newname)?)));
        self.change(paths.map(|(from, to)| Op::Rename(from, to)), |_, done| answer_empty(reply, done));
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(fuser::Errno::EPERM);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.opened(ino, flags.acc_mode() != OpenAccMode::O_RDONLY) {
            Ok(None) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Ok(Some(handle)) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(number(errno)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.bytes(ino, fh.0, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(number(errno)),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let op = self.own_path(ino).map(|path| Op::Write(path, offset, data.to_vec()));
        self.change(op, move |_, done| match done {
            Ok(()) => reply.written(length),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.handles().remove(&fh.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let all = match self.list(ino) {
            Ok(all) => all,
            Err(errno) => return reply.error(number(errno)),
        };
        for (index, (inode, kind, name)) in (1..).zip(all) {
            if index > offset && reply.add(INodeNo(inode), index, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (used, inodes) = {
            let state = self.state();
            (state.tree.used() as u64, state.tree.count() as u64)
        };
        let (blocks, free) = (MAX_BYTES as u64 / 4096, (MAX_BYTES as u64).saturating_sub(used) / 4096);
        let (files, left) = (MAX_INODES as u64, (MAX_INODES as u64).saturating_sub(inodes));
        reply.statfs(blocks, free, free, files, left, 4096, 255, 4096);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        let name = name.to_owned();
        self.change(self.path(parent, &name).map(Op::Create), move |fs, done| {
            match done.and_then(|()| Self::made(fs, parent, &name)) {
                Ok(attributes) => {
                    reply.created(&TTL, &attributes, FIRST, FileHandle(0), FopenFlags::empty());
                }
                Err(errno) => reply.error(number(errno)),
            }
        });
    }
}
