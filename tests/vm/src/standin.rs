//! What the Pi 4's bootloader decides before the kernel runs, on the host: it reads the partition
//! table, `autoboot.txt` on the first FAT, then `config.txt` and `cmdline.txt` of the chosen one.
//!
//! Modelled: the filters [all], [none], [tryboot] and [pi4]; `boot_partition`, `tryboot_a_b`;
//! `kernel`, `initramfs`, `device_tree`; the one-shot flag, which is gone before anything is
//! started; walking on to the next FAT with a `start4.elf` when the chosen one can't boot.
//! Not modelled: EEPROM settings, overlays, `include`, network and USB boot. Sources: the pages
//! "autoboot.txt", "config.txt" and "boot flow" of the Raspberry Pi documentation.

mod settings;

use std::fs::File;

use anyhow::{Context, Result, bail};
use image::fat::read_on_card;
use image::mbr::{self, Partition};
use settings::{Settings, parse};

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
    let order = fats.iter().filter(|fat| fat.number == chosen);
    let order = order.chain(fats.iter().filter(|fat| fat.number != chosen));
    let mut reasons = Vec::new();
    for fat in order {
        match load(card, fat, tryboot) {
            Ok(start) => return Ok(start),
            Err(error) => reasons.push(format!("p{}: {error:#}", fat.number)),
        }
    }
    bail!("no partition of the card boots: {}", reasons.join("; "));
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
    file("start4.elf", FILE_BYTES_MAX)?;
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
