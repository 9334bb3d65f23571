//! Bodies on the calling kernel thread, one after the other: no queue, no preemption, nothing that could be to blame.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(unreachable_pub, reason = "a module that tests include, not a crate")]

use raddle_context::{
    After, Arena, Body, BodyRef, Cache, Config, Context, Departure, Hooks, KernelThread, Outcome,
    switch,
};

/// At the top of every body.
#[repr(C)]
struct Control {
    home: *const Context,
    outcome: *mut Option<Outcome>,
    name: [u8; 32],
}

/// `config`, with room for this module's control block.
pub fn arena(config: Config) -> Arena {
    Arena::new(Config { control_bytes: size_of::<Control>(), ..config }).expect("an arena")
}

fn control(body: BodyRef) -> *mut Control {
    body.control().cast().as_ptr()
}

/// The name that [`named`] gave the body.
pub fn name(body: BodyRef) -> &'static str {
    // SAFETY: a slot's memory stays as long as its arena, which those who name bodies keep to the process's end. A new slot is all
    // zeros: no name.
    let bytes = unsafe { &(*control(body)).name };
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..length]).unwrap_or("?")
}

/// Gives the body a name, which it keeps over its uses.
pub fn named(body: &Body, name: &str) {
    // SAFETY: as above; nobody reads the name of a body that is just given one.
    unsafe { (&mut (*control(**body)).name)[..name.len()].copy_from_slice(name.as_bytes()) };
}

/// A kernel thread with bodies of its own.
pub struct Single {
    pub me: KernelThread,
    pub arena: Arena,
    pub cache: Cache,
}

impl Single {
    pub fn new(config: Config) -> Single {
        let arena = arena(config);
        Single { me: KernelThread::enter().expect("a kernel thread"), cache: arena.cache(), arena }
    }

    /// Runs `main` on a body to its end: what it gives, or its panic.
    pub fn run<T>(&mut self, main: impl FnOnce() -> T) -> T {
        let mut body = self.cache.take().expect("a body");
        let value = on(&self.me, &mut body, main);
        self.cache.give(body);
        value
    }
}

/// Runs `main` on `body` to its end: what it gives, or its panic.
pub fn on<T>(me: &KernelThread, body: &mut Body, main: impl FnOnce() -> T) -> T {
    let (mut value, mut outcome) = (None, None);
    let put = &raw mut value;
    // SAFETY: the block is the body's own, with room for `Control`. The body runs on this kernel thread, and to its end before this
    // returns: what it borrows, `value` and `outcome` among it, lives longer.
    unsafe {
        (*control(**body)).home = me.context();
        (*control(**body)).outcome = &raw mut outcome;
        body.start(|| put.write(Some(main())), Hooks { arrive, settle, depart });
        switch(me.context(), body.context(), After::nothing());
    }
    if let Err(payload) = outcome.expect("the body has ended") {
        std::panic::resume_unwind(payload);
    }
    value.expect("a body that did not panic")
}

unsafe fn arrive(_: BodyRef) {}

unsafe fn settle(body: BodyRef, outcome: Outcome) {
    // SAFETY: `on` has written it, and waits.
    unsafe { (*control(body)).outcome.write(Some(outcome)) };
}

unsafe fn depart(body: BodyRef) -> Departure {
    // SAFETY: as above.
    Departure { to: unsafe { (*control(body)).home }, after: After::nothing() }
}
