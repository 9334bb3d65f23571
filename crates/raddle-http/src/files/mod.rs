//! Static files: a folder as a site. RFC 9110 for what is answered, `openat2(2)` for what is not.
//!
//! ```
//! use raddle_http::{files::Files, server::Server};
//! # let folder = std::env::temp_dir().join(format!("raddle-http-doc-files-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//!
//! let files = Files::new(&folder)?;
//! let server = Server::new().otherwise(move |request| files.serve(request));
//! # std::fs::remove_dir_all(&folder)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! ```text
//!   path ─▶ clean (semantics::CleanPath) ─▶ cache ─▶ root: opened beneath the folder only ─▶ resource: validators, copies, fields
//!                                                                                               │
//!   response ◀─ semantics::serve: conditions, ranges ◀──────────────────────────────────────────┘
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `options` | what users see |
//! | `site` | which folder, and what of it is shown |
//! | `answer` | requests to responses |
//! | `listing`, `page` | what a folder holds; as HTML and JSON |
//! | `cache` | files that were asked for a moment ago |
//! | `resource` | an open file and its compressed copies |
//! | `root` | opening, and nothing outside |
//! | `meta` | kind, length, dates |

mod answer;
mod cache;
mod listing;
mod meta;
mod options;
mod page;
mod resource;
mod root;
mod site;

pub use options::Files;
