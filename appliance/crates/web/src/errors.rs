//! What a refused request is told: `{"reason":"..","field":"..","text":".."}` and a status.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::claim::Refusal;
use crate::core::CoreError;
use crate::limits::HASH_RETRY_AFTER;
use crate::passwords;

/// A refusal. `text` is one sentence for people, in English; it never quotes a secret.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) field: &'static str,
    pub(crate) text: String,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    reason: &'a str,
    field: &'a str,
    text: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, reason: &'static str, text: impl Into<String>) -> Self {
        Self { status, reason, field: "", text: text.into(), retry_after: None }
    }

    pub(crate) fn bad(reason: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, text)
    }

    pub(crate) fn forbidden(reason: &'static str, text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason, text)
    }

    /// Too many wrong tries from this address.
    pub(crate) fn wait(status: StatusCode, wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        let text =
            format!("too many wrong tries from your address; try again in {seconds} seconds");
        Self::new(status, "too_many_tries", text).after(wait)
    }

    pub(crate) fn in_field(mut self, field: &'static str) -> Self {
        self.field = field;
        self
    }

    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body { reason: self.reason, field: self.field, text: &self.text };
        let mut response = (self.status, axum::Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(whole_seconds(wait));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::forbidden(refusal.reason(), refusal.to_string())
    }
}

impl From<passwords::Refused> for ApiError {
    fn from(refused: passwords::Refused) -> Self {
        match refused {
            passwords::Refused::Busy => {
                let text = "many people are signing in at once; try again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).after(HASH_RETRY_AFTER)
            }
            passwords::Refused::Broken => CoreError::Internal.into(),
        }
    }
}

impl From<CoreError> for ApiError {
    fn from(error: CoreError) -> Self {
        let text = error.to_string();
        let (status, reason) = match &error {
            CoreError::NameTaken => (StatusCode::CONFLICT, "name_taken"),
            CoreError::AlreadyClaimed => (StatusCode::FORBIDDEN, "used_token"),
            CoreError::ProvisionSpent => (StatusCode::FORBIDDEN, "used_token"),
            CoreError::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed"),
            CoreError::NoSuchUser => (StatusCode::NOT_FOUND, "no_such_user"),
            CoreError::NoSuchDevice => (StatusCode::NOT_FOUND, "no_such_device"),
            CoreError::OverLimit(_) => (StatusCode::BAD_REQUEST, "over_limit"),
            CoreError::CardFull => (StatusCode::INSUFFICIENT_STORAGE, "card_full"),
            CoreError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            CoreError::NothingToSalvage => (StatusCode::CONFLICT, "nothing_to_salvage"),
            CoreError::Rescue(_) => (StatusCode::SERVICE_UNAVAILABLE, "rescue"),
            CoreError::NoAppliance => (StatusCode::CONFLICT, "no_appliance"),
            CoreError::Refused(_) => (StatusCode::CONFLICT, "refused"),
            CoreError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
            CoreError::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let refused = Self::new(status, reason, text);
        match error {
            CoreError::Busy { retry_after_ms } => {
                refused.after(Duration::from_millis(retry_after_ms.into()))
            }
            CoreError::NameTaken => refused.in_field("name"),
            _ => refused,
        }
    }
}

/// Rounded up: `Retry-After` must not send anybody back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
