//! may's coroutines, from the crate that they come from, `generator`; TLS is the kernel thread's.
//!
//! may recycles a coroutine by giving its ended generator new code, which keeps the stack: that is `body_warm` here.

use super::peer::{COLD_BATCH, Peer, STACK_BYTES};
use crate::pairs::{Block, Work};
use generator::{Gn, LocalGenerator};
use raddle_bench::memory::{self, Crowd, Memory};
use std::hint::black_box;
use std::io;

/// The crate counts stacks in words, and fills them to measure their use if the number is odd.
const STACK_WORDS: usize = STACK_BYTES / size_of::<usize>();

pub(super) struct May;

impl Peer for May {
    fn name(&self) -> &'static str {
        "may"
    }

    fn switch(&self) -> io::Result<Work<'_>> {
        self.ring(1)
    }

    fn ring(&self, contexts: usize) -> io::Result<Work<'_>> {
        let mut ring: Vec<_> = (0..contexts).map(|_| suspended()).collect();
        Ok(Box::new(move |operations| {
            let laps = operations.div_ceil(2 * contexts as u64);
            Block::time(laps * 2 * contexts as u64, || {
                for _ in 0..laps {
                    for generator in &mut ring {
                        generator.resume();
                    }
                }
                Ok(())
            })
        }))
    }

    fn warm(&self) -> io::Result<Work<'_>> {
        let mut generator = run_to_end();
        Ok(Box::new(move |operations| {
            Block::time(operations, || {
                for _ in 0..operations {
                    generator.scoped_init(|_| black_box(()));
                    generator.resume();
                }
                Ok(())
            })
        }))
    }

    fn cold(&self) -> io::Result<Work<'_>> {
        let mut ended = Vec::with_capacity(COLD_BATCH);
        Ok(Box::new(move |_| {
            Block::time(COLD_BATCH as u64, || {
                ended.extend((0..COLD_BATCH).map(|_| run_to_end()));
                ended.clear();
                Ok(())
            })
        }))
    }

    fn crowd(&self, bodies: usize) -> io::Result<Crowd> {
        let bodies = memory::room_for(bodies)?;
        let before = Memory::now()?;
        let mut crowd = Vec::with_capacity(bodies);
        crowd.extend((0..bodies).map(|_| suspended()));
        Ok(Memory::now()?.of_crowd_since(&before, bodies))
    }
}

/// A generator that yields at each turn and has had its first. Dropping it unwinds its stack.
fn suspended() -> LocalGenerator<'static, (), ()> {
    let mut generator = Gn::new_scoped_opt_local(STACK_WORDS, |mut scope| {
        loop {
            scope.yield_with(());
        }
    });
    generator.resume();
    generator
}

fn run_to_end() -> LocalGenerator<'static, (), ()> {
    let mut generator = Gn::new_scoped_opt_local(STACK_WORDS, |_| black_box(()));
    generator.resume();
    generator
}
