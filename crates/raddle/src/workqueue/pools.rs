//! The pools of each runtime: made when its first workqueue is.

#![allow(unsafe_code, reason = "a list of what is never freed")]

use super::parts::{Delays, Pool, Pools};
use crate::gang::Gang;
use crate::machine::{Core, Runtime};
use crate::spin::Spin;
use crate::thread::Priority;
use raddle_core::list::List;
use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The first of all. A list, not a lock, as a forked child may inherit it at any moment.
static FIRST: AtomicPtr<Pools> = AtomicPtr::new(ptr::null_mut());

impl Pools {
    /// The pools of `runtime`.
    pub(super) fn of(runtime: &'static Runtime) -> &'static Pools {
        let mut first = FIRST.load(Ordering::Acquire);
        let mut new: Option<Box<Pools>> = None;
        loop {
            if let Some(found) = find(first, runtime) {
                return found;
            }
            let candidate = new.take().unwrap_or_else(|| Box::new(Pools::new(runtime)));
            candidate.next.set(first);
            let raw = Box::into_raw(candidate);
            match FIRST.compare_exchange(first, raw, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: from a Box that nobody frees.
                Ok(_) => return unsafe { &*raw },
                Err(changed) => {
                    first = changed;
                    // SAFETY: from the Box above; nobody has seen it.
                    new = Some(unsafe { Box::from_raw(raw) });
                }
            }
        }
    }

    fn new(runtime: &'static Runtime) -> Pools {
        let of_core = |core: &'static Core| {
            [false, true].map(|is_high| Pool::new(runtime, Some(core), is_high))
        };
        Pools {
            runtime,
            next: Cell::new(ptr::null()),
            of_cores: runtime.cores.iter().map(of_core).collect(),
            unbound: [false, true].map(|is_high| Pool::new(runtime, None, is_high)),
            delays: Delays::new(runtime.now_ns()),
        }
    }
}

fn find(first: *const Pools, runtime: &'static Runtime) -> Option<&'static Pools> {
    // SAFETY: members are never freed; links are written before a member is published.
    let all = std::iter::successors(unsafe { first.as_ref() }, |pools| unsafe {
        pools.next.get().as_ref()
    });
    all.into_iter().find(|pools| ptr::eq(pools.runtime, runtime))
}

impl Pool {
    fn new(runtime: &'static Runtime, core: Option<&'static Core>, is_high: bool) -> Pool {
        let place = core.map_or("any".to_owned(), |core| core.index.to_string());
        Pool {
            runtime,
            core,
            priority: if is_high { Priority::HIGHEST } else { Priority::NORMAL },
            name: format!("work/{place}{}", if is_high { " high" } else { "" }),
            gang: Gang::new(if core.is_some() { 1 } else { runtime.cores.len() }),
            ready: Spin::new(List::new()),
            failed_ns: AtomicU64::new(0),
        }
    }
}
