//! `GET /api/backup`: the owner's copy of everything, streamed, with its SHA-256 as a trailer.
//!
//! The trailer comes only after the whole file, so a cut or broken stream is never taken for a
//! backup.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use update::hex;

use super::account::Done;
use super::extract::SignedIn;
use crate::app::App;
use crate::core::CoreError;
use crate::errors::ApiError;

/// Bytes of the whole file, when known; the body itself is chunked because of the trailer.
const BYTES: HeaderName = HeaderName::from_static("x-linnet-bytes");

/// Trailer: SHA-256 of the file in hexadecimal digits.
const SHA256: HeaderName = HeaderName::from_static("x-linnet-sha256");

pub(super) async fn download(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<Response, ApiError> {
    let owner = signed_in.owner()?;
    let backup = app.core.backup().await?;
    tracing::info!(user = %owner.user, "a backup begins");
    let name = format!("attachment; filename=\"{}\"", plain(&backup.file_name));
    let name = HeaderValue::try_from(name).map_err(|_| CoreError::Internal)?;
    let body =
        Hashed { chunks: backup.chunks, hash: Some(Sha256::new()), bytes_left: backup.bytes };
    let mut response = Body::new(body.boxed_unsync()).into_response();
    let headers = response.headers_mut();
    let binary = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, binary);
    headers.insert(header::CONTENT_DISPOSITION, name);
    headers.insert(header::TRAILER, HeaderValue::from(SHA256));
    if let Some(bytes) = backup.bytes {
        headers.insert(BYTES, HeaderValue::from(bytes));
    }
    Ok(response)
}

/// `POST /api/salvage`: the owner gives up what a damaged log lost. Answers `{}`, then restarts.
pub(super) async fn salvage(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<axum::Json<Done>, ApiError> {
    let owner = signed_in.owner()?;
    app.core.salvage().await?;
    tracing::warn!(user = %owner.user, "the owner salvages the log");
    Ok(axum::Json(Done {}))
}

/// A file name that needs no quoting in a header.
fn plain(name: &str) -> String {
    let keep = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    name.chars().filter(keep).collect()
}

/// Passes chunks on and hashes them; ends with the trailer. `hash` is none after it.
struct Hashed {
    chunks: mpsc::Receiver<Result<Bytes, CoreError>>,
    hash: Option<Sha256>,
    bytes_left: Option<u64>,
}

impl Hashed {
    fn take(&mut self, chunk: &Bytes) {
        if let Some(hash) = &mut self.hash {
            hash.update(chunk);
        }
        let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.bytes_left = self.bytes_left.map(|left| left.saturating_sub(length));
    }

    /// The trailer, unless the sender stopped before the announced end.
    fn finish(&mut self) -> Option<Result<Frame<Bytes>, CoreError>> {
        let hash = self.hash.take()?;
        Some(match self.bytes_left {
            None | Some(0) => Ok(Frame::trailers(trailer(hash))),
            Some(_) => Err(CoreError::Internal),
        })
    }
}

impl hyper::body::Body for Hashed {
    type Data = Bytes;
    type Error = CoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CoreError>>> {
        if self.hash.is_none() {
            return Poll::Ready(None);
        }
        let next = match ready!(self.chunks.poll_recv(context)) {
            Some(Ok(chunk)) => {
                self.take(&chunk);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => {
                self.hash = None;
                Some(Err(error))
            }
            None => self.finish(),
        };
        Poll::Ready(next)
    }
}

fn trailer(hash: Sha256) -> HeaderMap {
    let text = hex::encode(&hash.finalize());
    let value = HeaderValue::try_from(text).expect("hexadecimal digits are header text");
    HeaderMap::from_iter([(SHA256, value)])
}
