//! Assembly stands in one folder, `raddle-context/src/arch`: who ports raddle, or audits it, looks there only.

use super::tree::{Finding, Tree};

const FOLDER: &str = "crates/raddle-context/src/arch/";

/// The macros that hold assembly, also as a `use` names them.
const MACROS: &[&str] = &["asm", "naked_asm", "global_asm"];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in tree.files().filter(|file| !file.path().starts_with(FOLDER)) {
        if [".s", ".S", ".asm"].iter().any(|end| file.path().ends_with(end)) {
            findings
                .push(file.finding(1, format!("an assembly file outside {FOLDER}; move it there")));
        }
        let source = file.source();
        let mut found = |line, what: &str| {
            findings.push(file.finding(line, format!("{what} outside {FOLDER}; move it there")));
        };
        for token in source.tokens() {
            if MACROS.contains(&token.text.as_str()) {
                found(token.line, &format!("`{}`", token.text));
            }
        }
        for attribute in source.attributes() {
            if attribute.range.clone().any(|at| source.text(at) == "naked") {
                found(source.line(attribute.range.start), "a naked function");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&Tree::new([(path, text)]), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn assembly_is_found_in_every_form_and_only_outside_its_folder() {
        let forms = [
            "fn f() { asm!(\"nop\") }",
            "std::arch::global_asm!(\"\");",
            "use std::arch::{naked_asm as plain};",
            "#[unsafe(naked)] extern \"C\" fn f() {}",
        ];
        for form in forms {
            let text = format!("//! A file.\n{form}\n");
            let found = findings("crates/raddle/src/lib.rs", &text);
            assert_eq!(found.len(), 1, "{form}: {found:?}");
            assert!(found[0].starts_with("crates/raddle/src/lib.rs:2: "), "{found:?}");
            assert!(findings("crates/raddle-context/src/arch/arm.rs", &text).is_empty());
        }
        assert_eq!(findings("crates/raddle/src/switch.S", "").len(), 1);
    }

    #[test]
    fn words_are_no_assembly() {
        let text = "//! asm!\n/* naked_asm! */ const A: &str = \"global_asm!\"; fn f(naked: u8) { f(naked) }";
        assert_eq!(findings("a.rs", text), Vec::<String>::new());
    }
}
