//! The CA certificate, the page that explains trust, and the plain port's redirect to HTTPS.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderName, HeaderValue, Method, header};

use crate::app::App;
use crate::errors::ApiError;
use crate::guard::host_of;

/// The standard HTTPS port, which addresses leave out.
const HTTPS_PORT: u16 = 443;

/// Everything the plain HTTP port answers.
pub(crate) fn plain_router(app: Arc<App>) -> Router {
    Router::new()
        .route("/ca.crt", get(ca))
        .route("/trust", get(trust))
        .route("/trust.css", get(style))
        .fallback(to_https)
        .with_state(app)
}

/// `GET /ca.crt`: DER, which every phone and desktop imports.
pub(crate) async fn ca(State(app): State<Arc<App>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/x-x509-ca-cert"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"linnet-ca.crt\""),
    ];
    (headers, app.trust.ca_der().to_vec()).into_response()
}

/// `GET /trust`: what the browser's warning means and what trusting the box adds.
pub(crate) async fn trust(State(app): State<Arc<App>>, request: Request) -> Response {
    let words = app.trust.fingerprint().words.join(" ");
    let page = include_str!("pages/trust.html")
        .replace("{{words}}", &words)
        .replace("{{sha256}}", &app.ca_sha256_hex());
    match secure_origin(&app, &request) {
        Ok(origin) => Html(page.replace("{{origin}}", &escape(&origin))).into_response(),
        Err(error) => error.into_response(),
    }
}

/// `GET /trust.css`.
pub(crate) async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (headers, include_str!("pages/trust.css"))
}

/// The query is dropped: nothing behind the plain port reads one. A fragment never leaves the
/// browser and survives the redirect.
async fn to_https(State(app): State<Arc<App>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "this port is not encrypted; send it to the https:// address instead";
        return ApiError::forbidden("not_encrypted", text).into_response();
    }
    match secure_origin(&app, &request) {
        Ok(origin) => {
            let path = request.uri().path();
            Redirect::temporary(&format!("{origin}{path}")).into_response()
        }
        Err(error) => error.into_response(),
    }
}

fn secure_origin(app: &App, request: &Request) -> Result<String, ApiError> {
    let authority = host_of(request)?;
    let host = authority.host();
    Ok(match app.https_port {
        HTTPS_PORT => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// What every response carries. No HSTS: it would lock people out of a box that got a new CA.
pub(crate) fn secure(response: &mut Response, host: Option<&str>) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(self), microphone=(self), geolocation=()"),
    ] {
        let name = HeaderName::from_static(name);
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(content_policy(host)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        let no_store = HeaderValue::from_static("no-store");
        headers.insert(header::CACHE_CONTROL, no_store);
    }
}

/// Older Safari does not count wss: as 'self', so the box's own WebSocket is named.
fn content_policy(host: Option<&str>) -> String {
    let socket = host.map(|host| format!(" wss://{host}")).unwrap_or_default();
    format!(
        "default-src 'self'; connect-src 'self'{socket}; img-src 'self' data: blob:; \
         media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
}
