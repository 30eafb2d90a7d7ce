//! The hand-over: no byte lost, and sessions outlive the web thread.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Running, run};
use crate::{ALPN_NATIVE, Handover, Protocol};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: linnet.local\r\norigin: https://linnet.local\r\n\
                       connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                       sec-websocket-protocol: linnet.binary\r\n\r\n";

/// Reads `count` bytes as a ring would: what was handed over first, then rustls, then the socket.
fn read_session(session: &mut Handover, count: usize) -> Vec<u8> {
    let mut bytes = std::mem::take(&mut session.plaintext);
    let tls = &mut session.tls.as_mut().unwrap().connection;
    loop {
        let state = tls.process_new_packets().unwrap();
        let mut fresh = vec![0; state.plaintext_bytes_to_read()];
        tls.reader().read_exact(&mut fresh).unwrap();
        bytes.extend(fresh);
        if bytes.len() >= count {
            return bytes;
        }
        assert!(tls.read_tls(&mut session.stream).unwrap() > 0, "the peer closed");
    }
}

fn write_session(session: &mut Handover, bytes: &[u8]) {
    let tls = &mut session.tls.as_mut().unwrap().connection;
    tls.writer().write_all(bytes).unwrap();
    while tls.wants_write() {
        tls.write_tls(&mut session.stream).unwrap();
    }
}

#[test]
fn a_websocket_is_handed_over_with_every_byte_sent_right_behind_the_request() {
    let running = Running::start();
    run(async {
        let mut stream = running.tls(running.https(), "127.0.0.1", b"http/1.1").await;
        // One write: the frames share TLS records and segments with the request's end.
        let early = vec![0xab; 5000];
        stream.write_all(&[UPGRADE.as_bytes(), &early].concat()).await.unwrap();
        stream.flush().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(head.contains("sec-websocket-protocol: linnet.binary"), "{head}");

        let mut session = running.session();
        assert_eq!(session.protocol, Protocol::WebSocket { binary: true });
        assert_eq!(session.peer, stream.get_ref().0.local_addr().unwrap());
        assert_eq!(read_session(&mut session, early.len()), early);

        write_session(&mut session, b"from the ring");
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"from the ring");
        stream.write_all(b"later").await.unwrap();
        assert_eq!(read_session(&mut session, 5), b"later");
    });
}

#[test]
fn a_native_session_is_handed_over_after_its_handshake_on_either_port() {
    let running = Running::start();
    run(async {
        for port in [running.web.addresses().native.unwrap(), running.https()] {
            let mut stream = running.tls(port, "127.0.0.1", ALPN_NATIVE).await;
            stream.write_all(b"hello").await.unwrap();
            stream.flush().await.unwrap();
            let mut session = running.session();
            assert_eq!(session.protocol, Protocol::Native);
            assert_eq!(read_session(&mut session, 5), b"hello");
            write_session(&mut session, b"welcome");
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"welcome");
        }
    });
}

#[test]
fn sessions_outlive_the_web_thread_and_its_port_is_free_again() {
    let running = Running::start();
    let mut session = run(async {
        let native = running.web.addresses().native.unwrap();
        let mut stream = running.tls(native, "127.0.0.1", ALPN_NATIVE).await;
        stream.write_all(b"x").await.unwrap();
        let session = running.session();
        (session, stream.into_inner().0.into_std().unwrap())
    });
    let https = running.https();
    running.web.stop();
    write_session(&mut session.0, b"still here");
    session.1.set_nonblocking(false).unwrap();
    let mut byte = [0];
    session.1.read_exact(&mut byte).unwrap();
    assert!(std::net::TcpListener::bind(https).is_ok());
}
