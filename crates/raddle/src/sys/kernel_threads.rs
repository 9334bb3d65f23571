//! Which kernel threads this process has, as the kernel knows them.
//!
//! `/proc/self/task` lists them, with two flaws. A walk ends early if the thread that it stands on ends just then: so the
//! directory's link count, which is 2 and the number of threads, is read first, and a list that holds fewer is not whole. And
//! where `/proc` shows another namespace of ids, the numbers mean other threads: what it calls this process is compared.
//!
//! Nothing here allocates, or takes a lock.

#![allow(unsafe_code, reason = "system calls")]

use crate::sys::task;
use raddle_context::system_call;
use std::ffi::{CStr, c_int};
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI32, Ordering};

/// The kernel gives no higher ids on 64-bit machines (`PID_MAX_LIMIT` in `<linux/threads.h>`), and none above this.
pub(crate) const IDS: usize = 1 << 22;

/// `/proc`, opened while it was in reach; -1 before.
static PROC: AtomicI32 = AtomicI32::new(-1);

/// Opens `/proc` for later: a program may shut itself in with `chroot(2)` and give up its privileges then. For the rest of the process's
/// life; called when a runtime starts.
pub(crate) fn keep_proc() {
    if is_own_proc(PROC.load(Ordering::Relaxed)) {
        return;
    }
    PROC.store(open_proc(), Ordering::Relaxed);
}

/// Where kernel threads are looked up.
#[derive(Debug)]
pub(crate) enum Listing {
    /// In a `task` directory of `/proc`.
    Directory(Descriptor),
    /// By trying all ids: slow, but it needs no files.
    Ids,
}

/// How well a pass went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Every thread that lived when it began, and lives still, was visited.
    Whole,
    /// Some may have been missed.
    Partial,
    /// The directory can't be read.
    Failed,
}

/// What a kernel thread is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It runs the program's code, as far as can be told.
    Ordinary,
    /// It has ended: perhaps it only waits to be buried, as the main thread does when it ends first.
    Ended,
    /// The kernel made it for its own purposes; it never runs the program's code, and takes no signals.
    Kernels,
}

/// A descriptor that is closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Descriptor(c_int);

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.0 >= 0 {
            // SAFETY: opened by this module, and nobody else's.
            unsafe { system_call(libc::SYS_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
        }
    }
}

/// Ids of this process and of the calling kernel thread, which stays the same while signals are blocked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) process: i32,
    pub(crate) thread: i32,
}

impl Ids {
    /// Asked of the kernel: after `vfork(2)`, libc and this crate share their memory with the parent.
    pub(crate) fn own() -> Ids {
        // SAFETY: no arguments, no effect.
        let process = unsafe { system_call(libc::SYS_getpid, [0; 6]) };
        Ids { process: process as i32, thread: task::id() }
    }

    /// Whether this process has a kernel thread of that id, perhaps one that has ended and is not buried yet.
    pub(crate) fn has(self, thread: i32) -> bool {
        // SAFETY: signal 0 is none: the kernel only looks.
        let result = unsafe {
            system_call(libc::SYS_tgkill, [self.process as usize, thread as usize, 0, 0, 0, 0])
        };
        result == 0
    }
}

impl Listing {
    /// The best there is.
    pub(crate) fn open() -> Listing {
        let now = Descriptor(open_proc());
        let kept = PROC.load(Ordering::Relaxed);
        let proc = [now.0, kept].into_iter().find(|&descriptor| is_own_proc(descriptor));
        let directory = proc.map(|proc| open_at(proc, c"self/task", libc::O_DIRECTORY));
        match directory {
            Some(descriptor) if descriptor >= 0 => Listing::Directory(Descriptor(descriptor)),
            _ => Listing::Ids,
        }
    }

    /// Whether the calling kernel thread is the only one.
    pub(crate) fn is_alone(&self, own: Ids) -> bool {
        if let Listing::Ids = self {
            return !(1..IDS as i32).any(|id| id != own.thread && own.has(id));
        }
        let mut others = 0;
        let pass = self.each(own, |id| others += u32::from(id != own.thread));
        others == 0 && pass == Pass::Whole
    }

    /// Visits each kernel thread of this process.
    pub(crate) fn each(&self, own: Ids, mut visit: impl FnMut(i32)) -> Pass {
        match self {
            Listing::Directory(directory) => each_entry(directory, visit),
            Listing::Ids => {
                (1..IDS as i32).filter(|&id| own.has(id)).for_each(&mut visit);
                Pass::Whole
            }
        }
    }

    /// What kernel thread `id` is.
    pub(crate) fn look(&self, id: i32) -> Seen {
        let Listing::Directory(directory) = self else { return Seen::Ordinary };
        let mut path = Text::<32>::default();
        if write!(path, "{id}/stat").is_err() {
            return Seen::Ordinary;
        }
        let stat = open_at(directory.0, path.c_str(), 0);
        if stat < 0 {
            // Gone, or hidden: a signal will tell.
            return Seen::Ordinary;
        }
        let stat = Descriptor(stat);
        let mut bytes = [0; 1024];
        let length = read(libc::SYS_read, &stat, &mut bytes);
        kind(bytes.get(..length.max(0) as usize).unwrap_or_default())
    }
}

/// What a kernel thread waits for in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// Somebody who wakes it: `futex(2)`.
    Lock,
    /// That, or bytes: `read(2)` and `readv(2)`, which have none so far, or would have returned.
    LockOrInput,
}

impl WaitsFor {
    const fn includes(self, call: libc::c_long) -> bool {
        match self {
            WaitsFor::Lock => call == libc::SYS_futex,
            WaitsFor::LockOrInput => {
                matches!(call, libc::SYS_futex | libc::SYS_read | libc::SYS_readv)
            }
        }
    }
}

/// Whether kernel thread `id` of this process waits for that. False if the kernel does not tell.
///
/// `syscall` says it by number, `wchan` by the name of a function of the kernel's; the former is closed to a process that
/// changed its user (`PR_SET_DUMPABLE`), the latter is empty on some kernels, and says it of locks and pipes only.
pub(crate) fn waits_for(id: i32, what: WaitsFor) -> bool {
    let mut bytes = [0; 256];
    let by_number = read_of_task(id, "syscall", &mut bytes)
        .and_then(|line| line.split(|&byte| byte == b' ').next())
        .and_then(number);
    if let Some(call) = by_number {
        return libc::c_long::try_from(call).is_ok_and(|call| what.includes(call));
    }
    read_of_task(id, "wchan", &mut bytes).is_some_and(|name| {
        let reads_pipe = name.starts_with(b"pipe_read") || name.starts_with(b"anon_pipe_read");
        name.starts_with(b"futex") || (what == WaitsFor::LockOrInput && reads_pipe)
    })
}

/// What a file about kernel thread `id` begins with.
fn read_of_task<'b>(id: i32, name: &str, bytes: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut path = Text::<48>::default();
    write!(path, "self/task/{id}/{name}").ok()?;
    let file = open_at(PROC.load(Ordering::Relaxed), path.c_str(), 0);
    if file < 0 {
        return None;
    }
    let length = read(libc::SYS_read, &Descriptor(file), bytes);
    bytes.get(..usize::try_from(length).ok()?)
}

/// What the fields of a `stat` file tell.
fn kind(stat: &[u8]) -> Seen {
    /// `PF_IO_WORKER` and `PF_USER_WORKER` of `<linux/sched.h>`. Either bit has meant something else before, so what these
    /// threads also have is asked for: all signals blocked.
    const WORKER: u64 = 0x10 | 0x4000;
    /// The first 31 signals without SIGKILL and SIGSTOP.
    const ALL_BLOCKED: u64 =
        0x7fff_ffff & !(1 << (libc::SIGKILL - 1)) & !(1 << (libc::SIGSTOP - 1));
    // The name, in parentheses, may hold anything, so fields are counted from the last parenthesis: the state is the third.
    let Some(end) = stat.iter().rposition(|&byte| byte == b')') else { return Seen::Ordinary };
    let mut fields = stat.get(end + 2..).unwrap_or_default().split(|&byte| byte == b' ');
    if matches!(fields.next(), Some(b"Z" | b"X" | b"x")) {
        return Seen::Ended;
    }
    // The fourth is the first here.
    let flags = fields.nth(9 - 4).and_then(number).unwrap_or(0);
    let blocked = fields.nth(32 - 10).and_then(number).unwrap_or(0);
    if flags & WORKER != 0 && blocked == ALL_BLOCKED { Seen::Kernels } else { Seen::Ordinary }
}

/// Each number among the names of a directory.
fn each_entry(directory: &Descriptor, mut visit: impl FnMut(i32)) -> Pass {
    /// As `getdents64(2)` has an entry: its length stands here, its name there.
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let Some(threads) = count(directory) else { return Pass::Failed };
    // SAFETY: three numbers.
    unsafe {
        system_call(libc::SYS_lseek, [directory.0 as usize, 0, libc::SEEK_SET as usize, 0, 0, 0])
    };
    let mut listed = 0;
    let mut bytes = [0; 2048];
    loop {
        let length = read(libc::SYS_getdents64, directory, &mut bytes);
        if length < 0 {
            return Pass::Failed;
        }
        if length == 0 {
            return if listed >= threads { Pass::Whole } else { Pass::Partial };
        }
        let mut rest = bytes.get(..length as usize).unwrap_or_default();
        while let (Some(length), Some(name)) =
            (rest.get(LENGTH_AT..LENGTH_AT + 2), rest.get(NAME_AT..))
        {
            let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            if let Some(id) = name.get(..end).and_then(number) {
                listed += 1;
                visit(id as i32);
            }
            let length = u16::from_le_bytes([length[0], length[1]]);
            rest = rest.get(usize::from(length)..).unwrap_or_default();
        }
    }
}

/// How many kernel threads a `task` directory has.
fn count(directory: &Descriptor) -> Option<u64> {
    // SAFETY: a structure of integers.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: writes a live structure.
    let result = unsafe {
        system_call(
            libc::SYS_fstat,
            [directory.0 as usize, (&raw mut stat).expose_provenance(), 0, 0, 0, 0],
        )
    };
    (result == 0).then(|| stat.st_nlink.saturating_sub(2))
}

fn open_proc() -> c_int {
    open_at(libc::AT_FDCWD, c"/proc", libc::O_PATH | libc::O_DIRECTORY)
}

/// Whether that is a `/proc` in which this process has the id that it knows itself.
fn is_own_proc(proc: c_int) -> bool {
    if proc < 0 {
        return false;
    }
    let mut link = [0u8; 16];
    // SAFETY: reads a string that ends, writes a live buffer.
    let length = unsafe {
        system_call(
            libc::SYS_readlinkat,
            [
                proc as usize,
                c"self".as_ptr().expose_provenance(),
                link.as_mut_ptr().expose_provenance(),
                link.len(),
                0,
                0,
            ],
        )
    };
    let name = link.get(..length.max(0) as usize).and_then(number);
    name == u64::try_from(Ids::own().process).ok()
}

fn open_at(directory: c_int, path: &CStr, flags: c_int) -> c_int {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | flags;
    // SAFETY: a path that ends; the descriptor is the caller's.
    let result = unsafe {
        system_call(
            libc::SYS_openat,
            [directory as usize, path.as_ptr().expose_provenance(), flags as usize, 0, 0, 0],
        )
    };
    result as c_int
}

/// `read(2)` or `getdents64(2)`.
fn read(call: i64, from: &Descriptor, bytes: &mut [u8]) -> isize {
    // SAFETY: writes a live buffer.
    unsafe {
        system_call(
            call,
            [from.0 as usize, bytes.as_mut_ptr().expose_provenance(), bytes.len(), 0, 0, 0],
        )
    }
}

/// Decimal digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A short text on the stack; what does not fit is an error. A zero follows it.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text { bytes: [0; N], used: 0 }
    }
}

impl<const N: usize> Text<N> {
    fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used + text.len();
        if end >= N {
            return Err(fmt::Error);
        }
        self.bytes[self.used..end].copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::mpsc;

    /// A kernel thread that waits until the sender is dropped, and its id.
    fn one_that_waits() -> (i32, mpsc::Sender<()>, std::thread::JoinHandle<()>) {
        let (tell, told) = mpsc::channel();
        let (end, wait) = mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            tell.send(task::id()).unwrap();
            let _ = wait.recv();
        });
        (told.recv().unwrap(), end, other)
    }

    #[test]
    fn both_ways_list_this_thread_and_another() {
        keep_proc();
        let (other_id, end, other) = one_that_waits();
        let own = Ids::own();
        for listing in [Listing::open(), Listing::Ids] {
            let mut ids = Vec::new();
            while listing.each(own, |id| ids.push(id)) != Pass::Whole {
                ids.clear();
            }
            assert!(ids.contains(&own.thread) && ids.contains(&other_id), "{listing:?}: {ids:?}");
            assert!(!listing.is_alone(own));
            assert_eq!(listing.look(other_id), Seen::Ordinary);
        }
        assert!(matches!(Listing::open(), Listing::Directory(_)));
        drop(end);
        other.join().unwrap();
    }

    #[test]
    fn who_waits_for_a_futex_is_seen() {
        keep_proc();
        let (id, end, other) = one_that_waits();
        while !waits_for(id, WaitsFor::Lock) {
            std::thread::yield_now();
        }
        assert!(!waits_for(task::id(), WaitsFor::Lock), "this one runs, in a read");
        drop(end);
        other.join().unwrap();
        assert!(!waits_for(id, WaitsFor::LockOrInput), "it is gone");
    }

    #[test]
    fn who_waits_for_input_is_seen() {
        keep_proc();
        let (mut source, mut sink) = std::io::pipe().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            tell.send(task::id()).unwrap();
            source.read_exact(&mut [0]).unwrap();
        });
        let id = told.recv().unwrap();
        while !waits_for(id, WaitsFor::LockOrInput) {
            std::thread::yield_now();
        }
        assert!(!waits_for(id, WaitsFor::Lock));
        sink.write_all(&[0]).unwrap();
        reader.join().unwrap();
    }

    #[test]
    fn a_stat_file_tells_the_ended_and_the_kernels_own() {
        let stat = |name: &str, state: &str, flags: u64, blocked: u64| {
            let mut fields = vec!["1".to_owned(); 52];
            fields[1] = format!("({name})");
            fields[2] = state.to_owned();
            fields[8] = flags.to_string();
            fields[31] = blocked.to_string();
            kind(fields.join(" ").as_bytes())
        };
        let all = 0x7ffb_feff;
        assert_eq!(stat("a", "S", 0x40_0040, 0), Seen::Ordinary);
        assert_eq!(stat("a) S 1 (b", "Z", 0x40_0040, 0), Seen::Ended);
        assert_eq!(stat("iou-wrk-1", "S", 0x4050, all), Seen::Kernels);
        assert_eq!(stat("virtual CPU on an old kernel", "R", 0x10, 0), Seen::Ordinary);
        assert_eq!(stat("blocks all", "R", 0x40_0040, all), Seen::Ordinary);
        assert_eq!(kind(b""), Seen::Ordinary);
    }
}
