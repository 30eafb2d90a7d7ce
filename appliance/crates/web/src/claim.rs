//! Who may become the first owner. Pure: what the box holds, what somebody shows, a verdict.
//!
//! A browser shows the token itself; `linnet claim` proves it (`update::proof`) without sending it.
//! Whether the box has an owner is the core's word; it decides between two at once.

use update::claim::{ClaimToken, TokenHash};
use update::proof::{Proof, Transcript};
use wire::ids::ProvisionId;

use crate::config::Claimable;

/// Why somebody does not become the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this claim link does not fit this box; use the newest one, or that on its screen")]
    Wrong,
    #[error("this claim link was used before; sign in, or ask the box's owner for an account")]
    Used,
    #[error(
        "this box can't be claimed now; flash the card anew, or look at its screen for a claim link"
    )]
    NotClaimable,
    #[error("ask for a challenge first, on the same connection")]
    NoChallenge,
}

impl Refusal {
    /// Stable word for programs.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Wrong => "wrong_token",
            Self::Used => "used_token",
            Self::NotClaimable => "not_claimable",
            Self::NoChallenge => "no_challenge",
        }
    }
}

/// What the box holds.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) claimable: Option<Claimable>,
    pub(crate) claimed: bool,
}

impl Standing {
    /// Judges a token that was sent.
    pub(crate) fn judge_token(self, token: &str) -> Result<ProvisionId, Refusal> {
        let shown = ClaimToken::parse(token).ok();
        self.judge(|key| shown.is_some_and(|token| key.matches(&token)))
    }

    /// Judges a proof over what both sides saw.
    pub(crate) fn judge_proof(
        self,
        seen: &Transcript,
        proof: &str,
    ) -> Result<ProvisionId, Refusal> {
        let shown = Proof::from_hex(proof);
        self.judge(|key| shown == Some(seen.owner_proof(key)))
    }

    /// The box's own proof, as long as there is something to claim.
    pub(crate) fn box_proof(self, seen: &Transcript) -> Result<Proof, Refusal> {
        let claimable = self.claimable()?;
        if self.claimed {
            return Err(Refusal::Used);
        }
        Ok(seen.box_proof(&claimable.token_hash))
    }

    /// A box with an owner may have forgotten what there was to prove.
    fn claimable(self) -> Result<Claimable, Refusal> {
        let refusal = if self.claimed { Refusal::Used } else { Refusal::NotClaimable };
        self.claimable.ok_or(refusal)
    }

    fn judge(self, fits: impl FnOnce(&TokenHash) -> bool) -> Result<ProvisionId, Refusal> {
        let claimable = self.claimable()?;
        match (fits(&claimable.token_hash), self.claimed) {
            (true, false) => Ok(claimable.provision),
            (true, true) => Err(Refusal::Used),
            (false, _) => Err(Refusal::Wrong),
        }
    }
}

/// A challenge given on one connection; used up by the first answer.
#[derive(Clone, Copy)]
pub(crate) struct Challenge {
    pub(crate) client_nonce: [u8; 32],
    pub(crate) box_nonce: [u8; 32],
}

impl Challenge {
    pub(crate) const fn transcript(
        self,
        ca_sha256: [u8; 32],
        tls_exporter: [u8; 32],
    ) -> Transcript {
        Transcript {
            client_nonce: self.client_nonce,
            box_nonce: self.box_nonce,
            ca_sha256,
            tls_exporter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVISION: ProvisionId = ProvisionId([5; 16]);

    fn token(byte: u8) -> ClaimToken {
        ClaimToken::from_random([byte; 16])
    }

    fn standing(claimed: bool) -> Standing {
        let token_hash = token(1).hash();
        let provision = PROVISION;
        Standing { claimable: Some(Claimable { provision, token_hash }), claimed }
    }

    fn seen() -> Transcript {
        let challenge = Challenge { client_nonce: [1; 32], box_nonce: [2; 32] };
        challenge.transcript([3; 32], [4; 32])
    }

    #[test]
    fn only_the_right_token_claims_and_only_once() {
        let right = token(1).text();
        assert_eq!(standing(false).judge_token(&right), Ok(PROVISION));
        assert_eq!(standing(true).judge_token(&right), Err(Refusal::Used));
        for wrong in ["", "x", &token(2).text(), &format!("{right}A")] {
            assert_eq!(standing(false).judge_token(wrong), Err(Refusal::Wrong));
            assert_eq!(standing(true).judge_token(wrong), Err(Refusal::Wrong));
        }
    }

    #[test]
    fn only_the_owners_proof_of_the_right_token_claims() {
        let right = seen().owner_proof(&token(1).hash()).to_string();
        assert_eq!(standing(false).judge_proof(&seen(), &right), Ok(PROVISION));
        assert_eq!(standing(true).judge_proof(&seen(), &right), Err(Refusal::Used));
        let reflected = seen().box_proof(&token(1).hash()).to_string();
        let other = seen().owner_proof(&token(2).hash()).to_string();
        for wrong in ["", &reflected, &other] {
            let verdict = standing(false).judge_proof(&seen(), wrong);
            assert_eq!(verdict, Err(Refusal::Wrong));
        }
    }

    #[test]
    fn a_box_with_an_owner_or_without_a_provisioning_proves_nothing() {
        let nothing = Standing { claimable: None, claimed: false };
        assert_eq!(nothing.box_proof(&seen()), Err(Refusal::NotClaimable));
        assert_eq!(nothing.judge_token(&token(1).text()), Err(Refusal::NotClaimable));
        assert_eq!(standing(true).box_proof(&seen()), Err(Refusal::Used));
        let owned = Standing { claimed: true, ..nothing };
        assert_eq!(owned.judge_token(&token(1).text()), Err(Refusal::Used));
        assert!(standing(false).box_proof(&seen()).is_ok());
    }
}
