//! `image.toml` as types. The manifest is compiled in, so that a tool that writes cards needs no
//! files beside itself; unknown keys are errors, so a misspelt budget can't be ignored.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use update::bundle::Format;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub card: Card,
    pub partitions: Partitions,
    pub budget: Budget,
    pub boot: Boot,
    pub autoboot: Autoboot,
    pub root: Root,
    pub update: Update,
    pub release: Release,
    pub emulator: Emulator,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    pub disk_id: u32,
    pub image_mib: u64,
    pub emulator_card_mib: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partitions {
    pub autoboot_mib: u64,
    pub boot_mib: u64,
    pub slot_area_kib: u64,
    pub root_mib: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub release_compressed_mib: u64,
    pub release_root_mib: u64,
    pub emulator_compressed_mib: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    pub files: Vec<String>,
    pub optional: Vec<String>,
    pub config: Vec<String>,
    pub config_initramfs: String,
    pub cmdline: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autoboot {
    pub files: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    pub folders: Vec<String>,
    pub links: BTreeMap<String, String>,
    pub programs: BTreeMap<String, String>,
}

/// What update bundles say besides version and images.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub board: String,
    pub floor: u64,
    pub formats: Vec<Format>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub cmdline: String,
    /// Boot file to its place below Buildroot's images folder.
    pub boot: BTreeMap<String, String>,
    pub modules: Vec<String>,
    pub dev_files: Vec<String>,
    pub files: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// The series on the card unless another one is asked for.
    pub kernel: String,
    /// Meta package by series.
    pub kernels: BTreeMap<String, String>,
    pub cmdline: String,
    pub firmware_package: String,
    pub firmware_folder: String,
    pub firmware_files: Vec<String>,
    /// `{kernel}` stands for the name of the kernel package proper.
    pub device_tree: String,
    pub modules: Vec<String>,
    pub package: Vec<Package>,
}

/// A package and those of its files that go into the root, by their place in a merged `/usr`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: String,
    pub files: Vec<String>,
}

/// The manifest as text, for stamps that notice its change.
pub const TEXT: &str = include_str!("../image.toml");

impl Manifest {
    pub fn load() -> Result<Self> {
        toml::from_str(TEXT).context("image/image.toml")
    }
}

impl Emulator {
    /// The package that leads to the newest kernel of a series.
    pub fn meta_package(&self, series: &str) -> Result<&str> {
        let found = self.kernels.get(series).map(String::as_str);
        found.with_context(|| {
            let known: Vec<&str> = self.kernels.keys().map(String::as_str).collect();
            format!("image.toml has no kernel {series}; it has {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_parses_and_every_optional_boot_file_is_a_boot_file() {
        let manifest = Manifest::load().unwrap();
        for name in &manifest.boot.optional {
            assert!(manifest.boot.files.contains(name), "{name}");
        }
    }

    #[test]
    fn the_cards_kernel_is_one_of_the_table() {
        let emulator = Manifest::load().unwrap().emulator;
        assert!(emulator.kernels.contains_key(&emulator.kernel));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        let text = TEXT.replace("root_mib", "rooot_mib");
        assert!(toml::from_str::<Manifest>(&text).is_err());
    }

    #[test]
    fn the_emulated_card_is_a_power_of_two_and_larger_than_the_image() {
        let card = Manifest::load().unwrap().card;
        assert!(card.emulator_card_mib.is_power_of_two());
        assert!(card.emulator_card_mib > card.image_mib);
    }
}
