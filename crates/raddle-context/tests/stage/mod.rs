//! One kernel thread and bodies that it enters by hand, one at a time: what a test needs that must know exactly what runs when.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use raddle_context::{
    After, Arena, Body, BodyRef, Cache, Config, Departure, Hooks, KernelThread, Outcome, running,
    switch,
    trace::{self, Trace},
};
use std::ptr;

/// The calling kernel thread, and bodies for it.
pub struct Stage {
    kernel_thread: KernelThread,
    cache: Cache,
}

/// At the top of every body.
struct Control {
    /// Where it goes when it leaves: the kernel thread that entered it.
    home: *const KernelThread,
    ended: bool,
    panicked: bool,
}

/// A body on a stage.
pub struct Actor(BodyRef);

impl Actor {
    /// The body's number.
    pub fn number(&self) -> u32 {
        self.0.number()
    }
}

/// How many control bytes an arena for a stage needs.
pub const CONTROL_BYTES: usize = size_of::<Control>();

impl Stage {
    /// On the calling kernel thread, with bodies of its own.
    pub fn new() -> Stage {
        Stage::with(Config::default())
    }

    /// The same with bodies as `config` says.
    pub fn with(config: Config) -> Stage {
        let config = Config { control_bytes: CONTROL_BYTES, ..config };
        let arena = Arena::new(config).expect("bodies can exist here");
        Stage { kernel_thread: KernelThread::enter().unwrap(), cache: arena.cache() }
    }

    /// A body that will run `main`; a panic of it is noted.
    pub fn cast(&mut self, main: impl FnOnce() + 'static) -> Actor {
        let mut body = self.cache.take().unwrap();
        let control = Control { home: ptr::null(), ended: false, panicked: false };
        // SAFETY: the body is fresh, and its arena's blocks have room for a `Control`. `main` is `'static`; that it may run where it is
        // entered is for the test to see to.
        unsafe {
            body.control().cast().write(control);
            body.start(main, Hooks { arrive, settle, depart });
        }
        Actor(body.into_ref())
    }

    /// Lets the body go on until it [`leave`]s or ends; `false` once it has ended.
    pub fn enter(&self, actor: &Actor) -> bool {
        self.enter_after(actor, After::nothing())
    }

    /// The same with something to do first, on the body.
    pub fn enter_after(&self, actor: &Actor, after: After) -> bool {
        assert!(!control(actor.0).ended, "a body that has ended was entered");
        control(actor.0).home = &raw const self.kernel_thread;
        // SAFETY: the body is saved, by its last switch, and only the thread that has the stage enters it; the stage's own context is
        // the calling kernel thread's.
        unsafe { switch(self.kernel_thread.context(), actor.0.context(), after) };
        !control(actor.0).ended
    }

    /// Lets the body run to its end, and says whether it ended without a panic; then it may be cast anew.
    pub fn finish(&mut self, actor: Actor) -> bool {
        while self.enter(&actor) {}
        let panicked = control(actor.0).panicked;
        // SAFETY: it came from `into_ref`, and the actor goes with it; its departure is over, as `enter` has returned.
        self.cache.give(unsafe { Body::from_ref(actor.0) });
        !panicked
    }

    /// Takes the body's stack away from it, wherever it stands: it never goes on.
    pub fn abandon(&mut self, actor: Actor) {
        // SAFETY: as above; whoever abandons a body owns nothing any more that lives on its stack.
        self.cache.give(unsafe { Body::from_ref(actor.0) });
    }

    /// The frames of a body that is not running.
    pub fn trace(&self, actor: &Actor) -> Trace {
        trace::prepare();
        // SAFETY: the body is not entered meanwhile: only this thread does that, and nobody preempts it here.
        trace::without_waiting(|| unsafe { Trace::of_suspended(actor.0) })
    }

    /// Whether the body's code has ended.
    pub fn has_ended(&self, actor: &Actor) -> bool {
        control(actor.0).ended
    }
}

/// Back to whoever entered the calling body; returns when it is entered again.
#[inline(never)]
pub fn leave() {
    let body = running().expect("a body leaves");
    // SAFETY: the body runs on `home`'s kernel thread, which is suspended in its own context.
    unsafe { switch(body.context(), home().context(), After::nothing()) };
}

/// The kernel thread that entered the calling body.
pub fn home() -> &'static KernelThread {
    // SAFETY: `enter` has set it, and waits for the body; a stage stays where it is meanwhile.
    unsafe { &*control(running().expect("asked on a body")).home }
}

/// Where in the crate's first frame a body starts that was never entered.
pub fn first_address(actor: &Actor) -> usize {
    /// Of the return address in a suspended frame: see the drawing in `arch/x86_64.rs`.
    const RETURN_ADDRESS: usize = 56;
    // SAFETY: the body is fresh: its stack pointer leads to its first frame, as drawn.
    unsafe {
        let at = (*actor.0.context()).stack_pointer().wrapping_add(RETURN_ADDRESS);
        at.cast::<usize>().read()
    }
}

fn control(body: BodyRef) -> &'static mut Control {
    // SAFETY: `cast` has written the block. No two references to it are used at the same time: the body and whoever enters it take
    // turns.
    unsafe { body.control().cast().as_mut() }
}

unsafe fn arrive(_: BodyRef) {}

unsafe fn settle(body: BodyRef, outcome: Outcome) {
    control(body).panicked = outcome.is_err();
}

unsafe fn depart(body: BodyRef) -> Departure {
    control(body).ended = true;
    Departure { to: home().context(), after: After::nothing() }
}
