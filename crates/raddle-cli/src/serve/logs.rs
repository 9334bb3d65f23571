//! Logs of `raddle serve`: which there are, or what is wrong with them.

use super::config::{Log, Source};
use super::operating::Form;
use crate::say;
use raddle::thread::JoinHandle;
use raddle_http::access::{AccessLog, Format};
use raddle_http::error_log::{self, ErrorLog};
use std::io;
use std::ops::Range;
use std::path::Path;

/// What can be said before anything is opened.
pub(super) fn check(source: &Source) -> Result<(), String> {
    let config = &source.config;
    if let Some(file) = &config.log_file {
        if config.log == Log::Off {
            let what = "log_file: nothing is logged; give log = \"combined\", for instance";
            return Err(source.mistake(file.span(), what));
        }
        check_folder(source, "log_file", file.get_ref(), file.span())?;
    }
    if let Some(file) = &config.error_log.file {
        check_folder(source, "error_log.file", file.get_ref(), file.span())?;
    }
    Ok(())
}

fn check_folder(source: &Source, key: &str, path: &Path, at: Range<usize>) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_none_or(Path::is_dir) {
        return Ok(());
    }
    let what = format!("{key}: {}: there is no such folder; make it first", path.display());
    Err(source.mistake(at, &what))
}

/// The access log, and its thread.
pub(super) struct Logs {
    access: Option<(AccessLog, JoinHandle<()>)>,
}

impl Logs {
    /// Opens the access log that the configuration names.
    pub(super) fn open(source: &Source) -> Result<Logs, String> {
        let config = &source.config;
        let Some(format) = format(config.log) else { return Ok(Logs { access: None }) };
        let opened = match &config.log_file {
            Some(file) => AccessLog::to_file(format, file.get_ref()),
            None => AccessLog::new(format, io::stderr()),
        };
        let (access, writing) = opened.map_err(|error| match &config.log_file {
            Some(file) => unusable(source, "log_file", file.get_ref(), file.span(), &error),
            None => format!("serve: {error}"),
        })?;
        let access = if config.log_request_ids { access.with_request_ids() } else { access };
        Ok(Logs { access: Some((access, writing)) })
    }

    /// To be a server's plugin.
    pub(super) fn access(&self) -> Option<AccessLog> {
        self.access.as_ref().map(|(access, _)| access.clone())
    }

    /// Its thread, which ends when all is written that servers have said, and none of them has it any more.
    pub(super) fn into_writing(self) -> Option<JoinHandle<()>> {
        self.access.map(|(_, writing)| writing)
    }
}

/// Has all logs opened anew that are files.
pub(super) fn reopen(access: Option<&AccessLog>) {
    if let Some(access) = access {
        access.reopen();
    }
    say::reopen_error_log();
}

/// Opens the error log, once.
pub(super) fn open_error_log(source: &Source) -> Result<(), String> {
    let wanted = &source.config.error_log;
    let form = match wanted.form {
        Form::Json => error_log::Form::Json,
        Form::Plain if wanted.file.is_none() => {
            log::set_max_level(wanted.level.filter());
            return Ok(());
        }
        // Whoever reads a file was not there when it was written.
        Form::Plain | Form::Text => error_log::Form::Text,
    };
    let opened = match &wanted.file {
        Some(file) => ErrorLog::to_file(form, file.get_ref()).map_err(|error| {
            unusable(source, "error_log.file", file.get_ref(), file.span(), &error)
        })?,
        None => ErrorLog::new(form, io::stderr()),
    };
    say::use_error_log(opened, wanted.file.is_some(), wanted.level.filter());
    Ok(())
}

fn unusable(
    source: &Source,
    key: &str,
    path: &Path,
    at: Range<usize>,
    error: &io::Error,
) -> String {
    let what = format!("{key}: {}: it can't be opened: {error}", path.display());
    source.mistake(at, &what)
}

fn format(log: Log) -> Option<Format> {
    match log {
        Log::Off => None,
        Log::Common => Some(Format::Common),
        Log::Combined => Some(Format::Combined),
        Log::Json => Some(Format::Json),
    }
}
