//! How an unclaimed box can be claimed: by what init offers, or, on a developer's machine, by a
//! token that is minted at the first start, kept in the data folder and printed as a link.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use update::claim::{ClaimToken, ProvisioningId};
use update::control::{ClaimOffer, ToInit};
use web::Claimable;
use wire::ids::ProvisionId;

use crate::appliance::InitPort;
use crate::data::DataFolder;

/// The file holds an id of 32 and a token of 22 characters, each on a line.
const FILE_BYTES_MAX: u64 = 256;

/// What a claim needs, and what is to be done once it happened.
pub(crate) struct ClaimKeeper {
    /// None when the box has its owner.
    offer: Option<Claimable>,
    /// Text of the token where this process minted it.
    token: Option<String>,
    /// File that holds the token; removed once it is spent.
    file: Option<PathBuf>,
    /// Init wants to know, for provisioned cards.
    init: Option<InitPort>,
}

impl ClaimKeeper {
    /// The box has its owner: there is nothing to claim.
    pub(crate) const fn nothing() -> Self {
        Self { offer: None, token: None, file: None, init: None }
    }

    /// The box was claimed with what init still offers: a power cut came before init was told.
    pub(crate) fn remind(offer: &ClaimOffer, used: &[ProvisionId], init: &InitPort) {
        let ClaimOffer::Provisioned { id, .. } = offer else { return };
        if used.contains(&ProvisionId(*id.bytes())) {
            tell_spent(init, *id);
        }
    }

    /// On a developer's machine: the token in the data folder, minted if need be.
    pub(crate) fn own(data: &DataFolder) -> anyhow::Result<Self> {
        let path = data.claim();
        let (id, token) = match read(&path)? {
            Some(kept) => kept,
            None => mint(&path)?,
        };
        let provision = ProvisionId(*id.bytes());
        let offer = Some(Claimable { provision, token_hash: token.hash() });
        Ok(Self { offer, token: Some(token.text()), file: Some(path), init: None })
    }

    /// Under init: what it offered.
    pub(crate) fn offered(offer: &ClaimOffer, init: InitPort) -> anyhow::Result<Self> {
        Ok(match offer {
            ClaimOffer::Provisioned { id, hash } => Self {
                offer: Some(Claimable { provision: ProvisionId(*id.bytes()), token_hash: *hash }),
                token: None,
                file: None,
                init: Some(init),
            },
            // A console token lives for this boot: its id is never seen again.
            ClaimOffer::Console { hash } => Self {
                offer: Some(Claimable { provision: ProvisionId(random()?), token_hash: *hash }),
                token: None,
                file: None,
                init: None,
            },
        })
    }

    /// What the web side checks claims against.
    pub(crate) fn offer(&self) -> Option<Claimable> {
        self.offer
    }

    /// The link for the first owner, where the token is known here.
    pub(crate) fn link(&self, host: &str, https: SocketAddr) -> Option<String> {
        let token = self.token.as_ref()?;
        Some(format!("https://{host}:{}/#claim={token}", https.port()))
    }

    /// The box was claimed: the token must not lie about, and init keeps the id from working again.
    pub(crate) fn spent(&self, provision: ProvisionId) {
        if let Some(file) = &self.file
            && let Err(error) = fs::remove_file(file)
        {
            tracing::warn!(%error, "the spent claim token could not be removed");
        }
        if let Some(init) = &self.init {
            tell_spent(init, ProvisioningId::from_random(provision.0));
        }
    }
}

fn tell_spent(init: &InitPort, id: ProvisioningId) {
    if !init.tell(ToInit::ClaimSpent { id }) {
        tracing::error!("init could not be told that the claim is spent");
    }
}

fn read(path: &Path) -> anyhow::Result<Option<(ProvisioningId, ClaimToken)>> {
    let text = match fs::metadata(path) {
        Ok(facts) if facts.len() <= FILE_BYTES_MAX => fs::read_to_string(path),
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    let text = text.with_context(|| format!("can't read {}", path.display()))?;
    let mut lines = text.lines();
    let id = lines.next().and_then(ProvisioningId::from_hex);
    let token = lines.next().and_then(|line| ClaimToken::parse(line).ok());
    Ok(id.zip(token))
}

fn mint(path: &Path) -> anyhow::Result<(ProvisioningId, ClaimToken)> {
    let id = ProvisioningId::from_random(random()?);
    let token = ClaimToken::from_random(random()?);
    DataFolder::write(path, &format!("{id}\n{}\n", token.text()))?;
    Ok((id, token))
}

/// From the system's random source.
pub(crate) fn random() -> anyhow::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_link_is_printed_until_the_claim_is_spent() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        let address: SocketAddr = "127.0.0.1:8443".parse().unwrap();
        let first = ClaimKeeper::own(&data).unwrap();
        let again = ClaimKeeper::own(&data).unwrap();
        assert_eq!(first.link("localhost", address), again.link("localhost", address));
        first.spent(first.offer().unwrap().provision);
        assert!(!data.claim().exists());
        let other = ClaimKeeper::own(&data).unwrap();
        assert_ne!(first.link("localhost", address), other.link("localhost", address));
    }

    #[test]
    fn a_damaged_token_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(folder.path()).unwrap();
        fs::write(data.claim(), "nonsense\n").unwrap();
        assert!(ClaimKeeper::own(&data).unwrap().link("box", ([127, 0, 0, 1], 1).into()).is_some());
    }
}
