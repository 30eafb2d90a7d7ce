//! Many connections at once.

use std::collections::HashMap;

use linnet_ring::{Protocol, RingConfig, RingEvent};

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
