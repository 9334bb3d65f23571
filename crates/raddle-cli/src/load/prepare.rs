//! Makes a plan of a command line: reads files, looks names up, says what is wrong.

use super::options::LoadOptions;
use super::scenario;
use raddle_http::Method;
use raddle_http::tls::ClientTls;
use raddle_load::{Ask, Detour, Pace, Place, Plan, Scenario, Spacing, Target, Url};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer than it takes to wake a thread up on a machine that is not full.
const SPIN: Duration = Duration::from_micros(200);

/// If nothing says how long.
const DURATION: Duration = Duration::from_secs(10);

/// The whole of it.
pub(super) fn plan(options: &LoadOptions, cores: usize) -> Result<Plan, String> {
    let mut plan = match &options.scenario {
        Some(file) => Plan::visiting(visits(options, file)?),
        None => Plan::new(targets(options)?),
    };
    plan.connections = options.connections as usize;
    plan.pace = options.rate.map(|rate| Pace {
        rate,
        spacing: if options.poisson { Spacing::Poisson } else { Spacing::Even },
        ramp: options.ramp.unwrap_or_default(),
    });
    plan.requests = options.requests;
    plan.time = options.duration.or(options.requests.is_none().then_some(DURATION));
    plan.warm_up = options.warm_up;
    plan.keeps = !options.new_connection;
    plan.depth = usize::from(options.pipeline);
    plan.patience = options.timeout;
    plan.grace = options.grace;
    plan.spin = if options.precise { SPIN } else { Duration::ZERO };
    plan.seed = options.seed.unwrap_or_else(seed);
    plan.cores = cores;
    Ok(plan)
}

/// What a file says that visitors do.
fn visits(options: &LoadOptions, file: &Path) -> Result<Scenario, String> {
    let said = scenario::read(file)?;
    let base = match (&options.urls[..], said.base) {
        ([], Some(base)) => base,
        ([url], _) => plain(url)?,
        ([], None) => {
            let file = file.display();
            return Err(format!(
                "{file}: it has no base, which says who is asked; write base = \"http://...\", or give a URL"
            ));
        }
        _ => return Err("a scenario has one base: give one URL, or none".to_owned()),
    };
    let tls = if base.is_https() { Some(tls(options)?) } else { None };
    let place = Place::of(&base, &detour(options), tls.as_ref());
    let place = Arc::new(place.map_err(|error| error.to_string())?);
    let mut visits = Scenario::new(base, place, said.flows);
    visits.variables = said.variables;
    visits.fields = options.fields.clone();
    visits.closes = options.new_connection;
    Ok(visits)
}

fn detour(options: &LoadOptions) -> Detour {
    Detour { address: options.connect_to.clone(), socket: options.unix.clone() }
}

/// What the URLs and the options beside them ask for.
fn targets(options: &LoadOptions) -> Result<Vec<Target>, String> {
    // One alone has nothing to be weighed against: then it is a part of the URL.
    let parse = match options.urls.len() {
        1 => |text: &String| Ok((plain(text)?, 1)),
        _ => |text: &String| weighed(text),
    };
    let urls = options.urls.iter().map(parse).collect::<Result<Vec<_>, String>>()?;
    let needs_tls = urls.iter().any(|(url, _)| url.is_https());
    let tls = if needs_tls { Some(tls(options)?) } else { None };
    let body = match options.body.as_deref() {
        None => Vec::new(),
        Some(text) => match text.strip_prefix('@') {
            Some(path) => fs::read(path).map_err(|error| format!("--body: {path}: {error}"))?,
            None => text.as_bytes().to_vec(),
        },
    };
    let ask = Ask {
        method: method(options),
        fields: options.fields.clone(),
        body,
        closes: options.new_connection,
    };
    let detour = detour(options);
    // Those of one host share connections.
    let mut places: Vec<(String, Arc<Place>)> = Vec::new();
    let mut targets = Vec::new();
    for (url, weight) in urls {
        let key = format!("{} {}:{}", url.is_https(), url.host(), url.port());
        let place = match places.iter().find(|(own, _)| *own == key) {
            Some((_, place)) => place.clone(),
            None => {
                let place = Place::of(&url, &detour, tls.as_ref());
                let place = Arc::new(place.map_err(|error| error.to_string())?);
                places.push((key, place.clone()));
                place
            }
        };
        targets.push(Target::new(&url, place, &ask).weighing(weight));
    }
    if targets.iter().all(|target| target.weight() == 0) {
        return Err("all URLs have the weight 0: nothing would be asked for".to_owned());
    }
    Ok(targets)
}

/// The method that is asked with.
pub(super) fn method(options: &LoadOptions) -> Method {
    let usual = if options.body.is_some() { Method::Post } else { Method::Get };
    options.method.unwrap_or(usual)
}

/// Another one each time.
fn seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |time| time.as_nanos() as u64 % 1_000_000)
}

/// A URL, and how often it is asked for beside others.
fn weighed(text: &str) -> Result<(Url, u32), String> {
    match text.rsplit_once('@') {
        Some((url, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            let weight =
                digits.parse().map_err(|_| format!("{text:?}: the weight is too large"))?;
            Ok((plain(url)?, weight))
        }
        _ => Ok((plain(text)?, 1)),
    }
}

fn plain(text: &str) -> Result<Url, String> {
    text.parse::<Url>().map_err(|error| error.to_string())
}

fn tls(options: &LoadOptions) -> Result<ClientTls, String> {
    let tls = if options.insecure {
        ClientTls::trusting_anyone()
    } else if let Some(path) = &options.cacert {
        let pem =
            fs::read(path).map_err(|error| format!("--cacert: {}: {error}", path.display()))?;
        ClientTls::trusting(&pem)
            .map_err(|error| format!("--cacert: {}: {error}", path.display()))?
    } else {
        ClientTls::trusting_the_system().map_err(|error| {
            format!("{error}; name a file of them with --cacert, or trust anyone with --insecure")
        })?
    };
    Ok(if options.resume { tls.resuming() } else { tls })
}
