//! Addresses, as command lines and configurations have them.

/// HOST:PORT; whether the host exists is found out when it is used.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let form = "give HOST:PORT, such as 127.0.0.1:7777, [::1]:7777 or localhost:7777";
    let (host, port) = text.rsplit_once(':').ok_or(format!("no port; {form}"))?;
    if host.is_empty() {
        return Err(format!("no host; {form}, or 0.0.0.0{text} for all addresses of this machine"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(format!("an IPv6 address stands in brackets; {form}"));
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{port:?} is no port from 0 to 65535; {form}")),
    }
}
