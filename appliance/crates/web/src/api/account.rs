//! Signing in and out, users and devices.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use wire::ids::{DeviceId, DeviceToken, UserId};
use wire::server::Role;

use super::claim::Session;
use super::extract::{
    Json, SignedIn, check_name, check_new_password, check_password_length, hash_of,
};
use crate::app::{App, Peer};
use crate::core::{Account, CoreError, Credentials, DeviceEntry};
use crate::errors::ApiError;
use crate::throttle::household;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    name: String,
    password: String,
    device: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUserBody {
    name: String,
    password: String,
    role: Role,
}

/// `{}`: it was done.
#[derive(Serialize)]
pub(super) struct Done {}

#[derive(Serialize)]
pub(super) struct NewUser {
    user: UserId,
}

#[derive(Serialize)]
pub(super) struct Users {
    users: Vec<Account>,
}

#[derive(Serialize)]
pub(super) struct Devices {
    devices: Vec<DeviceEntry>,
}

#[derive(Serialize)]
pub(super) struct Me {
    user: UserId,
    device: DeviceId,
    role: Role,
}

/// `POST /api/login`.
pub(super) async fn login(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Json(body): Json<LoginBody>,
) -> Result<axum::Json<Session>, ApiError> {
    check_name(&body.name, "name")?;
    check_name(&body.device, "device")?;
    check_password_length(&body.password)?;
    let who = (household(peer.address.ip()), body.name.to_lowercase());
    let counted = app.login_tries.attempt(&who);
    counted.map_err(|wait| ApiError::wait(StatusCode::TOO_MANY_REQUESTS, wait))?;
    let found = app.core.find_user(body.name).await?;
    let user = check_password(&app, found, body.password).await?;
    app.login_tries.forgive(&who);
    sign_in(&app, user, body.device).await.map(axum::Json)
}

/// One answer for a wrong name and a wrong password, after the same work.
pub(super) async fn check_password(
    app: &App,
    found: Option<Credentials>,
    password: String,
) -> Result<UserId, ApiError> {
    let (user, stored) = found.map(|it| (it.user, it.password_hash)).unzip();
    let fits = app.passwords.verify(password, stored).await?;
    user.filter(|_| fits).ok_or_else(|| {
        let text = "name or password is wrong; check both and try again";
        ApiError::forbidden("wrong_password", text)
    })
}

/// Gives a user a new device with a fresh token.
pub(super) async fn sign_in(app: &App, user: UserId, label: String) -> Result<Session, ApiError> {
    let mut token = [0; 32];
    getrandom::fill(&mut token).map_err(|_| CoreError::Internal)?;
    let token = DeviceToken(token);
    let device = app.core.add_device(user, label, hash_of(&token)).await?;
    Ok(Session { user, device, token })
}

/// `POST /api/logout`.
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<axum::Json<Done>, ApiError> {
    app.core.remove_device(caller.user, caller.device).await?;
    Ok(axum::Json(Done {}))
}

/// `GET /api/me`.
pub(super) async fn me(SignedIn(caller): SignedIn) -> axum::Json<Me> {
    axum::Json(Me { user: caller.user, device: caller.device, role: caller.role })
}

/// `GET /api/users`.
pub(super) async fn users(
    State(app): State<Arc<App>>,
    _: SignedIn,
) -> Result<axum::Json<Users>, ApiError> {
    let users = app.core.users().await?;
    Ok(axum::Json(Users { users }))
}

/// `POST /api/users`.
pub(super) async fn add_user(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(body): Json<NewUserBody>,
) -> Result<(StatusCode, axum::Json<NewUser>), ApiError> {
    let by = signed_in.manager()?.user;
    check_name(&body.name, "name")?;
    check_new_password(&body.password)?;
    if body.role == Role::Owner {
        let text = "a box has one owner; choose admin or member";
        return Err(ApiError::forbidden("not_allowed", text).in_field("role"));
    }
    let hash = app.passwords.hash(body.password).await?;
    let user = app.core.add_user(by, body.name, body.role, hash).await?;
    Ok((StatusCode::CREATED, axum::Json(NewUser { user })))
}

/// `GET /api/devices`: the caller's own.
pub(super) async fn devices(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
) -> Result<axum::Json<Devices>, ApiError> {
    let devices = app.core.devices(caller.user).await?;
    Ok(axum::Json(Devices { devices }))
}

/// `DELETE /api/devices/{device}`: one of the caller's own.
pub(super) async fn remove_device(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Path(device): Path<String>,
) -> Result<axum::Json<Done>, ApiError> {
    let device = device.parse().map_err(|_| CoreError::NoSuchDevice)?;
    app.core.remove_device(caller.user, DeviceId(device)).await?;
    Ok(axum::Json(Done {}))
}
