//! REST: JSON in, JSON out; errors as `errors` writes them. Routes and body shapes stand here and
//! in the modules below; every body is bounded and every unknown field refused.

mod account;
mod appliance;
mod backup;
mod claim;
mod extract;
mod facts;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};
use http::StatusCode;

use crate::app::App;
use crate::errors::ApiError;
use crate::{pages, site, upgrade};

/// Everything the HTTPS port answers.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/facts", get(facts::facts))
        .route("/api/health", get(facts::health))
        .route("/api/figures", get(facts::figures))
        .route("/api/claim", post(claim::by_token))
        .route("/api/claim/challenge", post(claim::challenge))
        .route("/api/claim/proof", post(claim::by_proof))
        .route("/api/login", post(account::login))
        .route("/api/logout", post(account::logout))
        .route("/api/me", get(account::me))
        .route("/api/users", get(account::users).post(account::add_user))
        .route("/api/devices", get(account::devices))
        .route("/api/devices/{device}", delete(account::remove_device))
        .route("/api/backup", get(backup::download))
        .route("/api/salvage", post(backup::salvage))
        .route("/api/box", get(appliance::report))
        .route("/api/box/time", post(appliance::time))
        .route("/api/box/settings", post(appliance::settings))
        .route("/api/box/restart", post(appliance::restart))
        .route("/api/box/power-off", post(appliance::power_off))
        .route("/api/box/factory-reset", post(appliance::factory_reset))
        .route("/api/{*rest}", axum::routing::any(nothing_here))
        .route("/ca.crt", get(pages::ca))
        .route("/trust", get(pages::trust))
        .route("/trust.css", get(pages::style))
        .route("/ws", get(upgrade::websocket))
        .fallback(site::serve)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

async fn nothing_here() -> ApiError {
    let text = "the box has nothing at this address; see the API's description";
    ApiError::new(StatusCode::NOT_FOUND, "not_found", text)
}

async fn wrong_method() -> ApiError {
    let text = "this address takes another method; see the API's description";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", text)
}
