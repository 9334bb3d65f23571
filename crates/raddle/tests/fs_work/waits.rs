//! What is waited for, by whom, and that it holds nobody up.

use crate::io_kit::{Kind, Scratch, a_moment, make_cold, pattern, start, until};
use raddle::cancel::Token;
use raddle::fs::{self, File, OpenOptions};
use raddle::io::{Read, Seek, Write};
use raddle::thread;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn fifo(scratch: &Scratch) -> PathBuf {
    let path = scratch.0.join("fifo");
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a path that ends.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    path
}

/// Whoever is first waits for the other.
pub(crate) fn a_fifo_is_opened_by_two(kind: Kind) {
    let scratch = Scratch::new();
    let path = fifo(&scratch);
    for reads_first in [true, false] {
        let first = start(kind, {
            let path = path.clone();
            move || match reads_first {
                true => read(&path),
                false => write(&path),
            }
        });
        a_moment();
        assert!(!first.is_finished());
        let second = if reads_first { write(&path) } else { read(&path) };
        assert_eq!(format!("{}{second}", first.join()), "through the fifo");
    }
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn write(path: &Path) -> String {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    a_moment();
    file.write_all(b"through the fifo").unwrap();
    String::new()
}

pub(crate) fn a_lock_is_waited_for(kind: Kind) {
    let scratch = Scratch::new();
    let path = scratch.file("file", b"");
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    let waiters: Vec<_> = [true, false]
        .into_iter()
        .map(|is_shared| {
            let path = path.clone();
            start(kind, move || {
                let file = File::open(path).unwrap();
                if is_shared { file.lock_shared() } else { file.lock() }.unwrap();
            })
        })
        .collect();
    a_moment();
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    holder.unlock().unwrap();
    waiters.into_iter().for_each(|waiter| waiter.join());
}

pub(crate) fn cold_files_are_read(kind: Kind) {
    let scratch = Scratch::new();
    let bytes = Arc::new(pattern(1_000_000));
    let path = scratch.file("file", &bytes);
    let file = Arc::new(File::open(&path).unwrap());
    for _ in 0..3 {
        make_cold(&path);
        let readers: Vec<_> = (0..8)
            .map(|number| {
                let (bytes, file) = (bytes.clone(), file.clone());
                start(kind, move || {
                    let at = number * 120_001;
                    let mut found = vec![0; 100_000];
                    file.read_exact_at(&mut found, at as u64).unwrap();
                    assert!(found == bytes[at..at + 100_000]);
                })
            })
            .collect();
        readers.into_iter().for_each(|reader| reader.join());
        make_cold(&path);
        (&*file).rewind().unwrap();
        let mut found = Vec::new();
        (&*file).read_to_end(&mut found).unwrap();
        assert!(found == *bytes);
    }
    make_cold(&path);
    assert!(fs::read(&path).unwrap() == *bytes);
}

/// Of several who ask for a descriptor at once, each finds the mode that was asked for.
pub(crate) fn nobody_sees_a_mode_that_is_still_to_be_set(kind: Kind) {
    const ASKING: usize = 3;
    let scratch = Scratch::new();
    let path = scratch.file("file", b"content");
    for _ in 0..200 {
        let file = Arc::new(File::open(&path).unwrap());
        let come = Arc::new(AtomicUsize::new(0));
        let asking: Vec<_> = (0..ASKING)
            .map(|_| {
                let (file, come) = (file.clone(), come.clone());
                start(kind, move || {
                    come.fetch_add(1, Ordering::Relaxed);
                    while come.load(Ordering::Relaxed) < ASKING {
                        thread::yield_now();
                    }
                    // SAFETY: no memory is involved.
                    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }
                })
            })
            .collect();
        for flags in asking.into_iter().map(|one| one.join()) {
            assert_eq!(flags & libc::O_NONBLOCK, 0);
        }
    }
}

pub(crate) fn opening_holds_no_kernel_thread(kind: Kind) {
    const OPENERS: usize = 30;
    if kind == Kind::Kernel {
        return;
    }
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    let scratch = Scratch::new();
    let path = fifo(&scratch);
    let workers = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
        let names = tasks.filter_map(|task| name(task.unwrap()).ok());
        names.filter(|name| name.starts_with("raddle-worker")).count()
    };
    let before = workers();
    let openers: Vec<_> = (0..OPENERS)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || {
                let file = File::open(path).unwrap();
                OPEN.fetch_add(1, Ordering::Relaxed);
                file
            })
        })
        .collect();
    thread::sleep(std::time::Duration::from_millis(60));
    assert_eq!(OPEN.load(Ordering::Relaxed), 0);
    let after = workers();
    // As long as somebody writes, all come in.
    let mut writers = Vec::new();
    until(|| {
        let mut options = OpenOptions::new();
        writers.push(options.write(true).open(&path).unwrap());
        OPEN.load(Ordering::Relaxed) == OPENERS
    });
    openers.into_iter().for_each(|opener| drop(opener.join().unwrap()));
    assert!(after < before + OPENERS / 3, "{before} workers, then {after}");
}

pub(crate) fn a_token_ends_the_opening_of_a_fifo(kind: Kind) {
    if kind == Kind::Kernel {
        // There it is the kernel's wait.
        return;
    }
    let scratch = Scratch::new();
    let path = fifo(&scratch);
    let token = Token::new();
    let opener = start(kind, {
        let (path, token) = (path.clone(), token.clone());
        move || token.carry(|| File::open(path).map(drop)).is_err()
    });
    a_moment();
    token.cancel();
    assert!(opener.join());
    // It is as before: the next two find each other.
    let reader = start(kind, {
        let path = path.clone();
        move || read(&path)
    });
    write(&path);
    assert_eq!(reader.join(), "through the fifo");
}
