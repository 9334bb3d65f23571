//! CORS of `raddle serve`: which other sites' pages may read what, or what is wrong with that.

use super::config::{Cors, Source};
use raddle_http::Method;
use raddle_http::semantics;
use raddle_http::server::CorsRules;

/// The policies that a configuration describes.
pub(super) fn rules(source: &Source) -> Result<CorsRules, String> {
    source.config.cors.iter().try_fold(CorsRules::new(), |rules, wanted| {
        let policy = policy(source, wanted)?;
        let path = &wanted.path;
        rules
            .folder(path.get_ref(), policy)
            .map_err(|error| source.mistake(path.span(), &format!("cors.path: {error}")))
    })
}

fn policy(source: &Source, wanted: &Cors) -> Result<semantics::Cors, String> {
    let origins = &wanted.origins;
    let policy = match &origins.get_ref()[..] {
        [] => Err("cors.origins: nobody; give origins, or leave the whole [[cors]] out"),
        [all] if all == "*" => Ok(semantics::Cors::for_any_origin()),
        some => semantics::Cors::for_origins(some.iter().map(String::as_str)).map_err(|_| {
            "cors.origins: an origin is scheme://host or scheme://host:port, without a slash at its end; [\"*\"] is all of them"
        }),
    };
    let mut policy = policy.map_err(|what| source.mistake(origins.span(), what))?;
    if let Some(methods) = &wanted.methods {
        let known = methods.get_ref().iter().map(|name| Method::from_bytes(name.as_bytes()));
        let known: Option<Vec<Method>> = known.collect();
        let known = known.ok_or_else(|| {
            source.mistake(methods.span(), "cors.methods: a method is a token, such as GET")
        })?;
        policy = policy.with_methods(&known);
    }
    for (key, given) in [("headers", &wanted.headers), ("expose", &wanted.expose)] {
        let Some(given) = given else { continue };
        let names = given.get_ref().iter().map(String::as_str);
        let set =
            if key == "headers" { policy.with_headers(names) } else { policy.exposing(names) };
        policy = set.map_err(|_| {
            let what = format!("cors.{key}: a field's name is a token, such as Content-Type");
            source.mistake(given.span(), &what)
        })?;
    }
    if let Some(credentials) = &wanted.credentials
        && *credentials.get_ref()
    {
        policy = policy.with_credentials().map_err(|_| {
            let what = "cors.credentials: with origins = [\"*\"] every site could read what this one shows its users; name the origins";
            source.mistake(credentials.span(), what)
        })?;
    }
    Ok(match wanted.max_age_s {
        Some(seconds) => policy.with_max_age(seconds),
        None => policy,
    })
}
