//! What a folder holds, in an order that people expect.

use super::meta::Meta;
use super::resource::CODINGS;
use super::root::join;
use super::site::Site;
use crate::semantics::Coding;
use rustix::fs::Dir;
use rustix::io::Errno;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::SystemTime;

/// A folder's entries.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) is_folder: bool,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
}

/// By what entries are sorted. Folders come first in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Size,
    Modified,
}

impl Listing {
    /// Reads a folder. What can't be served is left out: devices, broken links, links that lead out; so are compressed copies, which are
    /// sent in place of the file beside them.
    pub(super) fn read(site: &Site, path: &[u8]) -> Result<Listing, Errno> {
        let root = &site.root;
        let folder = root.open_beneath(path)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            let is_hidden = bytes.starts_with(b".") && !site.shows_hidden;
            if matches!(bytes, b"." | b"..") || is_hidden {
                continue;
            }
            let Ok(meta) = Meta::of_entry(&folder, name) else { continue };
            let meta = match meta.is_link() {
                true => root.open_beneath(&join(path, bytes)).and_then(Meta::of),
                false => Ok(meta),
            };
            if let Ok(meta) = meta
                && (meta.is_file() || meta.is_folder())
            {
                entries.push(Entry {
                    name: bytes.to_owned(),
                    is_folder: meta.is_folder(),
                    length: meta.length,
                    modified: meta.modified,
                });
            }
        }
        if site.has_copies {
            hide_copies(&mut entries);
        }
        Ok(Listing { entries })
    }

    /// The entries in that order.
    pub(super) fn sorted(&self, key: Key, is_descending: bool) -> Vec<&Entry> {
        let mut all: Vec<&Entry> = self.entries.iter().collect();
        all.sort_by(|one, other| {
            let order = match key {
                Key::Name => Ordering::Equal,
                Key::Size => one.length.cmp(&other.length),
                Key::Modified => one.modified.cmp(&other.modified),
            };
            let order = order.then_with(|| natural(&one.name, &other.name));
            let order = if is_descending { order.reverse() } else { order };
            other.is_folder.cmp(&one.is_folder).then(order)
        });
        all
    }
}

/// Takes out what stands for a file in another coding. One that is older than its file is sent to nobody in its place.
fn hide_copies(entries: &mut Vec<Entry>) {
    let files = entries.iter().filter(|entry| !entry.is_folder);
    let dates: HashMap<_, _> = files.map(|entry| (entry.name.clone(), entry.modified)).collect();
    entries.retain(|entry| {
        let stands_for = |coding: Coding| {
            let of = entry.name.strip_suffix(coding.suffix().as_bytes());
            of.and_then(|of| dates.get(of)).is_some_and(|date| *date <= entry.modified)
        };
        entry.is_folder || !CODINGS.into_iter().any(stands_for)
    });
}

/// Compares as people do: without regard to case, and 2 comes before 10. What is equal then goes by its bytes.
fn natural(one: &[u8], other: &[u8]) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let order = match (left, right) {
            ([], _) | (_, []) => {
                return left.len().cmp(&right.len()).then_with(|| one.cmp(other));
            }
            ([b'0'..=b'9', ..], [b'0'..=b'9', ..]) => {
                let (first, second) = (number(&mut left), number(&mut right));
                first.len().cmp(&second.len()).then_with(|| first.cmp(second))
            }
            ([first, left_rest @ ..], [second, right_rest @ ..]) => {
                (left, right) = (left_rest, right_rest);
                first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase())
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Takes the digits in front, and gives those that count.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn listing(entries: &[(&str, bool, u64)]) -> Listing {
        let entry = |&(name, is_folder, number): &(&str, bool, u64)| Entry {
            name: name.into(),
            is_folder,
            length: number,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(100 - number),
        };
        Listing { entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn folders_come_first_and_numbers_count() {
        let listing = listing(&[
            ("b10", false, 3),
            ("B2", false, 1),
            ("a", false, 2),
            ("b02", false, 1),
            ("z", true, 9),
            ("b", false, 7),
            ("\u{e9}", false, 7),
        ]);
        let names = |key, is_descending| -> Vec<String> {
            let sorted = listing.sorted(key, is_descending);
            sorted.iter().map(|entry| String::from_utf8(entry.name.clone()).unwrap()).collect()
        };
        assert_eq!(names(Key::Name, false), ["z", "a", "b", "B2", "b02", "b10", "\u{e9}"]);
        assert_eq!(names(Key::Name, true), ["z", "\u{e9}", "b10", "b02", "B2", "b", "a"]);
        assert_eq!(names(Key::Size, false), ["z", "B2", "b02", "a", "b10", "b", "\u{e9}"]);
        assert_eq!(names(Key::Modified, false)[1..3], ["b", "\u{e9}"]);
    }
}
