//! What anybody may know about the box, and how it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use wire::ids::{BoxId, Epoch};

use super::extract::SignedIn;
use crate::app::App;
use crate::core::{Figures, HealthReport};
use crate::errors::ApiError;

#[derive(Serialize)]
pub(super) struct FactsBody {
    box_id: BoxId,
    epoch: Epoch,
    version: &'static str,
    claimed: bool,
    /// False when there is nothing to prove, so that the page can say how to get a claim link.
    claimable: bool,
    fingerprint_words: [&'static str; update::fingerprint::WORDS],
    ca_sha256: String,
    /// Why the box can't use its data; null in normal life.
    rescue: Option<String>,
}

pub(super) async fn facts(State(app): State<Arc<App>>) -> Result<Json<FactsBody>, ApiError> {
    let (standing, facts) = app.standing().await?;
    Ok(Json(FactsBody {
        box_id: facts.box_id,
        epoch: facts.epoch,
        version: app.version,
        claimed: facts.claimed,
        claimable: standing.claimable.is_some() && !facts.claimed,
        fingerprint_words: app.trust.fingerprint().words,
        ca_sha256: app.ca_sha256_hex(),
        rescue: facts.rescue,
    }))
}

/// 200 when all is well, else 503; the lines are for people who signed in.
pub(super) async fn health(
    State(app): State<Arc<App>>,
    signed_in: Result<SignedIn, ApiError>,
) -> Result<Response, ApiError> {
    let report = app.core.health().await?;
    let status = match report.ok {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let shown = match signed_in {
        Ok(_) => report,
        Err(_) => HealthReport { ok: report.ok, items: Vec::new() },
    };
    Ok((status, Json(shown)).into_response())
}

/// What the box uses now; for those who manage it.
pub(super) async fn figures(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<Json<Figures>, ApiError> {
    signed_in.manager()?;
    Ok(Json(app.core.figures().await?))
}
