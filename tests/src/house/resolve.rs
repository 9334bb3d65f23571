//! A crate's modules, and which of them a path leads to.

use super::outline::{Import, Outline, Path, outline};
use super::tree::{File, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// The modules that have files of their own, by path; the root's path is empty.
#[derive(Debug)]
pub(super) struct Modules<'t> {
    by_path: BTreeMap<Path, Module<'t>>,
}

#[derive(Debug)]
pub(super) struct Module<'t> {
    pub(super) file: &'t File,
    pub(super) outline: Outline,
}

impl<'t> Modules<'t> {
    /// The modules of the crate whose root is `root`: its own `mod` declarations, and theirs.
    pub(super) fn of(tree: &'t Tree, root: &'t File) -> Modules<'t> {
        let mut by_path = BTreeMap::new();
        let mut found = vec![(Path::new(), root, root.folder().to_owned())];
        while let Some((path, file, folder)) = found.pop() {
            let outline = outline(file.source(), &path);
            for child in &outline.children {
                let below = child.path[path.len()..].join("/");
                let stem = format!("{folder}/{below}");
                let named = child.file.as_ref().map(|name| format!("{}/{name}", file.folder()));
                let places = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
                // A file that git does not see yet is the compiler's business.
                let Some(file) = named.iter().chain(&places).find_map(|place| tree.get(place))
                else {
                    continue;
                };
                let folder = if named.is_some() { file.folder().to_owned() } else { stem };
                found.push((child.path.clone(), file, folder));
            }
            by_path.insert(path, Module { file, outline });
        }
        Modules { by_path }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &Module<'t>)> {
        self.by_path.iter()
    }

    /// The modules that define what `path` names. Several if a name depends on the target; none if it is imported
    /// from another crate.
    pub(super) fn resolve(&self, path: &[String]) -> BTreeSet<Path> {
        let mut all = BTreeSet::new();
        self.follow(path, &mut BTreeSet::new(), &mut all);
        all
    }

    fn follow(&self, path: &[String], seen: &mut BTreeSet<Path>, all: &mut BTreeSet<Path>) {
        if !seen.insert(path.to_vec()) {
            return;
        }
        let is_module = |length: &usize| self.by_path.contains_key(&path[..*length]);
        let depth = (0..=path.len()).take_while(is_module).last().unwrap_or(0);
        let module = &path[..depth];
        let Some(name) = path.get(depth) else {
            all.insert(module.to_vec());
            return;
        };
        let outline = &self.by_path[module].outline;
        let imports = outline.imports.iter().filter(|one| one.name.as_ref() == Some(name));
        let imports: Vec<&Import> = imports.collect();
        for target in imports.iter().filter_map(|import| import.path.as_ref()) {
            let onward: Path = target.iter().chain(&path[depth + 1..]).cloned().collect();
            self.follow(&onward, seen, all);
        }
        if !imports.is_empty() {
            return;
        }
        if !outline.defines.contains(name) {
            let globs = outline.imports.iter().filter(|one| one.is_glob);
            for glob in globs.filter_map(|import| import.path.as_ref()) {
                if let Some(home) = self.home_in(glob, name) {
                    all.insert(home);
                    return;
                }
            }
        }
        all.insert(module.to_vec());
    }

    /// The module `path`, if it is one and defines `name`.
    fn home_in(&self, path: &Path, name: &str) -> Option<Path> {
        let module = self.by_path.get(path)?;
        module.outline.defines.contains(name).then(|| path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(path: &str) -> Vec<String> {
        let tree = Tree::new([
            (
                "src/lib.rs",
                "mod a; mod b;\npub use a::Facade; pub use b::*;\nuse std::io;\nfn own() {}",
            ),
            ("src/a.rs", "mod c;\npub use c::Deep as Facade;"),
            ("src/a/c.rs", "pub struct Deep;"),
            ("src/b/mod.rs", "pub fn globbed() {}"),
        ]);
        let modules = Modules::of(&tree, tree.get("src/lib.rs").unwrap());
        let path: Path = path.split("::").map(str::to_owned).collect();
        modules.resolve(&path).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn a_path_leads_to_the_module_that_defines_its_name() {
        assert_eq!(resolved("a"), ["a"]);
        assert_eq!(resolved("a::c::Deep"), ["a::c"]);
        assert_eq!(resolved("Facade"), ["a::c"]);
        assert_eq!(resolved("globbed"), ["b"]);
        assert_eq!(resolved("own"), [""]);
        assert_eq!(resolved("b::globbed::inner"), ["b"]);
    }

    #[test]
    fn a_name_of_another_crate_leads_nowhere() {
        assert_eq!(resolved("io::Error"), Vec::<String>::new());
    }

    #[test]
    fn imports_in_a_circle_end() {
        let tree =
            Tree::new([("src/lib.rs", "mod a;\npub use a::X;"), ("src/a.rs", "pub use crate::X;")]);
        let modules = Modules::of(&tree, tree.get("src/lib.rs").unwrap());
        assert!(modules.resolve(&["X".to_owned()]).is_empty());
    }
}
