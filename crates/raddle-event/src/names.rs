//! The names by which a queue's owner refers to what it has begun. Each is unlike any that was given before.

/// Names an operation. Two that a queue has ever had are never equal (see the limit in `slots.rs`: after 2^32 uses of a slot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub(crate) u64);

/// Names a registration of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registration(pub(crate) u64);

/// Names a watch: on signals, on a child process, on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watch(pub(crate) u64);

/// Names a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timer(pub(crate) u64);
