//! Writes that go to the kernel with what other threads of the core submit, in one entry. `sendto` and `sendmsg` are forbidden, with an error that
//! they don't have: whatever else a write comes to, the event queue has done.

mod net_kit;

use net_kit::{Company, Suite, Threads};
use raddle::net::UnixStream;
use raddle::{cancel, runtime, thread};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// What a system call of the thread's own says.
const REFUSED: i32 = libc::EDQUOT;

/// Runs `body` on a thread of the only core, once nothing can be sent by a call.
fn on_one_core(body: impl FnOnce() + Send + 'static) {
    runtime::Builder::new().cores(1).start().unwrap();
    seccompiler::apply_filter_all_threads(&filter()).expect("seccomp");
    let result = thread::spawn(|| {
        // A core has an event queue when its first thread has waited for something.
        let (mut silent, _other) = UnixStream::pair().unwrap();
        silent.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!(silent.read(&mut [0]).is_err());
        body();
    });
    result.join().unwrap();
}

/// The same beside others.
fn beside_others(body: impl FnOnce() + Send + 'static) {
    on_one_core(|| {
        let company = Company::new();
        body();
        company.end();
    });
}

fn filter() -> BpfProgram {
    let rules = BTreeMap::from([(libc::SYS_sendto, vec![]), (libc::SYS_sendmsg, vec![])]);
    let refuses = SeccompAction::Errno(REFUSED as u32);
    let architecture = std::env::consts::ARCH.try_into().expect("a known machine");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuses, architecture);
    filter.and_then(TryInto::try_into).expect("a filter")
}

/// What `write` comes to when the event queue does it; `None` if that never happens.
fn shared<T>(mut write: impl FnMut() -> io::Result<T>) -> Option<io::Result<T>> {
    /// The monitor has to see first that all are brief.
    const TRIES: usize = 20_000;
    for _ in 0..TRIES {
        match write() {
            Err(error) if error.raw_os_error() == Some(REFUSED) => thread::yield_now(),
            result => return Some(result),
        }
    }
    None
}

fn is_forced_elsewhere() -> bool {
    std::env::var("RADDLE_EVENT").is_ok_and(|backend| backend != "io_uring")
        || std::env::var_os("RADDLE_NET_FORBIDS_RING").is_some()
}

/// Where a look at the queue is a system call, nobody gains by it.
fn bytes_arrive_and_only_by_a_ring() {
    beside_others(|| {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let whole: Vec<u8> = (0..=255).collect();
        for round in 0..200 {
            let written = shared(|| match round % 2 {
                0 => here.write(&whole),
                _ => {
                    here.write_vectored(&[IoSlice::new(&whole[..100]), IoSlice::new(&whole[100..])])
                }
            });
            if is_forced_elsewhere() {
                assert!(written.is_none(), "{written:?}");
                return;
            }
            assert_eq!(written.expect("one goes by the ring").unwrap(), whole.len());
            let mut back = vec![0; whole.len()];
            there.read_exact(&mut back).unwrap();
            assert_eq!(back, whole);
        }
    });
}

fn errors_are_those_of_a_call() {
    beside_others(|| {
        if is_forced_elsewhere() {
            return;
        }
        let (mut here, there) = UnixStream::pair().unwrap();
        drop(there);
        let error = shared(|| here.write(b"x")).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "and no signal");

        let (mut here, _there) = UnixStream::pair().unwrap();
        here.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        let chunk = [7; 4096];
        let error = loop {
            if let Err(error) = shared(|| here.write(&chunk)).unwrap() {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "as std says a time-out");

        here.set_nonblocking(true).unwrap();
        let error = here.write(&chunk).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(REFUSED), "who does not wait makes a call");
    });
}

fn a_token_ends_one_that_waits() {
    beside_others(|| {
        if is_forced_elsewhere() {
            return;
        }
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let chunk = [7; 4096];
        let token = cancel::Token::new();
        let writer = {
            let token = token.clone();
            thread::spawn(move || {
                let count = Cell::new(0);
                let end = token.carry(|| -> () {
                    loop {
                        let written = shared(|| here.write(&chunk)).unwrap().unwrap();
                        count.set(count.get() + written);
                    }
                });
                assert!(end.is_err());
                count.get()
            })
        };
        thread::sleep(Duration::from_millis(50));
        token.cancel();
        let count = writer.join().unwrap();
        // The writer's end is closed with its thread: all that was written is there, and no more.
        let mut all = Vec::new();
        there.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), count);
    });
}

/// Until the socket is at hand, and after it.
fn a_question_and_its_answer_go_by_the_ring() {
    const ROUNDS: usize = 100;
    beside_others(|| {
        let (here, mut there) = UnixStream::pair().unwrap();
        let whole: Vec<u8> = (0..=255).collect();
        let echo = thread::spawn(move || {
            for _ in 0..ROUNDS {
                let mut back = [0; 256];
                there.read_exact(&mut back).unwrap();
                assert_eq!(shared(|| there.write(&back)).unwrap().unwrap(), back.len());
            }
        });
        for _ in 0..ROUNDS {
            let (mut question, mut answer) = (&whole[..], [0; 300]);
            let count = shared(|| here.exchange(&mut question, &mut answer));
            if is_forced_elsewhere() {
                assert!(count.is_none(), "{count:?}");
                return;
            }
            let count = count.expect("one goes by the ring").unwrap();
            assert_eq!((question, &answer[..count]), (&[][..], &whole[..]));
        }
        echo.join().unwrap();
    });
}

fn a_long_question_goes_in_pieces() {
    const LEN: usize = 16 * 1024;
    beside_others(|| {
        if is_forced_elsewhere() {
            return;
        }
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_send_buffer_size(1).unwrap();
        let whole: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
        let expected = whole.clone();
        let reader = thread::spawn(move || {
            let mut all = vec![0; LEN];
            for part in all.chunks_mut(100) {
                there.read_exact(part).unwrap();
                thread::yield_now();
            }
            assert_eq!(all, expected);
        });
        let mut question = &whole[..];
        let count = shared(|| here.exchange(&mut question, &mut [0; 8])).unwrap().unwrap();
        assert_eq!((count, question), (0, &[][..]), "the reader has read all, and gone");
        reader.join().unwrap();
    });
}

fn what_was_not_asked_stays() {
    const PATIENCE: Duration = Duration::from_millis(20);
    beside_others(|| {
        if is_forced_elsewhere() {
            return;
        }
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_read_timeout(Some(PATIENCE)).unwrap();
        here.set_write_timeout(Some(PATIENCE)).unwrap();
        let ask = |question: &mut &[u8]| shared(|| here.exchange(question, &mut [0])).unwrap();
        let mut question = &b"silent?"[..];
        assert_eq!(ask(&mut question).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(question.is_empty());

        let chunk = [7; 4096];
        let mut sent = 7;
        loop {
            let mut question = &chunk[..];
            assert_eq!(ask(&mut question).unwrap_err().kind(), ErrorKind::WouldBlock);
            sent += chunk.len() - question.len();
            if !question.is_empty() {
                break;
            }
        }
        let mut all = vec![0; sent];
        there.read_exact(&mut all).unwrap();
        there.set_nonblocking(true).unwrap();
        assert_eq!(there.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

        drop(there);
        let mut question = &b"gone?"[..];
        assert_eq!(ask(&mut question).unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(question, b"gone?");
    });
}

fn a_token_ends_one_that_waits_for_its_answer() {
    beside_others(|| {
        if is_forced_elsewhere() {
            return;
        }
        let (here, mut there) = UnixStream::pair().unwrap();
        let token = cancel::Token::new();
        let asker = {
            let token = token.clone();
            thread::spawn(move || {
                let mut question = &b"well?"[..];
                let end = token.carry(|| shared(|| here.exchange(&mut question, &mut [0])));
                assert!(end.is_err());
                question.len()
            })
        };
        let mut heard = [0; 5];
        there.read_exact(&mut heard).unwrap();
        token.cancel();
        assert_eq!((asker.join().unwrap(), &heard), (0, b"well?"));
    });
}

/// Whoever gives way again and again, while all others wait for the kernel, lets it begin: the core does not sleep, so nobody else would soon.
fn who_gives_way_alone_hands_over_what_others_submitted() {
    /// The monitor comes by after some ten thousand.
    const TURNS_MAX: u32 = 200;
    on_one_core(|| {
        if is_forced_elsewhere() {
            return;
        }
        for _ in 0..20 {
            let (mut here, _there) = UnixStream::pair().unwrap();
            let tries = Arc::new(AtomicU32::new(0));
            let counts = tries.clone();
            let writer = thread::spawn(move || {
                shared(|| {
                    counts.fetch_add(1, Relaxed);
                    here.write(b"x")
                })
            });
            let (mut last, mut turns, mut most) = (0, 0, 0);
            while !writer.is_finished() {
                thread::yield_now();
                let now = tries.load(Relaxed);
                turns = if now == last { turns + 1 } else { 0 };
                (last, most) = (now, most.max(turns));
            }
            assert_eq!(writer.join().unwrap().expect("it goes by the ring").unwrap(), 1);
            assert!(most < TURNS_MAX, "{most} turns without anything for the kernel");
        }
    });
}

/// Whoever parks among so many is cold when it comes back: a call is less.
fn where_very_many_wait_it_is_a_call() {
    /// More than `operation::goes_with_others` takes for few, in as many descriptors as a process has at least.
    const MANY: usize = 300;
    beside_others(|| {
        if is_forced_elsewhere() {
            return;
        }
        let (mut here, _there) = UnixStream::pair().unwrap();
        let mut write = || shared(|| here.write(b"x"));
        assert_eq!(write().expect("few wait").unwrap(), 1);
        let (readers, others): (Vec<_>, Vec<_>) = (0..MANY)
            .map(|_| {
                let (mut reader, other) = UnixStream::pair().unwrap();
                (thread::spawn(move || reader.read(&mut [0]).unwrap()), other)
            })
            .unzip();
        // All are in their reads by then.
        thread::sleep(Duration::from_millis(50));
        assert!(write().is_none(), "it went by the ring");
        drop(others);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 0);
        }
        assert_eq!(write().expect("few wait again").unwrap(), 1);
    });
}

fn main() -> ExitCode {
    net_kit::main(vec![Suite {
        name: "shared",
        threads: Threads::Kernel,
        cases: vec![
            ("bytes_arrive_and_only_by_a_ring", bytes_arrive_and_only_by_a_ring as fn()),
            ("errors_are_those_of_a_call", errors_are_those_of_a_call),
            ("a_token_ends_one_that_waits", a_token_ends_one_that_waits),
            ("a_question_and_its_answer_go_by_the_ring", a_question_and_its_answer_go_by_the_ring),
            ("a_long_question_goes_in_pieces", a_long_question_goes_in_pieces),
            ("what_was_not_asked_stays", what_was_not_asked_stays),
            (
                "a_token_ends_one_that_waits_for_its_answer",
                a_token_ends_one_that_waits_for_its_answer,
            ),
            (
                "who_gives_way_alone_hands_over_what_others_submitted",
                who_gives_way_alone_hands_over_what_others_submitted,
            ),
            ("where_very_many_wait_it_is_a_call", where_very_many_wait_it_is_a_call),
        ],
    }])
}
