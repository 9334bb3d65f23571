//! The atomics that this crate's structures use, and what a spinning thread says: the standard library's, or, under `--cfg loom`, loom's.
//!
//! loom takes a sequentially consistent access for acquire and release, no more. What is more about it matters wherever two threads write
//! one word each and then look at the other's. So under loom a fence follows each sequentially consistent store and exchange, as x86 has
//! it: those are the instructions that wait for the stores before them. Loads get none: a plain store is not ordered before one.
//!
//! `membarrier(2)` is no access at all. Its two halves are [`light_barrier`], and a full barrier where the caller makes the system call:
//! see there.

#[cfg(loom)]
pub(crate) use checked::*;
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// The cheap half of a pair of barriers whose other half is `membarrier(2)`: it costs nothing but what the compiler may not move.
///
/// The system call makes every running thread pass a full barrier at some moment while it lasts, so what stands before the light half
/// is seen after the call, or what stands before the call is seen after the light half. To loom both halves are full fences. That is
/// the same as long as one of the two is the heavy one; two light ones order nothing, which the models must not rely on.
#[inline(always)]
pub(crate) fn light_barrier() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// A function that is `const`, but not under loom, whose atomics are made at run time.
macro_rules! const_but_for_loom {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$attribute])*
        #[cfg(not(loom))]
        $visibility const fn $name($($argument: $type),*) -> $result $body

        $(#[$attribute])*
        #[cfg(loom)]
        $visibility fn $name($($argument: $type),*) -> $result $body
    };
}
pub(crate) use const_but_for_loom;

/// loom's atomics, with the fences that are said above.
#[cfg(loom)]
mod checked {
    use loom::sync::atomic::{self, Ordering, fence};

    fn after_write(order: Ordering) {
        if order == Ordering::SeqCst {
            fence(Ordering::SeqCst);
        }
    }

    macro_rules! atomic {
        ($name:ident $(<$parameter:ident>)?, $value:ty) => {
            #[derive(Debug)]
            pub(crate) struct $name $(<$parameter>)? (atomic::$name $(<$parameter>)?);

            #[allow(dead_code, reason = "all have the same, used or not")]
            impl $(<$parameter>)? $name $(<$parameter>)? {
                pub(crate) fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, order);
                    after_write(order);
                }

                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    let before = self.0.swap(value, order);
                    after_write(order);
                    before
                }

                pub(crate) fn compare_exchange(
                    &self,
                    from: $value,
                    to: $value,
                    done: Ordering,
                    failed: Ordering,
                ) -> Result<$value, $value> {
                    let before = self.0.compare_exchange(from, to, done, failed)?;
                    after_write(done);
                    Ok(before)
                }

                pub(crate) fn compare_exchange_weak(
                    &self,
                    from: $value,
                    to: $value,
                    done: Ordering,
                    failed: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(from, to, done, failed)
                }

                pub(crate) fn fetch_update(
                    &self,
                    done: Ordering,
                    failed: Ordering,
                    mut step: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let mut now = self.load(failed);
                    while let Some(next) = step(now) {
                        match self.compare_exchange(now, next, done, failed) {
                            Ok(before) => return Ok(before),
                            Err(changed) => now = changed,
                        }
                    }
                    Err(now)
                }
            }
        };
    }

    macro_rules! number {
        ($name:ident, $value:ty, $($operation:ident),*) => {
            atomic!($name, $value);

            #[allow(dead_code, reason = "all have the same, used or not")]
            impl $name {
                $(pub(crate) fn $operation(&self, value: $value, order: Ordering) -> $value {
                    let before = self.0.$operation(value, order);
                    after_write(order);
                    before
                })*
            }
        };
    }

    number!(AtomicU8, u8, fetch_add, fetch_sub, fetch_or, fetch_and, fetch_xor);
    number!(AtomicU32, u32, fetch_add, fetch_sub, fetch_or, fetch_and, fetch_xor);
    number!(AtomicU64, u64, fetch_add, fetch_sub, fetch_or, fetch_and, fetch_xor);
    number!(AtomicUsize, usize, fetch_add, fetch_sub, fetch_or, fetch_and, fetch_xor);
    number!(AtomicBool, bool, fetch_or, fetch_and, fetch_xor);
    atomic!(AtomicPtr<T>, *mut T);
}
