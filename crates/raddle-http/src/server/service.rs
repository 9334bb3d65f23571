//! What a server does with a request: plugins, routes, handlers, and what is said where there is none.

use super::clients::Clients;
use super::plugin::Plugin;
use super::times::Times;
use crate::header::Header;
use crate::protocol::RequestHead;
use crate::protocol::{Limits, TargetForm};
use crate::request::{Client, Request};
use crate::response::Response;
use crate::router::Router;
use crate::semantics::canonical;
use crate::status::Status;
use crate::tls::Tls;
use raddle::cancel::Cancelled;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

pub(super) type Handler = Box<dyn Fn(&mut Request<'_>) -> Response + Send + Sync>;

/// All that connections share.
pub(super) struct Service {
    pub(super) routes: Router<Handler>,
    pub(super) otherwise: Handler,
    /// Whoever was greeted by these is also seen off by them.
    pub(super) plugins: Arc<Vec<Box<dyn Plugin>>>,
    pub(super) limits: Limits,
    pub(super) times: Times,
    pub(super) tls: Option<Tls>,
    pub(super) clients: Option<Arc<Clients>>,
    /// Whether responses say what their requests are called in logs.
    pub(super) tells_ids: bool,
}

impl Service {
    pub(super) fn new() -> Service {
        Service {
            routes: Router::new(),
            otherwise: Box::new(|_| plain(Status::NOT_FOUND)),
            plugins: Arc::default(),
            limits: Limits::default(),
            times: Times::default(),
            tls: None,
            clients: None,
            tells_ids: false,
        }
    }

    /// The answer to a request.
    ///
    /// A handler that panics has answered 500; `true` then, as nobody knows what it has left behind.
    pub(super) fn answer(
        &self,
        head: &RequestHead,
        body: &mut dyn Read,
        client: Client<'_>,
    ) -> (Response, bool) {
        let answered = catch_unwind(AssertUnwindSafe(|| self.dispatch(head, body, client)));
        let (mut response, has_panicked) = match answered {
            Ok(response) => (response, false),
            // The connection is to end.
            Err(payload) if payload.is::<Cancelled>() => resume_unwind(payload),
            Err(_) => {
                log::error!("the handler of {} {} has panicked", head.method(), head.path());
                (plain(Status::INTERNAL_SERVER_ERROR), true)
            }
        };
        self.plugins.iter().for_each(|plugin| plugin.answered(head, &mut response));
        (response, has_panicked)
    }

    /// The answer to a client that asks too much, before anything that costs: also passwords are asked for by those who may ask.
    pub(super) fn put_off(&self, head: &RequestHead, wait: Duration) -> Response {
        // In whole seconds: RFC 9110 section 10.2.3.
        let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
        let answer = plain(Status::TOO_MANY_REQUESTS);
        let mut answer = answer.header(Header::RetryAfter, seconds.to_string());
        // Other sites' pages may read it, if they may read the rest.
        self.plugins.iter().for_each(|plugin| plugin.answered(head, &mut answer));
        answer
    }

    fn dispatch(&self, head: &RequestHead, body: &mut dyn Read, client: Client<'_>) -> Response {
        match head.form() {
            // Of the server as a whole there are no options: RFC 9110 section 9.3.7.
            TargetForm::Asterisk => return Response::new(Status::NO_CONTENT),
            // This is no proxy.
            TargetForm::Authority => return plain(Status::NOT_IMPLEMENTED),
            TargetForm::Origin | TargetForm::Absolute => {}
        }
        let Ok(path) = canonical(head.path()) else { return plain(Status::BAD_REQUEST) };
        let found = self.routes.find(&path);
        let (handler, params) = match found {
            Some(found) => (found.value, found.params),
            None => (&self.otherwise, Default::default()),
        };
        let mut request = Request::of_client(head, params, body, client);
        let instead = self.plugins.iter().find_map(|plugin| plugin.arrived(&mut request));
        instead.unwrap_or_else(|| handler(&mut request))
    }
}

/// A status that says itself in a line of text.
pub(super) fn plain(status: Status) -> Response {
    let response = Response::new(status).with_body(format!("{status}\n"));
    response.header(Header::ContentType, "text/plain; charset=utf-8")
}
