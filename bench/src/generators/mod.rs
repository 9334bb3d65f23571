//! Load generators: what they are told to do, and what they say when they have done it, in one form for all.
//!
//! `raddle-bench load` measures them; `raddle-bench http` measures servers with one of them.
//!
//! | module | whose |
//! |---|---|
//! | `job` | what any is told, and what is made of what it says |
//! | `raddle` | `raddle load` |
//! | `wrk` | wrk, with scripts in Lua |
//! | `oha` | oha, on tokio |
//! | `h2load` | nghttp2's |
//! | `client` | one that is there: its command, its result |

mod client;
mod h2load;
mod job;
mod oha;
mod raddle;
mod wrk;

pub(crate) use client::{Client, Generator};
pub(crate) use job::{Job, Shape, Summary};
