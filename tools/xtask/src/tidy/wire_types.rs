//! Rules about types that travel or are stored: attributes and types that break one of the two
//! encodings, or old readers, are forbidden (each was measured to break).

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const FOLDERS: &[&str] = &["appliance/crates/wire/src/", "appliance/crates/log/src/"];

const ATTRIBUTES: &[&str] = &[
    "tag",
    "content",
    "untagged",
    "flatten",
    "skip",
    "skip_serializing",
    "skip_serializing_if",
    "skip_deserializing",
    "default",
    "alias",
];

const TYPES: &[&str] =
    &["Value", "HashMap", "BTreeMap", "HashSet", "BTreeSet", "f32", "f64", "usize", "isize"];

pub(super) fn check(path: &str, syntax: &syn::File) -> Vec<String> {
    if !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
        return Vec::new();
    }
    let mut visitor = TypeVisitor { path, findings: Vec::new() };
    visitor.visit_file(syntax);
    visitor.findings
}

struct TypeVisitor<'a> {
    path: &'a str,
    findings: Vec<String>,
}

impl TypeVisitor<'_> {
    fn check_fields(&mut self, attributes: &[syn::Attribute], fields: &syn::Fields) {
        if !derives_serde(attributes) {
            return;
        }
        for field in fields {
            let mut types = TypeNames(Vec::new());
            types.visit_type(&field.ty);
            for name in types.0.iter().filter(|name| TYPES.contains(&name.as_str())) {
                let line = field.span().start().line;
                self.findings.push(format!("{}:{line}: {name} on a wire type", self.path));
            }
        }
    }
}

impl<'ast> Visit<'ast> for TypeVisitor<'_> {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.check_fields(&item.attrs, &item.fields);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        for variant in &item.variants {
            self.check_fields(&item.attrs, &variant.fields);
        }
        visit::visit_item_enum(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !attribute.path().is_ident("serde") {
            return;
        }
        let syn::Meta::List(list) = &attribute.meta else {
            return;
        };
        for token in list.tokens.clone() {
            let name = token.to_string();
            if ATTRIBUTES.contains(&name.as_str()) {
                let line = attribute.span().start().line;
                self.findings.push(format!("{}:{line}: serde({name}) on a wire type", self.path));
            }
        }
    }
}

struct TypeNames(Vec<String>);

impl<'ast> Visit<'ast> for TypeNames {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        self.0.push(segment.ident.to_string());
        visit::visit_path_segment(self, segment);
    }
}

fn derives_serde(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("derive")).any(|attribute| {
        matches!(&attribute.meta, syn::Meta::List(list)
            if list.tokens.to_string().contains("Serialize"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> usize {
        check("appliance/crates/wire/src/a.rs", &syn::parse_file(text).unwrap()).len()
    }

    #[test]
    fn forbidden_attributes_and_types_are_found() {
        assert_eq!(check_text("#[derive(Serialize)] struct A { a: Vec<f64> }"), 1);
        assert_eq!(check_text("#[derive(Serialize)] enum A { B(usize), C { v: Value } }"), 2);
        assert_eq!(check_text("#[derive(Deserialize)] #[serde(untagged)] enum A { B }"), 1);
        assert_eq!(check_text("#[derive(Deserialize)] struct A { #[serde(default)] a: u8 }"), 1);
    }

    #[test]
    fn plain_types_and_inner_types_are_fine() {
        let text = "#[derive(Serialize)] #[serde(deny_unknown_fields)] struct A { a: Vec<u8> }
                    struct Inner { count: usize }";
        assert_eq!(check_text(text), 0);
    }
}
