//! nginx, tuned for what is measured, with a configuration of its own.

use super::folder::SITE;

/// What its configuration is called, in the folder that is its prefix.
pub(super) const CONFIGURATION: &str = "nginx.conf";

/// A configuration for that port. All its paths begin at the prefix, so no user's folder can upset its syntax.
///
/// One process is master and worker: a master that is killed leaves its worker behind, and has no part in serving.
pub(super) fn configuration(port: u16) -> String {
    format!(
        "daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
lock_file nginx.lock;
error_log stderr crit;
events {{
    use epoll;
    worker_connections 16384;
    multi_accept on;
}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    open_file_cache max=1000 inactive=60s;
    open_file_cache_valid 60s;
    open_file_cache_min_uses 1;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    types {{ text/plain txt; }}
    client_body_temp_path temp_body;
    proxy_temp_path temp_proxy;
    fastcgi_temp_path temp_fastcgi;
    uwsgi_temp_path temp_uwsgi;
    scgi_temp_path temp_scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {SITE};
        location = /hello {{
            default_type text/plain;
            return 200 \"Hello, World!\";
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The directives of a block, without what is in blocks below it.
    fn directives(text: &str, depth: usize) -> Vec<&str> {
        let mut at = 0;
        let mut found = Vec::new();
        for line in text.lines().map(str::trim) {
            if at == depth && line.ends_with(';') {
                found.push(line);
            }
            at = at + line.matches('{').count() - line.matches('}').count();
        }
        assert_eq!(at, 0, "its blocks are closed");
        found
    }

    #[test]
    fn nginx_is_one_process_with_what_makes_it_fast() {
        let text = configuration(4321);
        let main = directives(&text, 0);
        assert!(main.contains(&"daemon off;") && main.contains(&"master_process off;"), "{main:?}");
        let http = directives(&text, 1);
        for directive in ["access_log off;", "sendfile on;", "tcp_nopush on;"] {
            assert!(http.contains(&directive), "{directive} is missing: {http:?}");
        }
        assert!(http.iter().any(|line| line.starts_with("open_file_cache max=")), "{http:?}");
        assert!(directives(&text, 2).contains(&"listen 127.0.0.1:4321 backlog=4096;"), "{text}");
    }

    #[test]
    fn every_path_is_below_the_prefix() {
        let text = configuration(1);
        for line in text.lines().map(str::trim) {
            let names_path =
                ["pid ", "lock_file ", "root "].iter().any(|word| line.starts_with(word));
            if names_path || line.contains("_temp_path ") {
                assert!(!line.contains('/'), "{line}");
            }
        }
        assert_eq!(text.matches("_temp_path ").count(), 5, "else it takes the system's");
    }
}
