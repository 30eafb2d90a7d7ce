//! Connections that come with TLS state, from a client of rustls.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use linnet_ring::{CloseReason, Handover, Protocol, RingEvent, SessionId, TlsState};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use wire::ServerMessage;

use crate::rig::*;

type Client = rustls::StreamOwned<ClientConnection, TcpStream>;

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["linnet.local".to_owned()]).unwrap();
    let (cert, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let key = PrivateKeyDer::try_from(key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.clone()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let mut server = server.with_single_cert(vec![cert], key).unwrap();
    server.enable_secret_extraction = true;
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// Shakes hands on a thread of the test, as the web server does, then hands over. What the
/// client wrote right after its handshake is in the socket then, but for `read_early` bytes.
fn adopt(rig: &Rig, early: &[u8], read_early: usize) -> (Client, SessionId) {
    let (server_config, client_config) = configs();
    let (socket, mut stream, peer) = rig.pair();
    let name = ServerName::try_from("linnet.local").unwrap();
    let connection = ClientConnection::new(client_config, name).unwrap();
    let mut client = rustls::StreamOwned::new(connection, socket);
    let mut tls = ServerConnection::new(server_config).unwrap();
    let early = early.to_vec();
    let shaking = std::thread::spawn(move || {
        while client.conn.is_handshaking() {
            client.conn.complete_io(&mut client.sock).unwrap();
        }
        client.write_all(&early).unwrap();
        client.flush().unwrap();
        client
    });
    while tls.is_handshaking() || tls.wants_write() {
        while tls.wants_write() {
            tls.write_tls(&mut stream).unwrap();
        }
        if tls.is_handshaking() {
            // Byte by byte, so that nothing behind the handshake is read along.
            tls.read_tls(&mut Read::by_ref(&mut stream).take(1)).unwrap();
            tls.process_new_packets().unwrap();
        }
    }
    let client = shaking.join().unwrap();
    let mut partial_record = vec![0; read_early];
    stream.read_exact(&mut partial_record).unwrap();
    let tls = Some(TlsState { connection: tls, partial_record });
    let (plaintext, permit) = (Vec::new(), Box::new(()));
    let protocol = Protocol::Native;
    let handover = Handover { stream, tls, plaintext, protocol, peer, permit };
    assert!(rig.handle.adopt(handover).is_ok());
    let RingEvent::Connected { session, .. } = rig.event() else { panic!("not connected") };
    (client, session)
}

#[test]
fn a_tls_session_goes_on_after_the_handover() {
    let Some(rig) = Rig::start(small()) else { return };
    let record = native(&ping(), 1).len() + 22;
    for read_early in [0, 1, 5, 6, record - 1, record] {
        let (mut client, session) = adopt(&rig, &native(&ping(), 1), read_early);
        assert_eq!(rig.frame(), (session, 1, ping()));
        send(&rig.handle, &[session], &welcome(), false);
        assert!(matches!(read_native(&mut client).1, ServerMessage::Welcome(_)));
        let long = send_text(&"x".repeat(16_000));
        write(&mut client, &native(&long, 2));
        assert_eq!(rig.frame(), (session, 2, long));
        send(&rig.handle, &[session], &fan_out(1, 100_000), true);
        let ServerMessage::Message(read) = read_native(&mut client).1 else { panic!("no message") };
        assert_eq!(read.text.len(), 100_000);
        assert_eq!(rig.event(), RingEvent::Flushed { session });
        close(&rig.handle, session, pong(9));
        assert_eq!(rig.closed(), (session, CloseReason::Asked));
        assert_eq!(read_native(&mut client).0, 9);
        assert_ends(&mut client);
    }
}

#[test]
fn the_clients_close_notify_ends_the_session() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = adopt(&rig, &native(&ping(), 1), 0);
    rig.frame();
    client.conn.send_close_notify();
    client.conn.complete_io(&mut client.sock).unwrap();
    assert_eq!(rig.closed(), (session, CloseReason::Peer));
}

#[test]
fn bytes_that_are_no_tls_end_the_session_with_an_alert() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = adopt(&rig, b"", 0);
    client.sock.write_all(&[0x17, 3, 3, 0, 32].repeat(20)).unwrap();
    assert_eq!(rig.closed(), (session, CloseReason::Violation));
    let error = client.read(&mut [0; 8]).unwrap_err();
    assert!(error.to_string().contains("alert"), "{error}");
}
