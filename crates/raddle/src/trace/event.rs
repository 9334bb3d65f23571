//! What is recorded, and how it is packed into a ring's records: time, kind, core, thread and one word more.

use super::why::Why;
use crate::label::Label;
use raddle_core::ring::Record;

/// Who made a thread ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waker {
    /// Not known: the thread had not quite fallen asleep when it was woken.
    Unknown,
    /// One of raddle's, by its id.
    Thread(u64),
    /// A plain kernel thread, by the kernel's id for it.
    KernelThread(u64),
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Ready,
    TimedOut,
    Cancelled,
    Signalled,
}

/// One thing that happened, to the record's thread. `waiting` is how many threads are ready on the record's core by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It runs from here on.
    Dispatched { worker: u32, waiting: u32 },
    /// Nobody runs on the core from here on.
    Idle { waiting: u32 },
    /// It is about to leave its core for a sleep.
    Sleeps(Why),
    /// It was asleep, and is ready on the record's core.
    Woken { waker: Waker, ended: Ended, waiting: u32 },
    /// It is new, and ready on the record's core.
    Begun { creator: Waker, waiting: u32 },
    /// It is about to give way, without having asked for it.
    Preempted { used_up: bool },
    /// It is over.
    Ends,
    /// It has come back from the kernel, on a worker that has lost its core: it is ready on the record's core.
    Evicted,
    /// The record's core took `count` threads from another. The record's thread is the first of them.
    Stolen { victim: u16, count: u16, left: u32 },
    /// The record's core was taken from a worker that blocks with the record's thread.
    HandedOver { from: u32, to: u32 },
    /// The monitor has asked a worker to preempt its thread.
    Signalled { worker: u32 },
    /// The signal found its thread inside libc, and leaves it a moment.
    PutOff,
    /// An operation that it has waited for has ended: as a system call's, an error is its number with a minus.
    Operated { what: Label, descriptor: u32, result: i32 },
}

/// Bits of a waker's id. Beside it stand its kind, how the sleep ended, and the number of those that wait.
const ID_BITS: u32 = 44;
const ID: u64 = (1 << ID_BITS) - 1;
const IS_KERNEL_THREAD: u64 = 1 << ID_BITS;
const ENDED_AT: u32 = ID_BITS + 1;
const WAITING_AT: u32 = 48;

/// Linux gives no process more descriptors than this holds, unless `fs.nr_open` was raised.
const DESCRIPTOR_BITS: u32 = 24;
const DESCRIPTOR: u32 = (1 << DESCRIPTOR_BITS) - 1;

impl Event {
    /// The record of this event.
    pub(super) fn record(self, time: u64, core: u32, thread: u64) -> Record {
        let (kind, argument) = match self {
            Event::Dispatched { worker, waiting } => (1, pair(worker, waiting)),
            Event::Idle { waiting } => (2, pair(0, waiting)),
            Event::Sleeps(why) => (3, why.to_bits()),
            Event::Woken { waker, ended, waiting } => (4, pack_waker(waker, ended, waiting)),
            Event::Begun { creator, waiting } => (5, pack_waker(creator, Ended::Ready, waiting)),
            Event::Preempted { used_up } => (6, u64::from(used_up)),
            Event::Ends => (7, 0),
            Event::Evicted => (8, 0),
            Event::Stolen { victim, count, left } => {
                (9, pair(u32::from(count) << 16 | u32::from(victim), left))
            }
            Event::HandedOver { from, to } => (10, pair(from, to)),
            Event::Signalled { worker } => (11, pair(worker, 0)),
            Event::PutOff => (12, 0),
            Event::Operated { what, descriptor, result } => {
                let on = (what.number() as u32) << DESCRIPTOR_BITS | descriptor & DESCRIPTOR;
                (13, pair(on, result as u32))
            }
        };
        Record { time_ns: time, kind, core, thread, argument }
    }

    /// The event of a record; `None` for one that this version does not know.
    pub(super) fn of(record: &Record) -> Option<Event> {
        let argument = record.argument;
        let (low, high) = (argument as u32, (argument >> 32) as u32);
        Some(match record.kind {
            1 => Event::Dispatched { worker: low, waiting: high },
            2 => Event::Idle { waiting: high },
            3 => Event::Sleeps(Why::from_bits(argument)),
            4 => {
                let (waker, ended, waiting) = unpack_waker(argument);
                Event::Woken { waker, ended, waiting }
            }
            5 => {
                let (creator, _, waiting) = unpack_waker(argument);
                Event::Begun { creator, waiting }
            }
            6 => Event::Preempted { used_up: argument != 0 },
            7 => Event::Ends,
            8 => Event::Evicted,
            9 => Event::Stolen { victim: low as u16, count: (low >> 16) as u16, left: high },
            10 => Event::HandedOver { from: low, to: high },
            11 => Event::Signalled { worker: low },
            12 => Event::PutOff,
            13 => Event::Operated {
                what: Label::of_number(low >> DESCRIPTOR_BITS),
                descriptor: low & DESCRIPTOR,
                result: high as i32,
            },
            _ => return None,
        })
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn pack_waker(waker: Waker, ended: Ended, waiting: u32) -> u64 {
    let who = match waker {
        Waker::Unknown => 0,
        Waker::Thread(id) => id & ID,
        Waker::KernelThread(id) => IS_KERNEL_THREAD | id & ID,
    };
    who | (ended as u64) << ENDED_AT | u64::from(waiting.min(0xffff)) << WAITING_AT
}

fn unpack_waker(argument: u64) -> (Waker, Ended, u32) {
    let waker = match argument & ID {
        id if argument & IS_KERNEL_THREAD != 0 => Waker::KernelThread(id),
        0 => Waker::Unknown,
        id => Waker::Thread(id),
    };
    let ended = match argument >> ENDED_AT & 3 {
        0 => Ended::Ready,
        1 => Ended::TimedOut,
        2 => Ended::Cancelled,
        _ => Ended::Signalled,
    };
    (waker, ended, (argument >> WAITING_AT) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::Location;

    #[test]
    fn what_is_packed_comes_out_again() {
        let wakers = [Waker::Unknown, Waker::Thread(ID), Waker::KernelThread(4_194_304)];
        let ends = [Ended::Ready, Ended::TimedOut, Ended::Cancelled, Ended::Signalled];
        let mut events = vec![
            Event::Dispatched { worker: u32::MAX, waiting: 7 },
            Event::Idle { waiting: u32::MAX },
            Event::Preempted { used_up: true },
            Event::Preempted { used_up: false },
            Event::Ends,
            Event::Evicted,
            Event::Stolen { victim: 1023, count: 64, left: 1_000_000 },
            Event::HandedOver { from: 1, to: u32::MAX },
            Event::Signalled { worker: 9 },
            Event::PutOff,
            Event::Operated { what: Label::INPUT, descriptor: DESCRIPTOR, result: i32::MAX },
            Event::Operated { what: Label::SEND_FILE, descriptor: 0, result: -libc::ECANCELED },
        ];
        for waker in wakers {
            events.push(Event::Begun { creator: waker, waiting: 0xffff });
            events.extend(ends.map(|ended| Event::Woken { waker, ended, waiting: 3 }));
        }
        events.push(Event::Sleeps(Why::new(Label::FUTURE, Location::caller())));
        for event in events {
            let record = event.record(5, 6, 7);
            assert_eq!((record.time_ns, record.core, record.thread), (5, 6, 7));
            assert_eq!(Event::of(&record), Some(event));
        }
        assert_eq!(Event::of(&Record { kind: 99, ..Record::default() }), None);
    }
}
