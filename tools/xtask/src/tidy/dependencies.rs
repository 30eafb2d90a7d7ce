//! Dependencies between our crates point one way (ARCHITECTURE.md, code map).

use anyhow::{Context, Result};
use serde::Deserialize;

/// Every crate of ours, and which of ours it may use: no more than it does, so that a new arrow is
/// a decision.
const MAY_USE: &[(&str, &[&str])] = &[
    ("linnet-wire", &[]),
    ("linnet-update", &[]),
    ("linnet-led", &[]),
    ("linnet-chat", &["linnet-wire"]),
    ("linnet-log", &[]),
    ("linnet-session", &["linnet-wire"]),
    ("linnet-ring", &["linnet-wire", "linnet-session"]),
    ("linnet-quic", &["linnet-wire", "linnet-session"]),
    ("linnet-store", &["linnet-wire", "linnet-chat", "linnet-log"]),
    ("linnet-web", &["linnet-wire", "linnet-update"]),
    ("linnet-files", &["linnet-wire", "linnet-log"]),
    ("linnet-init", &["linnet-update", "linnet-led"]),
    ("linnet-image", &["linnet-update"]),
    ("linnet-initramfs", &[]),
    ("linnet", &["linnet-wire", "linnet-update", "linnet-image", "linnet-load"]),
    ("linnet-load", &["linnet-wire"]),
    ("linnetd", SERVER_PARTS),
    ("linnet-sim", &["linnet-wire", "linnet-chat", "linnet-log", "linnet-store"]),
    ("linnet-peers", &["linnet-wire", "linnet-chat", "linnet-log", "linnet-store", "linnet-load"]),
    ("linnet-guest", &[]),
    ("linnet-it", &["linnet-wire", "linnet-update"]),
    ("linnet-vm", &["linnet-wire", "linnet-update", "linnet-image", "linnet"]),
    ("linnet-xtask", &["linnet-wire", "linnet-update", "linnet-image", "linnet-vm", "linnet"]),
];

/// `linnetd` wires all that the server consists of.
const SERVER_PARTS: &[&str] = &[
    "linnet-wire",
    "linnet-update",
    "linnet-chat",
    "linnet-log",
    "linnet-ring",
    "linnet-quic",
    "linnet-store",
    "linnet-web",
    "linnet-files",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

pub(super) fn check() -> Result<Vec<String>> {
    let output = crate::run::cargo(&["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata can't be read")?;
    Ok(metadata.packages.iter().flat_map(check_package).collect())
}

fn check_package(package: &Package) -> Vec<String> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
        return vec![format!("{}: is not in the table of who may use whom", package.name)];
    };
    let ours = package.dependencies.iter().filter(|dependency| {
        dependency.path.is_some() && dependency.kind.as_deref() != Some("dev")
    });
    ours.filter(|dependency| !allowed.contains(&dependency.name.as_str()))
        .map(|dependency| format!("{}: must not depend on {}", package.name, dependency.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_against_the_direction_is_found() {
        let dependency = |name: &str, kind: Option<&str>| Dependency {
            name: name.into(),
            kind: kind.map(str::to_owned),
            path: Some(String::new()),
        };
        let package = Package {
            name: "linnet-wire".into(),
            dependencies: vec![
                dependency("linnet-chat", None),
                dependency("linnet-log", Some("dev")),
            ],
        };
        assert_eq!(check_package(&package), ["linnet-wire: must not depend on linnet-chat"]);
    }

    #[test]
    fn a_crate_nobody_thought_about_is_found() {
        let package = Package { name: "linnet-new".into(), dependencies: Vec::new() };
        assert_eq!(check_package(&package).len(), 1);
    }
}
