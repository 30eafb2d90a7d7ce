//! The WebSocket handshake (RFC 6455, 4.2) and the way of every established session out of tokio.
//!
//! `guard` has checked Host, Origin and query before. Extensions are never negotiated, so no
//! compression.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustls::ServerConnection;
use sha1::{Digest, Sha1};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::app::{App, Peer};
use crate::errors::ApiError;
use crate::handover::{Adopt, Handover, Protocol, TlsState};
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::server::Place;
use crate::tap::Tap;

/// Server frames are JSON text, unless the client's frames say otherwise later.
pub const SUBPROTOCOL_JSON: &str = "linnet.json";

/// Server frames are postcard from the first one on.
pub const SUBPROTOCOL_BINARY: &str = "linnet.binary";

/// RFC 6455, 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// `GET /ws`.
pub(crate) async fn websocket(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
) -> Response {
    let answer = match Handshake::read(request.headers()) {
        Ok(answer) => answer,
        Err(error) => return refusal(error),
    };
    let protocol = answer.protocol();
    let adopt = Arc::clone(&app.adopt);
    let upgrade = hyper::upgrade::on(&mut request);
    let session = Session { protocol, peer: peer.address, place: peer.place };
    tokio::spawn(finish(upgrade, adopt, session));
    answer.into_response()
}

/// What is known of a session before it is handed over.
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Arc<Place>,
}

/// What the 101 will say.
struct Handshake {
    accept: String,
    subprotocol: Option<&'static str>,
}

impl Handshake {
    fn read(headers: &HeaderMap) -> Result<Self, ApiError> {
        let refuse = |text: &str| Err(ApiError::bad("websocket", text));
        let upgrade = lists(headers, &header::UPGRADE, "websocket");
        if !upgrade || !lists(headers, &header::CONNECTION, "upgrade") {
            return refuse("this address speaks WebSocket only");
        }
        if !lists(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
            let text = "only version 13 of WebSocket is spoken here";
            let status = StatusCode::UPGRADE_REQUIRED;
            return Err(ApiError::new(status, "websocket", text));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let key = key.map_or(&b""[..], HeaderValue::as_bytes);
        if STANDARD.decode(key).map(|key| key.len()) != Ok(16) {
            return refuse("Sec-WebSocket-Key must be 16 bytes in base64");
        }
        Ok(Self { accept: accept(key), subprotocol: subprotocol(headers) })
    }

    fn protocol(&self) -> Protocol {
        let binary = self.subprotocol == Some(SUBPROTOCOL_BINARY);
        Protocol::WebSocket { binary }
    }

    fn into_response(self) -> Response {
        let headers = [
            (header::UPGRADE, "websocket"),
            (header::CONNECTION, "upgrade"),
            (header::SEC_WEBSOCKET_ACCEPT, &self.accept),
        ];
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
        if let Some(name) = self.subprotocol {
            let name = HeaderValue::from_static(name);
            let headers = response.headers_mut();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        response
    }
}

/// A refused version is told the right one (RFC 6455, 4.4).
fn refusal(error: ApiError) -> Response {
    let mut response = error.into_response();
    if response.status() == StatusCode::UPGRADE_REQUIRED {
        let version = HeaderValue::from_static("13");
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_VERSION, version);
    }
    response
}

fn accept(key: &[u8]) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX);
    STANDARD.encode(digest.finalize())
}

/// The first one on the client's list that is spoken here.
fn subprotocol(headers: &HeaderMap) -> Option<&'static str> {
    items(headers, &header::SEC_WEBSOCKET_PROTOCOL).find_map(|offered| {
        [SUBPROTOCOL_JSON, SUBPROTOCOL_BINARY].into_iter().find(|known| *known == offered)
    })
}

fn lists(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    items(headers, name).any(|item| item.eq_ignore_ascii_case(wanted))
}

fn items<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// Waits until the 101 is written, then takes the connection apart.
async fn finish(upgrade: OnUpgrade, adopt: Adopt, session: Session) {
    let peer = session.peer;
    let Ok(Ok(upgraded)) = timeout(HANDSHAKE_TIMEOUT, upgrade).await else {
        return tracing::debug!(%peer, "the connection ended before its upgrade");
    };
    let Some((stream, plaintext)) = take_apart(upgraded) else {
        return tracing::error!(%peer, "an upgraded connection is not ours");
    };
    hand_over(stream, plaintext, session, adopt).await;
}

fn take_apart(upgraded: Upgraded) -> Option<(TlsStream<Tap>, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<TlsStream<Tap>>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// Gives an established session away; `plaintext` is what hyper had read beyond the request.
pub(crate) async fn hand_over(
    stream: TlsStream<Tap>,
    mut plaintext: Vec<u8>,
    session: Session,
    adopt: Adopt,
) {
    let Session { protocol, peer, place } = session;
    let (tap, mut connection) = stream.into_inner();
    let (socket, partial_record) = tap.into_parts();
    let settled = settle(&socket, &mut connection, &mut plaintext);
    let settled = timeout(HANDSHAKE_TIMEOUT, settled).await;
    let stream = match settled {
        Ok(Ok(())) => into_blocking(socket),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ErrorKind::TimedOut.into()),
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%peer, %error, "a session broke off at hand-over"),
    };
    let tls = Some(TlsState { connection, partial_record });
    let handover = Handover { stream, tls, plaintext, protocol, peer, permit: Box::new(place) };
    if !adopt(handover) {
        tracing::warn!(%peer, "no room for a session; it was closed");
    }
}

/// Decrypts what rustls already holds and writes out what it still owes.
async fn settle(
    socket: &TcpStream,
    tls: &mut ServerConnection,
    plaintext: &mut Vec<u8>,
) -> std::io::Result<()> {
    let processed = tls.process_new_packets();
    processed.map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
    match tls.reader().read_to_end(plaintext) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    while tls.wants_write() {
        socket.writable().await?;
        match tls.write_tls(&mut Unready(socket)) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// io_uring treats a non-blocking descriptor as "answer at once", so the flag goes.
fn into_blocking(socket: TcpStream) -> std::io::Result<std::net::TcpStream> {
    let stream = socket.into_std()?;
    stream.set_nonblocking(false)?;
    rustix::net::sockopt::set_tcp_user_timeout(&stream, 0)?;
    Ok(stream)
}

/// `std::io::Write` over `try_write`, so that tokio learns when the socket is full.
struct Unready<'a>(&'a TcpStream);

impl std::io::Write for Unready<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(extra: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .iter()
        .chain(extra)
        {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_sample_key_of_rfc_6455_gets_its_sample_answer() {
        let handshake = Handshake::read(&request(&[])).ok().unwrap();
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(handshake.protocol(), Protocol::WebSocket { binary: false });
    }

    #[test]
    fn the_clients_first_known_subprotocol_wins() {
        for (offer, chosen) in [
            ("linnet.binary", Some("linnet.binary")),
            ("soap, linnet.json, linnet.binary", Some("linnet.json")),
            ("soap", None),
        ] {
            let headers = request(&[("sec-websocket-protocol", offer)]);
            let handshake = Handshake::read(&headers).ok().unwrap();
            assert_eq!(handshake.subprotocol, chosen, "{offer}");
        }
    }

    #[test]
    fn a_half_handshake_is_refused_with_the_reason() {
        for (name, value, status) in [
            ("upgrade", "h2c", 400),
            ("connection", "close", 400),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-key", "short", 400),
        ] {
            let refused = Handshake::read(&request(&[(name, value)])).err().unwrap();
            assert_eq!(refused.status, status, "{name}: {value}");
        }
    }
}
