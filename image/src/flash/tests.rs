//! Small images of the real layout, packed in every way, whole and broken.

use std::collections::BTreeMap;
use std::io::Write;

use liblzma::write::XzEncoder;

use super::*;
use crate::boot::BootParts;
use crate::manifest::Manifest;
use crate::provision::{mint, read};

/// The smallest image that the layout allows.
const IMAGE_MIB: u64 = 84;
const P1_MIB: u64 = 4;

struct Folder {
    folder: tempfile::TempDir,
    provisioning: Provisioning,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = ["start4.elf", "fixup4.dat", "bcm2711-rpi-4-b.dtb", "kernel8.img"];
        let files = names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec()));
        let files: BTreeMap<String, Vec<u8>> = files.collect();
        let parts = BootParts { files, cmdline: String::new() };
        let mut manifest = Manifest::load().unwrap();
        manifest.card.image_mib = IMAGE_MIB;
        manifest.partitions.autoboot_mib = P1_MIB;
        manifest.partitions.boot_mib = 4;
        manifest.partitions.root_mib = 1;
        let image = folder.path().join("linnet.img");
        crate::card::write(&image, &manifest, &parts, &[7; 300_000]).unwrap();
        Self { folder, provisioning: mint().unwrap().provisioning }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self) -> Vec<u8> {
        fs::read(self.path("linnet.img")).unwrap()
    }

    fn flash(&self, image: &str, card_mib: u64) -> Result<Flashed> {
        let (image, file) = (self.path(image), self.path("card.img"));
        let plan = Plan {
            image: &image,
            file: &file,
            card_bytes: card_mib * MIB,
            force: false,
            provisioning: &self.provisioning,
        };
        let result = flash(&plan, &mut |progress| assert!(progress.done <= progress.total));
        assert!(!self.path("card.img.part").exists());
        assert_eq!(result.is_ok(), file.exists(), "{result:?}");
        result
    }

    fn refusal(&self, image: &str, card_mib: u64) -> String {
        format!("{:#}", self.flash(image, card_mib).unwrap_err())
    }

    /// The card holds the image but for p1, its own provisioning there, and nothing behind.
    fn check_card(&self, card_mib: u64) {
        let (card, image) = (fs::read(self.path("card.img")).unwrap(), self.image());
        assert_eq!(card.len() as u64, card_mib * MIB);
        let p1 = ((1 + P1_MIB) * MIB) as usize;
        assert!(card[..1 << 20] == image[..1 << 20]);
        assert!(card[p1..image.len()] == image[p1..]);
        assert!(card[image.len()..].iter().all(|byte| *byte == 0));
        let provisioning = read(&self.path("card.img")).unwrap().unwrap().provisioning;
        assert_eq!(provisioning, self.provisioning);
    }

    fn write_zst(&self, name: &str, bytes: &[u8]) {
        let mut encoder = zstd::Encoder::new(File::create(self.path(name)).unwrap(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    }

    fn write_xz(&self, name: &str, bytes: &[u8]) {
        let mut encoder = XzEncoder::new(File::create(self.path(name)).unwrap(), 0);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    }
}

#[test]
fn every_packing_gives_the_same_card_of_the_size_that_was_asked_for() {
    let folder = Folder::new();
    folder.write_zst("linnet.img.zst", &folder.image());
    folder.write_xz("linnet.img.xz", &folder.image());
    for (image, card_mib) in [("linnet.img", 84), ("linnet.img.zst", 200), ("linnet.img.xz", 85)] {
        let flashed = folder.flash(image, card_mib).unwrap();
        assert_eq!(flashed, Flashed { checked: Checked::NoSums, image_bytes: IMAGE_MIB * MIB });
        folder.check_card(card_mib);
        fs::remove_file(folder.path("card.img")).unwrap();
    }
}

#[test]
fn the_file_is_private_and_takes_no_room_for_what_is_empty() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = Folder::new();
    folder.flash("linnet.img", 4096).unwrap();
    let facts = fs::metadata(folder.path("card.img")).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o600, "it may hold a passphrase");
    assert!(facts.blocks() * 512 < 32 * MIB, "{} blocks", facts.blocks());
}

#[test]
fn a_card_that_is_too_small_is_refused_with_the_size_that_is_needed() {
    let folder = Folder::new();
    let error = folder.refusal("linnet.img", 83);
    assert!(error.contains("at least 84 MiB, 83 were asked for"), "{error}");
}

#[test]
fn a_file_that_is_there_stays_unless_force_is_given() {
    let folder = Folder::new();
    folder.flash("linnet.img", 84).unwrap();
    let (image, file) = (folder.path("linnet.img"), folder.path("card.img"));
    let mut plan = Plan {
        image: &image,
        file: &file,
        card_bytes: 100 * MIB,
        force: false,
        provisioning: &folder.provisioning,
    };
    let error = flash(&plan, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
    folder.check_card(84);
    plan.force = true;
    flash(&plan, &mut |_| ()).unwrap();
    folder.check_card(100);
    for (target, words) in [(Path::new("/dev/null"), "is a device"), (Path::new("/tmp"), "folder")]
    {
        let error = flash(&Plan { file: target, ..plan }, &mut |_| ()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_is_not_an_image_of_ours_or_too_short_is_refused() {
    let folder = Folder::new();
    let mut foreign = folder.image()[..1 << 20].to_vec();
    foreign[440] ^= 1;
    fs::write(folder.path("foreign.img"), &foreign).unwrap();
    fs::write(folder.path("short.img"), [0; 100]).unwrap();
    assert!(folder.refusal("foreign.img", 84).contains("not a Linnet image"));
    assert!(folder.refusal("short.img", 84).contains("too short"));
    assert!(folder.refusal("absent.img", 84).contains("absent.img"));
}

#[test]
fn an_image_that_ends_early_or_goes_on_or_is_damaged_leaves_no_card() {
    let folder = Folder::new();
    let image = folder.image();
    let cut = image.len() - 512;
    fs::write(folder.path("cut.img"), &image[..cut]).unwrap();
    folder.write_zst("cut.img.zst", &image[..cut]);
    fs::write(folder.path("long.img"), [&image[..], &[0]].concat()).unwrap();
    folder.write_xz("long.img.xz", &[&image[..], &[0]].concat());
    for (name, words) in [
        ("cut.img", "ends too early"),
        ("cut.img.zst", "ends too early"),
        ("long.img", "goes on"),
        ("long.img.xz", "goes on"),
    ] {
        let error = folder.refusal(name, 200);
        assert!(error.contains(words), "{name}: {error}");
    }
    folder.write_zst("a.zst", &image);
    folder.write_xz("a.xz", &image);
    for name in ["a.zst", "a.xz"] {
        let good = fs::read(folder.path(name)).unwrap();
        for damaged in [good[..good.len() / 2].to_vec(), flipped(&good, good.len() / 2)] {
            fs::write(folder.path(name), damaged).unwrap();
            folder.refusal(name, 84);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_checksum_at_the_very_end_is_noticed() {
    let folder = Folder::new();
    folder.write_zst("a.zst", &folder.image());
    let good = fs::read(folder.path("a.zst")).unwrap();
    fs::write(folder.path("a.zst"), flipped(&good, good.len() - 1)).unwrap();
    folder.refusal("a.zst", 84);
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

#[test]
fn the_checksum_beside_the_image_decides_where_there_is_one() {
    let folder = Folder::new();
    let sums = folder.path("SHA256SUMS");
    let right = update::hex::encode(&Sha256::digest(folder.image()));
    let flash = |text: String| {
        fs::write(&sums, text).unwrap();
        let result = folder.flash("linnet.img", 84);
        fs::remove_file(folder.path("card.img")).ok();
        result
    };
    let other = format!("{}  other.img\n", "0".repeat(64));
    let fits = flash(format!("{other}{right} *linnet.img\n")).unwrap();
    assert_eq!(fits.checked, Checked::Right);
    assert_eq!(flash(other).unwrap().checked, Checked::NotListed);
    let wrong = flash(format!("{}  linnet.img\n", "0".repeat(64))).unwrap_err();
    assert!(wrong.to_string().contains("does not fit its checksum"), "{wrong}");
    let damaged = flash("12  linnet.img\n".to_owned()).unwrap_err();
    assert!(damaged.to_string().contains("SHA256SUMS is damaged"), "{damaged}");
}

#[test]
fn a_value_that_the_box_would_not_take_leaves_no_card() {
    let mut folder = Folder::new();
    folder.provisioning.country = Some("Kenya".into());
    assert!(folder.refusal("linnet.img", 84).contains("country"));
}
