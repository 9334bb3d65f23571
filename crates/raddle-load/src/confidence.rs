//! How sure a difference of two means is: Welch's interval.

/// A sample's mean, and the mean's variance.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mean {
    value: f64,
    variance: f64,
    freedom: f64,
}

impl Mean {
    /// `None` for fewer than two values: nobody knows how they spread.
    fn of(values: &[f64]) -> Option<Mean> {
        if values.len() < 2 {
            return None;
        }
        let count = values.len() as f64;
        let value = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|one| (one - value).powi(2)).sum::<f64>();
        let freedom = count - 1.0;
        Some(Mean { value, variance: squares / freedom / count, freedom })
    }
}

/// The difference of the means, and the bounds between which it lies with 95 % confidence. `None` if one has fewer than two values.
///
/// Welch, "The generalization of Student's problem when several different population variances are involved", 1947.
pub(crate) fn difference(before: &[f64], after: &[f64]) -> Option<(f64, f64, f64)> {
    let (before, after) = (Mean::of(before)?, Mean::of(after)?);
    let difference = after.value - before.value;
    let variance = before.variance + after.variance;
    if variance == 0.0 {
        return Some((difference, difference, difference));
    }
    let share = |mean: Mean| mean.variance.powi(2) / mean.freedom;
    let freedom = variance.powi(2) / (share(before) + share(after));
    let reach = student(freedom) * variance.sqrt();
    Some((difference, difference - reach, difference + reach))
}

/// The 97.5th percentile of Student's distribution, by Hill's expansion of it: "Algorithm 396", 1970. Right to a thousandth from three degrees of
/// freedom on; below that by the closed forms.
fn student(freedom: f64) -> f64 {
    // P is two-sided: 0.05.
    const P: f64 = 0.05;
    let n = freedom.max(1.0);
    if n < 1.5 {
        return (std::f64::consts::FRAC_PI_2 * (1.0 - P)).tan();
    }
    if n < 2.5 {
        return (2.0 / (P * (2.0 - P)) - 2.0).sqrt();
    }
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * std::f64::consts::FRAC_PI_2).sqrt() * n;
    let mut y = (d * P).powf(2.0 / n);
    if y > 0.05 + a {
        // The normal distribution's percentile for half of P.
        let x = -1.959_963_985_f64;
        y = x * x;
        if n < 5.0 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = a * y * y;
        y = if y > 0.002 { y.exp() - 1.0 } else { 0.5 * y * y + y };
    } else {
        y = ((1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0)
            + 0.5 / (n + 4.0))
            * y
            - 1.0)
            * (n + 1.0)
            / (n + 2.0)
            + 1.0 / y;
    }
    (n * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a printed table of Student's distribution.
    #[test]
    fn percentiles_are_those_of_the_table() {
        for (freedom, expected) in [
            (1.0, 12.706),
            (2.0, 4.303),
            (3.0, 3.182),
            (4.0, 2.776),
            (5.0, 2.571),
            (7.0, 2.365),
            (10.0, 2.228),
            (15.0, 2.131),
            (20.0, 2.086),
            (30.0, 2.042),
            (60.0, 2.000),
            (120.0, 1.980),
            (1e6, 1.960),
        ] {
            let found = student(freedom);
            assert!((found - expected).abs() < 0.002, "{freedom}: {found}, not {expected}");
        }
    }

    /// Worked by hand: means 3 and 6, variances of the means 0.5 and 2, 4 degrees of freedom each; so 5.88, and 2.459 times the root of 2.5.
    #[test]
    fn the_interval_is_welchs() {
        let (before, after) = ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 6.0, 8.0, 10.0]);
        let (difference, from, to) = difference(&before, &after).unwrap();
        assert_eq!(difference, 3.0);
        assert!(
            (to - 3.0 - 3.888).abs() < 0.01 && (3.0 - from - 3.888).abs() < 0.01,
            "{from} {to}"
        );
    }

    #[test]
    fn one_value_tells_nothing() {
        assert_eq!(super::difference(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(super::difference(&[1.0, 1.0], &[2.0, 2.0]), Some((1.0, 1.0, 1.0)));
    }
}
