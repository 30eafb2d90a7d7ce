//! Clients of every kind come and go at once, through few slots, few buffers and a slow core:
//! the well-behaved ones get every answer in order, and everything that was taken comes back.

use std::collections::HashSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use linnet_ring::{Handover, Protocol, RingConfig, RingEvent, RingHandle};

use crate::rig::*;

const CLIENTS: u64 = 8;
const ROUNDS: u64 = 40;

/// Connects through the listener; the lock keeps the two ends of a pair together.
fn connect(rig: &Mutex<Rig>, protocol: Protocol, permit: &Arc<()>) -> TcpStream {
    let (client, stream, peer) = rig.lock().unwrap().pair();
    let permit = Box::new(Arc::clone(permit));
    let mut handover =
        Handover { stream, tls: None, plaintext: Vec::new(), protocol, peer, permit };
    let handle = rig.lock().unwrap().handle.clone();
    while let Err(refused) = handle.adopt(handover) {
        handover = refused; // all slots are taken: others are about to leave
        std::thread::sleep(Duration::from_millis(1));
    }
    client
}

fn asks_and_reads(mut client: TcpStream, protocol: Protocol, count: u32) {
    let read = |client: &mut TcpStream| match protocol {
        Protocol::Native => read_native(client),
        Protocol::WebSocket { .. } => read_text(client),
    };
    assert!(matches!(read(&mut client).1, wire::ServerMessage::Welcome(_)));
    for request in 1..=count {
        let frame = match protocol {
            Protocol::Native => native(&ping(), request),
            Protocol::WebSocket { .. } => text(&ping(), request),
        };
        write(&mut client, &frame);
    }
    for request in 1..=count {
        assert_eq!(read(&mut client).0, request, "in order");
    }
    if protocol == TEXT {
        write(&mut client, &websocket(0x88, b""));
        assert_eq!(read_websocket(&mut client).0, 8);
        assert_ends(&mut client);
    }
}

fn one_client(rig: &Mutex<Rig>, number: u64, permit: &Arc<()>) {
    for round in 0..ROUNDS {
        let protocol = if (number + round).is_multiple_of(2) { TEXT } else { Protocol::Native };
        let mut client = connect(rig, protocol, permit);
        match (number * 7 + round) % 5 {
            // Leaves in the middle of a frame.
            0 => drop(client.write_all(&native(&ping(), 1)[..5])),
            // Leaves without reading, which resets the connection.
            1 => drop(client.write_all(&native(&ping(), 1).repeat(300))),
            // Leaves at once.
            2 => {}
            _ => asks_and_reads(client, protocol, 60),
        }
    }
}

/// Answers everything, now and then slowly; ends when as many closed as will ever come.
fn core(events: &Receiver<RingEvent>, handle: &RingHandle, closed: &AtomicU32) {
    let mut open = HashSet::new();
    while u64::from(closed.load(SeqCst)) < CLIENTS * ROUNDS {
        match events.recv_timeout(WITHIN).expect("events until all are closed") {
            RingEvent::Connected { session, .. } => {
                assert!(open.insert(session), "connected twice");
                send(handle, &[session], &welcome(), false);
            }
            RingEvent::Frame { session, request, .. } => {
                assert!(open.contains(&session), "a frame of nobody");
                send(handle, &[session], &pong(request), request % 16 == 0);
            }
            RingEvent::Closed { session, .. } => {
                assert!(open.remove(&session), "closed without being open");
                closed.fetch_add(1, SeqCst);
                std::thread::sleep(Duration::from_millis(2));
            }
            RingEvent::Flushed { session } => assert!(open.contains(&session)),
            RingEvent::Overflowed { .. } => panic!("answers are no fan-out"),
        }
    }
}

#[test]
fn clients_come_and_go_and_everything_comes_back() {
    let config = RingConfig { rings: 2, connections_per_ring: 3, receive_buffers: 4, ..small() };
    let Some(mut rig) = Rig::with_room(config, 4) else { return };
    let (_, none) = std::sync::mpsc::sync_channel(1);
    let events = std::mem::replace(&mut rig.events, none);
    let (handle, closed) = (rig.handle.clone(), AtomicU32::new(0));
    let (rig, permit) = (Mutex::new(rig), Arc::new(()));
    std::thread::scope(|scope| {
        let (handle, closed) = (&handle, &closed);
        scope.spawn(move || core(&events, handle, closed));
        for number in 0..CLIENTS {
            let (rig, permit) = (&rig, &permit);
            scope.spawn(move || one_client(rig, number, permit));
        }
    });
    until("slots and permits come back", || {
        handle.stats().connections == 0 && Arc::strong_count(&permit) == 1
    });
}
