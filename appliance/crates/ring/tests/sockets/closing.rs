//! Ends of connections: asked for, by shutdown, under load; slots and permits come back.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use linnet_ring::{CloseReason, Handover, Protocol, RingConfig, RingEvent, SharedFrame};
use wire::ServerMessage;
use wire::server::{Closing, Reason};

use crate::rig::*;

fn closing(reason: Reason) -> Closing {
    Closing { reason, text: "bye".to_owned(), retry_after_ms: None }
}

#[test]
fn a_closed_session_reads_its_last_frame_though_it_was_talking() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(TEXT);
    write(&mut client, &[text(&ping(), 1), text(&ping(), 2)[..9].to_vec()].concat());
    rig.frame();
    close(&rig.handle, session, SharedFrame::new(closing(Reason::BadToken), 0));
    assert_eq!(rig.closed(), (session, CloseReason::Asked));
    let ServerMessage::Closing(read) = read_text(&mut client).1 else { panic!("not closing") };
    assert_eq!(read.reason, Reason::BadToken);
    assert_eq!(read_websocket(&mut client), (8, 1000_u16.to_be_bytes().to_vec()));
    write(&mut client, &text(&ping(), 3));
    assert_ends(&mut client);
    drop(client);
    until("the slot is free", || rig.handle.stats().connections == 0);
    assert!(rig.events.try_recv().is_err(), "nothing comes after closed");
}

#[test]
fn a_reused_slot_gets_nothing_that_was_meant_for_its_last_session() {
    let config = RingConfig { connections_per_ring: 1, ..small() };
    let Some(rig) = Rig::start(config) else { return };
    let (client, old) = rig.adopt(Protocol::Native);
    drop(client);
    assert_eq!(rig.closed(), (old, CloseReason::Peer));
    until("the slot is free", || rig.handle.stats().connections == 0);
    let (mut client, new) = rig.adopt(Protocol::Native);
    assert_eq!(new.0 & 0xffff_ffff, old.0 & 0xffff_ffff, "the same slot");
    assert_ne!(new, old);
    rig.send(old, &pong(1));
    close(&rig.handle, old, pong(2));
    rig.send(new, &pong(3));
    assert_eq!(read_native(&mut client).0, 3);
}

#[test]
fn a_full_ring_gives_the_connection_back_and_permits_return() {
    let config = RingConfig { connections_per_ring: 1, ..small() };
    let Some(rig) = Rig::start(config) else { return };
    let permit = Arc::new(());
    let mut clients = Vec::new();
    for held in 0..2 {
        let (client, stream, peer) = rig.pair();
        let (tls, plaintext, protocol) = (None, Vec::new(), Protocol::Native);
        let permit = Box::new(Arc::clone(&permit));
        let taken =
            rig.handle.adopt(Handover { stream, tls, plaintext, protocol, peer, permit }).is_ok();
        assert_eq!(taken, held == 0);
        clients.push(client);
    }
    assert_eq!(Arc::strong_count(&permit), 2);
    drop(clients);
    until("the permit is back", || Arc::strong_count(&permit) == 1);
}

#[test]
fn a_permit_returns_when_somebody_signed_in_and_not_before() {
    let Some(rig) = Rig::start(small()) else { return };
    let permit = Arc::new(());
    let (mut client, stream, peer) = rig.pair();
    let (tls, plaintext, protocol) = (None, Vec::new(), Protocol::Native);
    let held = Box::new(Arc::clone(&permit));
    let handover = Handover { stream, tls, plaintext, protocol, peer, permit: held };
    assert!(rig.handle.adopt(handover).is_ok());
    let RingEvent::Connected { session, .. } = rig.event() else { panic!("not connected") };
    rig.send(session, &pong(1));
    assert_eq!(read_native(&mut client).0, 1);
    assert_eq!(Arc::strong_count(&permit), 2);
    rig.welcome(&mut client, session, Protocol::Native);
    until("the permit is back", || Arc::strong_count(&permit) == 1);
    rig.send(session, &pong(2));
    assert_eq!(read_native(&mut client).0, 2);
}

#[test]
fn shutdown_tells_every_session_why() {
    let Some(rig) = Rig::start(RingConfig { rings: 2, ..small() }) else { return };
    let (mut native_client, _) = rig.adopt(Protocol::Native);
    let (mut text_client, _) = rig.adopt(TEXT);
    let reader = std::thread::spawn(move || {
        assert!(matches!(read_native(&mut native_client).1, ServerMessage::Closing(_)));
        assert_ends(&mut native_client);
        assert!(matches!(read_text(&mut text_client).1, ServerMessage::Closing(_)));
        assert_eq!(read_websocket(&mut text_client), (8, 1001_u16.to_be_bytes().to_vec()));
        assert_ends(&mut text_client);
    });
    rig.rings.shutdown(closing(Reason::ShuttingDown));
    reader.join().unwrap();
    for _ in 0..2 {
        let event = rig.events.recv_timeout(WITHIN).unwrap();
        assert!(matches!(event, RingEvent::Closed { reason: CloseReason::ShuttingDown, .. }));
    }
    let (_client, stream, peer) = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        (client, stream, peer)
    };
    let (plaintext, permit) = (Vec::new(), Box::new(()));
    let handover =
        Handover { stream, tls: None, plaintext, protocol: Protocol::Native, peer, permit };
    assert!(rig.handle.adopt(handover).is_err(), "stopped rings adopt nobody");
}

#[test]
fn shutdown_under_load_is_bounded_though_nobody_reads_or_listens() {
    let Some(rig) = Rig::with_room(RingConfig { rings: 2, ..small() }, 64) else { return };
    let frame = fan_out(1, 16_000);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let (mut client, session) = rig.adopt(Protocol::Native);
        rig.welcome(&mut client, session, Protocol::Native);
        (0..10).for_each(|_| rig.send(session, &frame));
        clients.push(client);
    }
    let talk = |mut client: std::net::TcpStream| {
        std::thread::spawn(move || {
            while client.write_all(&native(&ping(), 1)).is_ok() {}
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest);
        })
    };
    let talkers: Vec<_> = clients.into_iter().map(talk).collect();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    rig.rings.shutdown(closing(Reason::ShuttingDown));
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    talkers.into_iter().for_each(|talker| talker.join().unwrap());
}

#[test]
fn rings_stop_when_nobody_takes_events_any_more() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, _) = rig.adopt(Protocol::Native);
    drop(rig.events);
    write(&mut client, &native(&ping(), 1));
    assert!(matches!(read_native(&mut client).1, ServerMessage::Closing(_)));
    assert_ends(&mut client);
}
