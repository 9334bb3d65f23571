//! Records between a session of rustls and what it runs over: the same for both sides.

use rustls::{ConnectionCommon, SideData};
use std::io::{self, Read, Write};

/// Sends what the session has to send.
pub(super) fn flush<D: SideData>(
    session: &mut ConnectionCommon<D>,
    to: &mut impl Write,
) -> io::Result<()> {
    while session.wants_write() {
        if session.write_tls(to)? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Reads once, and gives it to the session. False at the transport's end.
pub(super) fn receive<D: SideData>(
    session: &mut ConnectionCommon<D>,
    inner: &mut (impl Read + Write),
) -> io::Result<bool> {
    let count = session.read_tls(inner)?;
    if let Err(error) = session.process_new_packets() {
        // The other side is told, if that is possible.
        _ = flush(session, inner);
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    Ok(count > 0)
}

/// Reads what has been decrypted, and as many records as that takes.
pub(super) fn read<D: SideData>(
    session: &mut ConnectionCommon<D>,
    inner: &mut (impl Read + Write),
    to: &mut [u8],
) -> io::Result<usize> {
    loop {
        match session.reader().read(to) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
        flush(session, inner)?;
        receive(session, inner)?;
    }
}
