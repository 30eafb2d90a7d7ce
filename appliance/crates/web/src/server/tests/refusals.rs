//! What is refused, and what every answer carries.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::support::{PASSWORD, Running, claim_body, request, run, token};
use crate::app::lock;
use crate::limits::CONNECTIONS_PER_ADDRESS_MAX;

fn upgrade(
    path: &str,
    extra: &[(&'static str, &str)],
) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = request("GET", path, "", "");
    let headers = request.headers_mut();
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    .iter()
    .chain(extra)
    {
        headers.insert(*name, value.parse().unwrap());
    }
    request
}

#[test]
fn foreign_origin_spoofed_host_and_token_in_the_query_are_refused_before_the_upgrade() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        for (request, status, reason) in [
            (upgrade("/ws", &[("origin", "https://evil.example")]), 403, "origin"),
            (upgrade("/ws", &[("host", "evil.example")]), 421, "host"),
            (upgrade("/ws?token=00", &[]), 400, "secret_in_query"),
            (request("GET", "/ws", "", ""), 400, "websocket"),
        ] {
            let answer = client.send(request).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.json["reason"], reason);
            assert!(answer.json["text"].as_str().unwrap().len() > 20);
        }
        assert!(running.no_session());
    });
}

#[test]
fn unknown_routes_methods_and_media_types_are_told_so() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        let mut text = request("POST", "/api/login", "", "{}");
        text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        for (request, status, reason) in [
            (request("GET", "/api/nothing", "", ""), 404, "not_found"),
            (request("DELETE", "/api/login", "", ""), 405, "method"),
            (request("POST", "/rooms", "", ""), 405, "method"),
            (text, 415, "media_type"),
            (request("POST", "/api/login", "", &"x".repeat(20_000)), 413, "too_long"),
            (request("GET", "/api/users", "", ""), 401, "bad_token"),
            (request("GET", "/api/users", &"0".repeat(64), ""), 401, "bad_token"),
        ] {
            let what = format!("{} {}", request.method(), request.uri());
            // A refused body ends the connection, so each gets its own.
            let answer = match status {
                413 => running.client().await.send(request).await,
                _ => client.send(request).await,
            };
            assert_eq!(
                (answer.status.as_u16(), &answer.json["reason"]),
                (status, &reason.into()),
                "{what}"
            );
        }
    });
}

#[test]
fn every_answer_carries_the_security_headers_and_never_hsts() {
    let running = Running::start();
    run(async {
        let mut client = running.client().await;
        for path in ["/", "/trust", "/api/facts", "/api/nothing", "/ca.crt"] {
            let answer = client.get(path, "").await;
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("frame-ancestors 'none'"), "{path}");
            assert!(policy.contains("wss://linnet.local"), "{path}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
            assert!(!answer.headers.contains_key("strict-transport-security"), "{path}");
        }
    });
}

fn plain(running: &Running, text: &str) -> String {
    let mut socket = TcpStream::connect(running.web.addresses().http.unwrap()).unwrap();
    socket.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_plain_port_redirects_explains_trust_and_serves_the_ca() {
    let running = Running::start();
    let get = |path: &str, host: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        plain(&running, &head)
    };
    let port = running.https().port();
    let redirect = get("/rooms/7?x=1", "linnet.local");
    assert!(redirect.starts_with("HTTP/1.1 307"), "{redirect}");
    let location = format!("location: https://linnet.local:{port}/rooms/7\r\n");
    assert!(redirect.contains(&location), "{redirect}");
    let page = get("/trust", "127.0.0.1:8080");
    assert!(page.contains(&running.web.fingerprint().words.join(" ")));
    assert!(page.contains("lang=\"zh\""));
    assert!(get("/ca.crt", "linnet.local").contains("application/x-x509-ca-cert"));
    assert!(get("/", "evil.example").starts_with("HTTP/1.1 421"));
    assert!(get("/api/facts", "linnet.local").starts_with("HTTP/1.1 307"));
    let post = "POST /api/login HTTP/1.1\r\nhost: linnet.local\r\nconnection: close\r\n\
                content-length: 2\r\n\r\n{}";
    assert!(plain(&running, post).starts_with("HTTP/1.1 403"));
}

#[test]
fn one_address_can_not_take_all_connections() {
    let running = Running::start();
    let http = running.web.addresses().http.unwrap();
    let mut held: Vec<TcpStream> =
        (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| TcpStream::connect(http).unwrap()).collect();
    let head = b"GET /trust HTTP/1.1\r\nhost: linnet.local\r\n\r\n";
    let answered = |socket: &mut TcpStream| {
        let mut byte = [0];
        let written = socket.write_all(head);
        written.is_ok() && matches!(socket.read(&mut byte), Ok(1))
    };
    // The last of them is served, so all of them were accepted.
    assert!(answered(held.last_mut().unwrap()));
    assert!(!answered(&mut TcpStream::connect(http).unwrap()));
    run(async {
        let mut other = running.client_from("127.0.0.9").await;
        assert_eq!(other.get("/api/facts", "").await.status, 200);
    });
    drop(held);
    let back = std::time::Instant::now();
    while !answered(&mut TcpStream::connect(http).unwrap()) {
        assert!(back.elapsed().as_secs() < 10, "places are not given back");
    }
}

#[test]
fn a_head_that_is_too_long_or_has_too_many_headers_is_refused() {
    let running = Running::start();
    let long = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\nhost: linnet.local\r\n{}\r\n", "a: b\r\n".repeat(80));
    for text in [long, many] {
        let answer = plain(&running, &text);
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_secret_reaches_the_log() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // The server's thread is another one, so only a global subscriber sees it; no other test sets
    // one.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let running = Running::start();
    let device_token = run(async {
        let device_token = running.claim().await;
        let mut client = running.client().await;
        client.post("/api/claim", "", &claim_body(&token().text())).await;
        client.get(&format!("/?token={device_token}"), "").await;
        client.get("/api/me", &device_token).await;
        let login = format!(r#"{{"name":"ada","password":"{PASSWORD}","device":"d"}}"#);
        client.post("/api/login", "", &login).await;
        device_token
    });
    let text = String::from_utf8_lossy(&lock(&lines.0)).into_owned();
    assert!(text.contains("the box has its owner"), "nothing was logged: {text}");
    for secret in [PASSWORD, &token().text(), &device_token, "PRIVATE KEY"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
