//! The stand-in against cards that the image crate writes.

use super::*;
use image::boot::BootParts;
use image::{Manifest, card};
use std::os::unix::fs::FileExt;
use tempfile::TempDir;
use update::slots::{Autoboot, Slot};

fn new_card() -> (TempDir, File) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.img");
    let names = ["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb", "kernel8.img", "initramfs.img"];
    let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec()));
    let parts = BootParts { files: files.collect(), cmdline: "quiet".into() };
    card::write(&path, &Manifest::load().unwrap(), &parts, b"root").unwrap();
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

#[test]
fn a_chosen_partition_without_a_kernel_is_walked_past() {
    let (_folder, card) = new_card();
    replace(&card, 2, "config.txt", "kernel=absent.img\n");
    assert_eq!(start(&card, false).unwrap().partition, 3);
}

#[test]
fn an_overwritten_boot_partition_is_walked_past() {
    let (_folder, card) = new_card();
    let extent = card::partition(&card, 2).unwrap();
    card.write_all_at(&[0; 4096], extent.start).unwrap();
    assert_eq!(start(&card, false).unwrap().partition, 3);
}

#[test]
fn the_flag_without_tryboot_a_b_is_refused_with_the_reason() {
    let (_folder, card) = new_card();
    replace(&card, 1, "autoboot.txt", "[all]\nboot_partition=2\n");
    assert!(start(&card, true).unwrap_err().to_string().contains("tryboot_a_b"));
}

#[test]
fn a_card_where_nothing_boots_says_why_for_each_partition() {
    let (_folder, card) = new_card();
    for partition in [2, 3] {
        replace(&card, partition, "config.txt", "kernel=absent.img\n");
    }
    let error = start(&card, false).unwrap_err().to_string();
    assert!(error.contains("p2: no absent.img") && error.contains("p3: no absent.img"), "{error}");
}
