//! Self-signed certificates.

use crate::calendar::Civil;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// A key on P-256, and a certificate of it for these names and addresses.
pub(super) fn make(
    names: Vec<String>,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), String> {
    for name in &names {
        if super::names::normal(name).is_none() && name.parse::<IpAddr>().is_err() {
            return Err(format!("{name:?} is neither a host name nor an address"));
        }
    }
    let failed = |error: rcgen::Error| format!("no certificate could be made: {error}");
    let mut wanted = CertificateParams::new(names).map_err(failed)?;
    wanted.distinguished_name.push(DnType::CommonName, "raddle, self-signed");
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now();
    // The clocks of others may be late.
    let day = |time| Civil::of(time).date();
    let (from, to) = (day(now.checked_sub(DAY).unwrap_or(now)), day(now + 366 * DAY));
    wanted.not_before = date_time_ymd(from.0, from.1, from.2);
    wanted.not_after = date_time_ymd(to.0, to.1, to.2);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = wanted.self_signed(&key).map_err(failed)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((certificate.der().clone(), key.into()))
}
