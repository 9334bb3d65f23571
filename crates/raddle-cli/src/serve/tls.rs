//! TLS of `raddle serve`: the certificates that are asked for, or what is wrong with them.

use super::config::{Pair, Source, Version};
use raddle_http::tls::{Certificate, Part, Tls, Unusable};
use std::fs;
use std::net::IpAddr;

/// What is served with.
#[derive(Clone)]
pub(super) struct Secured {
    pub(super) tls: Tls,
    /// What is to be said of a self-signed certificate.
    pub(super) note: Option<String>,
}

/// Loads the certificates, if there is to be TLS.
pub(super) fn secured(source: &Source) -> Result<Option<Secured>, String> {
    let secured = certified(source)?;
    Ok(secured.map(|Secured { tls, note }| match source.config.tls.version_min {
        Version::Tls12 => Secured { tls, note },
        Version::Tls13 => Secured { tls: tls.only_1_3(), note },
    }))
}

fn certified(source: &Source) -> Result<Option<Secured>, String> {
    let (wanted, listen) = (&source.config.tls, source.config.listen());
    if let Some(from) = &wanted.redirect_from {
        let address = &from.get_ref().0;
        let what = if !wanted.is_there() {
            "tls.redirect_from: there is no TLS to lead to; give [[tls.certificates]], or self_signed = true"
        } else if address == listen && !address.ends_with(":0") {
            "tls.redirect_from: TLS itself listens there; give another port, 80 for instance"
        } else {
            ""
        };
        if !what.is_empty() {
            return Err(source.mistake(from.span(), what));
        }
    }
    if wanted.self_signed {
        if let Some(pair) = wanted.certificates.first() {
            let what = "tls.certificates: tls.self_signed makes one, and excludes others";
            return Err(source.mistake(pair.cert.span(), what));
        }
        return self_signed(listen).map(Some);
    }
    let Some((first, others)) = wanted.certificates.split_first() else { return Ok(None) };
    let mut tls = Tls::new(load(source, first)?);
    for pair in others {
        let certificate = load(source, pair)?;
        if certificate.names().next().is_none() {
            let what = format!(
                "tls.certificates.cert: {}: no host name stands in it, and no client would get it; give names = [...]",
                pair.cert.get_ref().display()
            );
            return Err(source.mistake(pair.cert.span(), &what));
        }
        tls = tls.also(certificate);
    }
    Ok(Some(Secured { tls, note: None }))
}

fn load(source: &Source, pair: &Pair) -> Result<Certificate, String> {
    let loaded = Certificate::read(pair.cert.get_ref(), pair.key.get_ref());
    let named = loaded.and_then(|certificate| match &pair.names {
        Some(names) => certificate.for_names(names.get_ref()),
        None => Ok(certificate),
    });
    named.map_err(|error: Unusable| {
        let (key, span) = match (error.part(), &pair.names) {
            _ if source.config.tls.is_by_option => return error.to_string(),
            (Part::Names, Some(names)) => ("names", names.span()),
            (Part::Key, _) => ("key", pair.key.span()),
            _ => ("cert", pair.cert.span()),
        };
        source.mistake(span, &format!("tls.certificates.{key}: {error}"))
    })
}

/// For whoever tries it out on this machine, or from another one, by the address that is listened on.
fn self_signed(listen: &str) -> Result<Secured, String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_any = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    // Who listens on all addresses is known by the machine's name.
    let own = is_any.then(|| fs::read_to_string("/proc/sys/kernel/hostname").ok()).flatten();
    let name = if is_any { own.as_deref().unwrap_or("").trim() } else { host };
    let known = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if !name.is_empty() && !known(name) && Certificate::self_signed([name]).is_ok() {
        names.push(name.to_owned());
    }
    let certificate = Certificate::self_signed(names.clone()).map_err(|error| error.to_string())?;
    let note = format!(
        "its certificate is self-signed, for {}; SHA-256 fingerprint {}",
        names.join(", "),
        certificate.fingerprint()
    );
    Ok(Secured { tls: Tls::new(certificate), note: Some(note) })
}
