//! Readers that do not read, talkers that never stop, and a core that is busy.

use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use linnet_ring::{CloseReason, Protocol, RingConfig, RingEvent, SharedFrame};
use wire::ServerMessage;
use wire::ids::{Offset, RoomId, Seq};
use wire::server::RoomAt;

use crate::rig::*;

fn capped() -> RingConfig {
    RingConfig { session_bytes_max: 64 * 1024, session_bytes_hard_max: 1024 * 1024, ..small() }
}

#[test]
fn a_slow_reader_overflows_once_and_recovers_after_a_flush_note() {
    let Some(rig) = Rig::start(capped()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    let frame = fan_out(1, 16_000);
    let mut sent = 0_u64;
    let overflowed = loop {
        rig.send(session, &frame);
        sent += 1;
        if let Ok(event) = rig.events.recv_timeout(Duration::from_millis(1)) {
            break event;
        }
        assert!(sent < 5_000, "the cap holds");
    };
    assert_eq!(overflowed, RingEvent::Overflowed { session });
    for _ in 0..100 {
        rig.send(session, &frame);
    }
    let note = RoomAt { room: RoomId(1), head: Seq(9), offset: Offset(9) };
    send(&rig.handle, &[session], &SharedFrame::new(note.clone(), 0), true);
    rig.send(session, &pong(3));
    let mut messages = 0;
    loop {
        match read_native(&mut client).1 {
            ServerMessage::Message(_) => messages += 1,
            ServerMessage::RoomAt(read) => break assert_eq!(read, note),
            other => panic!("{other:?}"),
        }
    }
    assert!(messages < sent, "{messages} of {sent}: what overflowed was dropped");
    assert_eq!(read_native(&mut client).0, 3);
    assert_eq!(rig.event(), RingEvent::Flushed { session });
    rig.send(session, &frame);
    assert!(matches!(read_native(&mut client).1, ServerMessage::Message(_)));
    until("the counters", || {
        let stats = rig.handle.stats();
        stats.overflows == 1 && stats.fan_out_dropped >= 100
    });
}

#[test]
fn answers_beyond_the_hard_cap_close_the_session() {
    let Some(rig) = Rig::start(capped()) else { return };
    let (client, session) = rig.adopt(Protocol::Native);
    let answer = SharedFrame::new(fan_out(1, 16_000).single().unwrap().0.clone(), 1);
    for _ in 0..5_000 {
        rig.send(session, &answer);
        if let Ok(event) = rig.events.try_recv() {
            let reason = CloseReason::TooSlow;
            return assert_eq!(event, RingEvent::Closed { session, reason });
        }
    }
    assert_eq!(rig.closed(), (session, CloseReason::TooSlow));
    drop(client);
}

#[test]
fn a_session_that_does_not_read_its_answers_is_not_read_from() {
    let config = RingConfig { session_bytes_hard_max: 2 * 1024 * 1024, ..capped() };
    let Some(rig) = Rig::start(config) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    rig.welcome(&mut client, session, Protocol::Native);
    let answer = SharedFrame::new(fan_out(1, 2_000).single().unwrap().0.clone(), 1);
    client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut asked = Vec::new();
    let mut taken = 0_u32;
    for request in 1..100_000 {
        asked.extend(native(&send_text(&"q".repeat(4_000)), request));
        match client.write(&asked) {
            Ok(bytes) => drop(asked.drain(..bytes)),
            Err(_) => break,
        }
        while let Ok(event) = rig.events.try_recv() {
            assert!(matches!(event, RingEvent::Frame { .. }), "{event:?}");
            taken += 1;
            rig.send(session, &answer);
        }
    }
    assert!(taken > 0);
    while let Ok(RingEvent::Frame { .. }) = rig.events.recv_timeout(Duration::from_millis(100)) {
        taken += 1;
        rig.send(session, &answer);
    }
    // Now it reads, and everything it asked is taken again.
    let mut reader = client.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        let mut answers = 0;
        while let Ok(()) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut first = [0];
            assert_eq!(reader.peek(&mut first).unwrap(), 1);
            read_native(&mut reader);
        })) {
            answers += 1;
        }
        answers
    });
    client.set_write_timeout(Some(WITHIN)).unwrap();
    write(&mut client, &asked);
    let before = taken;
    while let Ok(event) = rig.events.recv_timeout(Duration::from_millis(500)) {
        assert!(matches!(event, RingEvent::Frame { .. }), "{event:?}");
        taken += 1;
        rig.send(session, &answer);
    }
    assert!(taken > before, "it was held up before: {taken}");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rig.closed(), (session, CloseReason::Peer));
    assert!(answers.join().unwrap() > before);
}

#[test]
fn a_busy_core_gets_every_frame_in_order_once_it_has_room() {
    let config = RingConfig { receive_buffers: 16, ..small() };
    let Some(rig) = Rig::with_room(config, 2) else { return };
    let (client, session) = rig.adopt(Protocol::Native);
    let mut writer = client.try_clone().unwrap();
    rig.welcome(&mut writer, session, Protocol::Native);
    let talker = std::thread::spawn(move || {
        for request in 1..=20_000 {
            writer.write_all(&native(&ping(), request)).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    for expected in 1..=20_000 {
        assert_eq!(rig.frame(), (session, expected, ping()));
    }
    talker.join().unwrap();
    until("the counter", || rig.handle.stats().choked > 0);
}

#[test]
fn many_talkers_with_few_buffers_all_get_their_turn() {
    let config = RingConfig { receive_buffers: 8, ..small() };
    let Some(rig) = Rig::start(config) else { return };
    let mut clients = Vec::new();
    for _ in 0..50 {
        let (mut client, session) = rig.adopt(Protocol::Native);
        rig.welcome(&mut client, session, Protocol::Native);
        clients.push((client, session));
    }
    let talkers: Vec<_> = clients
        .iter()
        .map(|(client, _)| {
            let mut client = client.try_clone().unwrap();
            std::thread::spawn(move || {
                for request in 1..=40 {
                    let frame = native(&send_text(&"x".repeat(3_000)), request);
                    client.write_all(&frame).unwrap();
                }
            })
        })
        .collect();
    let mut last = std::collections::HashMap::new();
    for _ in 0..50 * 40 {
        let (session, request, _) = rig.frame();
        assert_eq!(request, last.get(&session).unwrap_or(&0) + 1, "in order");
        last.insert(session, request);
    }
    assert!(last.len() == 50 && last.values().all(|request| *request == 40));
    talkers.into_iter().for_each(|talker| talker.join().unwrap());
    until("the counter", || rig.handle.stats().starved > 0);
}

#[test]
fn many_slow_readers_share_the_ring_s_memory_and_others_notice_nothing() {
    let config = RingConfig { ring_bytes_max: 100_000, ..RingConfig::default() };
    let Some(rig) = Rig::start(RingConfig { rings: 1, ..config }) else { return };
    let (mut reader, reading) = rig.adopt(Protocol::Native);
    let stalled: Vec<_> = (0..16).map(|_| rig.adopt(Protocol::Native)).collect();
    let frame = fan_out(1, 16_000);
    let mut overflowed = 0;
    for _ in 0..2_000 {
        for (_, session) in &stalled {
            rig.send(*session, &frame);
        }
        rig.send(reading, &frame);
        assert!(matches!(read_native(&mut reader).1, ServerMessage::Message(_)));
        overflowed += rig.events.try_iter().filter(is_overflow).count();
        if overflowed == stalled.len() {
            break;
        }
    }
    assert_eq!(overflowed, stalled.len(), "all of them, and nobody was closed");
    let queued = rig.handle.stats().queued_bytes;
    assert!(queued < 16 * 64 * 1024, "{queued} bytes: each alone might have 256 KiB");
    drop(stalled);
    until("the sum is back", || rig.handle.stats().queued_bytes == 0);
}

fn is_overflow(event: &RingEvent) -> bool {
    assert!(matches!(event, RingEvent::Overflowed { .. }), "{event:?}");
    true
}
