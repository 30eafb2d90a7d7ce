//! The files of the boot partitions: firmware, kernel, `config.txt` and `cmdline.txt` per slot.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use update::slots::{Autoboot, Slot};

use crate::fat::FatFile;
use crate::layout::Layout;
use crate::manifest::Manifest;

/// What a source of parts hands over for the boot partitions.
#[derive(Debug, Clone, Default)]
pub struct BootParts {
    /// Content by the name in the manifest.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Words that this source's kernel needs on its command line.
    pub cmdline: String,
}

/// Files of one slot. Only `cmdline.txt` differs between the slots: it names the slot's root.
pub fn slot_files(
    manifest: &Manifest,
    layout: &Layout,
    parts: &BootParts,
    slot: Slot,
) -> Result<Vec<FatFile>> {
    let mut files = Vec::new();
    for name in &manifest.boot.files {
        match parts.files.get(name) {
            Some(bytes) => files.push(FatFile::new(name, bytes.clone())),
            None if manifest.boot.optional.contains(name) => {}
            None => return Err(missing(name)),
        }
    }
    files.push(FatFile::new("config.txt", config(manifest, parts)));
    files.push(FatFile::new("cmdline.txt", cmdline(manifest, layout, parts, slot)));
    Ok(files)
}

/// Files of p1. `autoboot.txt` comes first, so that it lies in one cluster and is one sector.
pub fn autoboot_files(manifest: &Manifest, parts: &BootParts) -> Result<Vec<FatFile>> {
    let text = Autoboot { default: Slot::A }.render();
    let mut files = vec![FatFile::new("autoboot.txt", text)];
    for name in &manifest.autoboot.files {
        let bytes = parts.files.get(name).with_context(|| missing(name))?;
        files.push(FatFile::new(name, bytes.clone()));
    }
    Ok(files)
}

fn missing(name: &str) -> anyhow::Error {
    anyhow::anyhow!("image.toml wants the boot file {name}, and the source of parts has none")
}

fn config(manifest: &Manifest, parts: &BootParts) -> String {
    let mut lines = manifest.boot.config.clone();
    if parts.files.contains_key("initramfs.img") {
        lines.push(manifest.boot.config_initramfs.clone());
    }
    lines.join("\n") + "\n"
}

fn cmdline(manifest: &Manifest, layout: &Layout, parts: &BootParts, slot: Slot) -> String {
    let root = format!("PARTUUID={:08x}-{:02x}", layout.disk_id, slot.root_partition());
    let line = manifest
        .boot
        .cmdline
        .replace("{root}", &root)
        .replace("{slot_area}", &layout.slot_area.start.to_string());
    format!("{line} {}\n", parts.cmdline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::MIB;

    fn files(slot: Slot, names: &[&str]) -> Result<Vec<FatFile>> {
        let manifest = Manifest::load().unwrap();
        let layout = Layout::compute(&manifest, 512 * MIB).unwrap();
        let files = names.iter().map(|name| ((*name).to_owned(), vec![1])).collect();
        let parts = BootParts { files, cmdline: "iomem=relaxed".into() };
        slot_files(&manifest, &layout, &parts, slot)
    }

    fn text<'a>(files: &'a [FatFile], name: &str) -> &'a str {
        let file = files.iter().find(|file| file.name == name).unwrap();
        std::str::from_utf8(&file.bytes).unwrap()
    }

    const RELEASE: [&str; 4] = ["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb", "kernel8.img"];

    #[test]
    fn each_slot_starts_its_own_root() {
        let line = |slot| text(&files(slot, &RELEASE).unwrap(), "cmdline.txt").to_owned();
        assert!(line(Slot::A).contains("root=PARTUUID=4c4e4e54-05 "));
        assert!(line(Slot::B).contains("root=PARTUUID=4c4e4e54-06 "));
        assert!(line(Slot::A).contains("linnet.slotarea=168820736 "));
        assert!(line(Slot::A).ends_with(" iomem=relaxed\n"));
    }

    #[test]
    fn the_initramfs_is_named_only_where_there_is_one() {
        let release = files(Slot::A, &RELEASE).unwrap();
        assert!(!text(&release, "config.txt").contains("initramfs"));
        let names = [&RELEASE[..], &["initramfs.img"]].concat();
        let emulator = files(Slot::A, &names).unwrap();
        assert!(text(&emulator, "config.txt").contains("initramfs initramfs.img followkernel\n"));
    }

    #[test]
    fn a_missing_kernel_is_named() {
        let error = files(Slot::A, &RELEASE[..3]).unwrap_err();
        assert!(error.to_string().contains("kernel8.img"));
    }
}
