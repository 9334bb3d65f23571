//! What requests mean: pure functions over fields. RFC 9110, and RFC 9111 where it speaks of validators.
//!
//! | question | function |
//! |---|---|
//! | which file does a path name? | [`CleanPath`], [`canonical`] |
//! | what type, in which coding? | [`content_type`], [`prefer_type`], [`prefer_coding`] |
//! | does the client have it already? | [`Validators`], [`preconditions`] |
//! | which bytes does it want? | [`range_applies`], [`select`], [`Multipart`] |
//! | all of that for GET and HEAD | [`serve`] |
//! | who may see it? | [`Credentials`], [`Users`], [`Cors`] |
//! | what do caches do with it? | [`FieldRules`] |
//! | what holds for a folder, for a host? | [`Folders`], [`Hosts`] |

mod accept;
mod basic;
mod conditional;
mod cors;
mod etag;
mod folders;
mod hosts;
mod mime;
mod multipart;
mod path;
mod range;
mod rules;
mod serve;

pub use accept::{Coding, names_type, prefer_coding, prefer_type};
pub use basic::{Credentials, InvalidUsers, Users, challenge, hash_password};
pub use conditional::{Verdict, preconditions, range_applies, trim_not_modified};
pub use cors::{Cors, CorsVerdict, InvalidCors};
pub use etag::{EntityTag, Validators};
pub use folders::{Folders, InvalidFolder};
pub use hosts::{Hosts, InvalidHost};
pub use mime::content_type;
pub use multipart::{Multipart, Part};
pub use path::{CleanPath, PathFault, canonical};
pub use range::{Selection, content_range, select};
pub use rules::{FieldRules, PathPattern};
pub use serve::{Content, Representation, serve};
