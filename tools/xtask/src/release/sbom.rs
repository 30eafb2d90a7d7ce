//! The bill of materials, CycloneDX 1.6 in JSON: what Buildroot put on the card and every crate
//! that is linked into the programs, from Buildroot's description of its packages and cargo's tree.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::buildroot::{Build, VERSION};
use crate::run;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Writes `<name>.cdx.json`.
pub(super) fn write(build: &Build) -> Result<()> {
    eprintln!("- bill of materials");
    let overridden = overridden(&build.extra)?;
    let mut components = packages(&build.show_info()?, &overridden);
    components.extend(crates()?);
    let text = serde_json::to_string_pretty(&document(build, components)?)?;
    let path = build.out.join(format!("{}.cdx.json", build.name()));
    fs::write(&path, text).with_context(|| path.display().to_string())
}

fn document(build: &Build, components: Vec<Value>) -> Result<Value> {
    let seconds = i64::try_from(build.release.build_time_s).context("the time of the commit")?;
    let time = jiff::Timestamp::from_second(seconds)?;
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.to_string(),
            "tools": { "components": [
                { "type": "application", "name": "buildroot", "version": VERSION },
            ]},
            "component": {
                "type": "operating-system",
                "name": "linnet-pi4",
                "version": build.release.version,
                "bom-ref": "linnet-pi4",
            },
        },
        "components": components,
    }))
}

/// Buildroot's names of packages whose sources were overridden, with the folder's name.
fn overridden(extra: &str) -> Result<BTreeMap<String, String>> {
    let key = "BR2_PACKAGE_OVERRIDE_FILE=";
    let Some(file) = extra.lines().find_map(|line| line.strip_prefix(key)) else {
        return Ok(BTreeMap::new());
    };
    let text = fs::read_to_string(file.trim_matches('"')).context("the file of overrides")?;
    let entry = |line: &str| {
        let (name, path) = line.split_once("_OVERRIDE_SRCDIR = ")?;
        let folder = path.trim().rsplit('/').next()?;
        Some((name.to_lowercase().replace('_', "-"), folder.to_owned()))
    };
    Ok(text.lines().filter_map(entry).collect())
}

fn packages(info: &Value, overridden: &BTreeMap<String, String>) -> Vec<Value> {
    let Some(info) = info.as_object() else { return Vec::new() };
    let on_card = info.values().filter(|package| {
        let name = package["name"].as_str().unwrap_or("skeleton");
        // Skeletons are folders and no software.
        package["type"] == "target" && package["virtual"] != true && !name.starts_with("skeleton")
    });
    on_card.map(|package| component(package, overridden)).collect()
}

fn component(package: &Value, overridden: &BTreeMap<String, String>) -> Value {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let name = text("name");
    let mut found = json!({
        "type": "library",
        "name": name,
        "bom-ref": format!("buildroot/{name}"),
    });
    // A toolchain that was there before has no version that Buildroot knows.
    if !text("version").is_empty() {
        found["version"] = text("version").into();
    }
    // Other sources than Buildroot's: their own version, and no identifier of Buildroot's.
    match overridden.get(&name.replace('_', "-")) {
        Some(folder) => {
            let version = folder.split_once('_').map_or(folder.as_str(), |(_, version)| version);
            found["version"] = version.into();
            found["properties"] = json!([{ "name": "linnet:sources", "value": folder }]);
        }
        None if !text("cpe-id").is_empty() => found["cpe"] = text("cpe-id").into(),
        None => {}
    }
    if !text("licenses").is_empty() {
        found["licenses"] = json!([{ "license": { "name": text("licenses") } }]);
    }
    found
}

/// Crates of the two programs, as they are linked for the Pi.
fn crates() -> Result<Vec<Value>> {
    let mut tree = run::cargo(&["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    tree.args(["--package", "linnetd", "--package", "linnet-init", "--target", TARGET]);
    let output = tree.args(["--format", "{p}|{l}"]).output().context("cargo can't be started")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<_> = text.lines().filter_map(crate_of).collect();
    lines.sort();
    lines.dedup();
    Ok(lines.into_iter().map(crate_component).collect())
}

/// `name v1.2.3|licence`; crates of this workspace carry their folder behind the version.
fn crate_of(line: &str) -> Option<(String, String, String)> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let own = words.next().is_some_and(|word| word.starts_with("(/"));
    let licence = licence.trim_end_matches(" (*)");
    (!own).then(|| (name.to_owned(), version.to_owned(), licence.to_owned()))
}

fn crate_component((name, version, licence): (String, String, String)) -> Value {
    let purl = format!("pkg:cargo/{name}@{version}");
    json!({
        "type": "library",
        "name": name,
        "version": version,
        "bom-ref": purl,
        "purl": purl,
        "licenses": [{ "license": { "name": licence } }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_the_card_are_listed_with_the_version_that_was_built() {
        let info = json!({
            "wpa_supplicant": { "type": "target", "name": "wpa_supplicant", "virtual": false,
                "version": "2.11", "licenses": "BSD-3-Clause", "cpe-id": "cpe:2.3:a:w1.fi:…" },
            "linux": { "type": "target", "name": "linux", "version": "6.12.92", "cpe-id": "cpe" },
            "host-tar": { "type": "host", "name": "tar", "version": "1.35" },
            "skeleton-init-none": { "type": "target", "name": "skeleton-init-none", "version": "" },
            "toolchain": { "type": "target", "name": "toolchain", "virtual": true, "version": "1" },
        });
        let overridden = [("wpa-supplicant".to_owned(), "wpa_2.10-12".to_owned())].into();
        let found = packages(&info, &overridden);
        let brief: Vec<_> = found
            .iter()
            .map(|it| (it["name"].as_str().unwrap(), it["version"].as_str().unwrap()))
            .collect();
        assert_eq!(brief, [("linux", "6.12.92"), ("wpa_supplicant", "2.10-12")]);
        assert!(found[1].get("cpe").is_none() && found[0]["cpe"] == "cpe");
    }

    #[test]
    fn crates_of_others_are_told_from_our_own() {
        let line = |text| crate_of(text).map(|(name, version, _)| (name, version));
        let serde = Some(("serde".to_owned(), "1.0.228".to_owned()));
        assert_eq!(line("serde v1.0.228 (proc-macro)|MIT OR Apache-2.0 (*)"), serde);
        assert_eq!(line("linnet-wire v0.1.0 (/somewhere)|MIT OR Apache-2.0"), None);
    }
}
