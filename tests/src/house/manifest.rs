//! What the rules want to know of a `Cargo.toml`: the package, and what it depends on.

use super::tree::{File, Finding, Tree};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A `Cargo.toml`: of a package, or of the workspace alone.
#[derive(Debug)]
pub(super) struct Package<'t> {
    /// Empty for a workspace without a package.
    pub(super) name: String,
    pub(super) manifest: &'t File,
    pub(super) dependencies: Vec<Dependency>,
}

/// A dependency of any kind: normal, for tests, for the build script, for one target, or the workspace's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// What it is called in the registry, whatever it is called here.
    pub(super) name: String,
    pub(super) line: usize,
}

impl<'t> Package<'t> {
    /// The files from which Cargo builds the package's library and binaries.
    pub(super) fn roots(&self, tree: &'t Tree) -> impl Iterator<Item = &'t File> {
        let folder = match self.manifest.folder() {
            "" => "src/".to_owned(),
            folder => format!("{folder}/src/"),
        };
        let is_package = !self.name.is_empty();
        tree.rust().filter(move |file| {
            let Some(inside) = file.path().strip_prefix(&folder) else { return false };
            let is_root = match inside.strip_prefix("bin/") {
                Some(binary) => !binary.contains('/') || binary.ends_with("/main.rs"),
                None => matches!(inside, "lib.rs" | "main.rs"),
            };
            is_package && is_root
        })
    }
}

/// Every `Cargo.toml` of the tree, and a finding for each that can't be read.
pub(super) fn packages(tree: &Tree) -> (Vec<Package<'_>>, Vec<Finding>) {
    let is_manifest = |file: &&File| file.path().rsplit('/').next() == Some("Cargo.toml");
    let manifests: Vec<&File> = tree.files().filter(is_manifest).collect();
    let mut parsed = Vec::new();
    let mut findings = Vec::new();
    for file in manifests {
        match DeTable::parse(file.text()) {
            Ok(table) => parsed.push((file, table.into_inner())),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_at(file.text(), span.start));
                let what = format!("not valid TOML: {}; mend it", error.message());
                findings.push(file.finding(line, what));
            }
        }
    }
    let renamed: BTreeMap<String, String> =
        parsed.iter().flat_map(|(_, manifest)| workspace_names(manifest)).collect();
    let packages = parsed.into_iter().map(|(manifest, table)| Package {
        name: package_name(&table),
        manifest,
        dependencies: dependencies(manifest.text(), &table, &renamed),
    });
    (packages.collect(), findings)
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

fn table<'a, 'i>(of: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
    of.get(key)?.get_ref().as_table()
}

fn package_name(manifest: &DeTable<'_>) -> String {
    let name = table(manifest, "package").and_then(|package| package.get("name"));
    name.and_then(|name| name.get_ref().as_str()).unwrap_or_default().to_owned()
}

/// The names under which the workspace lends dependencies to its members, and what these really are.
fn workspace_names(manifest: &DeTable<'_>) -> Vec<(String, String)> {
    let lent = table(manifest, "workspace").and_then(|workspace| table(workspace, "dependencies"));
    let entries = lent.into_iter().flatten();
    entries.map(|(key, value)| (key.get_ref().to_string(), registry_name(key, value))).collect()
}

fn registry_name(key: &Spanned<toml::de::DeString<'_>>, value: &Spanned<DeValue<'_>>) -> String {
    let renamed = value.get_ref().get("package").and_then(|package| package.get_ref().as_str());
    renamed.unwrap_or(key.get_ref()).to_owned()
}

fn dependencies(
    text: &str,
    manifest: &DeTable<'_>,
    renamed: &BTreeMap<String, String>,
) -> Vec<Dependency> {
    let targets = table(manifest, "target").into_iter().flatten();
    let targets = targets.filter_map(|(_, target)| target.get_ref().as_table());
    let holders =
        [Some(manifest), table(manifest, "workspace")].into_iter().flatten().chain(targets);
    let mut all = Vec::new();
    for holder in holders {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table(holder, kind).into_iter().flatten() {
                let own = registry_name(key, value);
                let is_lent = value.get_ref().get("workspace").is_some();
                let name = renamed.get(&own).filter(|_| is_lent).cloned().unwrap_or(own);
                all.push(Dependency { name, line: line_at(text, key.span().start) });
            }
        }
    }
    all.sort_by_key(|dependency| dependency.line);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_every_kind_are_found_under_their_real_names() {
        let tree = Tree::new([
            ("Cargo.toml", "[workspace.dependencies]\nlent = { package = 'real', version = '1' }"),
            (
                "a/Cargo.toml",
                "[package]
                name = 'a'
                [dependencies]
                plain = '1'
                lent.workspace = true
                [dev-dependencies]
                other = { version = '1', package = 'renamed' }
                [build-dependencies.build]
                version = '1'
                [target.'cfg(loom)'.dependencies]
                loom = '0.7'",
            ),
        ]);
        let (packages, findings) = packages(&tree);
        assert_eq!(findings, []);
        let found = |at: usize| -> Vec<(&str, usize)> {
            packages[at].dependencies.iter().map(|one| (one.name.as_str(), one.line)).collect()
        };
        assert_eq!(found(0), [("real", 2)]);
        assert_eq!(packages[1].name, "a");
        let expected = [("plain", 4), ("real", 5), ("renamed", 7), ("build", 8), ("loom", 11)];
        assert_eq!(found(1), expected);
    }

    #[test]
    fn a_manifest_that_is_no_toml_is_a_finding() {
        let tree = Tree::new([("Cargo.toml", "[package]\nname = ")]);
        let (packages, findings) = packages(&tree);
        assert!(packages.is_empty());
        assert!(
            findings[0].to_string().starts_with("Cargo.toml:2: not valid TOML"),
            "{findings:?}"
        );
    }

    #[test]
    fn roots_are_the_library_and_the_binaries() {
        let paths = [
            "a/src/lib.rs",
            "a/src/b/lib.rs",
            "a/src/bin/x.rs",
            "a/src/bin/y/main.rs",
            "a/src/bin/y/z.rs",
        ];
        let files = paths.map(|path| (path, ""));
        let tree = Tree::new(files.into_iter().chain([("a/Cargo.toml", "[package]\nname = 'a'")]));
        let (packages, _) = packages(&tree);
        let roots: Vec<&str> = packages[0].roots(&tree).map(File::path).collect();
        assert_eq!(roots, ["a/src/lib.rs", "a/src/bin/x.rs", "a/src/bin/y/main.rs"]);
    }
}
