//! Bounded JSON bodies and bearer tokens, and checks of the fields in them.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use wire::ids::{DeviceToken, TokenHash};
use wire::limits::NAME_BYTES_MAX;
use wire::server::Role;

use crate::app::App;
use crate::core::Caller;
use crate::errors::ApiError;
use crate::limits::{BODY_BYTES_MAX, BODY_TIMEOUT, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<App>) -> Result<Self, ApiError> {
        check_media_type(request.headers())?;
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX);
        let bytes = tokio::time::timeout(BODY_TIMEOUT, body.collect())
            .await
            .map_err(|_| late())?
            .map_err(|_| too_long())?
            .to_bytes();
        let value = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        Ok(Self(value))
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = value.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let text = "send JSON and say so: Content-Type: application/json";
    Err(ApiError::new(status, "media_type", text))
}

fn late() -> ApiError {
    let text = "the body did not arrive in time; send it again";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "late", text)
}

fn too_long() -> ApiError {
    let text = format!("the body is cut short or over {BODY_BYTES_MAX} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", text)
}

/// Says where, never what: serde's own words may quote a password.
fn malformed(error: &serde_json::Error) -> ApiError {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field is missing, unknown or of the wrong type",
        _ => "it is not JSON",
    };
    let text = format!("the body can't be used: {what} (line {line}, column {column})");
    ApiError::bad("malformed", text)
}

/// A signed-in caller.
pub(super) struct SignedIn(pub(super) Caller);

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or_else(not_signed_in)?;
        let caller = app.core.who_is(hash_of(&token)).await?;
        caller.map(Self).ok_or_else(not_signed_in)
    }
}

impl SignedIn {
    /// The caller, if they may manage users.
    pub(super) fn manager(&self) -> Result<Caller, ApiError> {
        match self.0.role {
            Role::Owner | Role::Admin => Ok(self.0),
            Role::Member => Err(crate::core::CoreError::NotAllowed.into()),
        }
    }

    /// The caller, if they own the box.
    pub(super) fn owner(&self) -> Result<Caller, ApiError> {
        match self.0.role {
            Role::Owner => Ok(self.0),
            Role::Admin | Role::Member => Err(crate::core::CoreError::NotAllowed.into()),
        }
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<DeviceToken> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = scheme.eq_ignore_ascii_case("bearer").then_some(token)?;
    DeviceToken::from_hex(token)
}

pub(super) fn hash_of(token: &DeviceToken) -> TokenHash {
    TokenHash(Sha256::digest(token.0).into())
}

fn not_signed_in() -> ApiError {
    let text = "sign in first: send Authorization: Bearer and the device token from login";
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", text)
}

/// A sign-in name or label: one line of visible text.
pub(super) fn check_name(name: &str, field: &'static str) -> Result<(), ApiError> {
    let refuse = |reason, text: String| Err(ApiError::bad(reason, text).in_field(field));
    if name.trim().is_empty() {
        return refuse("empty", format!("the {field} must not be empty"));
    }
    if name.len() > NAME_BYTES_MAX {
        let text = format!("the {field} may have at most {NAME_BYTES_MAX} bytes");
        return refuse("over_limit", text);
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        let text = format!("the {field} must not begin or end with a space or hold line breaks");
        return refuse("malformed", text);
    }
    Ok(())
}

/// A password that is about to be set.
pub(super) fn check_new_password(password: &str) -> Result<(), ApiError> {
    if password.len() < PASSWORD_BYTES_MIN {
        let text = format!("the password needs at least {PASSWORD_BYTES_MIN} bytes");
        return Err(ApiError::bad("too_short", text).in_field("password"));
    }
    check_password_length(password)
}

/// A password that somebody shows.
pub(super) fn check_password_length(password: &str) -> Result<(), ApiError> {
    if password.len() <= PASSWORD_BYTES_MAX {
        return Ok(());
    }
    let text = format!("the password may have at most {PASSWORD_BYTES_MAX} bytes");
    Err(ApiError::bad("over_limit", text).in_field("password"))
}
