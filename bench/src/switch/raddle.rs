//! raddle's bodies: a guarded stack and a TLS block each, switched to directly.

#![allow(unsafe_code, reason = "starts bodies and switches between them")]

use super::peer::{COLD_BATCH, Peer};
use crate::pairs::{Block, Work};
use raddle_bench::memory::{Crowd, Memory};
use raddle_context::{
    After, Arena, Body, BodyRef, Cache, Context, Departure, Hooks, KernelThread, Outcome, switch,
};
use raddle_core::random::Random;
use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::rc::Rc;

/// The kernel thread that everything here runs on, and where bodies come from that need not be new.
pub(super) struct Raddle {
    here: KernelThread,
    arena: Arena,
}

impl Raddle {
    pub(super) fn new() -> io::Result<Raddle> {
        Ok(Raddle { here: KernelThread::enter()?, arena: Arena::new(Default::default())? })
    }

    /// Where bodies come back to: this kernel thread's own stack.
    fn home(&self) -> *mut Context {
        self.here.context()
    }
}

impl Peer for Raddle {
    fn name(&self) -> &'static str {
        "raddle"
    }

    fn switch(&self) -> io::Result<Work<'_>> {
        let mut ring = Ring::new(self, self.arena.cache());
        ring.add()?;
        Ok(Box::new(move |operations| {
            let round_trips = operations.div_ceil(2);
            Block::time(2 * round_trips, || {
                for _ in 0..round_trips {
                    ring.visit(0);
                }
                Ok(())
            })
        }))
    }

    fn ring(&self, contexts: usize) -> io::Result<Work<'_>> {
        let ring = Ring::closed(self, self.arena.cache(), contexts)?;
        Ok(Box::new(move |operations| {
            let laps = operations.div_ceil(contexts as u64);
            ring.turns.laps.set(laps);
            // One switch into the ring and one out of it are not counted.
            Block::time(laps * contexts as u64, || {
                ring.visit(0);
                Ok(())
            })
        }))
    }

    fn warm(&self) -> io::Result<Work<'_>> {
        let mut cache = self.arena.cache();
        Ok(Box::new(move |operations| {
            Block::time(operations, || {
                for _ in 0..operations {
                    let mut body = cache.take()?;
                    // SAFETY: fresh from `take`, and home is this kernel thread's own context. The closure borrows nothing.
                    // The body has ended when the switch is back.
                    unsafe {
                        start(&mut body, self.home(), || black_box(()));
                        switch(self.home(), body.context(), After::nothing());
                    }
                    cache.give(body);
                }
                Ok(())
            })
        }))
    }

    fn cold(&self) -> io::Result<Work<'_>> {
        let mut bodies = Vec::with_capacity(COLD_BATCH);
        Ok(Box::new(move |_| {
            Block::time(COLD_BATCH as u64, || {
                // Nothing is given back before all have run, so each `take` has to build a body in a slot that never held one.
                let mut cache = passing_arena()?.cache();
                for _ in 0..COLD_BATCH {
                    let mut body = cache.take()?;
                    // SAFETY: as in `warm`.
                    unsafe {
                        start(&mut body, self.home(), || black_box(()));
                        switch(self.home(), body.context(), After::nothing());
                    }
                    bodies.push(body);
                }
                // With its last body back and its last cache gone the arena unmaps everything, as the peers do.
                bodies.drain(..).for_each(|body| cache.give(body));
                Ok(())
            })
        }))
    }

    fn crowd(&self, bodies: usize) -> io::Result<Crowd> {
        let before = Memory::now()?;
        let mut ring = Ring::new(self, passing_arena()?.cache());
        ring.bodies.reserve_exact(bodies);
        for _ in 0..bodies {
            match ring.add() {
                // Guards that are mappings, or a limit on memory: what there is, is measured.
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => break,
                added => added?,
            }
            ring.visit(ring.bodies.len() - 1);
        }
        Ok(Memory::now()?.of_crowd_since(&before, ring.bodies.len()))
    }
}

/// Bodies that wait for their one turn, and end with it. In the order in which they get it, which is none that a cache knows.
pub(super) struct Sleepers<'a> {
    raddle: &'a Raddle,
    cache: Cache,
    bodies: Vec<Body>,
}

impl<'a> Sleepers<'a> {
    /// `count` bodies that have begun, and run `woken` when their turn comes.
    pub(super) fn new(raddle: &'a Raddle, count: usize, woken: fn()) -> io::Result<Sleepers<'a>> {
        let mut sleepers = Sleepers { raddle, cache: raddle.arena.cache(), bodies: Vec::new() };
        for _ in 0..count {
            let mut body = sleepers.cache.take()?;
            let (own, home) = (body.context(), raddle.home());
            let main = move || {
                // SAFETY: this runs on `own`, and home waits in `turn`.
                unsafe { switch(own, home, After::nothing()) };
                woken();
            };
            // SAFETY: the body is fresh from `take`, and everything stays on the kernel thread that `raddle` is bound to.
            unsafe { start(&mut body, home, main) };
            sleepers.turn(&body);
            sleepers.bodies.push(body);
        }
        let mut random = Random::from_seed(1);
        for place in (1..count).rev() {
            sleepers.bodies.swap(place, random.below(place as u64 + 1) as usize);
        }
        Ok(sleepers)
    }

    /// How many have not had their turn.
    pub(super) fn left(&self) -> usize {
        self.bodies.len()
    }

    /// Lets the next one run to its end.
    pub(super) fn wake(&mut self) {
        if let Some(body) = self.bodies.pop() {
            self.turn(&body);
            self.cache.give(body);
        }
    }

    fn turn(&self, body: &Body) {
        // SAFETY: this runs at home, on the kernel thread whose context it is; all bodies are suspended or fresh meanwhile.
        unsafe { switch(self.raddle.home(), body.context(), After::nothing()) };
    }
}

impl Drop for Sleepers<'_> {
    fn drop(&mut self) {
        while self.left() > 0 {
            self.wake();
        }
    }
}

/// Bodies that switch to the same place whenever they get a turn: home, or the next in the ring.
struct Ring<'a> {
    raddle: &'a Raddle,
    cache: Cache,
    /// All of them started.
    bodies: Vec<Body>,
    turns: Rc<Turns>,
}

/// What the bodies of a ring look at in each turn. Shared without atomic operations: they all run on one kernel thread.
#[derive(Default)]
struct Turns {
    /// How often the first body is to send a turn round the ring before it goes home.
    laps: Cell<u64>,
    stop: Cell<bool>,
}

impl<'a> Ring<'a> {
    /// Without bodies as yet.
    fn new(raddle: &'a Raddle, cache: Cache) -> Ring<'a> {
        Ring { raddle, cache, bodies: Vec::new(), turns: Rc::default() }
    }

    /// `count` bodies, two or more, each of which switches to the next. The first counts the laps.
    fn closed(raddle: &'a Raddle, mut cache: Cache, count: usize) -> io::Result<Ring<'a>> {
        let bodies = (0..count).map(|_| cache.take()).collect::<io::Result<Vec<_>>>()?;
        let mut ring = Ring { raddle, cache, bodies, turns: Rc::default() };
        let places: Vec<_> = ring.bodies.iter().map(|body| body.context()).collect();
        ring.start_first(places[1]);
        for place in 1..count {
            ring.start(place, places[(place + 1) % count]);
        }
        Ok(ring)
    }

    /// Adds a body that goes home at each turn.
    fn add(&mut self) -> io::Result<()> {
        let body = self.cache.take()?;
        self.bodies.push(body);
        self.start(self.bodies.len() - 1, self.raddle.home());
        Ok(())
    }

    /// Starts a body that switches to `next` at each turn.
    fn start(&mut self, place: usize, next: *mut Context) {
        let own = self.bodies[place].context();
        let turns = self.turns.clone();
        let main = move || {
            while !turns.stop.get() {
                // SAFETY: this runs on `own`, and `next` is suspended until somebody gives it a turn.
                unsafe { switch(own, next, After::nothing()) };
            }
        };
        // SAFETY: the body is fresh from `take`. Everything stays on this kernel thread: the ring borrows a KernelThread, which
        // can't leave it.
        unsafe { start(&mut self.bodies[place], self.raddle.home(), main) };
    }

    /// Starts the first body, which switches to `next` once for each lap and goes home after the last.
    fn start_first(&mut self, next: *mut Context) {
        let (own, home) = (self.bodies[0].context(), self.raddle.home());
        let turns = self.turns.clone();
        let main = move || {
            while !turns.stop.get() {
                for _ in 0..turns.laps.get() {
                    // SAFETY: as in `start`.
                    unsafe { switch(own, next, After::nothing()) };
                }
                // SAFETY: home is suspended: it waits in `visit`.
                unsafe { switch(own, home, After::nothing()) };
            }
        };
        // SAFETY: as in `start`.
        unsafe { start(&mut self.bodies[0], home, main) };
    }

    /// Gives the body at `place` a turn, and comes back when some body of the ring goes home.
    fn visit(&self, place: usize) {
        // SAFETY: this runs at home, on the kernel thread whose context it is; all bodies are suspended or fresh meanwhile.
        unsafe { switch(self.raddle.home(), self.bodies[place].context(), After::nothing()) };
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        self.turns.stop.set(true);
        while let Some(body) = self.bodies.pop() {
            // SAFETY: as in `visit`. The body finds `stop` set, ends, and departs to home.
            unsafe { switch(self.raddle.home(), body.context(), After::nothing()) };
            self.cache.give(body);
        }
    }
}

/// An arena that leaves nothing behind, address space neither.
fn passing_arena() -> io::Result<Arena> {
    let arena = Arena::new(Default::default())?;
    // SAFETY: its users here give every body back before they drop its cache, and keep no pointer to one after that.
    unsafe { arena.unmap() };
    Ok(arena)
}

/// Makes `body` ready to run `main` and to depart to `home` after it.
///
/// # Safety
///
/// As [`Body::start`]; and `home` is the context of the kernel thread that will switch to the body.
unsafe fn start(body: &mut Body, home: *mut Context, main: impl FnOnce()) {
    // SAFETY: the control block has room for a pointer, is aligned, and is the owner's to write. The rest is the caller's.
    unsafe {
        body.control().cast().write(home);
        body.start(main, HOOKS);
    }
}

/// After a body's code. Its `depart` is the way home.
const HOOKS: Hooks = Hooks { arrive, settle, depart };

unsafe fn arrive(_: BodyRef) {}

unsafe fn settle(_: BodyRef, outcome: Outcome) {
    outcome.expect("the bodies of this bench don't panic");
}

unsafe fn depart(body: BodyRef) -> Departure {
    // SAFETY: `start` wrote it there.
    let home = unsafe { body.control().cast::<*mut Context>().read() };
    Departure { to: home, after: After::nothing() }
}
