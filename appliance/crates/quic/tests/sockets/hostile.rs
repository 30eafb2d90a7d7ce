//! Floods, noise, and clients that never say anything.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use linnet_quic::limits::UNPROVEN_MAX;
use linnet_quic::{CloseReason, Event, QuicConfig};
use quinn::ConnectionError;
use wire::ServerMessage;

use crate::rig::{Server, block_on, ping, pong, wait_for};

#[test]
fn garbage_on_the_stream_ends_the_session_with_a_reason() {
    let mut server = Server::start(QuicConfig::default());
    for garbage in [vec![0xff; 64], vec![0; 64], b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
        let (mut client, session) = server.welcomed();
        client.write(&garbage);
        assert!(matches!(client.next(), ServerMessage::Error(_)));
        client.expect_close(CloseReason::Violation);
        let ended = server.next();
        assert_eq!(ended, Event::Closed { session, reason: CloseReason::Violation });
    }
}

#[test]
fn a_flood_of_strangers_is_bounded_and_members_notice_nothing() {
    const PLACES: usize = 2 * UNPROVEN_MAX;
    let mut server = Server::start_with(QuicConfig::default(), 1024, PLACES);
    let (mut member, session) = server.welcomed();
    // Those above UNPROVEN_MAX prove their address by a token, which quinn does by itself.
    let strangers: Vec<_> = (0..2 * PLACES).map(|_| server.try_client()).collect();
    let refused = |result: &Result<_, _>| {
        matches!(result, Err(ConnectionError::ConnectionClosed(close))
            if close.to_string().contains("refused"))
    };
    assert_eq!(strangers.iter().filter(|result| result.is_ok()).count(), PLACES);
    assert_eq!(strangers.iter().filter(|result| refused(result)).count(), PLACES);
    (0..PLACES).for_each(|_| {
        server.connected();
    });
    member.say(ping(), 1);
    assert_eq!(server.frame(), (session, 1, ping()));
    server.send(session, pong(), 1);
    assert_eq!(member.next(), pong().into());
    drop(strangers);
    wait_for("all places", || server.strangers.load(SeqCst) == 0);
}

#[test]
fn there_are_only_so_many_connections() {
    let mut server = Server::start(QuicConfig { connections_max: 2, ..QuicConfig::default() });
    let (_first, _) = server.welcomed();
    let (second, session) = server.welcomed();
    assert!(server.try_client().is_err());
    second.connection.close(0_u32.into(), b"");
    assert_eq!(server.next(), Event::Closed { session, reason: CloseReason::Peer });
    wait_for("a place", || server.try_client().is_ok());
}

#[test]
fn datagrams_of_noise_hurt_nobody() {
    let mut server = Server::start(QuicConfig::default());
    let (mut member, session) = server.welcomed();
    let noise = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut seed = 1_u32;
    for length in (0..1_500).chain([1_200; 500]) {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            })
            .collect();
        let _ = noise.send_to(&bytes, server.quic.address());
    }
    member.say(ping(), 1);
    assert_eq!(server.frame(), (session, 1, ping()));
    assert!(server.is_quiet());
}

#[test]
fn a_silent_connection_is_kept_alive_and_a_dead_one_ends() {
    let config = QuicConfig {
        keep_alive_after: Duration::from_millis(200),
        idle_within: Duration::from_millis(1_500),
        ..QuicConfig::default()
    };
    let mut server = Server::start(config);
    let (client, session) = server.welcomed();
    std::thread::sleep(Duration::from_secs(3));
    assert!(server.is_quiet(), "it answered the signs of life");
    // It moves to a socket from which nothing arrives anywhere.
    let mute = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
    mute.connect((Ipv4Addr::new(127, 0, 0, 3), 9)).unwrap();
    block_on(async { client.endpoint.rebind(mute).unwrap() });
    assert_eq!(server.next(), Event::Closed { session, reason: CloseReason::Dead });
}
