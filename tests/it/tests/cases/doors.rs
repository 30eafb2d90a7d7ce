//! Who is let in: claim tokens, passwords, Origin, Host, tokens in the query string.

use linnet_it::http::{self, Answer};
use linnet_it::person::Person;
use linnet_it::process::Linnetd;
use linnet_it::session::Door;
use serde_json::json;
use wire::ServerMessage;
use wire::client::Hello;
use wire::ids::{DeviceToken, Offset};
use wire::server::Reason;

fn try_claim(server: &Linnetd, token: &str) -> Answer {
    let body = json!({
        "token": token, "name": "eve", "password": Person::password_of("eve"), "device": "x",
    });
    server.request("POST", "/api/claim", &[], Some(&body))
}

#[test]
fn a_wrong_claim_token_is_refused_and_the_tenth_try_has_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let wrong = "AAAAAAAAAAAAAAAAAAAAAA";
    let mut answers: Vec<Answer> = (0..10).map(|_| try_claim(&server, wrong)).collect();
    let last = answers.pop().unwrap();
    for answer in answers {
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(!answer.json()["text"].as_str().unwrap().is_empty());
    }
    assert!([403, 429].contains(&last.status), "{}", last.status);
    assert!(last.header("retry-after").is_some(), "{:?}", last.headers);
    let facts = server.request("GET", "/api/facts", &[], None).json();
    assert_eq!(facts["claimed"], false);
}

#[test]
fn a_claim_works_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let token = server.claim_token();
    server.claim("ann");
    let again = try_claim(&server, &token);
    assert_eq!(again.status, 403, "{}", again.text());
    assert!(!folder.path().join("claim").exists(), "a spent token must not lie about");
    assert_eq!(server.request("GET", "/api/facts", &[], None).json()["claimed"], true);
}

#[test]
fn a_wrong_password_and_an_unknown_name_look_alike() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    server.claim("ann");
    let ask = |name: &str| {
        let body = json!({"name": name, "password": "not the password", "device": "x"});
        server.request("POST", "/api/login", &[], Some(&body))
    };
    let (known, unknown) = (ask("ann"), ask("nobody"));
    assert_eq!(known.status, unknown.status);
    assert_eq!(known.text(), unknown.text());
    assert!([401, 403].contains(&known.status), "{}", known.text());
}

#[test]
fn a_member_makes_no_accounts_and_a_signed_out_device_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    let mut ben = ann.add(&server, "ben");
    let bearer = ben.bearer();
    let headers = [("Authorization", bearer.as_str())];
    let body = json!({"name": "eve", "password": Person::password_of("eve"), "role": "member"});
    let answer = server.request("POST", "/api/users", &headers, Some(&body));
    assert_eq!(answer.status, 403, "{}", answer.text());
    let (mut session, _) = ben.enter(&server, Door::Json);
    let out = server.request("POST", "/api/logout", &headers, Some(&json!({})));
    assert!(out.status < 300, "{}", out.text());
    session.drain();
    assert_eq!(server.request("GET", "/api/users", &headers, None).status, 401);
    let mut session = server.open(Door::Native);
    let hello =
        Hello { token: ben.token, epoch: None, cursor: Offset(0), client: "linnet-it".into() };
    session.send(&hello.into());
    let refused = session.drain().into_iter().any(|message| match message {
        ServerMessage::Error(error) => error.reason == Reason::BadToken,
        ServerMessage::Closing(closing) => closing.reason == Reason::BadToken,
        _ => false,
    });
    assert!(refused);
}

#[test]
fn a_made_up_token_is_refused_through_every_door() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    server.claim("ann");
    for door in [Door::Json, Door::Binary, Door::Native] {
        let mut session = server.open(door);
        let hello = Hello {
            token: DeviceToken([7; 32]),
            epoch: None,
            cursor: Offset(0),
            client: "linnet-it".into(),
        };
        session.send(&hello.into());
        let told = session.drain().into_iter().any(|message| match message {
            ServerMessage::Error(error) => error.reason == Reason::BadToken,
            ServerMessage::Closing(closing) => closing.reason == Reason::BadToken,
            _ => false,
        });
        assert!(told, "{door:?}");
    }
}

/// The head of an upgrade with some of its lines replaced.
fn upgrade(server: &Linnetd, path: &str, host: &str, origin: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", "linnet.json"),
    ];
    let request = http::request("GET", path, host, &headers, None);
    let text = String::from_utf8(request).expect("ASCII");
    let text = text.replace("Connection: close", "Connection: Upgrade");
    let stream = server.connect_https().expect("the port answers");
    http::exchange(stream, text.as_bytes()).expect("an answer")
}

#[test]
fn foreign_origins_spoofed_hosts_and_query_tokens_are_refused_before_the_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let host = server.https.to_string();
    let own = format!("https://{host}");
    let cases = [
        ("/ws", host.as_str(), "https://evil.example"),
        ("/ws", host.as_str(), "null"),
        ("/ws", "evil.example", "https://evil.example"),
        ("/ws?token=0000", host.as_str(), own.as_str()),
    ];
    for (path, host, origin) in cases {
        let answer = upgrade(&server, path, host, origin);
        assert!((400..500).contains(&answer.status), "{path} {host} {origin}: {}", answer.status);
        assert!(!answer.text().is_empty(), "{path} {host} {origin}");
    }
}

#[test]
fn the_plain_port_only_redirects_and_hands_out_the_authority() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ask = |path: &str| {
        let mut stream = std::net::TcpStream::connect(server.http).unwrap();
        let request = http::request("GET", path, &server.http.to_string(), &[], None);
        stream.write_all(&request).unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    };
    let authority = ask("/ca.crt");
    assert!(authority.starts_with("HTTP/1.1 200"), "{authority}");
    let login = ask("/api/facts");
    assert!(!login.starts_with("HTTP/1.1 200"), "{login}");
}
