//! What the kernel says of this process. Its files are opened at the start, so that they can be read where folders are forbidden later.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

/// A second has so many ticks, on every Linux for x86_64.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;

/// Files of `/proc`; what can't be opened is left out.
pub(super) struct Process {
    stat: Option<File>,
    memory: Option<File>,
    limits: Option<File>,
    descriptors: Option<File>,
}

impl Process {
    pub(super) fn open() -> Process {
        let open = |name: &str| File::open(format!("/proc/self/{name}")).ok();
        Process {
            stat: open("stat"),
            memory: open("statm"),
            limits: open("limits"),
            descriptors: open("fd"),
        }
    }

    /// Processor time, in seconds.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        let stat = text(self.stat.as_ref()?)?;
        // The name before may hold anything.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / TICKS)
    }

    /// Memory that is in use, in bytes.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let pages: u64 = text(self.memory.as_ref()?)?.split(' ').nth(1)?.parse().ok()?;
        Some(pages * PAGE)
    }

    /// Descriptors that are open: their folder's size, since Linux 6.2.
    pub(super) fn descriptors(&self) -> Option<u64> {
        let size = self.descriptors.as_ref()?.metadata().ok()?.size();
        (size > 0).then_some(size)
    }

    /// How many there may be.
    pub(super) fn descriptors_max(&self) -> Option<u64> {
        let limits = text(self.limits.as_ref()?)?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

/// A file of the kernel's that is made anew whenever it is read from its beginning.
fn text(file: &File) -> Option<String> {
    let mut bytes = [0; 4096];
    let count = file.read_at(&mut bytes, 0).ok()?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_knows_this_process() {
        let process = Process::open();
        assert!(process.cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
        assert!(process.resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(process.descriptors_max().is_some_and(|most| most >= 3));
        assert!(process.descriptors().is_none_or(|count| count >= 3));
    }
}
