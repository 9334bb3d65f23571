//! Arrows between the modules of a crate make no circle.
//!
//! Modules that need each other can only be understood, tested and changed together: then they are one module in
//! several files. Each folder is a graph of its own. Its nodes are the folder's modules, each with all that is below
//! it, and the code of the folder's own file, for that too is either above its modules or below them. There is an
//! arrow for each path and each import that leads from one node to another. A re-export is none by itself: it leads
//! through, to the module that defines the name.

use super::circles::{Arrows, circles, steps};
use super::manifest::Package;
use super::outline::Path;
use super::resolve::{Module, Modules};
use super::tree::{File, Finding, Tree};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(tree: &Tree, packages: &[Package<'_>], findings: &mut Vec<Finding>) {
    for package in packages {
        for root in package.roots(tree) {
            check_crate(&package.name, &Modules::of(tree, root), findings);
        }
    }
}

/// Of each arrow, the lines that make it.
type Places<'t> = BTreeMap<(String, String), Vec<(&'t File, usize)>>;

fn check_crate(name: &str, modules: &Modules<'_>, findings: &mut Vec<Finding>) {
    let mut folders: BTreeMap<Path, Places<'_>> = BTreeMap::new();
    for (from, module) in modules.iter() {
        for (path, line) in references(modules, from, module) {
            for to in modules.resolve(&path).iter().filter(|to| *to != from) {
                let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
                let folder = from[..shared].to_vec();
                let node = |path: &Path| node(name, &folder, path.get(shared));
                let arrow = (node(from), node(to));
                let places = folders.entry(folder.clone()).or_default().entry(arrow).or_default();
                places.push((module.file, line));
            }
        }
    }
    for places in folders.values() {
        report(name, places, findings);
    }
}

/// What a node is called: a module's name, or whose own code it is.
fn node(name: &str, folder: &Path, module: Option<&String>) -> String {
    match (module, folder.last()) {
        (Some(module), _) => module.clone(),
        (None, Some(folder)) => format!("{folder} itself"),
        (None, None) => format!("the root of {name}"),
    }
}

/// What `module` needs: paths and lines.
fn references(modules: &Modules<'_>, from: &Path, module: &Module<'_>) -> BTreeSet<(Path, usize)> {
    let mut all: BTreeSet<(Path, usize)> = module.outline.paths.iter().cloned().collect();
    for import in &module.outline.imports {
        let Some(path) = &import.path else { continue };
        let is_below = modules.resolve(path).iter().all(|to| to.starts_with(from));
        if import.is_public && is_below {
            // Shown on, not needed here: unless the file's own code says the name as well.
            let word = import.name.as_ref().and_then(|name| module.outline.words.get(name));
            all.extend(word.map(|line| (path.clone(), *line)));
        } else {
            all.insert((path.clone(), import.line));
        }
    }
    all
}

fn report(name: &str, places: &Places<'_>, findings: &mut Vec<Finding>) {
    let mut arrows = Arrows::new();
    for (from, to) in places.keys() {
        arrows.entry(from).or_default().insert(to);
    }
    for circle in circles(&arrows) {
        let steps = steps(&circle).map(|(from, to)| (from.to_owned(), to.to_owned()));
        let steps: Vec<(String, String)> = steps.collect();
        let why: Vec<String> = steps.iter().map(|step| why(step, &places[step])).collect();
        let (file, line) = places[&steps[0]][0];
        let what = format!(
            "modules of {name} go in a circle: {} -> {} ({}); turn one arrow round, or move what both need below them",
            circle.join(" -> "),
            circle[0],
            why.join("; ")
        );
        findings.push(file.finding(line, what));
    }
}

/// An arrow and the lines that make it.
fn why((from, to): &(String, String), places: &[(&File, usize)]) -> String {
    let mut lines = Vec::new();
    for (file, line) in places {
        let inside = file.path().rsplit_once("/src/").map_or(file.path(), |(_, inside)| inside);
        let place = format!("{inside}:{line}");
        if !lines.contains(&place) {
            lines.push(place);
        }
    }
    format!("{from} needs {to} at {}", lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::packages;
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let files =
            files.iter().map(|(path, text)| (format!("crates/x/src/{path}"), text.to_string()));
        let manifest = ("crates/x/Cargo.toml".to_owned(), "[package]\nname = 'x'".to_owned());
        let tree = Tree::new(files.chain([manifest]));
        let mut findings = Vec::new();
        check(&tree, &packages(&tree).0, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    const ROOT: (&str, &str) = ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::Name;\n");

    #[test]
    fn arrows_one_way_pass() {
        let a = ("a.rs", "use crate::b::F;\npub struct Name;");
        let b = ("b.rs", "// crate::a::Name\nfn f() { crate::c::g() }");
        assert!(findings(&[ROOT, a, b, ("c.rs", "fn g() {}")]).is_empty());
    }

    #[test]
    fn a_circle_is_named_with_the_lines_that_make_it() {
        let a = ("a.rs", "use crate::b::F;\npub struct Name;\nfn f() { crate::b::g() }");
        let c = ("c.rs", "fn f(_: crate::Name) {}");
        let found = findings(&[ROOT, a, ("b.rs", "\nuse crate::c;"), c]);
        assert_eq!(
            found,
            ["crates/x/src/a.rs:1: modules of x go in a circle: a -> b -> c -> a \
             (a needs b at a.rs:1, a.rs:3; b needs c at b.rs:2; c needs a at c.rs:1); \
             turn one arrow round, or move what both need below them"]
        );
    }

    #[test]
    fn unit_tests_may_look_anywhere() {
        let a = ("a.rs", "use crate::b;\npub struct Name;");
        let b = ("b.rs", "#[cfg(test)]\nmod tests { use crate::a::Name; use super::*; }");
        assert!(findings(&[ROOT, a, b]).is_empty());
    }

    #[test]
    fn a_folder_is_a_graph_of_its_own() {
        let folder = ("a/mod.rs", "mod x;\nmod y;\npub use x::Name;");
        let found =
            findings(&[ROOT, folder, ("a/x.rs", "use super::y;"), ("a/y.rs", "use super::Name;")]);
        assert!(found.len() == 1 && found[0].contains("x -> y -> x"), "{found:?}");
    }

    #[test]
    fn what_a_folder_defines_is_either_above_its_modules_or_below() {
        let below = ("a/mod.rs", "mod x;\npub use x::Name;\npub struct Config;");
        let x = ("a/x.rs", "use super::Config;\npub struct Name;");
        assert!(findings(&[ROOT, below, x]).is_empty());
        let both = ("a/mod.rs", "mod x;\npub use x::Name;\npub struct Config(Name);");
        let found = findings(&[ROOT, both, x]);
        assert!(found.len() == 1 && found[0].contains("a itself -> x -> a itself"), "{found:?}");
    }

    #[test]
    fn the_crates_root_is_a_node_too() {
        let root = ("lib.rs", "mod a;\npub fn start() { a::f() }");
        let found = findings(&[root, ("a.rs", "pub fn f() { crate::start() }")]);
        assert!(found.len() == 1 && found[0].contains("a -> the root of x -> a"), "{found:?}");
    }
}
