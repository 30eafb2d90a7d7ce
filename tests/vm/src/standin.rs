//! What the Pi 4's bootloader decides before the kernel runs, on the host: it reads the partition
//! table, `autoboot.txt` on the first FAT, then `config.txt` and `cmdline.txt` of the chosen one.
//!
//! Modelled: the filters [all], [none], [tryboot] and [pi4]; `boot_partition`, `tryboot_a_b`;
//! `kernel`, `initramfs`, `device_tree`; the one-shot flag, which is gone before anything is
//! started; the partition walk. Not modelled: EEPROM settings, overlays, `include`, network and
//! USB boot. Sources: the pages "autoboot.txt", "config.txt" and "boot flow" of the Raspberry Pi
//! documentation.
//!
//! Partition walk, as the EEPROM of a Pi 4 does it since 2025-08-20 (documented under
//! `PARTITION_WALK`; order of visits as in raspberrypi/rpi-eeprom issue 738): when the chosen
//! partition has no `start4.elf`, every FAT is looked at from the first one on, without reading
//! `autoboot.txt` again, and the first that has the file is started. The file decides alone: once
//! the firmware runs, a missing kernel is the end, nothing is walked past. Our p1 carries
//! `start4.elf`, which some older bootloaders want beside `autoboot.txt`; so a walk ends there, on
//! a partition without a kernel, and BOOT-B does not stand in for a lost BOOT-A. An older EEPROM
//! does not walk at all. No real board has confirmed either yet.

mod settings;

use std::fs::File;

use anyhow::{Context, Result, bail};
use image::fat::read_on_card;
use image::mbr::{self, Partition};
use settings::{Settings, parse};

/// What makes a partition bootable in the eyes of a Pi 4's EEPROM.
const FIRMWARE: &str = "start4.elf";
/// The bootloader reads no more of its text files.
const TEXT_BYTES_MAX: u64 = 64 << 10;
/// `autoboot.txt` is one sector; the rest of a longer one is not read.
const AUTOBOOT_BYTES_MAX: u64 = 512;
/// A boot partition has 64 MiB; no file in it can be larger.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What one power-on starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Number of the FAT that was started; the kernel sees it in the device tree.
    pub partition: u32,
    /// Whether the one-shot flag was set; the kernel sees that too.
    pub tryboot: bool,
    pub kernel: Vec<u8>,
    pub initramfs: Option<Vec<u8>>,
    pub device_tree: Vec<u8>,
    pub cmdline: String,
}

/// Decides what to start from `card`. `tryboot` is the one-shot flag; the caller clears it.
pub fn start(card: &File, tryboot: bool) -> Result<Start> {
    let fats = fat_partitions(card)?;
    let first = fats.first().context("the card has no FAT partition")?;
    let chosen = chosen_partition(card, first, tryboot)?;
    let order = fats.iter().filter(|fat| fat.number == chosen).chain(&fats);
    let with_firmware = order.into_iter().find(|fat| has_firmware(card, fat));
    let fat = with_firmware.with_context(|| format!("no FAT of the card has a {FIRMWARE}"))?;
    load(card, fat, tryboot).with_context(|| match fat.number == chosen {
        true => format!("the firmware of p{chosen} can't start a kernel"),
        false => format!("p{chosen} has no {FIRMWARE}; the walk ended at p{}", fat.number),
    })
}

/// A file system that can't be read is as good as none.
fn has_firmware(card: &File, fat: &Partition) -> bool {
    let file = read_on_card(card, fat.extent, FIRMWARE, FILE_BYTES_MAX);
    file.is_ok_and(|file| file.is_some())
}

fn fat_partitions(card: &File) -> Result<Vec<Partition>> {
    use std::os::unix::fs::FileExt;
    let table = mbr::decode(|offset| {
        let mut sector = [0; mbr::SECTOR];
        card.read_exact_at(&mut sector, offset)?;
        Ok(sector)
    })?;
    let fat = |part: &Partition| matches!(part.kind, 0x04 | 0x06 | 0x0b | 0x0c | 0x0e);
    Ok(table.into_iter().filter(fat).collect())
}

/// Without a (readable) `autoboot.txt` the first FAT itself is started.
fn chosen_partition(card: &File, first: &Partition, tryboot: bool) -> Result<u32> {
    let Some(bytes) = read_cut(card, first, "autoboot.txt", AUTOBOOT_BYTES_MAX)? else {
        return Ok(first.number);
    };
    let settings = parse(&String::from_utf8_lossy(&bytes), tryboot);
    if tryboot && settings.value("tryboot_a_b") != Some("1") {
        bail!("the one-shot flag is set, but autoboot.txt has no tryboot_a_b=1");
    }
    Ok(settings.value("boot_partition").and_then(|n| n.parse().ok()).unwrap_or(first.number))
}

fn read_cut(card: &File, fat: &Partition, name: &str, bytes: u64) -> Result<Option<Vec<u8>>> {
    let content = read_on_card(card, fat.extent, name, TEXT_BYTES_MAX)?;
    Ok(content.map(|mut content| {
        content.truncate(bytes as usize);
        content
    }))
}

fn load(card: &File, fat: &Partition, tryboot: bool) -> Result<Start> {
    let file = |name: &str, bytes_max| {
        read_on_card(card, fat.extent, name, bytes_max)?.with_context(|| format!("no {name}"))
    };
    let config = file("config.txt", TEXT_BYTES_MAX)?;
    let settings = parse(&String::from_utf8_lossy(&config), tryboot);
    let name = |key, default| settings.value(key).unwrap_or(default).to_owned();
    let cmdline = file(&name("cmdline", "cmdline.txt"), TEXT_BYTES_MAX)?;
    let initramfs = initramfs_name(&settings);
    Ok(Start {
        partition: fat.number,
        tryboot,
        kernel: file(&name("kernel", "kernel8.img"), FILE_BYTES_MAX)?,
        initramfs: initramfs.map(|name| file(&name, FILE_BYTES_MAX)).transpose()?,
        device_tree: file(&name("device_tree", "bcm2711-rpi-4-b.dtb"), FILE_BYTES_MAX)?,
        cmdline: first_line(&cmdline),
    })
}

/// `initramfs NAME followkernel` has no equals sign, unlike every other setting.
fn initramfs_name(settings: &Settings) -> Option<String> {
    let words = settings.value("initramfs")?;
    words.split_whitespace().next().map(str::to_owned)
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
