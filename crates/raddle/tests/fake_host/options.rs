//! What is set on a fake socket. Most of it changes nothing here, but is checked and kept as the kernel does.

use raddle::host::{Kind, SocketOption};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Options {
    kind: Kind,
    set: BTreeMap<SocketOption, i32>,
    pub(super) linger: Option<Duration>,
}

/// The kernel's own at least, and what is told of it.
const BUFFER_LEAST: i32 = 4608;

impl Options {
    pub(super) fn new(kind: Kind) -> Options {
        Options { kind, set: BTreeMap::new(), linger: None }
    }

    /// What it is when nobody has set it; `None` if such a socket has not got it.
    fn default(&self, option: SocketOption) -> Option<i32> {
        use SocketOption as Opt;
        Some(match option {
            Opt::ReuseAddress | Opt::ReusePort | Opt::Broadcast | Opt::KeepAlive => 0,
            Opt::SendBuffer | Opt::ReceiveBuffer => 64 * 1024,
            Opt::Ttl => 64,
            // There are no sockets for both.
            Opt::OnlyV6 => 1,
            Opt::MulticastLoopV4 | Opt::MulticastTtlV4 | Opt::MulticastLoopV6 => 1,
            _ if self.kind == Kind::Datagram => return None,
            Opt::KeepAliveIdle => 7200,
            Opt::KeepAliveInterval => 75,
            Opt::KeepAliveCount => 9,
            Opt::NoDelay | Opt::Cork | Opt::FastOpen | Opt::FastOpenConnect => 0,
            Opt::QuickAck => 1,
            _ => return None,
        })
    }

    pub(super) fn get(&self, option: SocketOption) -> io::Result<i32> {
        let value = self.set.get(&option).copied().or_else(|| self.default(option));
        value.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOPROTOOPT))
    }

    pub(super) fn is_set(&self, option: SocketOption) -> bool {
        self.get(option).is_ok_and(|value| value != 0)
    }

    /// Bytes: of one that all sockets have.
    pub(super) fn bytes(&self, option: SocketOption) -> usize {
        self.get(option).map_or(0, |bytes| bytes.max(0) as usize)
    }

    pub(super) fn set(&mut self, option: SocketOption, value: i32) -> io::Result<()> {
        use SocketOption as Opt;
        self.get(option)?;
        let is_allowed = match option {
            Opt::Ttl => (1..=255).contains(&value),
            Opt::MulticastTtlV4 => (0..=255).contains(&value),
            Opt::KeepAliveIdle | Opt::KeepAliveInterval => (1..=32767).contains(&value),
            Opt::KeepAliveCount => (1..=127).contains(&value),
            Opt::OnlyV6 => value == 1,
            _ => true,
        };
        if !is_allowed {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let value = match option {
            Opt::SendBuffer | Opt::ReceiveBuffer => value.saturating_mul(2).max(BUFFER_LEAST),
            _ => value,
        };
        self.set.insert(option, value);
        Ok(())
    }
}
