//! A file that is served, held open: in its codings, each with its fields ready to be sent.

use super::meta::Meta;
use super::root::Root;
use crate::date::Date;
use crate::headers::Headers;
use crate::method::Method;
use crate::response::Body;
use crate::semantics::{Coding, Representation, Validators, content_type, prefer_coding, serve};
use raddle::fs::File;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

/// Files up to that are held in memory: their bytes go out by the call that sends their head.
const HELD_MAX: u64 = 16 << 10;

/// What may stand beside a file, from the smallest to the largest as a rule.
pub(super) const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    File(Arc<Resource>),
    Folder,
}

/// A file.
#[derive(Debug)]
pub(super) struct Resource {
    plain: Variant,
    copies: Vec<Variant>,
    /// What does not come from the file.
    pub(super) fields: Headers,
    /// As patterns have it.
    pub(super) path: Box<[u8]>,
}

/// A file in one coding.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) coding: Coding,
    pub(super) length: u64,
    pub(super) validators: Validators,
    /// The fields of a response to a plain GET.
    pub(super) fields: Headers,
    meta: Meta,
    file: Arc<File>,
    /// All of it, if it is small.
    held: Option<Arc<[u8]>>,
}

impl Resource {
    /// Opens what a path leads to, and its copies in other codings if they are wanted.
    pub(super) fn open(
        root: &Root,
        path: &[u8],
        has_copies: bool,
        fields: Headers,
    ) -> Result<Found, Errno> {
        let file = root.open_beneath(path)?;
        let meta = Meta::of(&file)?;
        if meta.is_folder() {
            return Ok(Found::Folder);
        }
        if !meta.is_file() {
            return Err(Errno::ACCESS);
        }
        let media = content_type(OsStr::from_bytes(path));
        let mut plain = Variant::of(file.into(), meta, Coding::Identity)?;
        let mut copies = Vec::new();
        for coding in CODINGS.into_iter().filter(|_| has_copies) {
            let copy = [path, coding.suffix().as_bytes()].concat();
            // A copy that can't be had is none.
            let Ok(file) = root.open_beneath(&copy) else { continue };
            let Ok(copied) = Meta::of(&file) else { continue };
            // One from before the last change would be the wrong content.
            if copied.is_file() && copied.modified >= meta.modified {
                copies.push(Variant::of(file.into(), copied, coding)?);
            }
        }
        let varies = !copies.is_empty();
        for variant in copies.iter_mut().chain([&mut plain]) {
            let mut ready = fields.clone();
            let representation = variant.representation(media, varies);
            let (now, none) = (Date::from_seconds(0), Headers::new());
            serve(Method::Get, &none, &representation, now, String::new, &mut ready);
            variant.fields = ready;
        }
        let path = [b"/", path].concat().into();
        Ok(Found::File(Arc::new(Resource { plain, copies, fields, path })))
    }

    /// In the coding that the client likes best. A client that rules out all gets the file as it is: RFC 9110 section 12.5.3 allows that.
    pub(super) fn preferred(&self, request: &Headers) -> &Variant {
        if self.copies.is_empty() {
            return &self.plain;
        }
        let mut offered = [Coding::Identity; CODINGS.len()];
        for (place, copy) in offered.iter_mut().zip(&self.copies) {
            *place = copy.coding;
        }
        let chosen = prefer_coding(request, &offered[..self.copies.len()]);
        let chosen = |copy: &&Variant| Some(copy.coding) == chosen;
        self.copies.iter().find(chosen).unwrap_or(&self.plain)
    }

    /// As it is.
    pub(super) fn plain(&self) -> &Variant {
        &self.plain
    }

    pub(super) fn varies(&self) -> bool {
        !self.copies.is_empty()
    }

    /// Whether it is the same as one that was opened later, which may know better how settled it is.
    pub(super) fn is_same(&self, later: &Resource) -> bool {
        let same = |(one, other): (&Variant, &Variant)| {
            (one.coding, one.meta, &one.validators) == (other.coding, other.meta, &other.validators)
        };
        self.copies.len() == later.copies.len() && self.variants().zip(later.variants()).all(same)
    }

    /// How many bytes of memory it takes, about.
    pub(super) fn weight(&self) -> usize {
        const APART: usize = 512;
        let held = |variant: &Variant| variant.held.as_ref().map_or(0, |held| held.len());
        self.variants().map(|variant| held(variant) + APART).sum()
    }

    fn variants(&self) -> impl Iterator<Item = &Variant> {
        self.copies.iter().chain([&self.plain])
    }
}

impl Variant {
    fn of(file: File, meta: Meta, coding: Coding) -> Result<Variant, Errno> {
        let suffix = coding.suffix().trim_start_matches('.');
        let now = SystemTime::now();
        let validators =
            Validators::of_file(meta.length, meta.modified, meta.version(), suffix, now);
        let held = if meta.length <= HELD_MAX { hold(&file, &meta)? } else { None };
        Ok(Variant {
            coding,
            length: meta.length,
            validators,
            fields: Headers::new(),
            meta,
            file: Arc::new(file),
            held,
        })
    }

    pub(super) fn representation<'a>(
        &'a self,
        content_type: &'a str,
        varies: bool,
    ) -> Representation<'a> {
        Representation {
            content_type,
            length: self.length,
            validators: &self.validators,
            coding: self.coding,
            varies,
        }
    }

    /// The media type, as its fields have it.
    pub(super) fn content_type(&self) -> &str {
        self.fields.get_str("content-type").unwrap_or("application/octet-stream")
    }

    /// These of its bytes.
    pub(super) fn body(&self, range: Range<u64>) -> Body {
        match &self.held {
            Some(held) if range == (0..self.length) => Body::Shared(held.clone()),
            _ => Body::File { file: self.file.clone(), range },
        }
    }
}

/// Reads a small file, unless it is being changed.
fn hold(file: &File, meta: &Meta) -> Result<Option<Arc<[u8]>>, Errno> {
    let mut bytes = vec![0; meta.length as usize];
    let is_read = file.read_exact_at(&mut bytes, 0).is_ok();
    let is_same = Meta::of(file)? == *meta;
    Ok((is_read && is_same).then(|| bytes.into()))
}
