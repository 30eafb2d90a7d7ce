//! Makes a card its owner's: mints the claim token, writes the provisioning file to p1. Called by
//! `cargo xtask emulate`; the card gets only the token's hash.

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context, Result};
use update::claim::{ClaimToken, ProvisioningId};
use update::provision::{FILE_NAME, Provisioning};

use crate::card::partition;
use crate::fat::{FatFile, replace_on_card};

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

/// The link that makes its holder the owner. The token is in the fragment, which browsers do not
/// send. `host` may carry a port.
pub fn claim_link(host: &str, token: &ClaimToken) -> String {
    format!("https://{host}/#claim={}", token.text())
}

/// Writes `linnet.toml` to the first partition of a card, an image or a card device.
pub fn provision(card: &Path, provisioning: &Provisioning) -> Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(card)
        .with_context(|| format!("opening {}", card.display()))?;
    let text = FatFile::new(FILE_NAME, provisioning.render());
    replace_on_card(&file, partition(&file, 1)?, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fat::read_on_card;
    use crate::layout::{Layout, MIB};
    use crate::manifest::Manifest;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn blank_card(path: &Path) {
        let layout = Layout::compute(&Manifest::load().unwrap(), 512 * MIB).unwrap();
        let card = File::create(path).unwrap();
        card.set_len(layout.card_bytes).unwrap();
        for (offset, sector) in crate::mbr::encode(&layout) {
            card.write_all_at(&sector, offset).unwrap();
        }
        let fat = crate::fat::make("AUTOBOOT", 1, layout.autoboot.bytes, &[]).unwrap();
        card.write_all_at(&fat, layout.autoboot.start).unwrap();
    }

    #[test]
    fn the_card_gets_the_hash_and_never_the_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        blank_card(&path);
        let minted = mint().unwrap();
        provision(&path, &minted.provisioning).unwrap();
        let card = File::open(&path).unwrap();
        let extent = partition(&card, 1).unwrap();
        let bytes = read_on_card(&card, extent, FILE_NAME, 16 << 10).unwrap().unwrap();
        let parsed = update::provision::parse(&bytes).unwrap();
        assert_eq!(parsed.provisioning, minted.provisioning);
        assert!(parsed.provisioning.claim_token_hash.matches(&minted.token));
        assert!(!String::from_utf8(bytes).unwrap().contains(&minted.token.text()));
    }

    #[test]
    fn the_token_travels_in_the_fragment() {
        let token = ClaimToken::from_random([0; 16]);
        let link = claim_link("localhost:8443", &token);
        assert_eq!(link, "https://localhost:8443/#claim=AAAAAAAAAAAAAAAAAAAAAA");
    }

    #[test]
    fn a_file_that_is_no_card_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, vec![0; 4096]).unwrap();
        let error = provision(&path, &mint().unwrap().provisioning).unwrap_err();
        assert!(error.to_string().contains("not a partitioned card"));
    }
}
