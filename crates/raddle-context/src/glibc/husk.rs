//! What libc keeps for a thread in its own thread-locals, taken off one TLS block and put on another.
//!
//! glibc does not export the function that drops a thread's malloc cache (`__libc_thread_freeres`), so a TLS block can't
//! be thrown away without leaking it. Its thread-locals are plain values and pointers to the heap, though, that do not
//! depend on where they stand; the one that does, `__resp`, is set anew. That is checked and not assumed: a block with
//! any pointer into its own slot, or with a field in use in `struct pthread` that this crate does not know, is left alone.

#![allow(unsafe_code, reason = "reads and writes libc's thread-local storage")]

use super::Glibc;
use super::layout::UserStack;
use super::modules;
use crate::arch;
use std::ops::Range;
use std::ptr;

/// libc's thread-locals of a body that is no more.
#[derive(Debug)]
pub(crate) struct Husk {
    words: Box<[usize]>,
    /// The vDSO's state for getrandom, which libc keeps in the TCB since 2.41; 0 if there is none.
    getrandom_state: usize,
}

impl Glibc {
    /// Takes libc's thread-locals off the block at `tp`, if they and nothing else are worth keeping. The block is then
    /// to be taken down: it must not be used with them again.
    ///
    /// # Safety
    ///
    /// `tp` is a block on which nothing runs, and whose last body ended. `own` are the addresses of its slot.
    pub(crate) unsafe fn take_off(&self, tp: *mut u8, own: Range<usize>) -> Option<Husk> {
        let libc_block = modules::libc_block(self)?;
        // SAFETY: nothing runs on the block, so it can be read as words; libc's part was found inside its static part.
        unsafe {
            if !self.is_pristine(tp) {
                return None;
            }
            let start = tp.wrapping_sub(libc_block.start).cast::<usize>();
            let mut words: Box<[usize]> =
                (0..libc_block.words).map(|word| start.add(word).read()).collect();
            let resolver = (libc_block.start as isize + self.resolver_pointer) as usize / 8;
            *words.get_mut(resolver)? = 0;
            let getrandom_state = self
                .pthread
                .getrandom_state
                .map_or(0, |offset| tp.wrapping_add(offset).cast::<usize>().read());
            let moves = !words.iter().any(|word| own.contains(word));
            moves.then_some(Husk { words, getrandom_state })
        }
    }

    /// Puts libc's thread-locals on the block at `tp`.
    ///
    /// # Safety
    ///
    /// The block was built a moment ago, and nothing has run on it.
    pub(crate) unsafe fn put_on(&self, husk: Husk, tp: *mut u8) {
        let Some(libc_block) = modules::libc_block(self) else { return };
        debug_assert_eq!(libc_block.words, husk.words.len());
        // SAFETY: libc's part of the block, as many words as were taken off one like it; then __resp as build_block set it.
        unsafe {
            let start = tp.wrapping_sub(libc_block.start).cast::<usize>();
            let resolver = tp.wrapping_offset(self.resolver_pointer).cast::<usize>();
            let own_resolver = resolver.read();
            ptr::copy_nonoverlapping(husk.words.as_ptr(), start, husk.words.len());
            resolver.write(own_resolver);
            if let Some(offset) = self.pthread.getrandom_state {
                tp.wrapping_add(offset).cast::<usize>().write(husk.getrandom_state);
            }
        }
    }

    /// Whether the TCB at `tp` says nothing but what `build_block` wrote.
    ///
    /// # Safety
    ///
    /// As [`take_off`](Self::take_off).
    unsafe fn is_pristine(&self, tp: *mut u8) -> bool {
        /// `specific_1stblock`: 32 entries; their data is null after the destructors, their sequence numbers say nothing.
        const FIRST_KEYS: usize = 32;
        let layout = &self.pthread;
        let robust_is_empty = |offset: usize| {
            // SAFETY: a word of the TCB.
            unsafe {
                tp.wrapping_add(offset).cast::<usize>().read() == tp.addr() + layout.robust_head
            }
        };
        if !robust_is_empty(layout.robust_head) || !robust_is_empty(layout.robust_head - 8) {
            return false;
        }
        let (user_stack, user_stack_bytes) = match layout.user_stack {
            UserStack::Flag { offset } => (offset, 1),
            UserStack::Mode { offset, .. } => (offset, 4),
        };
        let mut known: Vec<Range<usize>> = [
            (0, 32),
            (arch::CANARY_OFFSET, 16),
            (arch::TAG_OFFSET, 8),
            (layout.list, 16),
            (layout.tid, 4),
            (layout.robust_head - 8, 24),
            (layout.specific_first, FIRST_KEYS * self.keys.data_size),
            (layout.specific, 8),
            (user_stack, user_stack_bytes),
            (layout.stack, 32),
        ]
        .map(|(start, bytes)| start..start + bytes)
        .to_vec();
        if let Some(cpu_id) = self.rseq_cpu_id.and_then(|at| usize::try_from(at).ok()) {
            known.push(cpu_id..cpu_id + 4);
        }
        known.extend(layout.getrandom_state.map(|offset| offset..offset + 8));
        known.extend(layout.join_state.map(|offset| offset..offset + 4));
        // SAFETY: the TCB's bytes, which nobody changes now; a TCB is whole words.
        let words = unsafe { std::slice::from_raw_parts(tp.cast::<[u8; 8]>(), layout.size / 8) };
        let is_known = |at: usize| known.iter().any(|range| range.contains(&at));
        words.iter().enumerate().filter(|(_, word)| **word != [0; 8]).all(|(at, word)| {
            word.iter().enumerate().all(|(byte, &value)| value == 0 || is_known(at * 8 + byte))
        })
    }
}
