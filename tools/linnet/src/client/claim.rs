//! Becoming the first owner, and signing in. The claim token is proven and never sent; the password
//! goes out only after the box proved that it knows the token, or over a pinned connection.

use serde::{Deserialize, Serialize};
use update::claim::ClaimToken;
use update::hex;
use update::proof::{Proof, Transcript};
use wire::ids::{DeviceId, DeviceToken, UserId};

use super::error::ClientError;
use super::host::Host;
use super::http::Http;
use super::tls::{Fingerprint, Trust};

/// The account to make.
#[derive(Clone)]
pub struct NewOwner {
    /// Sign-in name.
    pub name: String,
    /// 8 to 1,024 bytes.
    pub password: String,
    /// What the device list will call this computer.
    pub device: String,
}

/// A new device of a user.
#[derive(Debug, Deserialize)]
pub struct SignedIn {
    /// Who.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// Its secret.
    pub token: DeviceToken,
}

#[derive(Serialize)]
struct ChallengeBody {
    nonce: String,
}

#[derive(Deserialize)]
struct ChallengeAnswer {
    nonce: String,
    proof: String,
}

#[derive(Serialize)]
struct ProofBody<'a> {
    proof: String,
    name: &'a str,
    password: &'a str,
    device: &'a str,
}

#[derive(Serialize)]
struct LoginBody<'a> {
    name: &'a str,
    password: &'a str,
    device: &'a str,
}

/// Claims a box; returns the new device and the CA to pin (DER).
///
/// # Errors
/// [`ClientError::NotTheBox`] before anything secret is sent, when the box can't prove the token.
pub async fn claim(
    host: &Host,
    token: &ClaimToken,
    owner: &NewOwner,
) -> Result<(SignedIn, Vec<u8>), ClientError> {
    let mut http = Http::connect(host, &Trust::FirstContact).await?;
    let mut client_nonce = [0; 32];
    let filled = getrandom::fill(&mut client_nonce);
    filled.map_err(|error| ClientError::Protocol(error.to_string()))?;
    let body = ChallengeBody { nonce: hex::encode(&client_nonce) };
    let answer: ChallengeAnswer = http.post("/api/claim/challenge", None, &body).await?;
    let seen = Transcript {
        client_nonce,
        box_nonce: hex::decode(&answer.nonce).ok_or_else(impostor)?,
        ca_sha256: Fingerprint::of(&http.ca_der).0,
        tls_exporter: http.tls_exporter,
    };
    if Proof::from_hex(&answer.proof) != Some(seen.box_proof(&token.hash())) {
        return Err(impostor());
    }
    let body = ProofBody {
        proof: seen.owner_proof(&token.hash()).to_string(),
        name: &owner.name,
        password: &owner.password,
        device: &owner.device,
    };
    let signed_in = http.post("/api/claim/proof", None, &body).await?;
    Ok((signed_in, http.ca_der))
}

fn impostor() -> ClientError {
    let text = "whoever answers there does not know this claim link; nothing was sent to it. Check \
                that the link belongs to this box and that nobody is between";
    ClientError::NotTheBox(text.to_owned())
}

/// The CA (DER) that a box presents. Show its fingerprint to a person before believing it.
///
/// # Errors
/// See [`ClientError`].
pub async fn first_contact(host: &Host) -> Result<Vec<u8>, ClientError> {
    Ok(Http::connect(host, &Trust::FirstContact).await?.ca_der)
}

/// Signs this computer in as a new device.
///
/// # Errors
/// See [`ClientError`].
pub async fn login(
    host: &Host,
    ca_der: &[u8],
    name: &str,
    password: &str,
    device: &str,
) -> Result<SignedIn, ClientError> {
    let mut http = Http::connect(host, &Trust::Pinned(ca_der.to_vec())).await?;
    let body = LoginBody { name, password, device };
    http.post("/api/login", None, &body).await
}
