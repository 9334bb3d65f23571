//! Names of servers: whom a certificate is for. RFC 9525 section 6.3.

use rustls::pki_types::DnsName;

/// The name as it is compared, small; `None` if it is no host's name, nor `*.` and one.
pub(super) fn normal(name: &str) -> Option<Box<str>> {
    let bare = name.strip_prefix("*.").unwrap_or(name);
    // A name's last dot says that it is complete, and clients leave it out.
    let is_name = !bare.ends_with('.') && DnsName::try_from(bare).is_ok();
    is_name.then(|| name.to_ascii_lowercase().into())
}

/// The wildcard that would cover a name: a star stands for its first label, and for no more.
pub(super) fn wildcard(name: &str) -> Option<String> {
    let (_, parent) = name.split_once('.')?;
    Some(format!("*.{parent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_or_a_star_before_one() {
        for (name, expected) in [
            ("Example.ORG", "example.org"),
            ("*.example.org", "*.example.org"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(normal(name).as_deref(), Some(expected));
        }
        for name in [
            "",
            "*",
            "*.",
            "a.*.b",
            "**.a",
            "*a.b",
            "a b",
            "bücher.example",
            "a..b",
            "a.",
            "1.2.3.4",
            "::1",
            "a:443",
            "https://a",
        ] {
            assert_eq!(normal(name), None, "{name}");
        }
    }

    #[test]
    fn a_star_covers_one_label() {
        assert_eq!(wildcard("www.example.org").as_deref(), Some("*.example.org"));
        assert_eq!(wildcard("a.www.example.org").as_deref(), Some("*.www.example.org"));
        assert_eq!(wildcard("localhost"), None);
    }
}
