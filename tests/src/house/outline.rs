//! What a file says about modules: which it declares, what it imports, which paths it names.

use super::source::{Source, is_word};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The names of a path, from the crate's root.
pub(super) type Path = Vec<String>;

/// One file's outline. Test code is left out: a unit test may look wherever it needs to.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Modules in files of their own.
    pub(super) children: Vec<Child>,
    pub(super) imports: Vec<Import>,
    /// Paths into the crate outside of imports, with their lines.
    pub(super) paths: Vec<(Path, usize)>,
    /// Names of items. Items of inner scopes are among them; they resolve to this file all the same.
    pub(super) defines: BTreeSet<String>,
    /// Where a name, not behind a dot or a path, first stands outside of imports.
    pub(super) words: BTreeMap<String, usize>,
}

/// `mod name;`
#[derive(Debug)]
pub(super) struct Child {
    pub(super) path: Path,
    /// The file that a `#[path]` names.
    pub(super) file: Option<String>,
}

/// One name of a `use` declaration.
#[derive(Debug)]
pub(super) struct Import {
    /// The name in this file; none for `*` and `_`.
    pub(super) name: Option<String>,
    /// None if it leads out of the crate.
    pub(super) path: Option<Path>,
    pub(super) is_glob: bool,
    pub(super) is_public: bool,
    pub(super) line: usize,
}

/// The outline of the file `source`, which is the module `module`.
pub(super) fn outline(source: &Source, module: &[String]) -> Outline {
    let mut reader = Reader {
        source,
        module,
        blocks: Vec::new(),
        declared: BTreeSet::new(),
        outline: Outline::default(),
    };
    reader.declarations();
    reader.read();
    reader.outline
}

/// What stands before a part of a `use`: the path, unless it leads out of the crate, and its last name.
#[derive(Default)]
struct Prefix {
    path: Option<Path>,
    last: String,
}

impl Prefix {
    fn step(&self, name: &str) -> Prefix {
        let mut path = self.path.clone();
        if let Some(path) = &mut path {
            step(path, name);
        }
        let last = if name == "self" { &self.last } else { name };
        Prefix { path, last: last.to_owned() }
    }
}

struct Reader<'f> {
    source: &'f Source,
    module: &'f [String],
    /// Modules with a body in this file: name, and the tokens of the body.
    blocks: Vec<(String, Range<usize>)>,
    /// All modules that the file declares.
    declared: BTreeSet<Path>,
    outline: Outline,
}

impl Reader<'_> {
    /// Finds the `mod` declarations, so that paths which begin with a module's name are known as such.
    fn declarations(&mut self) {
        let mut file = None;
        for at in self.code() {
            let text = |ahead: usize| self.source.text(at + ahead);
            if text(0) == "[" && text(1) == "path" && text(2) == "=" {
                file = Some(text(3).trim_matches('"').to_owned());
            }
            if text(0) != "mod" || !is_word(text(1)) {
                continue;
            }
            let name = text(1).to_owned();
            let mut path = self.module_at(at);
            path.push(name.clone());
            if text(2) == "{" {
                self.blocks.push((name, at + 3..self.source.closing(at + 2)));
            } else {
                self.outline.children.push(Child { path: path.clone(), file: file.take() });
            }
            self.declared.insert(path);
        }
    }

    /// The positions of tokens that are no test code.
    fn code(&self) -> Vec<usize> {
        let tests = self.source.tests();
        let is_code = |at: &usize| !tests.iter().any(|range| range.contains(at));
        (0..self.source.tokens().len()).filter(is_code).collect()
    }

    /// The module that token `at` stands in.
    fn module_at(&self, at: usize) -> Path {
        let around = self.blocks.iter().filter(|(_, body)| body.contains(&at));
        self.module.iter().chain(around.map(|(name, _)| name)).cloned().collect()
    }

    fn read(&mut self) {
        let mut import_end = 0;
        for at in self.code() {
            if at < import_end {
                continue;
            }
            let (before, text) = (self.source.text_before(at), self.source.text(at));
            let next = self.source.text(at + 1);
            match text {
                // Not the `use<'a>` of a captured lifetime.
                "use" if next != "<" => {
                    let is_public = matches!(before, "pub" | ")");
                    import_end = self.import(at + 1, None, is_public);
                }
                "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "mod" => {
                    self.outline.defines.insert(next.to_owned());
                }
                "static" | "macro_rules" => {
                    let skip = if matches!(next, "mut" | "!") { 2 } else { 1 };
                    self.outline.defines.insert(self.source.text(at + skip).to_owned());
                }
                _ if is_word(text) && !matches!(before, "::" | "." | "fn" | "mod") => {
                    self.word(at);
                }
                _ => {}
            }
        }
    }

    /// A name in the code: the head of a path into the crate, or a name that stands by itself.
    fn word(&mut self, at: usize) {
        let line = self.source.line(at);
        let is_visibility = self.source.text_before(at) == "in"
            && self.source.text_before(at.saturating_sub(1)) == "(";
        if self.source.text(at + 1) == "::"
            && !is_visibility
            && let Some(head) = self.head(at)
        {
            let path = self.path(at + 2, head);
            self.outline.paths.push((path, line));
            return;
        }
        self.outline.words.entry(self.source.text(at).to_owned()).or_insert(line);
    }

    /// The path that goes on at `at`, behind a `::`. It may end in a turbofish.
    fn path(&self, mut at: usize, mut path: Path) -> Path {
        while self.source.text_before(at) == "::" && is_word(self.source.text(at)) {
            step(&mut path, self.source.text(at));
            at += if self.source.text(at + 1) == "::" { 2 } else { 1 };
        }
        path
    }

    /// Where a path that begins at `at` starts; none if it leads out of the crate, or is relative to an import.
    fn head(&self, at: usize) -> Option<Path> {
        let mut here = self.module_at(at);
        match self.source.text(at) {
            "crate" => Some(Path::new()),
            "self" => Some(here),
            "super" => {
                here.pop();
                Some(here)
            }
            name => {
                here.push(name.to_owned());
                self.declared.contains(&here).then_some(here)
            }
        }
    }

    /// Reads the tree of a `use` from `at` on, below `prefix` (none yet at its head); returns where it ends.
    fn import(&mut self, at: usize, prefix: Option<&Prefix>, is_public: bool) -> usize {
        let source = self.source;
        let leaf = |reader: &mut Self, name: Option<&str>, path: Option<Path>| {
            let is_glob = name.is_none();
            let name = name.filter(|name| *name != "_").map(str::to_owned);
            let import = Import { name, path, is_glob, is_public, line: source.line(at) };
            reader.outline.imports.push(import);
        };
        match source.text(at) {
            // What follows a leading `::` is another crate.
            "::" => self.import(at + 1, Some(&Prefix::default()), is_public),
            "*" => {
                leaf(self, None, prefix.and_then(|prefix| prefix.path.clone()));
                at + 1
            }
            "{" => {
                let close = source.closing(at);
                let mut inside = at + 1;
                while inside < close {
                    inside = self.import(inside, prefix, is_public);
                    inside += usize::from(source.text(inside) == ",");
                }
                close + 1
            }
            word if is_word(word) => {
                let here = match prefix {
                    None => Prefix { path: self.head(at), last: word.to_owned() },
                    Some(prefix) => prefix.step(word),
                };
                match source.text(at + 1) {
                    "::" => self.import(at + 2, Some(&here), is_public),
                    "as" => {
                        leaf(self, Some(source.text(at + 2)), here.path);
                        at + 3
                    }
                    _ => {
                        leaf(self, Some(&here.last), here.path);
                        at + 1
                    }
                }
            }
            _ => at + 1,
        }
    }
}

/// One name further along a path.
fn step(path: &mut Path, name: &str) {
    match name {
        "super" => drop(path.pop()),
        "self" => {}
        _ => path.push(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline_of(text: &str) -> Outline {
        outline(&Source::of(text), &["a".to_owned(), "b".to_owned()])
    }

    fn paths(outline: &Outline) -> Vec<String> {
        outline.paths.iter().map(|(path, _)| path.join("::")).collect()
    }

    fn imports(outline: &Outline) -> Vec<String> {
        let show = |import: &Import| {
            let path = import.path.as_ref().map_or("outside".to_owned(), |path| path.join("::"));
            let name = import.name.as_deref().unwrap_or(if import.is_glob { "*" } else { "_" });
            format!("{path} as {name}{}", if import.is_public { ", public" } else { "" })
        };
        outline.imports.iter().map(show).collect()
    }

    #[test]
    fn imports_are_read_leaf_by_leaf() {
        let outline = outline_of(
            "mod child;
            use std::io::{self, Read as _};
            use crate::x::{self, Y as Z, deep::{A, *}};
            pub use super::Name; pub(crate) use child::Other; use ::crate_name;
            use super::super::top;",
        );
        let expected = [
            "outside as io",
            "outside as _",
            "x as x",
            "x::Y as Z",
            "x::deep::A as A",
            "x::deep as *",
            "a::Name as Name, public",
            "a::b::child::Other as Other, public",
            "outside as crate_name",
            "top as top",
        ];
        assert_eq!(imports(&outline), expected);
    }

    #[test]
    fn paths_in_code_are_read_from_their_head() {
        let outline = outline_of(
            "mod child;
            pub(in crate::a) fn f() { crate::x::g::<u8>(super::h, child::k()); std::y::z() }
            mod inside { fn f() { super::l(); self::m(); other::n() } }
            // crate::comment::path
            const S: &str = \"crate::string::path\";",
        );
        assert_eq!(
            paths(&outline),
            ["x::g", "a::h", "a::b::child::k", "a::b::l", "a::b::inside::m"]
        );
    }

    #[test]
    fn test_code_is_left_out() {
        let outline = outline_of("#[cfg(test)]\nmod tests { use super::*; fn f() { crate::x() } }");
        assert!(outline.paths.is_empty() && outline.imports.is_empty());
    }

    #[test]
    fn definitions_children_and_words_are_listed() {
        let outline = outline_of(
            "#[path = \"c/other.rs\"]\nmod c;\nuse c::T;\nfn f(x: T) -> x::U { x.method() }\nstatic mut S: u8 = 0;",
        );
        assert_eq!(outline.children[0].file.as_deref(), Some("c/other.rs"));
        assert_eq!(outline.children[0].path.join("::"), "a::b::c");
        assert!(outline.defines.contains("f") && outline.defines.contains("S"));
        assert_eq!(outline.words.get("T"), Some(&4));
        assert!(!outline.words.contains_key("method") && !outline.words.contains_key("U"));
    }
}
