//! Passwords of `raddle serve`: who may see which folder, or what is wrong with that.

use super::config::{Auth, Source};
use raddle_http::semantics::Users;
use raddle_http::server::Guard;
use std::fs;

/// The guard that a configuration describes.
pub(super) fn guard(source: &Source) -> Result<Guard, String> {
    source.config.auth.iter().try_fold(Guard::new(), |guard, auth| {
        let users = users(source, auth)?;
        guard
            .folder(auth.path.get_ref(), &auth.realm, users)
            .map_err(|error| source.mistake(auth.path.span(), &format!("auth.path: {error}")))
    })
}

/// Those that stand in the configuration, and those of its file.
fn users(source: &Source, auth: &Auth) -> Result<Users, String> {
    let (own, mut text) = (auth.users.len(), String::new());
    for user in &auth.users {
        // Such a text would be several lines, or none.
        if user.get_ref().contains('\n') || user.get_ref().trim().is_empty() {
            return Err(source.mistake(user.span(), "auth.users: not user:hash"));
        }
        text.push_str(user.get_ref());
        text.push('\n');
    }
    if let Some(file) = &auth.file {
        let read = fs::read_to_string(file.get_ref()).map_err(|error| {
            let what =
                format!("auth.file: {}: it can't be read: {error}", file.get_ref().display());
            source.mistake(file.span(), &what)
        });
        text.push_str(&read?);
    }
    let users = Users::parse(&text).map_err(|error| match &auth.file {
        Some(file) if error.line() > own => {
            let (shown, line) = (file.get_ref().display(), error.line() - own);
            source.mistake(file.span(), &format!("auth.file: {shown}:{line}: {}", error.what()))
        }
        _ => {
            let span = auth.users[error.line() - 1].span();
            source.mistake(span, &format!("auth.users: {}", error.what()))
        }
    })?;
    if users.is_empty() {
        let what = "auth: nobody could see the folder; give users = [\"name:hash\"], or a file with such lines";
        return Err(source.mistake(auth.path.span(), what));
    }
    Ok(users)
}
