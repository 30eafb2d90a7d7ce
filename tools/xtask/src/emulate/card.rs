//! The emulated Pi's card: flashed and provisioned once, then kept. A newer image replaces both
//! slots and leaves DATA, slot area and provisioning alone.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::card::{copy_partition, flash_to_file, partition};
use image::provision::{mint, provision};
use image::{Layout, Manifest, layout};
use update::claim::ClaimToken;
use update::slots::Slot;

use super::build::Image;
use super::stamp::is;

/// A card that is ready to boot.
pub(super) struct Card {
    pub(super) path: PathBuf,
    pub(super) token: ClaimToken,
}

/// Makes the card, or brings the existing one up to the image.
pub(super) fn prepare(image: &Image, fresh: bool) -> Result<Card> {
    let folder = &image.folder;
    let path = folder.join("card.img");
    let token_file = folder.join("claim-token");
    let stamp_file = folder.join("card.stamp");
    let kept = path.is_file() && token_file.is_file() && !fresh;
    if kept {
        if !is(&stamp_file, &image.stamp) {
            update_slots(&image.path, &path)?;
        }
    } else {
        fs::remove_file(&stamp_file).ok();
        make(&image.path, &path, &token_file)?;
    }
    fs::write(&stamp_file, &image.stamp)?;
    read(path, &token_file)
}

/// A card for one test.
pub(super) fn new_in(folder: &Path, image: &Image) -> Result<Card> {
    let (path, token_file) = (folder.join("card.img"), folder.join("claim-token"));
    make(&image.path, &path, &token_file)?;
    read(path, &token_file)
}

fn read(path: PathBuf, token_file: &Path) -> Result<Card> {
    let token = fs::read_to_string(token_file)?;
    let token = ClaimToken::parse(token.trim())
        .with_context(|| format!("{}; use --fresh", token_file.display()))?;
    Ok(Card { path, token })
}

/// The card appears under its name when its token is stored; a run that ends before leaves neither
/// a card without token nor the token of another card.
fn make(image: &Path, path: &Path, token_file: &Path) -> Result<()> {
    eprintln!("- a new card");
    for old in [path, token_file] {
        fs::remove_file(old).ok();
    }
    let new = path.with_extension("new");
    let made = fill(image, &new, token_file);
    match made.and_then(|()| Ok(fs::rename(&new, path)?)) {
        Ok(()) => Ok(()),
        Err(error) => {
            fs::remove_file(&new).ok();
            Err(error)
        }
    }
}

fn fill(image: &Path, card: &Path, token_file: &Path) -> Result<()> {
    flash_to_file(image, card, Manifest::load()?.card.emulator_card_mib)?;
    let minted = mint()?;
    provision(card, &minted.provisioning)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(token_file)?;
    file.write_all_at(minted.token.text().as_bytes(), 0)?;
    Ok(())
}

/// Both slots get the new system, whichever is the default.
fn update_slots(image: &Path, path: &Path) -> Result<()> {
    eprintln!("- new system on the existing card");
    let card = OpenOptions::new().read(true).write(true).open(path)?;
    let image = File::open(image)?;
    let layout =
        Layout::compute(&Manifest::load()?, card.metadata()?.len() / layout::MIB * layout::MIB)?;
    for slot in Slot::ALL {
        for number in [slot.boot_partition(), slot.root_partition()] {
            let place = partition(&card, number)?;
            if Some(place) != layout.partition(number) {
                bail!("the kept card has another partition table; start anew with --fresh");
            }
            copy_partition(&image, &card, place)?;
        }
    }
    card.sync_all()?;
    Ok(())
}
