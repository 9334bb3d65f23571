//! What systemd, or whoever speaks as it does, hands to a server and hears of it.
//!
//! | module | what it is |
//! |---|---|
//! | `sockets` | those that it has opened already: sd_listen_fds(3) |
//! | `notify` | that the server is ready, reads its configuration, ends, lives: sd_notify(3) |

mod notify;
mod sockets;

pub(super) use notify::Notify;
pub(super) use sockets::Handed;
