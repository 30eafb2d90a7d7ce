//! Rules about Rust code: function length, unsafe, unwrap, module docs.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{is_test_file, is_test_only};

const FUNCTION_LINES_MAX: usize = 70;

/// Crates whose purpose needs unsafe code: the rings, pid 1 and its LED where no safe wrapper
/// exists, and the bare ring that the rings are measured against.
const UNSAFE_ALLOWED: &[&str] = &[
    "appliance/crates/ring/",
    "appliance/crates/led/",
    "appliance/init/",
    "tests/peers/src/floor/",
];

pub(super) fn check(path: &str, text: &str, syntax: &syn::File) -> Vec<String> {
    let mut visitor = SourceVisitor {
        path,
        unsafe_allowed: UNSAFE_ALLOWED.iter().any(|folder| path.starts_with(folder)),
        in_test: is_test_file(path),
        findings: Vec::new(),
    };
    if !text.trim_start().starts_with("//!") {
        visitor.findings.push(format!("{path}: begins without a module doc"));
    }
    visitor.visit_file(syntax);
    visitor.findings
}

struct SourceVisitor<'a> {
    path: &'a str,
    unsafe_allowed: bool,
    in_test: bool,
    findings: Vec<String>,
}

impl SourceVisitor<'_> {
    fn find(&mut self, span: Span, sentence: &str) {
        self.findings.push(format!("{}:{}: {sentence}", self.path, span.start().line));
    }

    fn check_function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line + 1 - signature.span().start().line;
        if lines > FUNCTION_LINES_MAX {
            let sentence =
                format!("{} has {lines} lines, the limit is {FUNCTION_LINES_MAX}", signature.ident);
            self.find(signature.span(), &sentence);
        }
        if signature.unsafety.is_some() {
            self.check_unsafe(signature.span());
        }
    }

    fn check_unsafe(&mut self, span: Span) {
        if !self.unsafe_allowed {
            self.find(span, "unsafe code belongs to ring, led and init only");
        }
    }

    fn within<T>(&mut self, attributes: &[syn::Attribute], node: &T, walk: fn(&mut Self, &T)) {
        let outer = self.in_test;
        self.in_test |= is_test_only(attributes);
        walk(self, node);
        self.in_test = outer;
    }
}

impl<'ast> Visit<'ast> for SourceVisitor<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check_function(&item.sig, &item.block);
        self.within(&item.attrs, item, |this, item| visit::visit_item_fn(this, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check_function(&item.sig, &item.block);
        self.within(&item.attrs, item, |this, item| visit::visit_impl_item_fn(this, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(&item.attrs, item, |this, item| visit::visit_item_mod(this, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.check_unsafe(item.span());
        }
        self.within(&item.attrs, item, |this, item| visit::visit_item_impl(this, item));
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.check_unsafe(block.span());
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" && !self.in_test {
            self.find(
                call.method.span(),
                "unwrap outside tests; expect(\"why it holds\") says more",
            );
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(path: &str, text: &str) -> Vec<String> {
        check(path, text, &syn::parse_file(text).unwrap())
    }

    #[test]
    fn a_long_function_is_found() {
        let body = "    let _ = 1;\n".repeat(69);
        let text = format!("//! Doc.\nfn long() {{\n{body}}}\n");
        assert_eq!(check_text("image/src/a.rs", &text).len(), 1);
        let text = format!("//! Doc.\nfn short() {{\n{}}}\n", "    let _ = 1;\n".repeat(68));
        assert_eq!(check_text("image/src/a.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn unsafe_is_found_outside_its_crates() {
        let text = "//! Doc.\nfn f() { unsafe { g() } }\nunsafe impl Send for X {}\n";
        assert_eq!(check_text("image/src/a.rs", text).len(), 2);
        assert_eq!(check_text("appliance/crates/ring/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn unwrap_is_found_outside_tests_only() {
        let text = "//! Doc.\nfn f() { g().unwrap(); }
            #[cfg(test)] mod t { fn h() { g().unwrap(); } }\n";
        assert_eq!(check_text("image/src/a.rs", text).len(), 1);
        assert_eq!(check_text("tests/it/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(check_text("image/src/a.rs", "fn f() {}\n").len(), 1);
    }
}
