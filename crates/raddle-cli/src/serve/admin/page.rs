//! The page of `/status`: a document, a style sheet, a script. They are in the program, so that the page needs nothing else.

use raddle_http::Response;

/// What stands at that path.
pub(super) fn find(path: &str) -> Option<Response> {
    Some(match path {
        "/status" => Response::html(include_str!("status.html")),
        "/status.css" => Response::of_type("text/css; charset=utf-8", include_str!("status.css")),
        "/status.js" => {
            Response::of_type("text/javascript; charset=utf-8", include_str!("status.js"))
        }
        _ => return None,
    })
}
