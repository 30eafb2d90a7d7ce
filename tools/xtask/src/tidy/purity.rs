//! The pure cores touch no clock, thread, file, socket or future, and iterate in a fixed order.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{is_test_file, is_test_only};

const PURE: &[&str] = &["appliance/crates/chat/src/", "appliance/crates/update/src/slots"];

/// Modules of `std` that do I/O or tell the time.
const MODULES: &[&str] = &["fs", "net", "thread", "time", "process", "env", "os"];

/// Types whose use makes a run depend on more than its inputs.
const TYPES: &[&str] = &["Instant", "SystemTime", "HashMap", "HashSet", "Mutex", "RwLock"];

pub(super) fn check(path: &str, syntax: &syn::File) -> Vec<String> {
    if !PURE.iter().any(|folder| path.starts_with(folder)) || is_test_file(path) {
        return Vec::new();
    }
    let mut visitor = PurityVisitor { path, findings: Vec::new() };
    visitor.visit_file(syntax);
    visitor.findings
}

struct PurityVisitor<'a> {
    path: &'a str,
    findings: Vec<String>,
}

impl PurityVisitor<'_> {
    fn find(&mut self, span: proc_macro2::Span, what: &str) {
        let line = span.start().line;
        self.findings.push(format!("{}:{line}: {what} in a pure core", self.path));
    }

    fn check_std(&mut self, names: &[&syn::Ident]) {
        if let [first, module, ..] = names
            && *first == "std"
            && MODULES.iter().any(|name| *module == name)
        {
            self.find(module.span(), &format!("std::{module}"));
        }
    }

    fn check_type(&mut self, name: &syn::Ident) {
        if TYPES.iter().any(|known| name == known) {
            self.find(name.span(), &name.to_string());
        }
    }

    fn check_use<'t>(&mut self, tree: &'t syn::UseTree, prefix: &mut Vec<&'t syn::Ident>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(&path.ident);
                self.check_use(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.check_use(item, prefix));
            }
            syn::UseTree::Name(name) => self.check_used(&name.ident, prefix),
            syn::UseTree::Rename(rename) => self.check_used(&rename.ident, prefix),
            syn::UseTree::Glob(_) => self.check_std(prefix),
        }
    }

    fn check_used<'t>(&mut self, name: &'t syn::Ident, prefix: &mut Vec<&'t syn::Ident>) {
        prefix.push(name);
        self.check_std(prefix);
        prefix.pop();
        self.check_type(name);
    }
}

impl<'ast> Visit<'ast> for PurityVisitor<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test_only(&item.attrs) {
            self.check_use(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| &segment.ident).collect();
        self.check_std(&names);
        if let Some(last) = names.last() {
            self.check_type(last);
        }
        visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.find(signature.span(), "async");
        }
        visit::visit_signature(self, signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> usize {
        check("appliance/crates/chat/src/a.rs", &syn::parse_file(text).unwrap()).len()
    }

    #[test]
    fn clocks_files_futures_and_unordered_maps_are_found() {
        assert_eq!(check_text("use std::{fs, collections::HashMap};"), 2);
        assert_eq!(check_text("fn f() { std::thread::sleep(x); }"), 1);
        assert_eq!(check_text("async fn f() {}"), 1);
        assert_eq!(check_text("fn f() -> Instant { Instant::now() }"), 1);
    }

    #[test]
    fn tests_and_ordered_maps_are_fine() {
        assert_eq!(check_text("use std::collections::BTreeMap;"), 0);
        assert_eq!(check_text("#[cfg(test)] mod tests { use std::fs; }"), 0);
    }
}
