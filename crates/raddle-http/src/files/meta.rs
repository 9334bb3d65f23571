//! What the kernel says of a file: kind, length, and when it was changed.

use rustix::fs::{AtFlags, FileType, StatxFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

/// One version of a file: what is equal here is the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    kind: FileType,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    /// When anything about it was changed: nobody can set that back.
    changed: (i64, u32),
    /// Device and number.
    identity: (u32, u32, u64),
}

impl Meta {
    /// Of an open file.
    pub(super) fn of(file: impl AsFd) -> Result<Meta, Errno> {
        Meta::at(file, c"", AtFlags::EMPTY_PATH)
    }

    /// Of what stands in a folder under that name: of a symbolic link itself, not of what it leads to.
    pub(super) fn of_entry(folder: impl AsFd, name: &CStr) -> Result<Meta, Errno> {
        Meta::at(folder, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn at(file: impl AsFd, name: &CStr, flags: AtFlags) -> Result<Meta, Errno> {
        const WANTED: StatxFlags = StatxFlags::TYPE
            .union(StatxFlags::SIZE)
            .union(StatxFlags::MTIME)
            .union(StatxFlags::CTIME)
            .union(StatxFlags::INO);
        match rustix::fs::statx(&file, name, flags, WANTED) {
            Ok(stat) => {
                let (modified, changed) = (stat.stx_mtime, stat.stx_ctime);
                Ok(Meta {
                    kind: FileType::from_raw_mode(u32::from(stat.stx_mode)),
                    length: stat.stx_size,
                    modified: time(modified.tv_sec, modified.tv_nsec),
                    changed: (changed.tv_sec, changed.tv_nsec),
                    identity: (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino),
                })
            }
            // A filter from before that call was there.
            Err(Errno::NOSYS) => {
                let stat = rustix::fs::statat(&file, name, flags)?;
                Ok(Meta {
                    kind: FileType::from_raw_mode(stat.st_mode),
                    length: stat.st_size as u64,
                    modified: time(stat.st_mtime, stat.st_mtime_nsec as u32),
                    changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
                    identity: ((stat.st_dev >> 32) as u32, stat.st_dev as u32, stat.st_ino),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// A number that another file under the same name has not, be its length and date the same; nor the file itself, once anything about it was
    /// changed. The device is left out: its number may be another after a restart.
    pub(super) fn version(&self) -> u64 {
        let (seconds, ns) = self.changed;
        let changed = (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(ns.into());
        // Inodes are small numbers, one beside the other: their bits come to lie above those that times differ in.
        changed ^ self.identity.2.rotate_right(16)
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind == FileType::Directory
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    pub(super) fn is_link(&self) -> bool {
        self.kind == FileType::Symlink
    }
}

fn time(seconds: i64, ns: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
        _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
    };
    base.unwrap_or(SystemTime::UNIX_EPOCH) + Duration::from_nanos(ns.into())
}
