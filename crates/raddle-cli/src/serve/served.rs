//! A server that listens, with what each of them has of its own.

use super::config::{Config, Log};
use raddle::thread::JoinHandle;
use raddle_http::access::{AccessLog, Format};
use raddle_http::server::{Running, Server};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

/// A server that runs, and its access log.
pub(super) struct Served {
    pub(super) running: Running,
    log: Option<Logging>,
}

/// A log that is written in this form by its own thread.
struct Logging {
    plugin: Arc<AccessLog>,
    writing: JoinHandle<()>,
}

impl Served {
    pub(super) fn start(
        config: &Config,
        server: Server,
        listeners: Vec<TcpListener>,
    ) -> Result<Served, String> {
        let log = Logging::start(config.log)?;
        let server = logging(server, log.as_ref());
        let listeners = listeners.into_iter().map(Into::into).collect();
        Ok(Served { running: server.serve_all(listeners).map_err(failed)?, log })
    }

    /// From now on that, in place of what `before` had described.
    pub(super) fn replace(
        &mut self,
        before: &Config,
        config: &Config,
        server: Server,
    ) -> Result<(), String> {
        if before.log != config.log {
            // The former one's thread ends when the last response that it is told of is sent.
            self.log = Logging::start(config.log)?;
        }
        self.running.replace(logging(server, self.log.as_ref()));
        Ok(())
    }

    /// Waits until all is written of what a server that has ended had to say.
    pub(super) fn finish(self) -> Result<(), String> {
        let Some(Logging { plugin, writing }) = self.log else { return Ok(()) };
        drop(plugin);
        writing.join().map_err(|_| "serve: the access log's thread has panicked".to_owned())
    }
}

impl Logging {
    fn start(form: Log) -> Result<Option<Logging>, String> {
        let Some(format) = format(form) else { return Ok(None) };
        let (plugin, writing) = AccessLog::new(format, io::stderr()).map_err(failed)?;
        Ok(Some(Logging { plugin: Arc::new(plugin), writing }))
    }
}

fn logging(server: Server, log: Option<&Logging>) -> Server {
    match log {
        Some(log) => server.plugin(log.plugin.clone()),
        None => server,
    }
}

fn format(log: Log) -> Option<Format> {
    match log {
        Log::Off => None,
        Log::Common => Some(Format::Common),
        Log::Combined => Some(Format::Combined),
        Log::Json => Some(Format::Json),
    }
}

fn failed(error: io::Error) -> String {
    format!("serve: {error}")
}
