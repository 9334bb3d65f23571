//! One system call on every kernel thread of the process.
//!
//! The *tickets* keep signals and answers apart. A kernel thread is asked through a slot, which holds its id and a number that
//! is never used again; the signal carries slot and number. The handler takes the ticket only if number and id are right, so a
//! signal may be sent twice, or by a stranger, or arrive late, and does nothing then. The states of a slot are `raddle_core::ticket_slot`'s.
//!
//! *The handler* may interrupt anything: a body, the middle of a switch, a worker's own stack, an exiting thread. It runs on the
//! alternate stack where there is one (SA_ONSTACK), with all signals blocked, so that it is not preempted and stays on its kernel thread;
//! it makes system calls and touches this module's statics, never FS: no `errno`, no thread-local, no allocation, no panic.
//! Interrupted system calls are restarted (SA_RESTART) as far as the kernel does that.

use super::lock::Lock;
use super::signal::{self, SIGNAL};
use crate::sys::kernel_threads::{IDS, Ids, Listing, Pass, Seen, Text};
use crate::sys::{clock, futex, memory};
use raddle_context::system_call;
use raddle_core::ticket_slot::{HowFar, TicketSlot};
use std::ffi::{c_int, c_void};
use std::fmt::Write;
use std::sync::atomic::{
    AtomicI32, AtomicI64, AtomicIsize, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// What is to be called. Written by the lock's holder while no ticket is out.
static REQUEST: Request =
    Request { number: AtomicI64::new(0), arguments: [const { AtomicUsize::new(0) }; 3] };
static SLOTS: [Slot; 64] = [const { Slot::new() }; 64];
/// Counts answers: the futex on which the caller waits.
static ANSWERS: AtomicU32 = AtomicU32::new(0);
/// The number of the last ticket.
static TICKETS: AtomicU64 = AtomicU64::new(0);
static LOCK: Lock = Lock::new();

struct Request {
    number: AtomicI64,
    arguments: [AtomicUsize; 3],
}

/// A question to one kernel thread.
struct Slot {
    ticket: TicketSlot,
    thread: AtomicI32,
    result: AtomicIsize,
}

impl Slot {
    const fn new() -> Slot {
        Slot { ticket: TicketSlot::new(), thread: AtomicI32::new(0), result: AtomicIsize::new(0) }
    }
}

/// What a signal carries: the ticket's number and its slot.
fn carried(ticket: u64, slot: usize) -> u64 {
    ticket * SLOTS.len() as u64 + slot as u64
}

/// Makes the system call on every kernel thread of the process, on the caller's first: its result, or its error, and then no
/// other has made it.
pub(super) fn call(number: i64, arguments: [usize; 3]) -> isize {
    let former = signal::set_mask(!(1 << (SIGNAL - 1)));
    let own = Ids::own();
    let listing = Listing::open();
    let result = if listing.is_alone(own) {
        own_call(number, arguments)
    } else {
        LOCK.take(own.process as u32);
        let result = call_everywhere(number, arguments, own, listing);
        LOCK.release();
        result
    };
    signal::set_mask(former);
    result
}

fn call_everywhere(number: i64, arguments: [usize; 3], own: Ids, mut listing: Listing) -> isize {
    /// Passes in a row without anybody new that could not be shown to be whole.
    const PATIENCE: u32 = 100;
    let Some(mut known) = Known::new() else { return -libc::EAGAIN as isize };
    known.note(own.thread);
    // What could be refused is found out before anything has changed.
    if let Err(error) =
        signal::install(on_signal).and_then(|()| signal::queue(own.process, own.thread, 0, 0))
    {
        return error;
    }
    let result = own_call(number, arguments);
    if result < 0 {
        return result;
    }
    let mut round = Round::new(own, number, arguments, result);
    let mut partial = 0;
    loop {
        let mut is_new = false;
        let pass = listing.each(own, |id| {
            if known.note(id) {
                is_new = true;
                if listing.look(id) == Seen::Ordinary {
                    round.ask(id, &listing);
                }
            }
        });
        round.await_answers(&listing);
        match pass {
            Pass::Failed => listing = Listing::Ids,
            _ if is_new => partial = 0,
            Pass::Partial if partial < PATIENCE => partial += 1,
            _ => return result,
        }
    }
}

fn own_call(number: i64, arguments: [usize; 3]) -> isize {
    // SAFETY: one of the calls of the parent module, with that function's arguments.
    unsafe { system_call(number, [arguments[0], arguments[1], arguments[2], 0, 0, 0]) }
}

/// Tickets that are out, and what is expected of them.
struct Round {
    own: Ids,
    expected: isize,
    /// Slots in use, from the first.
    used: usize,
    /// Those, a bit for each, whose signal the kernel had no room for (`ulimit -i`).
    unsent: u64,
    began_ns: u64,
    has_told: bool,
}

/// After so long without an answer the others are looked at; twice as long each time.
const FIRST_LOOK_NS: u64 = 1_000_000;
const LONGEST_LOOK_NS: u64 = 128 * FIRST_LOOK_NS;
/// When a thread that doesn't answer is told of.
const TELL_NS: u64 = 5_000_000_000;

impl Round {
    fn new(own: Ids, number: i64, arguments: [usize; 3], expected: isize) -> Round {
        // A child that was forked meanwhile has inherited tickets.
        for slot in &SLOTS {
            slot.ticket.forget();
        }
        REQUEST.number.store(number, Ordering::Relaxed);
        for (place, argument) in REQUEST.arguments.iter().zip(arguments) {
            place.store(argument, Ordering::Relaxed);
        }
        Round { own, expected, used: 0, unsent: 0, began_ns: clock::now_ns(), has_told: false }
    }

    /// Asks a kernel thread to make the call, and goes on.
    fn ask(&mut self, thread: i32, listing: &Listing) {
        if self.used == SLOTS.len() {
            self.await_answers(listing);
        }
        let slot = &SLOTS[self.used];
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed) + 1;
        slot.thread.store(thread, Ordering::Relaxed);
        slot.ticket.send(ticket);
        self.used += 1;
        self.send(self.used - 1);
    }

    /// Sends the signal of a slot. Where the kernel has no room for it, it is sent at the next look.
    fn send(&mut self, index: usize) {
        let slot = &SLOTS[index];
        let thread = slot.thread.load(Ordering::Relaxed);
        self.unsent &= !(1 << index);
        match signal::queue(self.own.process, thread, SIGNAL, carried(slot.ticket.number(), index))
        {
            Ok(()) => {}
            Err(error) if error == -libc::ESRCH as isize => give_up(slot),
            Err(_) => self.unsent |= 1 << index,
        }
    }

    /// Waits until all that were asked have answered, or are gone.
    fn await_answers(&mut self, listing: &Listing) {
        let mut step_ns = FIRST_LOOK_NS;
        let mut look_at_ns = clock::now_ns() + step_ns;
        loop {
            let seen = ANSWERS.load(Ordering::Acquire);
            let is_out =
                |slot: &Slot| matches!(slot.ticket.how_far(), HowFar::Sent | HowFar::Taken);
            if !SLOTS[..self.used].iter().any(is_out) {
                break;
            }
            futex::wait(&ANSWERS, seen, Some(look_at_ns));
            if clock::now_ns() >= look_at_ns {
                self.look_after(listing, step_ns < LONGEST_LOOK_NS);
                step_ns = (step_ns * 2).min(LONGEST_LOOK_NS);
                look_at_ns = clock::now_ns() + step_ns;
            }
        }
        for slot in &SLOTS[..self.used] {
            if slot.ticket.how_far() == HowFar::Answered {
                self.judge(slot);
            }
        }
        self.used = 0;
    }

    /// Looks at those who have not answered. `sends_again`: another handler may have taken the signal, or the kernel had no room.
    fn look_after(&mut self, listing: &Listing, sends_again: bool) {
        let _ = signal::install(on_signal);
        for (index, slot) in SLOTS.iter().enumerate().take(self.used) {
            if slot.ticket.how_far() != HowFar::Sent {
                continue;
            }
            let thread = slot.thread.load(Ordering::Relaxed);
            if !self.own.has(thread) || listing.look(thread) != Seen::Ordinary {
                give_up(slot);
            } else if sends_again || self.unsent & 1 << index != 0 {
                self.send(index);
            } else if !self.has_told && clock::now_ns() > self.began_ns + TELL_NS {
                self.has_told = true;
                say(format_args!(
                    "raddle: setuid or one of its kin waits for kernel thread {thread}, which does not take signal {SIGNAL}: \
                     it is stopped, in vfork, or has blocked it\n"
                ));
            }
        }
    }

    /// An answer that differs from the caller's leaves the process with two kinds of credentials: the end.
    fn judge(&self, slot: &Slot) {
        let result = slot.result.load(Ordering::Relaxed);
        if result == self.expected {
            return;
        }
        let thread = slot.thread.load(Ordering::Relaxed);
        let error = -result;
        say(format_args!(
            "raddle: fatal: credentials changed on kernel thread {} and not on {thread} (error {error})\n",
            self.own.thread
        ));
        std::process::abort();
    }
}

/// The thread is gone, unless it has taken the ticket: then it answers.
fn give_up(slot: &Slot) {
    let _ = slot.ticket.give_up();
}

/// Writes to standard error, without its lock.
fn say(what: std::fmt::Arguments<'_>) {
    let mut text = Text::<192>::default();
    // What does not fit is left out.
    let _ = text.write_fmt(what);
    let bytes = text.as_bytes();
    // SAFETY: reads a live buffer.
    unsafe {
        system_call(libc::SYS_write, [2, bytes.as_ptr().expose_provenance(), bytes.len(), 0, 0, 0])
    };
}

/// On the kernel thread that was asked, wherever it is just now.
extern "C" fn on_signal(signal: c_int, information: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's argument.
    let Some(carried) = (unsafe { signal::carried_by(information) }) else {
        signal::pass_on(signal, information, context);
        return;
    };
    let ticket = carried / SLOTS.len() as u64;
    let Some(slot) = SLOTS.get(carried as usize % SLOTS.len()) else { return };
    // SAFETY: no arguments, no effect.
    let own = unsafe { system_call(libc::SYS_gettid, [0; 6]) };
    if slot.thread.load(Ordering::Relaxed) as isize != own {
        return;
    }
    // While the ticket is taken, the request stays.
    if !slot.ticket.take(ticket) {
        return;
    }
    let arguments = [
        REQUEST.arguments[0].load(Ordering::Relaxed),
        REQUEST.arguments[1].load(Ordering::Relaxed),
        REQUEST.arguments[2].load(Ordering::Relaxed),
    ];
    let result = own_call(REQUEST.number.load(Ordering::Relaxed), arguments);
    slot.result.store(result, Ordering::Relaxed);
    slot.ticket.answer(ticket);
    ANSWERS.fetch_add(1, Ordering::Release);
    futex::wake(&ANSWERS, 1);
}

/// Which ids were met: a bit for each that there can be, in a mapping of its own, of which only what is touched becomes memory.
struct Known(*mut u64);

const KNOWN_BYTES: usize = IDS / 8;

impl Known {
    /// `None` where there is no memory.
    fn new() -> Option<Known> {
        memory::map(KNOWN_BYTES).ok().map(|mapping| Known(mapping.cast().as_ptr()))
    }

    /// Whether `id` was not met before.
    fn note(&mut self, id: i32) -> bool {
        let bit = id as usize % IDS;
        // SAFETY: inside the mapping, which begins with zeroes.
        let word = unsafe { &mut *self.0.add(bit / 64) };
        let is_new = *word >> (bit % 64) & 1 == 0;
        *word |= 1 << (bit % 64);
        is_new
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made.
        unsafe {
            system_call(libc::SYS_munmap, [self.0.expose_provenance(), KNOWN_BYTES, 0, 0, 0, 0])
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once() {
        let mut known = Known::new().unwrap();
        for id in [1, 63, 64, 65, IDS as i32 - 1] {
            assert!(known.note(id));
            assert!(!known.note(id));
        }
        assert!(known.note(2));
    }
}
