//! What live bodies and sleeping threads take: pages, page tables, mappings.

#![allow(unsafe_code, reason = "malloc_trim")]

use std::fs::{self, File};
use std::io::{self, Read};

/// Peers' bodies whose memory is measured at most: each takes two mappings, of 65,530 that a process may have by default.
const PEER_BODIES: usize = 20_000;

/// What a number of live bodies took.
pub struct Crowd {
    /// How many there were.
    pub bodies: usize,
    /// Together.
    pub bytes: u64,
    /// Together, as lines of /proc/self/maps.
    pub mappings: u64,
}

/// What the process takes at a moment.
pub struct Memory {
    bytes: u64,
    mappings: u64,
}

impl Memory {
    /// Resident pages and page tables, and the number of mappings.
    ///
    /// Resident pages hold the heap as well: what bodies and their owners allocated is in there, once. Free heap memory is given
    /// back first, so that nobody profits from what the last one freed. Not in there is what the kernel keeps for itself,
    /// about 200 bytes for each mapping, and all of what it needs for a kernel thread.
    ///
    /// # Errors
    ///
    /// If /proc does not say.
    pub fn now() -> io::Result<Memory> {
        // SAFETY: a function of the allocator's without preconditions.
        unsafe { libc::malloc_trim(0) };
        // The rollup walks the page tables and is exact; the counters in `status` lag behind by some pages for each CPU. Kernels
        // without it (gVisor for one) get those.
        let resident_kib = fs::read_to_string("/proc/self/smaps_rollup")
            .and_then(|rollup| kib(&rollup, "Rss:"))
            .or_else(|_| status_kib("VmRSS:"))?;
        let bytes = (resident_kib + status_kib("VmPTE:")?) * 1024;
        Ok(Memory { bytes, mappings: lines("/proc/self/maps")? })
    }

    /// What `bodies` that live now, and did not live `before`, have taken.
    pub fn of_crowd_since(&self, before: &Memory, bodies: usize) -> Crowd {
        Crowd {
            bodies,
            bytes: self.bytes.saturating_sub(before.bytes),
            mappings: self.mappings.saturating_sub(before.mappings),
        }
    }
}

/// Resident pages and page tables of another process, in bytes.
///
/// # Errors
///
/// If /proc does not say.
pub fn of_process(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let resident_kib = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))
        .and_then(|rollup| kib(&rollup, "Rss:"))
        .or_else(|_| kib(&status, "VmRSS:"))?;
    Ok((resident_kib + kib(&status, "VmPTE:")?) * 1024)
}

/// How many of `wanted` stacks of two mappings each this process can have, with some mappings left for others.
///
/// # Errors
///
/// If /proc does not say.
pub fn room_for(wanted: usize) -> io::Result<usize> {
    const LEFT: u64 = 2000;
    const DEFAULT: u64 = 65_530;
    let most = fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT);
    let room = most.saturating_sub(lines("/proc/self/maps")? + LEFT) / 2;
    Ok(wanted.min(PEER_BODIES).min(usize::try_from(room).unwrap_or(usize::MAX)))
}

fn status_kib(key: &str) -> io::Result<u64> {
    kib(&fs::read_to_string("/proc/self/status")?, key)
}

/// The number of KiB in the line that begins with `key`.
fn kib(text: &str, key: &str) -> io::Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("this kernel does not say {key} in /proc/self")))
}

/// Counted in pieces: as one text, tens of thousands of mappings would themselves be megabytes of heap.
fn lines(path: &str) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut piece = [0; 4096];
    let mut lines = 0;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(lines),
            bytes => {
                lines += piece[..bytes].iter().filter(|&&byte| byte == b'\n').count() as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_its_own_line() {
        let status = "VmPeak:\t  100 kB\nVmPTE:\t   48 kB\nThreads:\t1\n";
        assert_eq!(kib(status, "VmPTE:").expect("it is there"), 48);
        assert!(kib(status, "VmSwap:").is_err());
    }

    #[test]
    fn touched_memory_is_seen() {
        let before = Memory::now().expect("Linux has /proc");
        let touched = std::hint::black_box(vec![1u8; 64 << 20]);
        let crowd = Memory::now().expect("Linux has /proc").of_crowd_since(&before, 1);
        // Other tests allocate and free at the same time, but less than half of that.
        assert!(crowd.bytes >= touched.len() as u64 / 2, "{}", crowd.bytes);
    }
}
