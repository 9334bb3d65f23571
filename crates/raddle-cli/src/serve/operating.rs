//! What a configuration says of a server's operation: its error log, and where its operator may ask.

use crate::args::{Place, place};
use log::LevelFilter;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What goes wrong, and what else is worth a line.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct ErrorLog {
    pub(super) form: Form,
    pub(super) level: Level,
    pub(super) file: Option<Spanned<PathBuf>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Plain,
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl Default for ErrorLog {
    fn default() -> ErrorLog {
        ErrorLog { form: Form::Plain, level: Level::Warn, file: None }
    }
}

impl Level {
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Level::Off => LevelFilter::Off,
            Level::Error => LevelFilter::Error,
            Level::Warn => LevelFilter::Warn,
            Level::Info => LevelFilter::Info,
            Level::Debug => LevelFilter::Debug,
        }
    }
}

/// Where the operator asks.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct Admin {
    pub(super) listen: Option<Spanned<At>>,
}

/// What is said of a place, as text.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(super) struct At(pub(super) Place);

impl TryFrom<String> for At {
    type Error = String;

    fn try_from(text: String) -> Result<At, String> {
        place(&text).map(At)
    }
}

impl At {
    /// Paths in a configuration stand beside it.
    pub(super) fn below(&mut self, folder: &Path) {
        if let At(Place::Unix(path)) = self {
            *path = folder.join(&*path);
        }
    }
}
