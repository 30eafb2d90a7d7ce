//! Makes a card its owner's: mints the claim token, writes the provisioning file to p1. Called by
//! the CLI and `cargo xtask emulate`; the card gets only the token's hash.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use update::claim::{ClaimToken, ProvisioningId};
use update::limits::{AUTOBOOT_BYTES, PROVISION_BYTES_MAX};
use update::provision::{FILE_NAME, Parsed, Provisioning, parse};
use update::slots::Autoboot;

use crate::card::partition;
use crate::fat::{FatFile, read_on_card, replace_on_card};
use crate::flash::refuse_device;
use crate::layout::Extent;
use crate::manifest::Manifest;
use crate::mbr;

/// A fresh token and the provisioning that knows its hash.
#[derive(Debug)]
pub struct Minted {
    pub token: ClaimToken,
    pub provisioning: Provisioning,
}

/// Draws token and id from the system's random source.
pub fn mint() -> Result<Minted> {
    let token = ClaimToken::from_random(random()?);
    let provisioning = Provisioning {
        id: ProvisioningId::from_random(random()?),
        claim_token_hash: token.hash(),
        host_name: None,
        country: None,
        time_zone: None,
        wifi: None,
        fixed_address: None,
        time_servers: Vec::new(),
        syslog: None,
        factory_reset: None,
    };
    Ok(Minted { token, provisioning })
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system's random source: {error}"))?;
    Ok(bytes)
}

/// The same settings with a token and an id of their own.
pub fn renew(settings: Provisioning) -> Result<Minted> {
    let Minted { token, provisioning: Provisioning { id, claim_token_hash, .. } } = mint()?;
    Ok(Minted { token, provisioning: Provisioning { id, claim_token_hash, ..settings } })
}

/// A new id for the wish to reset a box.
pub fn reset_id() -> Result<ProvisioningId> {
    Ok(ProvisioningId::from_random(random()?))
}

/// Whether a box would take the file without a complaint.
///
/// # Errors
/// The box's own words about the first thing that it would leave out.
pub fn check(provisioning: &Provisioning) -> Result<()> {
    match parse(provisioning.render().as_bytes())?.complaints.into_iter().next() {
        Some(complaint) => Err(complaint.into()),
        None => Ok(()),
    }
}

/// Writes `linnet.toml` to the first partition of a card or an image in a file.
///
/// # Errors
/// When it is not a Linnet card, a value can't be used, or the card does not take it; the old file
/// is gone only when the new one was read back.
pub fn provision(path: &Path, provisioning: &Provisioning) -> Result<()> {
    check(provisioning)?;
    let (card, place) = open(path, true)?;
    let text = FatFile::new(FILE_NAME, provisioning.render());
    replace_on_card(&card, place, &text).with_context(|| format!("writing {}", path.display()))
}

/// What the card's provisioning file says; `None` when there is none.
///
/// # Errors
/// When it is not a Linnet card or the file as a whole can't be used.
pub fn read(path: &Path) -> Result<Option<Parsed>> {
    let (card, place) = open(path, false)?;
    let bytes = read_on_card(&card, place, FILE_NAME, PROVISION_BYTES_MAX as u64)?;
    Ok(bytes.map(|bytes| parse(&bytes)).transpose()?)
}

/// Opens a card and finds p1. Nothing is written to what is not ours.
fn open(path: &Path, writing: bool) -> Result<(File, Extent)> {
    refuse_device(path)?;
    let card = OpenOptions::new().read(true).write(writing).open(path);
    let card = card.with_context(|| format!("opening {}", path.display()))?;
    let place = autoboot_partition(&card)
        .with_context(|| format!("{} is not a Linnet card", path.display()))?;
    Ok((card, place))
}

fn autoboot_partition(card: &File) -> Result<Extent> {
    let mut master = [0; mbr::SECTOR];
    card.read_exact_at(&mut master, 0).context("it is too short for a partition table")?;
    let place = partition(card, 1)?;
    if mbr::disk_id(&master) != Manifest::load()?.card.disk_id {
        bail!("its partition table is none of ours");
    }
    if place.end() > card.metadata()?.len() {
        bail!("it is shorter than its first partition");
    }
    match read_on_card(card, place, "autoboot.txt", AUTOBOOT_BYTES as u64)? {
        Some(bytes) if Autoboot::parse(&bytes).is_ok() => Ok(place),
        _ => bail!("its first partition has no usable autoboot.txt"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Layout, MIB};
    use update::provision::Wifi;
    use update::slots::Slot;

    fn blank_card(path: &Path, disk_id: u32, files: &[FatFile]) {
        let mut manifest = Manifest::load().unwrap();
        manifest.card.disk_id = disk_id;
        let layout = Layout::compute(&manifest, 512 * MIB).unwrap();
        let card = File::create(path).unwrap();
        card.set_len(layout.card_bytes).unwrap();
        for (offset, sector) in mbr::encode(&layout) {
            card.write_all_at(&sector, offset).unwrap();
        }
        let fat = crate::fat::make("AUTOBOOT", 1, layout.autoboot.bytes, files).unwrap();
        card.write_all_at(&fat, layout.autoboot.start).unwrap();
    }

    fn autoboot() -> FatFile {
        FatFile::new("autoboot.txt", Autoboot { default: Slot::A }.render())
    }

    fn our_card(path: &Path) {
        blank_card(path, Manifest::load().unwrap().card.disk_id, &[autoboot()]);
    }

    #[test]
    fn the_card_gets_the_hash_and_never_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        our_card(&path);
        assert_eq!(read(&path).unwrap(), None);
        let minted = mint().unwrap();
        provision(&path, &minted.provisioning).unwrap();
        let parsed = read(&path).unwrap().unwrap();
        assert_eq!(parsed.provisioning, minted.provisioning);
        assert!(parsed.provisioning.claim_token_hash.matches(&minted.token));
        let (card, place) = open(&path, false).unwrap();
        let text = read_on_card(&card, place, FILE_NAME, 16 << 10).unwrap().unwrap();
        assert!(!String::from_utf8(text).unwrap().contains(&minted.token.text()));
    }

    #[test]
    fn a_card_can_be_provisioned_any_number_of_times_and_keeps_its_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        our_card(&path);
        let mut minted = mint().unwrap();
        for round in 0..80 {
            minted = renew(minted.provisioning).unwrap();
            minted.provisioning.host_name = Some(format!("box-{round}"));
            provision(&path, &minted.provisioning).unwrap();
        }
        assert_eq!(read(&path).unwrap().unwrap().provisioning, minted.provisioning);
        let (card, place) = open(&path, false).unwrap();
        let left = read_on_card(&card, place, "linnet.toml.new", 16 << 10).unwrap();
        assert_eq!(left, None, "no half of an attempt stays");
        let kept = read_on_card(&card, place, "autoboot.txt", 512).unwrap();
        assert_eq!(kept, Some(autoboot().bytes));
    }

    #[test]
    fn renewing_keeps_settings_and_changes_whose_card_it_is() {
        let old = Provisioning { country: Some("KE".into()), ..mint().unwrap().provisioning };
        let new = renew(old.clone()).unwrap();
        assert_eq!(new.provisioning.country, old.country);
        assert_ne!(new.provisioning.id, old.id);
        assert!(new.provisioning.claim_token_hash.matches(&new.token));
    }

    #[test]
    fn what_a_box_would_complain_about_is_refused_in_its_words_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        our_card(&path);
        let wifi = Wifi { ssid: "cellar".into(), passphrase: Some("short".into()) };
        let wrong = Provisioning { wifi: Some(wifi), ..mint().unwrap().provisioning };
        let error = provision(&path, &wrong).unwrap_err().to_string();
        assert!(error.contains("wifi.passphrase") && !error.contains("short"), "{error}");
        assert_eq!(read(&path).unwrap(), None);
    }

    #[test]
    fn what_is_not_a_linnet_card_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        let ours = Manifest::load().unwrap().card.disk_id;
        let cards: [&dyn Fn(); 5] = [
            &|| std::fs::write(&path, "notes").unwrap(),
            &|| std::fs::write(&path, [0; 4096]).unwrap(),
            &|| blank_card(&path, ours ^ 1, &[autoboot()]),
            &|| blank_card(&path, ours, &[FatFile::new("autoboot.txt", "[all]")]),
            &|| {
                our_card(&path);
                File::options().write(true).open(&path).unwrap().set_len(MIB * 2).unwrap();
            },
        ];
        for make in cards {
            make();
            let before = std::fs::read(&path).unwrap();
            let error = provision(&path, &mint().unwrap().provisioning).unwrap_err();
            assert!(error.to_string().contains("is not a Linnet card"), "{error:#}");
            assert!(std::fs::read(&path).unwrap() == before);
        }
        let error = provision(Path::new("/dev/null"), &mint().unwrap().provisioning).unwrap_err();
        assert!(error.to_string().contains("is a device"), "{error}");
    }
}
