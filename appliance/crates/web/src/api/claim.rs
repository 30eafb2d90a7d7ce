//! The first owner: a browser sends the token, `linnet claim` proves it in two steps.
//!
//! Wrong tries count per address; the tenth is told to wait. An address that waits is refused
//! whatever it shows, others are not touched.

use std::sync::Arc;

use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use update::hex;
use wire::ids::{DeviceId, DeviceToken, ProvisionId, UserId};

use super::account::sign_in;
use super::extract::{Json, check_name, check_new_password};
use crate::app::{App, Peer, lock};
use crate::claim::{Challenge, Refusal};
use crate::core::CoreError;
use crate::errors::ApiError;
use crate::throttle::household;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    token: String,
    name: String,
    password: String,
    device: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChallengeBody {
    nonce: String,
}

#[derive(Serialize)]
pub(super) struct ChallengeAnswer {
    nonce: String,
    proof: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofBody {
    proof: String,
    name: String,
    password: String,
    device: String,
}

/// Answer to claim and login.
#[derive(Serialize)]
pub(super) struct Session {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) token: DeviceToken,
}

struct Owner {
    name: String,
    password: String,
    device: String,
}

/// `POST /api/claim`.
pub(super) async fn by_token(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Json(body): Json<TokenBody>,
) -> Result<axum::Json<Session>, ApiError> {
    let owner = Owner::checked(body.name, body.password, body.device)?;
    let (standing, _) = app.standing().await?;
    let provision = counted(&app, &peer, || standing.judge_token(&body.token))?;
    make_owner(&app, provision, owner).await.map(axum::Json)
}

/// `POST /api/claim/challenge`: the box proves itself first.
pub(super) async fn challenge(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Json(body): Json<ChallengeBody>,
) -> Result<axum::Json<ChallengeAnswer>, ApiError> {
    let client_nonce = hex::decode(&body.nonce).ok_or_else(|| {
        let text = "the nonce must be 32 random bytes as 64 hexadecimal digits";
        ApiError::bad("malformed", text).in_field("nonce")
    })?;
    let tls_exporter = peer.tls_exporter.ok_or(Refusal::NoChallenge)?;
    let (standing, _) = app.standing().await?;
    let mut box_nonce = [0; 32];
    getrandom::fill(&mut box_nonce).map_err(|_| CoreError::Internal)?;
    let challenge = Challenge { client_nonce, box_nonce };
    let seen = challenge.transcript(app.trust.fingerprint().sha256, tls_exporter);
    let proof = standing.box_proof(&seen)?;
    *lock(&peer.challenge) = Some(challenge);
    Ok(axum::Json(ChallengeAnswer { nonce: hex::encode(&box_nonce), proof: proof.to_string() }))
}

/// `POST /api/claim/proof`, on the connection that the challenge was given on.
pub(super) async fn by_proof(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Json(body): Json<ProofBody>,
) -> Result<axum::Json<Session>, ApiError> {
    let owner = Owner::checked(body.name, body.password, body.device)?;
    let challenge = lock(&peer.challenge).take().ok_or(Refusal::NoChallenge)?;
    let tls_exporter = peer.tls_exporter.ok_or(Refusal::NoChallenge)?;
    let seen = challenge.transcript(app.trust.fingerprint().sha256, tls_exporter);
    let (standing, _) = app.standing().await?;
    let provision = counted(&app, &peer, || standing.judge_proof(&seen, &body.proof))?;
    make_owner(&app, provision, owner).await.map(axum::Json)
}

impl Owner {
    /// Looks at the fields before the token, so that a typing mistake never counts as a wrong try.
    fn checked(name: String, password: String, device: String) -> Result<Self, ApiError> {
        check_name(&name, "name")?;
        check_name(&device, "device")?;
        check_new_password(&password)?;
        Ok(Self { name, password, device })
    }
}

/// Judges under the throttle of the caller's address.
fn counted(
    app: &App,
    peer: &Peer,
    judge: impl FnOnce() -> Result<ProvisionId, Refusal>,
) -> Result<ProvisionId, ApiError> {
    let address = household(peer.address.ip());
    let forbidden = http::StatusCode::FORBIDDEN;
    let counted = app.claim_tries.attempt(&address);
    counted.map_err(|wait| ApiError::wait(forbidden, wait))?;
    match judge() {
        Ok(provision) => {
            app.claim_tries.forgive(&address);
            Ok(provision)
        }
        Err(refusal) => {
            tracing::warn!(%address, reason = refusal.reason(), "refused a claim");
            match app.claim_tries.wait(&address) {
                Some(wait) => Err(ApiError::wait(forbidden, wait)),
                None => Err(refusal.into()),
            }
        }
    }
}

async fn make_owner(app: &App, provision: ProvisionId, owner: Owner) -> Result<Session, ApiError> {
    let hash = app.passwords.hash(owner.password).await?;
    let user = app.core.claim(provision, owner.name, hash).await?;
    tracing::info!(%user, "the box has its owner");
    sign_in(app, user, owner.device).await
}
