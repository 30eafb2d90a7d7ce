//! Talkers that are ahead of their pace, and those who ask for more pages than they take.

use std::time::{Duration, Instant};

use linnet_ring::limits::{ASKED_PAGES_MAX, REQUEST_WORK_BYTES};
use linnet_ring::{PaceConfig, Protocol, RingConfig, RingEvent, SharedFrame};
use wire::ClientMessage;
use wire::client::ReadHistory;
use wire::ids::RoomId;
use wire::server::HistoryPage;

use crate::rig::*;

/// A hundred small requests a second, twenty at once.
fn slow_pace() -> RingConfig {
    let a_hundred = 100 * u32::try_from(REQUEST_WORK_BYTES).unwrap();
    let pace = PaceConfig { work_per_second: a_hundred, burst: Duration::from_millis(200) };
    RingConfig { pace, ..small() }
}

#[test]
fn a_flood_is_slowed_and_whole_while_another_session_is_served_at_once() {
    let Some(rig) = Rig::start(slow_pace()) else { return };
    let (mut flooder, flooding) = rig.adopt(TEXT);
    let (mut other, served) = rig.adopt(Protocol::Native);
    rig.welcome(&mut flooder, flooding, TEXT);
    rig.welcome(&mut other, served, Protocol::Native);
    let start = Instant::now();
    let flood: Vec<u8> = (1..=80).flat_map(|request| text(&ping(), request)).collect();
    write(&mut flooder, &flood);
    let mut last = 0;
    while last < 20 {
        last = next_of(&rig, flooding, last);
    }
    write(&mut other, &native(&ping(), 7));
    let mut waited = 0;
    while rig.frame_of(served, &mut last) != Some(7) {
        waited += 1;
    }
    assert!(waited < 40, "{waited} frames of the flood came first");
    while last < 80 {
        last = next_of(&rig, flooding, last);
    }
    let took = start.elapsed();
    assert!(took > Duration::from_millis(500), "80 at a hundred a second took {took:?}");
    assert!(rig.handle.stats().paced > 0);
    write(&mut flooder, &text(&ping(), 81));
    assert_eq!(next_of(&rig, flooding, last), 81, "it is read from again");
}

#[test]
fn who_asks_for_many_pages_gets_a_few_at_a_time_and_all_in_the_end() {
    let Some(rig) = Rig::start(small()) else { return };
    let (mut client, session) = rig.adopt(Protocol::Native);
    rig.welcome(&mut client, session, Protocol::Native);
    let ask: ClientMessage = ReadHistory { room: RoomId(1), before: None, limit: 200 }.into();
    let asks: Vec<u8> = (1..=10).flat_map(|request| native(&ask, request)).collect();
    write(&mut client, &asks);
    let first = u32::try_from(ASKED_PAGES_MAX).unwrap();
    for expected in 1..=first {
        assert_eq!(rig.frame().1, expected);
    }
    for answered in 1..=10 {
        let early = rig.events.recv_timeout(Duration::from_millis(20));
        assert!(early.is_err(), "{early:?} before page {answered}");
        let page = HistoryPage { room: RoomId(1), messages: vec![], damaged: 0, before: None };
        rig.send(session, &SharedFrame::new(page, answered));
        assert_eq!(read_native(&mut client).0, answered);
        if answered + first <= 10 {
            assert_eq!(rig.frame().1, answered + first);
        }
    }
}

/// Takes the next frame, which must be the session's and follow `last`.
fn next_of(rig: &Rig, session: linnet_ring::SessionId, last: u32) -> u32 {
    let (from, request, _) = rig.frame();
    assert_eq!((from, request), (session, last + 1));
    request
}

impl Rig {
    /// The next frame's request if it is of this session; else it must follow `last`.
    fn frame_of(&self, wanted: linnet_ring::SessionId, last: &mut u32) -> Option<u32> {
        let RingEvent::Frame { session, request, .. } = self.event() else { panic!("no frame") };
        if session == wanted {
            return Some(request);
        }
        assert_eq!(request, *last + 1);
        *last = request;
        None
    }
}
