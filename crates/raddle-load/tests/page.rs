//! The page with plots, opened in a browser: its lines are there and have a size, in dark and in light; nothing is wider than the window, no row of
//! the table is folded, and no line goes through a name.

use libtest_mimic::{Arguments, Failed, Trial};
use raddle_load::{Distribution, OfStep, Report, Slice, page};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Names under which it is installed.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// More than there are colours.
const STEPS: usize = 7;

/// Longer than a window is wide, with no place to break.
const LONG: &str = "/?token=";

/// Says in the page itself what a reader would see: each line's size, the colours, what is too wide, rows that are folded, and lines on names.
const LOOK: &str = "<script>\
for (const line of document.querySelectorAll('svg .line')) {\
const box = line.getBBox();\
line.setAttribute('data-seen', (box.width > 100 && box.height >= 0) ? 'yes' : 'no');\
}\
const style = getComputedStyle(document.body);\
document.body.setAttribute('data-colours', style.color + ' on ' + style.backgroundColor);\
const wrong = [];\
for (const part of document.querySelectorAll('html, pre, li')) {\
if (part.scrollWidth > part.clientWidth) wrong.push(part.tagName + ' is too wide');\
}\
const table = document.querySelector('pre');\
const rows = table.textContent.trimEnd().split('\\n').length;\
const height = table.getBoundingClientRect().height / parseFloat(getComputedStyle(table).lineHeight);\
if (Math.round(height) > rows) wrong.push(rows + ' rows take the height of ' + height);\
for (const plot of document.querySelectorAll('svg')) {\
const tops = [...plot.querySelectorAll('.line')].map((line) => line.getBBox().y);\
for (const name of plot.querySelectorAll('[class^=name]')) {\
const box = name.getBBox();\
if (box.y + box.height > Math.min(...tops) + 1) wrong.push('a line on the name ' + name.textContent);\
}\
}\
document.body.setAttribute('data-wrong', wrong.join('; '));\
</script>";

fn main() {
    let arguments = Arguments::from_args();
    let browser = BROWSERS.into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|done| done.status.success())
    });
    let trial = match browser {
        Some(name) => Trial::test("plots_are_seen_in_a_browser", move || seen(name)),
        None => Trial::test("plots_are_seen_in_a_browser (no Chromium here)", || Ok(()))
            .with_ignored_flag(true),
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// Three intervals, latencies from 1 to 50 ms.
fn report() -> Report {
    let mut report = Report::from_json(include_str!("data/empty.json")).expect("it is one");
    let slice = |second: u64| Slice {
        until_s: second as f64,
        took_s: 1.0,
        answers: 1_000 * second,
        failed: second,
        bytes: 5,
        mean_ns: 2e6,
        p50_ns: 1_000_000 * second,
        p90_ns: 2_000_000,
        p99_ns: 10_000_000,
        p999_ns: 20_000_000,
        max_ns: 50_000_000,
    };
    report.intervals = (1..=3).map(slice).collect();
    report.latency = Distribution {
        count: 6_000,
        mean_ns: 2e6,
        min_ns: 1_000_000,
        max_ns: 50_000_000,
        steps: (1..=50).map(|ms| (ms * 1_000_000, 120)).collect(),
        ..Distribution::default()
    };
    report.answers = 6_000;
    let step = || OfStep {
        step: format!("a: GET {LONG}{}", "x".repeat(400)),
        latency: report.latency.clone(),
    };
    report.by_step = (0..STEPS).map(|_| step()).collect();
    report.run.targets = vec!["http://a/?<b>&c".to_owned()];
    report
}

fn seen(browser: &str) -> Result<(), Failed> {
    let text = page(&report());
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let file = folder.join("page.html");
    fs::write(&file, text.replace("</html>", &format!("{LOOK}</html>")))?;
    let mut colours = Vec::new();
    // 0 is dark, 1 is light.
    for scheme in [0, 1] {
        let done = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--dump-dom",
                "--window-size=1000,800",
            ])
            .arg(format!("--user-data-dir={}", folder.join("profile").display()))
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("file://{}", file.display()))
            .output()?;
        let page = String::from_utf8_lossy(&done.stdout).into_owned();
        let count = page.matches("data-seen=\"yes\"").count();
        // One by percentile, three over time, two of throughput.
        if count != 6 + STEPS || page.contains("data-seen=\"no\"") {
            return Err(format!("{count} lines of {} are seen: {page}", 6 + STEPS).into());
        }
        if !page.contains("data-wrong=\"\"") {
            let at = page.find("data-wrong=\"").ok_or("nothing was looked at")?;
            return Err(page[at..].chars().take(400).collect::<String>().into());
        }
        if !page.contains("http://a/?&lt;b&gt;&amp;c") {
            return Err("the URL is not what it was".into());
        }
        let at = page.find("data-colours=\"").ok_or("no colours")? + 14;
        colours.push(page[at..].split('"').next().unwrap_or_default().to_owned());
    }
    _ = fs::remove_dir_all(&folder);
    let expected =
        ["rgb(228, 232, 236) on rgb(20, 24, 29)", "rgb(27, 31, 36) on rgb(255, 255, 255)"];
    if colours != expected {
        return Err(format!("{colours:?}").into());
    }
    Ok(())
}
