//! Many connections at once.

use std::collections::HashMap;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use linnet_ring::limits::ACK_COMPANY_WITHIN;
use linnet_ring::{Protocol, RingConfig, RingEvent};
use wire::ServerMessage;

use crate::rig::*;

#[test]
fn a_thousand_connections_talk_and_all_get_one_announcement() {
    let config = RingConfig { rings: 2, connections_per_ring: 600, ..RingConfig::default() };
    let Some(rig) = Rig::start(config) else { return };
    let mut clients = HashMap::new();
    for at in 0..1_000 {
        let protocol = if at % 2 == 0 { Protocol::Native } else { TEXT };
        let (client, session) = rig.adopt(protocol);
        clients.insert(session, (client, protocol));
    }
    until("the counter", || rig.handle.stats().connections == 1_000);
    let rings: Vec<_> = clients.keys().map(|session| session.ring()).collect();
    assert_eq!(rings.iter().filter(|ring| **ring == 0).count(), 500, "shared evenly");
    for (client, protocol) in clients.values_mut() {
        let frame = if *protocol == TEXT { text(&ping(), 1) } else { native(&ping(), 1) };
        write(client, &frame);
    }
    for _ in 0..1_000 {
        let (session, _, _) = rig.frame();
        assert!(clients.contains_key(&session));
    }
    let everybody: Vec<_> = clients.keys().copied().collect();
    send(&rig.handle, &everybody, &fan_out(1, 200), true);
    for (client, protocol) in clients.values_mut() {
        if *protocol == TEXT {
            read_text(client);
        } else {
            read_native(client);
        }
    }
    for _ in 0..1_000 {
        assert!(matches!(rig.event(), RingEvent::Flushed { .. }));
    }
    drop(clients);
    until("all are gone", || rig.handle.stats().connections == 0);
}

#[test]
fn the_plain_door_shares_its_connections_out_evenly_and_they_talk() {
    let config = RingConfig { rings: 3, connections_per_ring: 100, ..RingConfig::default() };
    let Some(rig) = Rig::start(config) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rig.handle.listen(listener);
    let mut clients: Vec<_> = (0..30).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut per_ring = [0; 3];
    for _ in &clients {
        let RingEvent::Connected { session, peer } = rig.event() else { panic!("not connected") };
        assert!(clients.iter().any(|client| client.local_addr().unwrap() == peer));
        per_ring[session.ring()] += 1;
    }
    assert_eq!(per_ring, [10; 3]);
    for client in &mut clients {
        write(client, &native(&ping(), 7));
        let (session, request, message) = rig.frame();
        assert_eq!((request, message), (7, ping()));
        rig.send(session, &pong(7));
        assert_eq!(read_native(client).0, 7);
    }
}

#[test]
fn on_a_busy_ring_an_ack_waits_for_company_but_not_for_long() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    let (mut talker, talking) = rig.adopt(Protocol::Native);
    rig.welcome(&mut talker, talking, Protocol::Native);
    let end = Instant::now() + Duration::from_secs(2);
    let busy = std::thread::spawn(move || {
        while Instant::now() < end {
            write(&mut talker, &native(&ping(), 1).repeat(20));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let (mut slowest, mut waited) = (Duration::ZERO, 0);
    while !busy.is_finished() {
        rig.events.try_iter().for_each(drop);
        let asked = Instant::now();
        rig.send(session, &ack());
        assert!(matches!(read_native(&mut client).1, ServerMessage::Ack(_)));
        slowest = slowest.max(asked.elapsed());
        waited += u32::from(asked.elapsed() >= ACK_COMPANY_WITHIN);
    }
    busy.join().unwrap();
    assert!(waited > 10, "acks of a busy ring waited {waited} times");
    assert!(slowest < Duration::from_secs(1), "the slowest took {slowest:?}");
}
