//! TLS as the rings take it over: cut records, resumption across restarts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use linnet_it::PATIENCE;
use linnet_it::person::Person;
use linnet_it::process::Linnetd;
use linnet_it::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use wire::ServerMessage;
use wire::client::Hello;
use wire::ids::{Epoch, Offset};

/// A client that decides which bytes leave when.
struct Client {
    tls: ClientConnection,
    socket: TcpStream,
    /// Decrypted, not yet looked at.
    plaintext: Vec<u8>,
}

impl Client {
    /// Shakes hands up to its own last flight, which waits in `records`.
    fn connect(config: &Arc<ClientConfig>, to: SocketAddr) -> Self {
        let socket = TcpStream::connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let tls = ClientConnection::new(config.clone(), ServerName::from(to.ip())).unwrap();
        let mut client = Self { tls, socket, plaintext: Vec::new() };
        while client.tls.is_handshaking() {
            let hello = client.records(b"");
            client.socket.write_all(&hello).unwrap();
            client.read();
        }
        client
    }

    /// The records that wait, and those of a plaintext.
    fn records(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(plaintext).unwrap();
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn read(&mut self) {
        assert!(self.tls.read_tls(&mut self.socket).unwrap() > 0, "the server closed");
        let waiting = self.tls.process_new_packets().unwrap().plaintext_bytes_to_read();
        let start = self.plaintext.len();
        self.plaintext.resize(start + waiting, 0);
        self.tls.reader().read_exact(&mut self.plaintext[start..]).unwrap();
    }

    /// Takes what `parse` finds at the front of the plaintext: a value and its length.
    fn take<T>(&mut self, parse: impl Fn(&[u8]) -> Option<(T, usize)>) -> T {
        loop {
            if let Some((value, used)) = parse(&self.plaintext) {
                self.plaintext.drain(..used);
                return value;
            }
            self.read();
        }
    }
}

/// One message of the server in native framing.
fn native(bytes: &[u8]) -> Option<(ServerMessage, usize)> {
    let (frame, used) = wire::binary::read_server(bytes).unwrap()?;
    Some((frame.message.unwrap(), used))
}

/// The same inside a WebSocket frame shorter than 64 KiB.
fn websocket(bytes: &[u8]) -> Option<(ServerMessage, usize)> {
    let start = if *bytes.get(1)? == 126 { 4 } else { 2 };
    let (message, used) = native(bytes.get(start..)?)?;
    Some((message, start + used))
}

/// A binary frame with a mask of zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).unwrap();
    [&[0x82, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

fn hello(person: &Person, epoch: Option<Epoch>) -> Vec<u8> {
    let (token, cursor) = (person.token, Offset(0));
    let mut bytes = Vec::new();
    let hello = Hello { token, epoch, cursor, client: "cut".into() };
    wire::binary::write_client(&hello.into(), 1, &mut bytes);
    bytes
}

fn upgrade(to: SocketAddr) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nhost: {to}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: linnet.binary\r\n\r\n"
    )
    .into_bytes()
}

fn head(bytes: &[u8]) -> Option<((), usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    assert!(bytes.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(bytes));
    Some(((), end + 4))
}

/// Says hello in two records; what leaves before the hand-over ends at byte `cut` of them.
/// False when the records are shorter than that.
fn enters(server: &Linnetd, person: &Person, over_websocket: bool, cut: usize) -> bool {
    let (alpn, to) = match over_websocket {
        true => (&b"http/1.1"[..], server.https),
        false => (&b"linnet"[..], server.native),
    };
    let mut client = Client::connect(&tls::config(&server.data, &[alpn]), to);
    let bytes = hello(person, None);
    let bytes = if over_websocket { masked(&bytes) } else { bytes };
    let request = if over_websocket { upgrade(to) } else { Vec::new() };
    let mut first = client.records(&request);
    let halves = bytes.split_at(bytes.len() / 2);
    let records = [client.records(halves.0), client.records(halves.1)].concat();
    if cut > records.len() {
        return false;
    }
    let (early, late) = records.split_at(cut);
    first.extend_from_slice(early);
    client.socket.write_all(&first).unwrap();
    if over_websocket {
        client.take(head);
    }
    let parse = if over_websocket { websocket } else { native };
    // The ring greets, so the hand-over is done.
    let greeted = client.take(parse);
    assert!(matches!(greeted, ServerMessage::Greeting(_)), "{greeted:?}");
    client.socket.write_all(late).unwrap();
    let answer = client.take(parse);
    assert!(matches!(answer, ServerMessage::Welcome(_)), "cut {cut}: {answer:?}");
    true
}

#[test]
fn first_frames_cut_at_every_byte_reach_the_session_through_both_doors() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    for over_websocket in [false, true] {
        let cuts = (0..).take_while(|cut| enters(&server, &ann, over_websocket, *cut)).count();
        assert!(cuts > 80, "two records are longer than {cuts} bytes");
    }
}

/// Connects natively and waits for the greeting, and so for the ticket before it.
fn greeted(server: &Linnetd, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut client = Client::connect(config, server.native);
    let finished = client.records(b"");
    client.socket.write_all(&finished).unwrap();
    assert!(matches!(client.take(native), ServerMessage::Greeting(_)));
    client.tls.handshake_kind().unwrap()
}

#[test]
fn after_a_power_cut_clients_resume_and_damaged_ticket_keys_cost_only_that() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let config = tls::config(folder.path(), &[b"linnet"]);
    assert_eq!(greeted(&server, &config), HandshakeKind::Full);
    assert_eq!(greeted(&server, &config), HandshakeKind::Resumed);
    server.kill();
    let server = Linnetd::start(folder.path());
    assert_eq!(greeted(&server, &config), HandshakeKind::Resumed);
    assert!(!server.log().contains("session tickets"), "{}", server.log());
    server.kill();
    std::fs::write(folder.path().join("tls/tickets.key"), b"not keys").unwrap();
    let server = Linnetd::start(folder.path());
    server.wait_line("the keys of session tickets are lost");
    assert_eq!(greeted(&server, &config), HandshakeKind::Full);
    assert_eq!(greeted(&server, &config), HandshakeKind::Resumed);
}

/// Ends the program whatever becomes of the test.
struct OpenSsl(Child);

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// OpenSSL's client on the native port; none, with the reason printed, where it is not installed.
fn openssl(server: &Linnetd, arguments: &[&str]) -> Option<OpenSsl> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-alpn", "linnet", "-verify_return_error", "-CAfile"]);
    command.arg(server.data.join("tls/ca.crt"));
    command.args(["-connect", &server.native.to_string()]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => Some(OpenSsl(child)),
        Err(error) => {
            println!("skipped: openssl does not start: {error}");
            None
        }
    }
}

#[test]
fn openssl_is_understood_in_every_suite() {
    let folder = tempfile::tempdir().unwrap();
    let server = Linnetd::start(folder.path());
    let ann = server.claim("ann");
    for arguments in [
        ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        ["-ciphersuites", "TLS_AES_128_GCM_SHA256"],
        ["-ciphersuites", "TLS_AES_256_GCM_SHA384"],
        ["-tls1_2", "-no_ign_eof"],
    ] {
        let Some(mut client) = openssl(&server, &arguments) else { return };
        client.0.stdin.as_mut().unwrap().write_all(&hello(&ann, None)).unwrap();
        let (mut bytes, mut answer) = (Vec::new(), client.0.stdout.take().unwrap());
        let mut next = || loop {
            if let Some((message, used)) = native(&bytes) {
                bytes.drain(..used);
                return message;
            }
            let mut chunk = [0; 1024];
            let count = answer.read(&mut chunk).unwrap();
            assert!(count > 0, "{arguments:?}: the connection ended");
            bytes.extend_from_slice(&chunk[..count]);
        };
        assert!(matches!(next(), ServerMessage::Greeting(_)), "{arguments:?}");
        assert!(matches!(next(), ServerMessage::Welcome(_)), "{arguments:?}");
    }
}
