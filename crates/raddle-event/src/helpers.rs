//! The helpers: a few kernel threads that do what waits for a disk, so that the queue's owner never does.
//!
//! A file on a disk is always "ready" and its reads wait all the same; with epoll and poll there is no way to be told. One lock
//! around two rings: jobs in, results out. A helper holds it for some instructions, never over a call that waits. The rings have room
//! for every slot that a queue can have, so nothing is allocated by whoever submits (a `VecDeque` would).
//!
//! Helpers start when a job finds none idle, up to a bound, or ahead by [`start`](Helpers::start). They block all signals, and
//! end with the queue.

#![allow(unsafe_code, reason = "does operations; blocks signals for the threads it starts")]

use crate::op::RawOp;
use crate::perform::{self, Attempt};
use crate::slots::SLOTS_MAX;
use crate::table::{Table, Zeroed};
use crate::wake::Wake;
use crate::wake_word::HELPER;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// One operation, on its way to a helper or back.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Job {
    pub(crate) index: u32,
    /// On the way back: it must wait for readiness.
    pub(crate) waits: bool,
    /// Of `SendFile` also what has been sent.
    pub(crate) result: i64,
    pub(crate) op: RawOp,
}

// SAFETY: integers, booleans and a `RawOp`.
unsafe impl Zeroed for Job {}
// SAFETY: the operation's submitter has promised that its pointers may be used from any kernel thread.
unsafe impl Send for Job {}

/// A ring with room for one job of every slot.
struct Ring {
    jobs: Table<Job>,
    head: usize,
    len: usize,
}

impl Ring {
    fn new() -> io::Result<Ring> {
        Ok(Ring { jobs: Table::new(SLOTS_MAX)?, head: 0, len: 0 })
    }

    fn push(&mut self, job: Job) {
        // A slot has one job at most, here or there.
        debug_assert!(self.len < SLOTS_MAX);
        let at = (self.head + self.len) % SLOTS_MAX;
        self.jobs[at] = job;
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Job> {
        let job = self.jobs[self.head];
        self.len = self.len.checked_sub(1)?;
        self.head = (self.head + 1) % SLOTS_MAX;
        Some(job)
    }

    /// Takes out `index`'s job, if it is here; those behind it move up, so that no place is left to one that is gone.
    fn remove(&mut self, index: u32) -> bool {
        let head = self.head;
        let at = |place| (head + place) % SLOTS_MAX;
        let Some(place) = (0..self.len).find(|place| self.jobs[at(*place)].index == index) else {
            return false;
        };
        for place in place + 1..self.len {
            self.jobs[at(place - 1)] = self.jobs[at(place)];
        }
        self.len -= 1;
        true
    }
}

struct State {
    jobs: Ring,
    done: Ring,
    /// Helpers that wait for a job, less those that have been told of one.
    idle: usize,
    /// Those that have been told and have not looked yet. Who wakes for another reason is not one of them.
    told: usize,
    is_over: bool,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    wake: Arc<Wake>,
}

impl Shared {
    /// Nothing panics under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Helpers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    threads_max: usize,
    /// Jobs that were given and have not come back.
    pub(crate) in_flight: u32,
}

impl Helpers {
    pub(crate) fn new(wake: Arc<Wake>, threads_max: usize) -> io::Result<Helpers> {
        let state =
            State { jobs: Ring::new()?, done: Ring::new()?, idle: 0, told: 0, is_over: false };
        let shared = Shared { state: Mutex::new(state), work: Condvar::new(), wake };
        Ok(Helpers {
            shared: Arc::new(shared),
            threads: Vec::new(),
            threads_max: threads_max.max(1),
            in_flight: 0,
        })
    }

    /// Starts all helpers now, for an owner that must not start threads later.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        while self.threads.len() < self.threads_max {
            self.start_one()?;
        }
        Ok(())
    }

    fn start_one(&mut self) -> io::Result<()> {
        let shared = self.shared.clone();
        let _blocked = SignalsBlocked::new();
        let thread = thread::Builder::new()
            .name("raddle-disk".to_owned())
            .stack_size(64 * 1024)
            .spawn(move || serve(&shared))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Gives an operation to a helper. What it comes to arrives with [`take_done`](Helpers::take_done), after a ring of the wake word.
    ///
    /// # Safety
    ///
    /// What the operation's submitter has promised of its memory must hold until it has come back.
    pub(crate) unsafe fn give(&mut self, index: u32, op: RawOp, result: i64) {
        self.in_flight += 1;
        let mut state = self.shared.lock();
        state.jobs.push(Job { index, waits: false, result, op });
        if state.idle > 0 {
            state.idle -= 1;
            state.told += 1;
            drop(state);
            self.shared.work.notify_one();
            return;
        }
        drop(state);
        if self.threads.len() < self.threads_max
            && let Err(error) = self.start_one()
            && self.threads.is_empty()
        {
            // Late is better than never.
            log::warn!(
                "raddle-event: no helper thread for disk operations, so their caller waits: {error}"
            );
            work_off(&self.shared);
        }
    }

    /// Takes back a job that nobody has begun. If that fails it will come back done.
    pub(crate) fn take_back(&mut self, index: u32) -> bool {
        let is_here = self.shared.lock().jobs.remove(index);
        self.in_flight -= u32::from(is_here);
        is_here
    }

    /// One job that has come back.
    pub(crate) fn take_done(&mut self) -> Option<Job> {
        if self.in_flight == 0 {
            return None;
        }
        let job = self.shared.lock().done.pop()?;
        self.in_flight -= 1;
        Some(job)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // It has nothing that could panic, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

/// A helper's life.
fn serve(shared: &Shared) {
    loop {
        work_off(shared);
        let mut state = shared.lock();
        if state.is_over {
            return;
        }
        if state.jobs.len == 0 {
            state.idle += 1;
            let mut state = shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            match state.told {
                // For nothing.
                0 => state.idle -= 1,
                _ => state.told -= 1,
            }
        }
    }
}

/// Does all jobs that are there.
fn work_off(shared: &Shared) {
    let mut state = shared.lock();
    while let Some(mut job) = state.jobs.pop() {
        drop(state);
        // SAFETY: `give`'s contract; the job is ours alone, and it comes back after this.
        let attempt = unsafe { perform::help(&mut job.op, &mut job.result) };
        match attempt {
            Attempt::Done(result) => job.result = result,
            Attempt::Wait | Attempt::Disk => job.waits = true,
        }
        state = shared.lock();
        state.done.push(job);
        shared.wake.ring(HELPER);
    }
}

/// While it lives, the calling thread has all signals blocked, and threads that it starts inherit that.
struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    fn new() -> SignalsBlocked {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigfillset` writes all of a set; `pthread_sigmask` with a valid `how` can't fail and writes the other.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            SignalsBlocked(before.assume_init())
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::WakeKind;
    use crate::op::Op;
    use std::os::fd::AsRawFd;
    use std::time::{Duration, Instant};

    fn helpers(threads_max: usize) -> Helpers {
        let wake = Wake::open(WakeKind::Eventfd).expect("an eventfd");
        Helpers::new(Arc::new(wake), threads_max).expect("two tables")
    }

    fn until(mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            assert!(start.elapsed() < Duration::from_secs(20), "it does not come to that");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn what_is_taken_back_leaves_its_place() {
        let mut helpers = helpers(1);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut byte = 0;
        let (file, buffer) = (reader.as_raw_fd(), &raw mut byte);
        let op = RawOp::from(Op::Read { file, buffer, len: 1, offset: None });
        // SAFETY: the byte outlives the helper, which is joined before this ends.
        unsafe { helpers.give(0, op, 0) };
        until(|| helpers.shared.lock().jobs.len == 0);
        // The only helper is at work. Each slot is used again and again, and some job is always behind the one that leaves.
        for at in 1..1000 {
            // SAFETY: as above; they are taken back.
            unsafe { helpers.give(at % 2 + 1, op, 0) };
            assert!(at == 1 || helpers.take_back((at - 1) % 2 + 1));
            assert!(helpers.shared.lock().jobs.len <= 2, "the ring fills");
        }
        drop(writer);
        until(|| helpers.take_done().is_none() && helpers.in_flight == 0);
    }

    #[test]
    fn who_wakes_for_nothing_is_not_counted_twice() {
        let mut helpers = helpers(2);
        helpers.start().expect("two threads");
        for _ in 0..100 {
            until(|| helpers.shared.lock().idle == 2);
            helpers.shared.work.notify_all();
        }
        thread::sleep(Duration::from_millis(20));
        assert!(helpers.shared.lock().idle <= 2);
    }
}
