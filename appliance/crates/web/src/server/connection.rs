//! One connection: TLS handshake, then HTTP requests or the hand-over of a native session.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use update::proof::TLS_EXPORTER_LABEL;

use super::{Door, Place};
use crate::app::{App, Peer};
use crate::guard;
use crate::handover::Protocol;
use crate::limits::{
    HANDSHAKE_TIMEOUT, HEAD_BYTES_MAX, HEAD_TIMEOUT, HEADERS_MAX, STALLED_WRITE_TIMEOUT,
};
use crate::pages;
use crate::tap::Tap;
use crate::trust::{ALPN_HTTP, ALPN_NATIVE};
use crate::upgrade::{self, Session};

/// Serves one accepted socket to its end, or to its hand-over.
pub(super) async fn run(
    socket: TcpStream,
    peer: SocketAddr,
    door: Door,
    app: Arc<App>,
    place: Place,
) {
    let place = Arc::new(place);
    if let Err(error) = prepare(&socket) {
        return tracing::debug!(%peer, %error, "a connection ended at once");
    }
    match door {
        Door::Http(router) => {
            serve_http(TokioIo::new(socket), router, app, Peer::new(peer, None, place)).await;
        }
        Door::Https(acceptor, router) => {
            if let Some(stream) = handshake(acceptor, socket, peer).await {
                serve_tls(stream, Some(router), peer, app, place).await;
            }
        }
        Door::Native(acceptor) => {
            if let Some(stream) = handshake(acceptor, socket, peer).await {
                serve_tls(stream, None, peer, app, place).await;
            }
        }
    }
}

/// Small answers leave at once, and a reader that takes nothing is dropped by the kernel.
fn prepare(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let millis = u32::try_from(STALLED_WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(socket, millis)?;
    Ok(())
}

async fn handshake(
    acceptor: TlsAcceptor,
    socket: TcpStream,
    peer: SocketAddr,
) -> Option<TlsStream<Tap>> {
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(Tap::new(socket))).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            None
        }
    }
}

/// What was negotiated decides; without ALPN it is what the door is for.
async fn serve_tls(
    stream: TlsStream<Tap>,
    router: Option<Router>,
    address: SocketAddr,
    app: Arc<App>,
    place: Arc<Place>,
) {
    let alpn = stream.get_ref().1.alpn_protocol();
    let native = alpn == Some(ALPN_NATIVE) || (router.is_none() && alpn.is_none());
    debug_assert!(native || alpn.is_none_or(|alpn| alpn == ALPN_HTTP));
    match router {
        _ if native => {
            let adopt = Arc::clone(&app.adopt);
            let session = Session { protocol: Protocol::Native, peer: address, place };
            upgrade::hand_over(stream, Vec::new(), session, adopt).await;
        }
        Some(router) => {
            let peer = Peer::new(address, exporter(stream.get_ref().1), place);
            serve_http(TokioIo::new(stream), router, app, peer).await;
        }
        None => tracing::debug!(peer = %address, "HTTP on the native port"),
    }
}

fn exporter(tls: &ServerConnection) -> Option<[u8; 32]> {
    let exported = tls.export_keying_material([0; 32], TLS_EXPORTER_LABEL, None);
    exported.ok()
}

async fn serve_http<S>(stream: S, router: Router, app: Arc<App>, peer: Peer)
where
    S: Read + Write + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let address = peer.address;
    let service = service_fn(move |request| {
        let (router, app, peer) = (router.clone(), Arc::clone(&app), peer.clone());
        async move { Ok::<_, Infallible>(answer(request, router, &app, peer).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let served = builder.serve_connection(stream, service).with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(peer = %address, %error, "an HTTP connection broke off");
    }
}

async fn answer(
    mut request: Request<Incoming>,
    router: TowerToHyperService<Router>,
    app: &App,
    peer: Peer,
) -> Response {
    let checked = guard::check(&request, &app.network());
    // Only a checked host is repeated in a header.
    let host = checked.is_ok().then(|| guard::host_of(&request).ok()).flatten();
    let mut response = match checked {
        Ok(()) => {
            request.extensions_mut().insert(peer);
            let answered = router.call(request.map(Body::new)).await;
            answered.unwrap_or_else(|never: Infallible| match never {})
        }
        Err(error) => error.into_response(),
    };
    // What those headers say is for pages; a session gets none.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        pages::secure(&mut response, host.as_ref().map(|host| host.as_str()));
    }
    response
}
