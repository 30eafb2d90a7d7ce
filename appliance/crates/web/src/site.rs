//! The built web client: files from a table in the program, with caching that never shows an old
//! one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::app::App;
use crate::config::StaticFile;
use crate::errors::ApiError;

const INDEX: &str = "/index.html";

/// Any path that is not the API's. Paths without a file get the client, which routes them itself.
pub(crate) async fn serve(State(app): State<Arc<App>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "this address takes GET only";
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", text).into_response();
    }
    let path = request.uri().path();
    match find(app.site, path) {
        Some(file) => respond(file, request.headers()),
        None if app.site.is_empty() && path == "/" => Redirect::to("/trust").into_response(),
        None => {
            let text = "the box has no such page";
            ApiError::new(StatusCode::NOT_FOUND, "not_found", text).into_response()
        }
    }
}

/// The file of a path; a path whose last part has no dot is a place inside the client.
fn find(site: &'static [StaticFile], path: &str) -> Option<&'static StaticFile> {
    let last = path.rsplit('/').next().unwrap_or("");
    let wanted = if last.contains('.') { path } else { INDEX };
    site.iter().find(|file| file.path == wanted)
}

fn respond(file: &'static StaticFile, request: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", file.etag);
    if names_etag(request, &etag) {
        return with_caching(StatusCode::NOT_MODIFIED.into_response(), file, &etag);
    }
    let zipped = file.gzip.filter(|_| accepts_gzip(request));
    let mut response = zipped.unwrap_or(file.bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.mime));
    if zipped.is_some() {
        let gzip = HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, gzip);
    }
    with_caching(response, file, &etag)
}

fn with_caching(mut response: Response, file: &StaticFile, etag: &str) -> Response {
    let headers = response.headers_mut();
    let caching = match file.immutable {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if file.gzip.is_some() {
        let vary = HeaderValue::from_static("Accept-Encoding");
        headers.insert(header::VARY, vary);
    }
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn names_etag(request: &HeaderMap, etag: &str) -> bool {
    let value = request.get(header::IF_NONE_MATCH);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut tags = value.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|tag| tag == etag || tag == "*")
}

/// Whether gzip is named without `q=0` (RFC 9110, 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let value = request.get(header::ACCEPT_ENCODING);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(refused, Some(Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn file(path: &'static str, immutable: bool) -> StaticFile {
        StaticFile {
            path,
            mime: "text/html; charset=utf-8",
            bytes: b"plain",
            gzip: Some(b"zipped"),
            etag: "e1",
            immutable,
        }
    }

    static SITE: [StaticFile; 2] = [file("/index.html", false), file("/assets/a-1.js", true)];

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (name.parse().unwrap(), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn places_inside_the_client_get_the_client_and_missing_files_nothing() {
        let path = |path| find(&SITE, path).map(|file| file.path);
        assert_eq!(path("/"), Some("/index.html"));
        assert_eq!(path("/rooms/7"), Some("/index.html"));
        assert_eq!(path("/assets/a-1.js"), Some("/assets/a-1.js"));
        assert_eq!(path("/assets/a-2.js"), None);
        assert_eq!(path("/../etc/passwd.txt"), None);
    }

    #[test]
    fn hashed_files_are_cached_for_ever_and_the_page_is_always_asked_for() {
        let caching = |file| respond(file, &HeaderMap::new()).headers()["cache-control"].clone();
        assert_eq!(caching(&SITE[0]), "no-cache");
        assert!(caching(&SITE[1]).to_str().unwrap().contains("immutable"));
        let known = headers(&[("if-none-match", "\"e0\", W/\"e1\"")]);
        assert_eq!(respond(&SITE[0], &known).status(), StatusCode::NOT_MODIFIED);
        let stale = headers(&[("if-none-match", "\"e0\"")]);
        assert_eq!(respond(&SITE[0], &stale).status(), StatusCode::OK);
    }

    #[test]
    fn gzip_goes_only_to_those_who_take_it() {
        for (value, zipped) in [
            ("gzip, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
        ] {
            let response = respond(&SITE[0], &headers(&[("accept-encoding", value)]));
            let encoded = response.headers().contains_key("content-encoding");
            assert_eq!(encoded, zipped, "{value}");
        }
    }
}
