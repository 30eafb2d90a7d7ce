//! The system below the server: report and settings for those who manage the box, the factory
//! reset for the owner, who shows the password anew.

use std::sync::Arc;

use axum::extract::{Extension, State};
use serde::Deserialize;

use super::account::{Done, check_password};
use super::extract::{Json, SignedIn, check_password_length};
use crate::app::{App, Peer};
use crate::core::{ApplianceReport, CoreError, Credentials, Order, Wifi};
use crate::errors::ApiError;
use crate::throttle::household;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeBody {
    time_ms: u64,
}

/// What is absent stays as it is; `"wifi":null` counts as absent, too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsBody {
    host_name: Option<String>,
    time_zone: Option<String>,
    wifi: Option<Wifi>,
    forget_wifi: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProofBody {
    password: String,
}

/// `GET /api/box`.
pub(super) async fn report(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<axum::Json<ApplianceReport>, ApiError> {
    signed_in.manager()?;
    Ok(axum::Json(app.core.appliance().await?))
}

/// `POST /api/box/time`: a board without a clock of its own takes the owner's.
pub(super) async fn time(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(body): Json<TimeBody>,
) -> Result<axum::Json<Done>, ApiError> {
    let by = signed_in.manager()?;
    app.core.order(Order::SetTime(body.time_ms)).await?;
    tracing::info!(user = %by.user, "the time was set by hand");
    Ok(axum::Json(Done {}))
}

/// `POST /api/box/settings`: one after another; the first that init refuses ends it.
pub(super) async fn settings(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(body): Json<SettingsBody>,
) -> Result<axum::Json<Done>, ApiError> {
    let by = signed_in.manager()?;
    let orders = body.orders()?;
    for (field, order) in orders {
        let refused = |error| ApiError::from(error).in_field(field);
        app.core.order(order).await.map_err(refused)?;
    }
    tracing::info!(user = %by.user, "settings of the box were changed");
    Ok(axum::Json(Done {}))
}

impl SettingsBody {
    fn orders(self) -> Result<Vec<(&'static str, Order)>, ApiError> {
        let mut orders = Vec::new();
        orders.extend(self.host_name.map(|name| ("host_name", Order::SetHostName(name))));
        orders.extend(self.time_zone.map(|zone| ("time_zone", Order::SetTimeZone(zone))));
        let forget = self.forget_wifi == Some(true);
        if forget && self.wifi.is_some() {
            let text = "name a network or forget it, not both";
            return Err(ApiError::bad("malformed", text).in_field("forget_wifi"));
        }
        if forget || self.wifi.is_some() {
            orders.push(("wifi", Order::SetWifi(self.wifi)));
        }
        if orders.is_empty() {
            return Err(ApiError::bad("empty", "name at least one setting to change"));
        }
        Ok(orders)
    }
}

/// `POST /api/box/restart`.
pub(super) async fn restart(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(Nothing {}): Json<Nothing>,
) -> Result<axum::Json<Done>, ApiError> {
    let by = signed_in.manager()?;
    tracing::warn!(user = %by.user, "the box restarts on request");
    app.core.order(Order::Restart).await?;
    Ok(axum::Json(Done {}))
}

/// `POST /api/box/power-off`.
pub(super) async fn power_off(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(Nothing {}): Json<Nothing>,
) -> Result<axum::Json<Done>, ApiError> {
    let by = signed_in.manager()?;
    tracing::warn!(user = %by.user, "the box switches itself off on request");
    app.core.order(Order::PowerOff).await?;
    Ok(axum::Json(Done {}))
}

/// `POST /api/box/factory-reset`: a stolen or forgotten session is not enough.
pub(super) async fn factory_reset(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    signed_in: SignedIn,
    Json(body): Json<ProofBody>,
) -> Result<axum::Json<Done>, ApiError> {
    let owner = signed_in.owner()?;
    let credentials = own_credentials(&app, owner.user).await?;
    check_password_length(&body.password)?;
    let who = (household(peer.address.ip()), credentials.0.to_lowercase());
    let counted = app.login_tries.attempt(&who);
    counted.map_err(|wait| ApiError::wait(http::StatusCode::TOO_MANY_REQUESTS, wait))?;
    check_password(&app, Some(credentials.1), body.password)
        .await
        .map_err(|error| error.in_field("password"))?;
    app.login_tries.forgive(&who);
    tracing::warn!(user = %owner.user, "the owner resets the box to its factory state");
    app.core.order(Order::FactoryReset).await?;
    Ok(axum::Json(Done {}))
}

/// Name and password hash of a user who is signed in.
async fn own_credentials(
    app: &App,
    user: wire::ids::UserId,
) -> Result<(String, Credentials), ApiError> {
    let accounts = app.core.users().await?;
    let own = accounts.into_iter().find(|account| account.user == user);
    let name = own.ok_or(CoreError::NoSuchUser)?.name;
    let found = app.core.find_user(name.clone()).await?;
    Ok((name, found.ok_or(CoreError::NoSuchUser)?))
}
