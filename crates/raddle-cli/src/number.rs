//! Numbers on the command line.

use std::ops::RangeInclusive;

/// A whole number within these bounds: the parser's own says of what is none how it was read, not what may stand there.
pub(crate) fn whole<T: TryFrom<u64>>(
    bounds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match bounds.end() {
            &u64::MAX => format!("give a whole number from {} on", bounds.start()),
            end => format!("give a whole number from {} to {end}", bounds.start()),
        })
    }
}
