//! Reports as texts: what each form says of figures that are known, and that nothing is lost on the way through JSON.

use raddle_load::{
    Distribution, Failed, Failure, OfStatus, Report, Slice, Step, compare, csv, gnuplot, table,
};

/// Ten intervals, with so many answers each and one more in every second one, and such a median.
fn report(answers: u64, p50_ns: u64) -> Report {
    let mut report = Report::from_json(include_str!("data/empty.json")).expect("it is one");
    report.intervals = (1..=10)
        .map(|second| Slice {
            until_s: second as f64,
            took_s: 1.0,
            answers: answers + second % 2,
            failed: 0,
            bytes: 100,
            mean_ns: p50_ns as f64,
            p50_ns: p50_ns + second % 2,
            p90_ns: 0,
            p99_ns: 7,
            p999_ns: 7,
            max_ns: 7,
        })
        .collect();
    report.took_s = 10.0;
    report.latency = Distribution {
        count: 4,
        mean_ns: 2e6,
        deviation_ns: 1e6,
        min_ns: 1_000_000,
        max_ns: 4_000_000,
        percentiles: Vec::new(),
        steps: vec![(1_000_000, 2), (2_000_000, 1), (4_000_000, 1)],
    };
    report.by_status =
        [200, 503].map(|status| OfStatus { status, latency: report.latency.clone() }).to_vec();
    (report.answers, report.rate, report.failed) = (8, 0.8, 3);
    let failure = Failure { step: Step::Receive, errno: Some(104), what: "reset".to_owned() };
    report.failures = vec![Failed { failure, count: 3 }];
    report.warnings = vec!["doubtful".to_owned()];
    report
}

#[test]
fn json_leads_back() {
    let report = report(100, 5);
    assert_eq!(Report::from_json(&report.to_json()), Ok(report.clone()));
    let other = report.to_json().replace("raddle-load 1", "raddle-load 2");
    let error = Report::from_json(&other).unwrap_err().to_string();
    assert!(error.starts_with("its format is \"raddle-load 2\""), "{error}");
}

#[test]
fn the_table_tells_all() {
    let text = table(&report(100, 5));
    for line in [
        "GET http://a/",
        "1 connection; closed loop; 10.00 s",
        "8 answers, 0.8 a second; 0 B, 0 B a second",
        "by status: 200: 4, 503: 4",
        "3 requests failed:",
        "           3  receive: reset (ECONNRESET, 104)",
        "latency          2.00 ms   1.00 ms   1.00 ms   1.00 ms   4.00 ms   4.00 ms   4.00 ms   4.00 ms",
        "  503            2.00 ms   1.00 ms   1.00 ms   1.00 ms   4.00 ms   4.00 ms   4.00 ms   4.00 ms",
        "warning: doubtful",
    ] {
        assert!(text.lines().any(|own| own == line), "{line:?} in {text}");
    }
    assert!(!text.contains("TLS") && !text.contains("slip"), "there was none: {text}");
}

#[test]
fn columns_are_for_others() {
    let report = report(100, 5);
    let csv = csv(&report);
    assert_eq!(csv.lines().nth(1), Some("1.000,1.000,101,0,100,101.000,5,6,0,7,7,7"));
    let gnuplot = gnuplot(&report);
    assert!(gnuplot.contains("\n1.000000 50.000000 2.000 2\n2.000000 75.000000 4.000 1\n4.000000 100.000000 8.000 1\n"), "{gnuplot}");
    assert!(gnuplot.contains("\n2.000 100.000 0.000005 0.000007 0.000007 0\n"), "{gnuplot}");
}

#[test]
fn what_differs_is_told_with_its_bounds() {
    let mut after = report(110, 5);
    after.run.connections = 2;
    let text = compare(&report(100, 5), &after);
    // The means differ by 10 of 100.5; the variance of each mean is 0.0278, of the difference 0.0556, with 18 degrees of freedom: 10 +- 2.101 * 0.2357.
    let rate = text.lines().find(|line| line.starts_with("answers/s")).unwrap();
    assert!(rate.ends_with("+10.0 %   +9.5 % to +10.4 %"), "{rate}");
    let median = text.lines().find(|line| line.starts_with("50 %")).unwrap();
    assert!(median.ends_with(", which may be nothing"), "{median}");
    assert!(text.ends_with("note: the runs differ in their connections\n"), "{text}");
    let mut short = report(100, 5);
    short.intervals.truncate(1);
    assert!(compare(&short, &after).contains("unknown: a run has fewer than two whole intervals"));
}
