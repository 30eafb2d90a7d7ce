//! A client's address changes in the middle of a session.

use std::net::{Ipv4Addr, UdpSocket};

use linnet_quic::QuicConfig;

use crate::rig::{Server, block_on, ping, pong};

#[test]
fn a_session_goes_on_after_its_client_moved_and_nothing_is_lost() {
    let mut server = Server::start(QuicConfig::default());
    let (mut client, session) = server.welcomed();
    for round in 1..=5_u32 {
        let before = client.endpoint.local_addr().unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        block_on(async { client.endpoint.rebind(socket).unwrap() });
        assert_ne!(client.endpoint.local_addr().unwrap(), before);
        // To the address that is gone; it comes again to the new one.
        server.send(session, pong(), round);
        client.say(ping(), round);
        assert_eq!(server.frame(), (session, round, ping()));
        assert_eq!(client.next(), pong().into());
    }
    assert!(server.is_quiet(), "the same session all the time");
}
