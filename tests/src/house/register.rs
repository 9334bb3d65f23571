//! Every dependency has its reason in `docs/dependencies.md`.
//!
//! A dependency is code that somebody else may change, and whose fault is ours. Whoever adds one writes down why.

use super::manifest::Package;
use super::tree::{Finding, Tree};

const REGISTER: &str = "docs/dependencies.md";

pub(super) fn check(tree: &Tree, packages: &[Package<'_>], findings: &mut Vec<Finding>) {
    let register = tree.get(REGISTER).map_or("", |file| file.text());
    for package in packages {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_ours = packages.iter().any(|other| other.name == name);
            if !is_ours && !register.contains(&format!("`{name}`")) {
                let what = format!(
                    "`{name}` is not in {REGISTER}; add a line: where, why this one, licence"
                );
                findings.push(package.manifest.finding(dependency.line, what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::packages;
    use super::*;

    #[test]
    fn a_dependency_without_a_line_is_found_and_our_own_crates_need_none() {
        let tree = Tree::new([
            (REGISTER, "| `libc` | ... |"),
            ("core/Cargo.toml", "[package]\nname = 'raddle-core'"),
            (
                "Cargo.toml",
                "[package]\nname = 'x'\n[dependencies]\nlibc = '1'\nlib = '1'\nraddle-core = {}",
            ),
        ]);
        let mut findings = Vec::new();
        check(&tree, &packages(&tree).0, &mut findings);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].to_string().starts_with("Cargo.toml:5: `lib` is not in docs/"));
    }
}
