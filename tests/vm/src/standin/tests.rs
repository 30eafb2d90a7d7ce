//! The stand-in against cards that the image crate writes.

use super::*;
use image::boot::BootParts;
use image::{Manifest, card};
use std::os::unix::fs::FileExt;
use tempfile::TempDir;
use update::slots::{Autoboot, Slot};

fn new_card() -> (TempDir, File) {
    card_of(&Manifest::load().unwrap())
}

/// A card whose p1 holds nothing but `autoboot.txt`.
fn card_without_firmware_on_p1() -> (TempDir, File) {
    let mut manifest = Manifest::load().unwrap();
    manifest.autoboot.files.clear();
    card_of(&manifest)
}

fn card_of(manifest: &Manifest) -> (TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.img");
    let names = ["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb", "kernel8.img", "initramfs.img"];
    let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec()));
    let parts = BootParts { files: files.collect(), cmdline: "quiet".into() };
    card::write(&path, manifest, &parts, b"root").unwrap();
    let card = File::options().read(true).write(true).open(&path).unwrap();
    (folder, card)
}

fn replace(card: &File, partition: u32, name: &str, content: impl Into<Vec<u8>>) {
    let extent = card::partition(card, partition).unwrap();
    let file = image::fat::FatFile::new(name, content);
    image::fat::replace_on_card(card, extent, &file).unwrap();
}

#[test]
fn a_fresh_card_starts_slot_a_and_with_the_flag_slot_b() {
    let (_folder, card) = new_card();
    let first = start(&card, false).unwrap();
    assert_eq!((first.partition, first.tryboot), (2, false));
    assert!(first.cmdline.contains("-05 ") && first.cmdline.ends_with("quiet"));
    assert_eq!(first.kernel, b"kernel8.img");
    assert_eq!(first.initramfs.as_deref(), Some(b"initramfs.img".as_slice()));
    let trial = start(&card, true).unwrap();
    assert_eq!((trial.partition, trial.tryboot), (3, true));
    assert!(trial.cmdline.contains("-06 "));
}

#[test]
fn swapping_the_numbers_in_autoboot_commits_the_other_slot() {
    let (_folder, card) = new_card();
    replace(&card, 1, "autoboot.txt", Autoboot { default: Slot::B }.render());
    assert_eq!(start(&card, false).unwrap().partition, 3);
    assert_eq!(start(&card, true).unwrap().partition, 2);
}

fn overwrite(card: &File, partition: u32) {
    let extent = card::partition(card, partition).unwrap();
    card.write_all_at(&[0; 4096], extent.start).unwrap();
}

#[test]
fn a_chosen_partition_with_firmware_but_without_a_kernel_is_not_walked_past() {
    let (_folder, card) = new_card();
    replace(&card, 2, "config.txt", "kernel=absent.img\n");
    let error = format!("{:#}", start(&card, false).unwrap_err());
    assert!(error.contains("p2") && error.contains("no absent.img"), "{error}");
}

#[test]
fn the_walk_finds_the_other_slot_where_p1_has_no_firmware() {
    let (_folder, card) = card_without_firmware_on_p1();
    assert_eq!(start(&card, false).unwrap().partition, 2);
    overwrite(&card, 2);
    assert_eq!(start(&card, false).unwrap().partition, 3);
}

#[test]
fn firmware_on_p1_ends_the_walk_before_the_other_slot() {
    let (_folder, card) = new_card();
    overwrite(&card, 2);
    let error = format!("{:#}", start(&card, false).unwrap_err());
    assert!(error.contains("the walk ended at p1"), "{error}");
}

#[test]
fn the_flag_without_tryboot_a_b_is_refused_with_the_reason() {
    let (_folder, card) = new_card();
    replace(&card, 1, "autoboot.txt", "[all]\nboot_partition=2\n");
    assert!(start(&card, true).unwrap_err().to_string().contains("tryboot_a_b"));
}

#[test]
fn a_card_without_any_firmware_says_so() {
    let (_folder, card) = card_without_firmware_on_p1();
    overwrite(&card, 2);
    overwrite(&card, 3);
    assert!(start(&card, false).unwrap_err().to_string().contains("start4.elf"));
}
