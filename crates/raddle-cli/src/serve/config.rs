//! The configuration of `raddle serve`: a file in TOML, and what is wrong with it in one line.

use super::capacity::{Clients, Excess};
use super::operating::{Admin, At, ErrorLog};
use super::sandbox::{Needs, Sandbox};
use super::values::{Indexes, Within};
use crate::args::{DispatchMode, LogForm, ServeOptions, address};
use crate::toml_file;
use raddle_http::Status;
use raddle_http::protocol::Limits;
use raddle_http::server::Times;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// All defaults, with their meaning: what `--print-config` prints. A test holds it to [`Config::default`].
pub(super) const DEFAULTS: &str = include_str!("defaults.toml");

/// A day: no wait for a client is longer.
const DAY: u32 = 86_400;

/// A server with more of them has other troubles.
const CORES_MAX: u32 = 1024;

/// What a server is told. Each field is described in `defaults.toml`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Config {
    pub(super) folder: Option<Spanned<PathBuf>>,
    /// What the server says if it is not said depends on whether it has TLS.
    pub(super) listen: Option<Address>,
    pub(super) index: Indexes,
    pub(super) listings: bool,
    pub(super) hidden: bool,
    pub(super) compressed: bool,
    pub(super) clean_urls: bool,
    pub(super) fallback: Option<String>,
    pub(super) freshness_ms: u32,
    pub(super) log: Log,
    pub(super) log_file: Option<Spanned<PathBuf>>,
    pub(super) log_request_ids: bool,
    pub(super) tell_request_ids: bool,
    pub(super) connections: Option<Within<1, { u32::MAX }>>,
    pub(super) over_capacity: Excess,
    pub(super) dispatch: DispatchMode,
    pub(super) allow_shared_sockets: bool,
    pub(super) cores: Option<Within<1, CORES_MAX>>,
    pub(super) drain_s: Within<0, DAY>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) group: Option<Spanned<String>>,
    pub(super) sandbox: Sandbox,
    pub(super) times: Seconds,
    pub(super) limits: Sizes,
    pub(super) client_limits: Clients,
    pub(super) tls: Tls,
    pub(super) error_log: ErrorLog,
    pub(super) admin: Admin,
    pub(super) error_pages: BTreeMap<Code, String>,
    pub(super) headers: Vec<Fields>,
    pub(super) redirects: Vec<Redirect>,
    pub(super) auth: Vec<Auth>,
    pub(super) cors: Vec<Cors>,
    pub(super) hosts: Vec<Host>,
}

/// HOST:PORT.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub(super) struct Address(pub(super) String);

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Log {
    Off,
    Common,
    Combined,
    Json,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Seconds {
    head_s: Within<1, DAY>,
    idle_s: Within<0, DAY>,
    content_s: Within<1, DAY>,
    rate_min: u32,
    linger_s: Within<0, DAY>,
}

/// So much of a head may have to be held for each connection.
const SIZE_MAX: u32 = 1 << 20;

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Sizes {
    target_size: Within<16, SIZE_MAX>,
    head_size: Within<64, SIZE_MAX>,
    fields: Within<1, { Limits::FIELDS_MAX as u32 }>,
    body_size: Within<0, { u32::MAX }>,
    requests: Within<1, { u32::MAX }>,
    pipelined: Within<1, { u32::MAX }>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Tls {
    pub(super) self_signed: bool,
    pub(super) version_min: Version,
    pub(super) redirect_from: Option<Spanned<Address>>,
    pub(super) redirect_port: Option<NonZeroU16>,
    pub(super) certificates: Vec<Pair>,
    /// It is the command line that names the certificate: no line of the file is to blame.
    #[serde(skip)]
    pub(super) is_by_option: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) enum Version {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// A certificate and its key, and for whom it is.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Pair {
    pub(super) cert: Spanned<PathBuf>,
    pub(super) key: Spanned<PathBuf>,
    pub(super) names: Option<Spanned<Vec<String>>>,
}

/// A status that is an error.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub(super) struct Code(pub(super) Status);

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Fields {
    pub(super) path: String,
    pub(super) set: BTreeMap<String, Spanned<String>>,
    /// Whether what is said of caches is for errors, too.
    #[serde(default)]
    pub(super) always: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Redirect {
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    #[serde(default)]
    pub(super) status: RedirectStatus,
}

/// Who may see a folder.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Auth {
    pub(super) path: Spanned<String>,
    #[serde(default = "realm")]
    pub(super) realm: String,
    #[serde(default)]
    pub(super) users: Vec<Spanned<String>>,
    pub(super) file: Option<Spanned<PathBuf>>,
}

/// Which other sites' pages may read a folder.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Cors {
    pub(super) path: Spanned<String>,
    pub(super) origins: Spanned<Vec<String>>,
    pub(super) methods: Option<Spanned<Vec<String>>>,
    pub(super) headers: Option<Spanned<Vec<String>>>,
    pub(super) expose: Option<Spanned<Vec<String>>>,
    pub(super) credentials: Option<Spanned<bool>>,
    pub(super) max_age_s: Option<u32>,
}

/// A site of its own for those who ask for it by name. What is not said is as for the first.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Host {
    pub(super) names: Spanned<Vec<Spanned<String>>>,
    pub(super) folder: Spanned<PathBuf>,
    pub(super) index: Option<Indexes>,
    pub(super) listings: Option<bool>,
    pub(super) hidden: Option<bool>,
    pub(super) compressed: Option<bool>,
    pub(super) clean_urls: Option<bool>,
    pub(super) fallback: Option<String>,
    #[serde(default)]
    pub(super) error_pages: BTreeMap<Code, String>,
    #[serde(default)]
    pub(super) headers: Vec<Fields>,
    #[serde(default)]
    pub(super) redirects: Vec<Redirect>,
}

fn realm() -> String {
    "restricted".to_owned()
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "u16")]
pub(super) struct RedirectStatus(pub(super) Status);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        address(&text).map(Address)
    }
}

impl TryFrom<String> for Code {
    type Error = String;

    fn try_from(text: String) -> Result<Code, String> {
        let status = text.parse().ok().and_then(Status::new).filter(|status| status.is_error());
        status.map(Code).ok_or(format!("{text} is no status from 400 to 599"))
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = String;

    fn try_from(code: u16) -> Result<RedirectStatus, String> {
        let status = Status::new(code).filter(|_| matches!(code, 301 | 302 | 303 | 307 | 308));
        status.map(RedirectStatus).ok_or(format!("{code} is not 301, 302, 303, 307 or 308"))
    }
}

impl Default for RedirectStatus {
    fn default() -> RedirectStatus {
        RedirectStatus(Status::PERMANENT_REDIRECT)
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            folder: None,
            listen: None,
            index: Indexes(vec!["index.html".to_owned()]),
            listings: true,
            hidden: false,
            compressed: true,
            clean_urls: false,
            fallback: None,
            freshness_ms: 1000,
            log: Log::Off,
            log_file: None,
            log_request_ids: false,
            tell_request_ids: false,
            connections: None,
            over_capacity: Excess::default(),
            dispatch: DispatchMode::default(),
            allow_shared_sockets: false,
            cores: None,
            drain_s: Within::near(30),
            user: None,
            group: None,
            sandbox: Sandbox::default(),
            times: Seconds::default(),
            limits: Sizes::default(),
            client_limits: Clients::default(),
            tls: Tls::default(),
            error_log: ErrorLog::default(),
            admin: Admin::default(),
            error_pages: BTreeMap::new(),
            headers: Vec::new(),
            redirects: Vec::new(),
            auth: Vec::new(),
            cors: Vec::new(),
            hosts: Vec::new(),
        }
    }
}

impl Default for Seconds {
    fn default() -> Seconds {
        let times = Times::default();
        Seconds {
            head_s: Within::near(times.head.as_secs()),
            idle_s: Within::near(times.idle.as_secs()),
            content_s: Within::near(times.content.as_secs()),
            rate_min: times.rate_min as u32,
            linger_s: Within::near(times.linger.as_secs()),
        }
    }
}

impl Default for Sizes {
    fn default() -> Sizes {
        let limits = Limits::default();
        Sizes {
            target_size: Within::near(limits.target_size as u64),
            head_size: Within::near(limits.head_size as u64),
            fields: Within::near(limits.fields as u64),
            body_size: Within::near(limits.body_size),
            requests: Within::near(limits.requests),
            pipelined: Within::near(limits.pipelined),
        }
    }
}

impl Tls {
    pub(super) fn is_there(&self) -> bool {
        self.self_signed || !self.certificates.is_empty()
    }
}

impl Config {
    /// Where to listen.
    pub(super) fn listen(&self) -> &str {
        match &self.listen {
            Some(Address(given)) => given,
            None if self.tls.is_there() => "127.0.0.1:8443",
            None => "127.0.0.1:8080",
        }
    }

    /// Whether both have the same certificates: names of a self-signed one come from the address.
    pub(super) fn has_same_tls(&self, other: &Config) -> bool {
        let of = |config: &Config| {
            let Tls { self_signed, version_min, .. } = config.tls;
            (self_signed, version_min, config.tls.certificates.clone())
        };
        of(self) == of(other) && self.listen() == other.listen()
    }

    /// Files beside those that are served: they are read at the start, and again when that is asked for.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let passwords = self.auth.iter().filter_map(|auth| auth.file.as_ref());
        let pairs = self.tls.certificates.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        passwords.chain(pairs).map(|file| &**file.get_ref())
    }

    /// Files that are appended to.
    pub(super) fn logs(&self) -> impl Iterator<Item = &Path> {
        let both = [&self.log_file, &self.error_log.file];
        both.into_iter().flatten().map(|file| &**file.get_ref())
    }

    /// Whether both have the same access log.
    pub(super) fn has_same_log(&self, other: &Config) -> bool {
        let of = |config: &Config| (config.log, config.log_file.clone(), config.log_request_ids);
        of(self) == of(other)
    }

    /// What is opened while it runs. `source` is this configuration's file.
    pub(super) fn needs(&self, source: Option<&Path>) -> Needs {
        let own = self.folder.iter().map(Spanned::get_ref);
        let hosts = self.hosts.iter().map(|host| host.folder.get_ref());
        Needs {
            served: own.chain(hosts).cloned().collect(),
            read: self.files().chain(source).map(Path::to_owned).collect(),
            written: self.logs().map(Path::to_owned).collect(),
            ..Needs::default()
        }
    }

    pub(super) fn times(&self) -> Times {
        let seconds = |count: u32| Duration::from_secs(count.into());
        Times {
            head: seconds(self.times.head_s.get()),
            idle: seconds(self.times.idle_s.get()),
            content: seconds(self.times.content_s.get()),
            rate_min: self.times.rate_min.into(),
            linger: seconds(self.times.linger_s.get()),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            target_size: self.limits.target_size.get() as usize,
            head_size: self.limits.head_size.get() as usize,
            fields: self.limits.fields.get() as usize,
            body_size: self.limits.body_size.get().into(),
            requests: self.limits.requests.get().into(),
            pipelined: self.limits.pipelined.get().into(),
            ..Limits::default()
        }
    }

    /// Options on the command line go before.
    fn overridden(mut self, options: &ServeOptions) -> Config {
        let given = options.folder.clone().map(|folder| Spanned::new(0..0, folder));
        self.folder = given.or(self.folder);
        if let Some(listen) = &options.listen {
            self.listen = Some(Address(listen.clone()));
        }
        if !options.index.is_empty() {
            self.index = Indexes(options.index.clone());
        }
        if let Some(form) = options.log {
            self.log = match form {
                LogForm::Common => Log::Common,
                LogForm::Combined => Log::Combined,
                LogForm::Json => Log::Json,
            };
        }
        if let Some(file) = &options.log_file {
            self.log_file = Some(Spanned::new(0..0, file.clone()));
            // Who names a file wants lines in it.
            self.log = if self.log == Log::Off { Log::Combined } else { self.log };
        }
        if let Some(place) = &options.admin {
            self.admin.listen = Some(Spanned::new(0..0, At(place.clone())));
        }
        if let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) {
            let spanned = |path: &PathBuf| Spanned::new(0..0, path.clone());
            let pair = Pair { cert: spanned(cert), key: spanned(key), names: None };
            self.tls.certificates = vec![pair];
            (self.tls.self_signed, self.tls.is_by_option) = (false, true);
        }
        if options.tls_self_signed {
            self.tls.certificates.clear();
            self.tls.self_signed = true;
        }
        for host in &mut self.hosts {
            if !options.index.is_empty() {
                host.index = None;
            }
            host.listings = host.listings.filter(|_| !options.no_listings);
            host.hidden = host.hidden.filter(|_| !options.hidden);
        }
        self.listings &= !options.no_listings;
        self.hidden |= options.hidden;
        let connections = options.connections.map(|most| Within::near(most.into()));
        self.connections = connections.or(self.connections);
        self.dispatch = options.dispatch.unwrap_or(self.dispatch);
        self.allow_shared_sockets |= options.allow_shared_sockets;
        self.cores = options.cores.map(|cores| Within::near(cores.into())).or(self.cores);
        self.drain_s = options.drain.map_or(self.drain_s, |seconds| Within::near(seconds.into()));
        self
    }
}

/// A configuration, and where it comes from.
pub(super) struct Source {
    pub(super) config: Config,
    /// Name and text of the file, if there is one.
    file: Option<(PathBuf, String)>,
}

impl Source {
    /// Reads what the command line says.
    ///
    /// # Errors
    ///
    /// A line that names file, line and key.
    pub(super) fn read(options: &ServeOptions) -> Result<Source, String> {
        let Some(path) = &options.config else {
            return Ok(Source { config: Config::default().overridden(options), file: None });
        };
        let text = fs::read_to_string(path)
            .map_err(|error| format!("{}: it can't be read: {error}", path.display()))?;
        let mut config: Config = toml_file::parse(path, &text)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        if let Some(folder) = &mut config.folder {
            *folder.get_mut() = beside.join(folder.get_ref());
        }
        for host in &mut config.hosts {
            *host.folder.get_mut() = beside.join(host.folder.get_ref());
        }
        for file in config.auth.iter_mut().filter_map(|auth| auth.file.as_mut()) {
            *file.get_mut() = beside.join(file.get_ref());
        }
        for file in [&mut config.log_file, &mut config.error_log.file].into_iter().flatten() {
            *file.get_mut() = beside.join(file.get_ref());
        }
        if let Some(place) = &mut config.admin.listen {
            place.get_mut().below(beside);
        }
        for pair in &mut config.tls.certificates {
            for path in [pair.cert.get_mut(), pair.key.get_mut()] {
                *path = beside.join(&*path);
            }
        }
        Ok(Source { config: config.overridden(options), file: Some((path.clone(), text)) })
    }

    /// What is wrong, and where.
    pub(super) fn mistake(&self, span: Range<usize>, what: &str) -> String {
        match &self.file {
            // What an option says stands nowhere in the file.
            Some((path, text)) if span != (0..0) => toml_file::place(path, text, Some(span), what),
            _ => what.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn what_is_printed_as_the_defaults_is_what_they_are() {
        assert_eq!(parse(DEFAULTS).unwrap(), Config::default());
        // What stands there as an example is valid, too.
        let is_example = |line: &&str| line.contains(" = ") || line.starts_with("# [[");
        let examples: String = DEFAULTS
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|_| is_example(&line)).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let config = parse(&examples).unwrap();
        assert!(config.folder.is_some() && config.fallback.is_some() && config.cores.is_some());
        assert!(config.headers.len() == 1 && config.redirects.len() == 1);
        assert_eq!(config.error_pages.len(), 1);
        assert!(config.auth.len() == 1 && config.auth[0].file.is_some());
        assert!(config.cors.len() == 1 && config.cors[0].max_age_s.is_some());
        let [host] = &config.hosts[..] else { panic!("one is there") };
        assert!(host.names.get_ref().len() == 2 && host.error_pages.len() == 1);
        assert!(host.headers.len() == 1 && host.redirects.len() == 1);
        assert!(config.client_limits.limits().iter().all(|(_, given, _)| given.is_some()));
        assert_eq!(config.client_limits.exempt.len(), 3);
        assert!(config.connections.is_some());
        assert!(config.listen.is_some() && config.tls.is_there());
        assert!(config.user.is_some() && config.group.is_some());
        assert!(config.log_file.is_some() && config.error_log.file.is_some());
        assert!(config.admin.listen.is_some());
        assert!(config.tls.redirect_from.is_some() && config.tls.redirect_port.is_some());
        let names = config.tls.certificates[0].names.as_ref();
        assert!(names.is_some_and(|names| names.get_ref().len() == 2));
    }
}
