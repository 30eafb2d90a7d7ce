//! A running server and a client for it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use update::claim::ClaimToken;
use wire::ids::{BoxId, ProvisionId, TimeMs};

use super::fake::FakeCore;
use crate::app::lock;
use crate::{Claimable, Config, Handover, Listeners, Network, StaticFile, Web, start};

pub(super) const PASSWORD: &str = "correct horse battery";

static SITE: [StaticFile; 1] = [StaticFile {
    path: "/index.html",
    mime: "text/html; charset=utf-8",
    bytes: b"<!doctype html>client",
    gzip: None,
    etag: "1",
    immutable: false,
}];

pub(super) struct Running {
    pub(super) web: Web,
    pub(super) core: Arc<FakeCore>,
    pub(super) sessions: Mutex<mpsc::Receiver<Handover>>,
    data: tempfile::TempDir,
}

pub(super) fn token() -> ClaimToken {
    ClaimToken::from_random([0x5a; 16])
}

fn loopback() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

impl Running {
    pub(super) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let core = Arc::new(FakeCore::default());
        let (sender, sessions) = mpsc::channel();
        let web = start(Config {
            listeners: Listeners {
                https: loopback(),
                http: Some(loopback()),
                native: Some(loopback()),
            },
            data: data.path().to_owned(),
            version: "0.0.0-test",
            box_id: BoxId([7; 16]),
            network: Network { names: vec!["linnet.local".to_owned()], addresses: Vec::new() },
            clock: Arc::new(|| TimeMs(wall_clock_ms())),
            clock_floor: TimeMs(wall_clock_ms()),
            core: Arc::clone(&core) as Arc<dyn crate::Core>,
            adopt: Arc::new(move |handover| sender.send(handover).is_ok()),
            claim: Some(Claimable { provision: ProvisionId([5; 16]), token_hash: token().hash() }),
            site: &SITE,
        })
        .unwrap();
        Self { web, core, sessions: Mutex::new(sessions), data }
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.web.addresses().https
    }

    /// Waits for the session that the server handed over.
    pub(super) fn session(&self) -> Handover {
        let patience = std::time::Duration::from_secs(10);
        lock(&self.sessions).recv_timeout(patience).expect("a session is handed over")
    }

    pub(super) fn no_session(&self) -> bool {
        lock(&self.sessions).try_recv().is_err()
    }

    fn ca(&self) -> CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        CertificateDer::from_pem_file(self.data.path().join("tls/ca.crt")).unwrap()
    }

    /// A TLS connection that is verified against the box's CA alone.
    pub(super) async fn tls(
        &self,
        to: SocketAddr,
        from: &str,
        alpn: &[u8],
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca()).unwrap();
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        let socket = socket.connect(to).await.unwrap();
        let name = ServerName::try_from("linnet.local").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, socket).await.unwrap()
    }

    pub(super) async fn client(&self) -> Client {
        self.client_from("127.0.0.1").await
    }

    pub(super) async fn client_from(&self, from: &str) -> Client {
        let stream = self.tls(self.https(), from, crate::ALPN_HTTP).await;
        let mut exporter = [0; 32];
        let label = update::proof::TLS_EXPORTER_LABEL;
        let tls = stream.get_ref().1;
        tls.export_keying_material(&mut exporter, label, None).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client { sender, exporter }
    }

    /// Claims with the token; the owner's device token.
    pub(super) async fn claim(&self) -> String {
        let body = claim_body(&token().text());
        let answer = self.client().await.post("/api/claim", "", &body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json);
        answer.json["token"].as_str().unwrap().to_owned()
    }
}

pub(super) fn login_body(name: &str, password: &str) -> String {
    format!(r#"{{"name":"{name}","password":"{password}","device":"laptop"}}"#)
}

pub(super) fn claim_body(token: &str) -> String {
    format!(r#"{{"token":"{token}","name":"ada","password":"{PASSWORD}","device":"test"}}"#)
}

fn wall_clock_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    pub(super) exporter: [u8; 32],
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) json: Value,
}

impl Client {
    pub(super) async fn get(&mut self, path: &str, bearer: &str) -> Answer {
        self.send(request("GET", path, bearer, "")).await
    }

    pub(super) async fn post(&mut self, path: &str, bearer: &str, body: &str) -> Answer {
        self.send(request("POST", path, bearer, body)).await
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.sender.ready().await.unwrap();
        let (parts, body) = self.sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            trailers,
            json: serde_json::from_slice(&body).unwrap_or(Value::Null),
            body,
        }
    }
}

pub(super) fn request(method: &str, path: &str, bearer: &str, body: &str) -> Request<Full<Bytes>> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "linnet.local")
        .header("te", "trailers")
        .header("content-type", "application/json");
    if !bearer.is_empty() {
        builder = builder.header("authorization", format!("Bearer {bearer}"));
    }
    builder.body(Full::from(body.to_owned())).unwrap()
}

/// Runs a test's client side on a runtime of its own.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}
