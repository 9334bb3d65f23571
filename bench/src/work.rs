//! Arithmetic to be busy with, and how often to do something for a time worth measuring.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Computes for one or two nanoseconds each turn, without memory, calls or system calls. Each turn needs the last one's result, and no
/// compiler knows how to take several at once.
#[inline(never)]
pub fn spin(turns: u64) {
    let mut state = black_box(1u64);
    for _ in 0..turns {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}

/// How many turns of [`spin`] take `aim` when nothing disturbs them.
pub fn turns_for(aim: Duration) -> u64 {
    const TURNS: u64 = 100_000;
    let time = |_| {
        let start = Instant::now();
        spin(TURNS);
        start.elapsed()
    };
    let best = (0..20).map(time).min().unwrap_or(aim);
    (TURNS as f64 * aim.as_secs_f64() / best.as_secs_f64().max(1e-9)) as u64
}

/// Nanoseconds for each operation: `run` does as many as it is told and says how long they took.
///
/// Their number is doubled until they take half of `aim` twice in a row, which warms up everything; the second time counts. Once
/// would not do: a pause of the machine's makes a few operations take as long.
pub fn ns_each(
    aim: Duration,
    mut run: impl FnMut(u64) -> Result<Duration, String>,
) -> Result<f64, String> {
    let mut operations = 1;
    let mut was_long = false;
    loop {
        let took = run(operations)?;
        if took < aim / 2 {
            (was_long, operations) = (false, operations * 2);
        } else if was_long {
            return Ok(took.as_secs_f64() * 1e9 / operations as f64);
        } else {
            was_long = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_doubled_until_they_take_long_enough_twice() {
        let mut runs = Vec::new();
        let ns = ns_each(Duration::from_micros(100), |operations| {
            runs.push(operations);
            // The machine pauses in the third run. Else 1 us, and 10 ns for each.
            let pause = if runs.len() == 3 { 1_000_000 } else { 0 };
            Ok(Duration::from_nanos(pause + 1000 + 10 * operations))
        });
        assert_eq!(runs[..6], [1, 2, 4, 4, 8, 16], "{runs:?}");
        assert_eq!(runs[runs.len() - 2..], [8192, 8192], "{runs:?}");
        assert!(ns.is_ok_and(|ns| (10.0..10.2).contains(&ns)));
    }
}
