//! What this crate knows of glibc, and how it knows it.
//!
//! glibc's `struct pthread` has no public layout. Three sources say where its fields are, and nothing is guessed:
//!
//! 1. the descriptors that glibc exports for debuggers (`_thread_db_*`): [`symbols`];
//! 2. a *specimen*, a real pthread that is looked at from inside while it runs: [`specimen`];
//! 3. the kernel, which knows where the robust list and the rseq area were registered.
//!
//! What does not match is refused by name ([`Unsupported`]). The rest of the module uses the layout:
//!
//! | module | what it does |
//! |---|---|
//! | [`symbols`] | functions and descriptors, looked up by name |
//! | [`specimen`] | looks at a real pthread, and proves the lock of glibc's thread list |
//! | [`layout`] | where everything is, put together and checked once in a process |
//! | [`thread_list`] | glibc's list of threads, on which every body stands |
//! | [`block`] | builds a body's TLS block and takes it down |
//! | [`modules`] | the initial images of thread-local storage, to which a recycled block goes back |
//! | [`lasting`] | the same without the loader's lock, while nothing has changed |
//! | [`end`] | destructors at a body's end |
//! | [`husk`] | libc's thread-locals, moved from one block to another |

mod block;
mod end;
mod husk;
mod lasting;
mod layout;
mod modules;
mod specimen;
mod symbols;
mod thread_list;

pub(crate) use block::{FIRST_THREAD_ID, Identity};
pub(crate) use end::forget_dlerror;
pub(crate) use husk::Husk;
pub(crate) use layout::{Glibc, glibc};
