//! Which other sites' pages may read what: CORS by folder.

use super::plugin::Plugin;
use crate::header::Header;
use crate::method::Method;
use crate::protocol::RequestHead;
use crate::request::Request;
use crate::response::Response;
use crate::semantics::{Cors, Folders, InvalidFolder};
use crate::status::Status;

/// A policy for each of some folders, as a [`Plugin`]: it answers preflight requests, and adds to every response what browsers have to know.
///
/// It goes before whatever asks for passwords: a preflight request never has one.
///
/// ```
/// use raddle_http::{Response, semantics::Cors, server::{CorsRules, Server}};
///
/// let rules = CorsRules::new().folder("/api/", Cors::for_origins(["https://a.example"])?)?;
/// let server = Server::new().plugin(rules).route("/api/time", |_| Response::text("late"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CorsRules {
    policies: Folders<Cors>,
}

impl CorsRules {
    /// Without any, browsers keep what is here from other sites' pages.
    ///
    /// ```
    /// let server = raddle_http::server::Server::new().plugin(raddle_http::server::CorsRules::new());
    /// ```
    pub fn new() -> CorsRules {
        CorsRules::default()
    }

    /// This policy for this folder, and what is below it. Of folders in each other the inner one decides.
    ///
    /// # Errors
    ///
    /// [`InvalidFolder`], as [`Folders::insert`] has it.
    ///
    /// ```
    /// use raddle_http::{semantics::Cors, server::CorsRules};
    /// assert!(CorsRules::new().folder("/fonts/", Cors::for_any_origin()).is_ok());
    /// ```
    pub fn folder(mut self, path: &str, policy: Cors) -> Result<CorsRules, InvalidFolder> {
        self.policies.insert(path, policy)?;
        Ok(self)
    }
}

impl Plugin for CorsRules {
    fn arrived(&self, request: &mut Request<'_>) -> Option<Response> {
        let headers = request.headers();
        let is_preflight = request.method() == Method::Options
            && headers.contains(Header::Origin)
            && headers.contains(Header::AccessControlRequestMethod);
        let is_ours = is_preflight && self.policies.find(request.path()).is_some();
        // Its fields are added when it is answered.
        is_ours.then(|| request.reply(Status::NO_CONTENT))
    }

    fn answered(&self, head: &RequestHead, response: &mut Response) {
        if let Some(policy) = self.policies.find(head.path()) {
            policy.decide(head.method(), head.headers(), response.headers_mut());
        }
    }
}
