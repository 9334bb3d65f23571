//! corosensei: asymmetric coroutines, resumed by their parent and yielding to it; TLS is the kernel thread's.

use super::peer::{COLD_BATCH, Peer, STACK_BYTES};
use crate::pairs::{Block, Work};
use corosensei::Coroutine;
use corosensei::stack::DefaultStack;
use raddle_bench::memory::{self, Crowd, Memory};
use std::hint::black_box;
use std::io;

pub(super) struct Corosensei;

impl Peer for Corosensei {
    fn name(&self) -> &'static str {
        "corosensei"
    }

    fn switch(&self) -> io::Result<Work<'_>> {
        self.ring(1)
    }

    fn ring(&self, contexts: usize) -> io::Result<Work<'_>> {
        let mut ring = (0..contexts).map(|_| suspended()).collect::<io::Result<Vec<_>>>()?;
        Ok(Box::new(move |operations| {
            let laps = operations.div_ceil(2 * contexts as u64);
            Block::time(laps * 2 * contexts as u64, || {
                for _ in 0..laps {
                    for coroutine in &mut ring {
                        coroutine.resume(());
                    }
                }
                Ok(())
            })
        }))
    }

    fn warm(&self) -> io::Result<Work<'_>> {
        let mut recycled = Some(DefaultStack::new(STACK_BYTES)?);
        Ok(Box::new(move |operations| {
            Block::time(operations, || {
                for _ in 0..operations {
                    let stack = recycled.take().expect("the last coroutine left its stack");
                    recycled = Some(run_to_end(stack).into_stack());
                }
                Ok(())
            })
        }))
    }

    fn cold(&self) -> io::Result<Work<'_>> {
        let mut ended = Vec::with_capacity(COLD_BATCH);
        Ok(Box::new(move |_| {
            Block::time(COLD_BATCH as u64, || {
                for _ in 0..COLD_BATCH {
                    ended.push(run_to_end(DefaultStack::new(STACK_BYTES)?));
                }
                ended.clear();
                Ok(())
            })
        }))
    }

    fn crowd(&self, bodies: usize) -> io::Result<Crowd> {
        let bodies = memory::room_for(bodies)?;
        let before = Memory::now()?;
        let mut crowd = Vec::with_capacity(bodies);
        for _ in 0..bodies {
            crowd.push(suspended()?);
        }
        Ok(Memory::now()?.of_crowd_since(&before, bodies))
    }
}

/// A coroutine that yields at each turn and has had its first. Dropping it unwinds its stack.
fn suspended() -> io::Result<Coroutine<(), (), ()>> {
    let mut coroutine = Coroutine::with_stack(DefaultStack::new(STACK_BYTES)?, |parent, ()| {
        loop {
            parent.suspend(());
        }
    });
    coroutine.resume(());
    Ok(coroutine)
}

fn run_to_end(stack: DefaultStack) -> Coroutine<(), (), ()> {
    let mut coroutine = Coroutine::with_stack(stack, |_, ()| black_box(()));
    coroutine.resume(());
    coroutine
}
