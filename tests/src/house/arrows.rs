//! Arrows between crates: who may depend on whom.
//!
//! ```text
//!   core <- context, event <- raddle <- http, sim <- load <- cli;   core <- stack <- sim;   event <- cli
//! ```
//!
//! Cargo itself refuses a circle, but not an arrow that skips the runtime or reaches round it. Tests and
//! benchmarks of one crate keep to its row; a suite that needs more stands in `tests/`, which may use everything.

use super::manifest::Package;
use super::tree::Finding;

/// Of each crate, which others it may depend on, in any way: normally, in its tests, in its build script.
///
/// The core is pure and everybody's. Who stands above the runtime goes through it, not round it; but the binary compares it with the
/// bare event queue.
const ARROWS: &[(&str, &[&str])] = &[
    ("raddle-core", &[]),
    ("raddle-context", &["raddle-core"]),
    ("raddle-event", &["raddle-core"]),
    ("raddle-event-fuzz", &["raddle-event"]),
    ("raddle-macros", &[]),
    ("raddle", &["raddle-core", "raddle-context", "raddle-event", "raddle-macros"]),
    ("raddle-http", &["raddle-core", "raddle"]),
    ("raddle-http-fuzz", &["raddle-http"]),
    ("raddle-stack", &["raddle-core"]),
    ("raddle-sim", &["raddle-core", "raddle", "raddle-stack"]),
    ("raddle-load", &["raddle-core", "raddle", "raddle-http", "raddle-sim"]),
    (
        "raddle-cli",
        &["raddle-core", "raddle-event", "raddle", "raddle-http", "raddle-sim", "raddle-load"],
    ),
];

/// These stand beside the building and may use all of it.
const MAY_USE_ALL: &[&str] = &["raddle-bench", "raddle-tests"];

/// Where a reader finds the table.
const PLACE: &str = "ARROWS in tests/src/house/arrows.rs";

pub(super) fn check(packages: &[Package<'_>], findings: &mut Vec<Finding>) {
    for package in packages.iter().filter(|package| !package.name.is_empty()) {
        let name = package.name.as_str();
        if MAY_USE_ALL.contains(&name) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            let what =
                format!("{name} has no row in {PLACE}; add one, true to docs/ARCHITECTURE.md");
            findings.push(package.manifest.finding(1, what));
            continue;
        };
        for dependency in &package.dependencies {
            let on = dependency.name.as_str();
            let is_ours = packages.iter().any(|other| other.name == on);
            if is_ours && !allowed.contains(&on) {
                let what = format!(
                    "{name} may not depend on {on}; turn the arrow round, or change {PLACE} together with the design"
                );
                findings.push(package.manifest.finding(dependency.line, what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::packages;
    use super::super::tree::Tree;
    use super::*;

    fn findings(manifests: &[(&str, &str)]) -> Vec<String> {
        let file = |(name, dependencies): &(&str, &str)| {
            let text = format!("[package]\nname = '{name}'\n{dependencies}");
            (format!("crates/{name}/Cargo.toml"), text)
        };
        let tree = Tree::new(manifests.iter().map(file));
        let mut findings = Vec::new();
        check(&packages(&tree).0, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_of_the_table_is_allowed_and_others_are_named() {
        let on_core = "[dependencies]\nraddle-core = { path = '../raddle-core' }";
        let on_context = "[dev-dependencies]\nraddle-context = { path = '../raddle-context' }";
        assert!(findings(&[("raddle-core", ""), ("raddle-context", on_core)]).is_empty());
        let found = findings(&[("raddle-core", on_context), ("raddle-context", "")]);
        assert_eq!(found.len(), 1);
        let start =
            "crates/raddle-core/Cargo.toml:4: raddle-core may not depend on raddle-context; ";
        assert!(found[0].starts_with(start) && found[0].contains(PLACE), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_row_is_told_to_take_one() {
        assert!(findings(&[("raddle-new", "")])[0].contains("raddle-new has no row in ARROWS"));
    }

    #[test]
    fn the_bench_may_use_all() {
        let on_cli = "[dependencies]\nraddle-cli = { path = '../raddle-cli' }";
        assert!(findings(&[("raddle-cli", ""), ("raddle-bench", on_cli)]).is_empty());
    }

    #[test]
    fn the_table_itself_has_no_circle() {
        let mut placed: Vec<&str> = Vec::new();
        while placed.len() < ARROWS.len() {
            let ready = |(name, on): &&(&'static str, &[&str])| {
                !placed.contains(name) && on.iter().all(|one| placed.contains(one))
            };
            let next: Vec<&str> = ARROWS.iter().filter(ready).map(|(name, _)| *name).collect();
            assert!(!next.is_empty(), "a circle, or a name without a row, above {placed:?}");
            placed.extend(next);
        }
    }
}
