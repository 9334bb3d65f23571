//! Functions of libc's that raddle defines in its place.
//!
//! | module | function | why |
//! |---|---|---|
//! | `syscall` | `syscall` | std's and parking_lot's locks wait through it: they park threads of raddle's |
//! | `names` | `getaddrinfo` | who waits for a name server needs no core meanwhile; a simulated host has names of its own |
//! | `setxid` | `setuid` and its kin, `initgroups` | libc's wait for a mark in each kernel thread's own TCB, for ever where one runs a body |
//!
//! A definition in the program goes before libc's for the program itself and for every library that the linker saw
//! use the name. A library that is opened later binds to it only if the program exports it
//! (`-Wl,--export-dynamic-symbol=syscall`); what makes its system calls itself is not reached, and then the worker that blocks loses its
//! core to a spare, as with any blocking call.

mod names;
mod setxid;
mod syscall;
