//! Delays that are known: when a request that has come is to be answered.

const MS: u64 = 1_000_000;

/// How long requests wait for their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// 5 ms.
    Fixed,
    /// 2 ms; each eighth request 20 ms.
    Bimodal,
    /// 5 ms; but in each 5 s from the first request on nothing is answered from 3.0 to 3.5 s.
    Stall,
}

impl Delay {
    /// As the driver calls it; `None` for no delay at all.
    pub(crate) fn parse(text: &str) -> Result<Option<Delay>, String> {
        match text {
            "" => Ok(None),
            "fixed" => Ok(Some(Delay::Fixed)),
            "bimodal" => Ok(Some(Delay::Bimodal)),
            "stall" => Ok(Some(Delay::Stall)),
            other => Err(format!("there is no delay {other}")),
        }
    }

    /// When the request of that number is to be answered, which has come `at_ns` after the first one.
    pub(crate) fn answer_at(self, number: u64, at_ns: u64) -> u64 {
        match self {
            Delay::Fixed => at_ns + 5 * MS,
            Delay::Bimodal if number % 8 == 7 => at_ns + 20 * MS,
            Delay::Bimodal => at_ns + 2 * MS,
            Delay::Stall => {
                let ready = at_ns + 5 * MS;
                let within = ready % (5_000 * MS);
                let is_stalled = (3_000 * MS..3_500 * MS).contains(&within);
                if is_stalled { ready - within + 3_500 * MS } else { ready }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_what_they_are_called() {
        assert_eq!(Delay::parse("stall"), Ok(Some(Delay::Stall)));
        assert_eq!(Delay::Fixed.answer_at(7, 3), 3 + 5 * MS);
        let long: Vec<u64> =
            (0..16).filter(|number| Delay::Bimodal.answer_at(*number, 0) > 2 * MS).collect();
        assert_eq!(long, [7, 15]);
        for (at, answered) in [
            (0, 5),
            (2_994, 2_999),
            (2_995, 3_500),
            (3_400, 3_500),
            (3_494, 3_500),
            (3_495, 3_500),
            (3_500, 3_505),
            (8_100, 8_500),
        ] {
            assert_eq!(Delay::Stall.answer_at(0, at * MS), answered * MS, "{at}");
        }
    }
}
