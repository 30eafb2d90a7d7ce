//! How the box may be claimed in this boot: with the token of the provisioning file, unless that
//! was used before, else with a token that is minted now and shown on the console only.

use update::claim::ClaimToken;
use update::control::ClaimOffer;
use update::provision::{self, Provisioning};
use update::slots::SlotArea;

use crate::logs::{self, Logs};

/// What the provisioning file gave.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The usable part.
    pub(crate) provisioning: Option<Provisioning>,
    /// Sentences for console and setup page.
    pub(crate) complaints: Vec<String>,
}

/// Reads the file's bytes; a box without a usable file comes up all the same.
pub(crate) fn read(file: Option<&[u8]>) -> Read {
    let Some(bytes) = file else {
        let complaint = format!("The card has no {}; the defaults apply.", provision::FILE_NAME);
        return Read { provisioning: None, complaints: vec![complaint] };
    };
    match provision::parse(bytes) {
        Ok(parsed) => Read {
            provisioning: Some(parsed.provisioning),
            complaints: parsed.complaints.iter().map(ToString::to_string).collect(),
        },
        Err(error) => Read { provisioning: None, complaints: vec![error.to_string()] },
    }
}

/// The offer, and the token that only the console may show.
#[derive(Debug)]
pub(crate) struct Offer {
    /// For `linnetd`.
    pub(crate) offer: ClaimOffer,
    console_token: Option<ClaimToken>,
}

impl Offer {
    /// Decides. `random` is used only when a token has to be minted. Without a slot area nothing
    /// tells whether the file's token is spent, so it is not offered.
    pub(crate) fn new(
        provisioning: Option<&Provisioning>,
        area: Option<&SlotArea>,
        random: [u8; 16],
    ) -> Self {
        match (provisioning, area) {
            (Some(file), Some(area)) if !area.is_spent(&file.id) => {
                let offer = ClaimOffer::Provisioned { id: file.id, hash: file.claim_token_hash };
                Self { offer, console_token: None }
            }
            _ => {
                let token = ClaimToken::from_random(random);
                let offer = ClaimOffer::Console { hash: token.hash() };
                Self { offer, console_token: Some(token) }
            }
        }
    }

    /// Shows the minted token once, to whoever stands in front of the box. It does not go through
    /// the log, which others can read.
    pub(crate) fn show(&mut self, logs: &Logs) {
        if let Some(token) = self.console_token.take() {
            logs::console(&format!("linnet-init: claim token of this boot: {}", token.text()));
            logs.say(
                "The box has no owner and its card no unused claim token; \
                 a token for this boot was shown on the console.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use update::claim::ProvisioningId;

    use super::*;

    fn file() -> Provisioning {
        Provisioning {
            id: ProvisioningId::from_random([1; 16]),
            claim_token_hash: ClaimToken::from_random([2; 16]).hash(),
            host_name: None,
            country: None,
            time_zone: None,
            wifi: None,
            fixed_address: None,
            time_servers: Vec::new(),
            syslog: None,
            factory_reset: None,
        }
    }

    #[test]
    fn fresh_provisioning_is_offered_and_a_spent_one_never_again() {
        let mut area = SlotArea::fresh();
        let offer = Offer::new(Some(&file()), Some(&area), [9; 16]).offer;
        let hash = file().claim_token_hash;
        assert_eq!(offer, ClaimOffer::Provisioned { id: file().id, hash });
        area.spend(file().id).unwrap();
        let console = ClaimOffer::Console { hash: ClaimToken::from_random([9; 16]).hash() };
        assert_eq!(Offer::new(Some(&file()), Some(&area), [9; 16]).offer, console);
        assert_eq!(Offer::new(None, Some(&area), [9; 16]).offer, console);
        assert_eq!(Offer::new(Some(&file()), None, [9; 16]).offer, console);
    }

    #[test]
    fn minted_token_stays_out_of_the_log() {
        let logs = Logs::default();
        Offer::new(None, None, [9; 16]).show(&logs);
        let text = ClaimToken::from_random([9; 16]).text();
        assert!(!logs.tail(9).join("\n").contains(&text));
        assert_eq!(logs.tail(9).len(), 1);
    }

    #[test]
    fn unusable_file_is_said_and_gives_nothing() {
        for bytes in [None, Some(&b"version = 9"[..]), Some(&[0xff][..])] {
            let read = read(bytes);
            assert!(read.provisioning.is_none());
            assert_eq!(read.complaints.len(), 1);
        }
        let text = format!("{}\nx = 1\n", file().render());
        let read = read(Some(text.as_bytes()));
        assert_eq!((read.provisioning, read.complaints.len()), (Some(file()), 1));
    }
}
