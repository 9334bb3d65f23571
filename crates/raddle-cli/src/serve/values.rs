//! Values of a configuration that may not be just anything: what is none of them is refused where it stands.

use crate::args::index;
use serde::Deserialize;

/// A number from MIN to MAX.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "i64")]
pub(super) struct Within<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Within<MIN, MAX> {
    /// One of the program's own, which is brought into the range.
    pub(super) fn near(number: u64) -> Self {
        Within(u32::try_from(number).unwrap_or(u32::MAX).clamp(MIN, MAX))
    }

    pub(super) fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<i64> for Within<MIN, MAX> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let range = i64::from(MIN)..=i64::from(MAX);
        match range.contains(&number) {
            true => Ok(Within(number as u32)),
            false => Err(format!("{number} is not from {MIN} to {MAX}")),
        }
    }
}

/// What stands for its folder: names of files, of which there is at least one.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Vec<Index>")]
pub(super) struct Indexes(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Index(String);

impl TryFrom<String> for Index {
    type Error = String;

    fn try_from(name: String) -> Result<Index, String> {
        index(&name).map(Index)
    }
}

impl TryFrom<Vec<Index>> for Indexes {
    type Error = &'static str;

    fn try_from(names: Vec<Index>) -> Result<Indexes, &'static str> {
        match names.is_empty() {
            false => Ok(Indexes(names.into_iter().map(|Index(name)| name).collect())),
            true => {
                Err("there is none; give 1 name or more (a folder without such a file is listed)")
            }
        }
    }
}
