//! The rules of the tree, as a command and as a test.
//!
//! Every rule returns its findings as `path:line: sentence`; a clean tree has none.

mod dependencies;
mod purity;
mod source;
mod tree;
mod wire_types;

use std::path::Path;

use anyhow::{Result, ensure};

/// Runs every rule and prints what it found.
pub(crate) fn run() -> Result<()> {
    let findings = findings(&crate::run::root())?;
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "{} findings", findings.len());
    println!("tidy: nothing to say");
    Ok(())
}

fn findings(root: &Path) -> Result<Vec<String>> {
    let files = tree::tracked_files(root)?;
    let mut findings = tree::check(root, &files)?;
    findings.extend(dependencies::check()?);
    for path in files.iter().filter(|path| path.ends_with(".rs")) {
        let text = std::fs::read_to_string(root.join(path))?;
        let syntax = syn::parse_file(&text)?;
        findings.extend(source::check(path, &text, &syntax));
        findings.extend(wire_types::check(path, &syntax));
        findings.extend(purity::check(path, &syntax));
    }
    Ok(findings)
}

/// True for files whose code only tests run.
fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs")
}

/// True when an item is compiled for tests only.
fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list)
                    if list.tokens.to_string().starts_with("test")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = findings(&crate::run::root()).unwrap();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
